//! What a manifest must be beside well-formed TOML with known fields. Every problem is reported, not only the first.

use crate::manifest::{Auth, Dialect, Kind, Layout, Manifest, Model, Surface};
use std::collections::{BTreeMap, BTreeSet};

/// No model costs more than this (1,000 USD per million tokens): a larger number is a slip of the unit.
const MAX_PRICE: u64 = 1_000_000_000;

/// Headers that a manifest may not forward: credentials, what belongs to the key and not to the caller (API.md, "Data
/// plane"), what the engine sets, hop-by-hop ones (RFC 9110, 7.6.1), and what is forwarded to every provider anyway.
const NOT_FORWARDED: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "api-key",
    "x-api-key",
    "x-goog-api-key",
    "openai-organization",
    "openai-project",
    "host",
    "content-length",
    "accept-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-type",
    "accept",
    "anthropic-version",
    "anthropic-beta",
    "openai-beta",
    "idempotency-key",
    "user-agent",
];

/// Headers that a manifest may not set: credentials, what the engine sets and what frames a body.
const NOT_SET: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "api-key",
    "x-api-key",
    "x-goog-api-key",
    "host",
    "content-length",
    "content-type",
    "accept-encoding",
    "connection",
    "transfer-encoding",
    "upgrade",
];

/// Reads the manifest file `name`, or says all that is wrong with it by itself.
pub(crate) fn read(name: &str, text: &str) -> Result<Manifest, Vec<String>> {
    let manifest: Manifest =
        toml::from_str(text).map_err(|error| vec![format!("{name}: {error}")])?;
    let mut problems = Problems {
        file: name,
        found: Vec::new(),
    };
    problems.unless(
        name.strip_suffix(".toml") == Some(manifest.slug.as_str()),
        format!("is not named after its slug {:?}", manifest.slug),
    );
    identity(&manifest, &mut problems);
    key(&manifest, &mut problems);
    environment(&manifest, &mut problems);
    requests(&manifest, &mut problems);
    options(&manifest, &mut problems);
    quirks(&manifest, &mut problems);
    models(&manifest, &mut problems);
    if problems.found.is_empty() {
        Ok(manifest)
    } else {
        Err(problems.found)
    }
}

/// What is wrong with the manifests among each other.
pub(crate) fn together(manifests: &[Manifest]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut variables = BTreeMap::new();
    let mut patterns = BTreeMap::new();
    let mut slugs = BTreeSet::new();
    for manifest in manifests {
        let slug = manifest.slug.as_str();
        if !slugs.insert(slug) {
            problems.push(format!("two manifests have the slug {slug:?}"));
        }
        for name in variables_of(manifest) {
            if let Some(other) = variables.insert(name.as_str(), slug) {
                problems.push(format!(
                    "the variable {name} is named twice: by {other} and by {slug}"
                ));
            }
        }
        for pattern in &manifest.model_patterns {
            if let Some(other) = patterns.insert(pattern.as_str(), slug) {
                problems.push(format!(
                    "the model pattern {pattern:?} is in both {other} and {slug}"
                ));
            }
        }
    }
    problems
}

struct Problems<'a> {
    file: &'a str,
    found: Vec<String>,
}

impl Problems<'_> {
    fn unless(&mut self, fine: bool, what: String) {
        if !fine {
            self.found.push(format!("{}: {what}", self.file));
        }
    }
}

fn identity(manifest: &Manifest, problems: &mut Problems<'_>) {
    let slug = &manifest.slug;
    problems.unless(
        !slug.is_empty()
            && !slug.starts_with('-')
            && slug
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
        format!("the slug {slug:?} has more than a-z, 0-9 and -"),
    );
    problems.unless(
        !manifest.title.trim().is_empty(),
        "has an empty title".into(),
    );

    let base = &manifest.base_url;
    let plain = |url: &str| {
        !url.contains(['?', '#', '@', '\\', '{', '}']) && url.bytes().all(|b| b.is_ascii_graphic())
    };
    let filled = template(manifest, base, "base_url", problems);
    let host = base.split_once("://").map(|(_, rest)| rest).unwrap_or("");
    let loopback = ["127.0.0.1:", "localhost:", "[::1]:"]
        .iter()
        .any(|h| host.starts_with(h));
    problems.unless(
        !host.is_empty() && !host.starts_with('/') && !base.ends_with('/') && plain(&filled),
        format!(
            "the base_url {base:?} is not scheme, host and path only, without a slash at its end"
        ),
    );
    problems.unless(
        if manifest.local {
            base.starts_with("http://") && loopback
        } else {
            base.starts_with("https://")
        },
        format!("the base_url {base:?} is neither https nor, with local = true, http to loopback"),
    );
    let urls = [Some(&manifest.docs_url), manifest.key.console_url.as_ref()];
    for url in urls.into_iter().flatten() {
        problems.unless(
            url.starts_with("https://") && plain(url),
            format!("the URL {url:?} is not https"),
        );
    }
}

/// Checks a URL or path with `{option}` in it, and gives it with examples filled in. The host's end is the manifest's own:
/// an option can pick a name below it, never another host.
fn template(manifest: &Manifest, text: &str, field: &str, problems: &mut Problems<'_>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let option = manifest.options.iter().find(|option| option.name == name);
        problems.unless(
            option.is_some(),
            format!("{field} names the option {name:?}, which is not in [[options]]"),
        );
        filled.push_str(before);
        filled.push_str(option.map_or("", |option| option.example.as_str()));
        rest = after;
    }
    filled.push_str(rest);
    let host = text.split_once("://").map(|(_, rest)| rest).unwrap_or("");
    let host = host.split('/').next().unwrap_or("");
    if let Some((_, end)) = host.rsplit_once('}') {
        problems.unless(
            end.starts_with('.') && end.matches('.').count() >= 2,
            format!("{field} lets an option choose the host {host:?}; a domain has to follow it"),
        );
    }
    filled
}

fn key(manifest: &Manifest, problems: &mut Problems<'_>) {
    let key = &manifest.key;
    problems.unless(
        0 < key.min_len && key.min_len <= key.max_len && key.max_len <= 8192,
        "key.min_len and key.max_len are not 1 ≤ min ≤ max ≤ 8192".into(),
    );
    for prefix in &key.prefixes {
        problems.unless(
            prefix.len() >= 2
                && prefix.len() < key.min_len
                && prefix.bytes().all(|b| b.is_ascii_graphic()),
            format!("the key prefix {prefix:?} is not 2 or more printable characters, fewer than key.min_len"),
        );
    }
    let example = &key.example_masked;
    problems.unless(
        example.contains('…')
            && (key.prefixes.is_empty()
                || key
                    .prefixes
                    .iter()
                    .any(|prefix| example.starts_with(prefix.as_str()))),
        format!("key.example_masked {example:?} has no … or begins with none of the prefixes"),
    );
    problems.unless(
        !key.hint.trim().is_empty()
            && key
                .console_url
                .as_ref()
                .is_none_or(|url| key.hint.contains(url.as_str())),
        "key.hint is empty or does not name key.console_url".into(),
    );
    problems.unless(
        manifest.auth == Auth::None || key.console_url.is_some(),
        "needs a key but has no key.console_url".into(),
    );
    if let Auth::Header(name) = &manifest.auth {
        problems.unless(
            is_header(name),
            format!("auth.header {name:?} is not a lower-case header name"),
        );
    }
}

/// Every environment variable that it names.
fn variables_of(manifest: &Manifest) -> impl Iterator<Item = &String> {
    let env = &manifest.env;
    let options = manifest
        .options
        .iter()
        .filter_map(|option| option.env.as_ref());
    env.key
        .iter()
        .chain(&env.near_misses)
        .chain(&env.base_url)
        .chain(options)
}

fn environment(manifest: &Manifest, problems: &mut Problems<'_>) {
    problems.unless(
        manifest.auth == Auth::None || !manifest.env.key.is_empty(),
        "needs a key but has no env.key".into(),
    );
    for name in variables_of(manifest) {
        problems.unless(
            name.starts_with(|c: char| c.is_ascii_uppercase())
                && name
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_'),
            format!("the variable {name:?} has more than A-Z, 0-9 and _"),
        );
        // `NAME_2` is the second key of `NAME`.
        problems.unless(
            !name.ends_with(|c: char| c.is_ascii_digit() || c == '_'),
            format!("the variable {name:?} ends in a digit or _, which numbers a further key"),
        );
    }
}

fn requests(manifest: &Manifest, problems: &mut Problems<'_>) {
    problems.unless(
        !manifest.surfaces.is_empty() || manifest.chats() || manifest.embeds(),
        "serves no surface, and its dialect alone is not enough".into(),
    );
    dialect(manifest, problems);
    for (at, surface) in manifest.surfaces.iter().enumerate() {
        problems.unless(
            !manifest.surfaces.iter().take(at).any(|s| s == surface),
            format!("names the surface {surface:?} twice"),
        );
    }
    if let Some(path) = &manifest.models_path {
        problems.unless(
            path.starts_with('/') && path.len() > 1 && path.bytes().all(|b| b.is_ascii_graphic()),
            format!("models_path {path:?} does not begin with /"),
        );
    }
    match manifest.health.as_deref() {
        None | Some("none") => {}
        Some(call) => {
            let filled = template(manifest, call, "health", problems);
            problems.unless(
                (filled.starts_with('/') || filled.starts_with("https://"))
                    && filled.bytes().all(|b| b.is_ascii_graphic())
                    && !filled.contains(['{', '}', '#', '\\']),
                format!("health {call:?} is neither a path, an https URL nor \"none\""),
            );
        }
    }
    let mut set = BTreeSet::new();
    for (name, value) in &manifest.headers {
        problems.unless(
            is_header(name) && !NOT_SET.contains(&name.as_str()) && set.insert(name),
            format!("the header {name:?} may not be set, is set twice or is not lower-case"),
        );
        problems.unless(
            !value.is_empty() && value.bytes().all(|b| (b' '..=b'~').contains(&b)),
            format!("the header {name:?} has an empty or unprintable value"),
        );
    }
    let mut seen = BTreeSet::new();
    for name in &manifest.forward_headers {
        problems.unless(
            is_header(name),
            format!("the header {name:?} is not a lower-case header name"),
        );
        problems.unless(
            !NOT_FORWARDED.contains(&name.as_str()) && seen.insert(name),
            format!("the header {name:?} may not be listed, or is listed twice"),
        );
    }
}

/// That layout, surfaces and sign-in fit the dialect.
fn dialect(manifest: &Manifest, problems: &mut Problems<'_>) {
    let layout = manifest.layout();
    problems.unless(
        match manifest.dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses => {
                matches!(layout, Layout::Openai | Layout::Azure)
            }
            Dialect::Voyage => layout == Layout::Openai,
            Dialect::Anthropic => layout == Layout::Anthropic,
            Dialect::Gemini => layout == Layout::Gemini,
            Dialect::Cohere => layout == Layout::Cohere,
            Dialect::Bedrock => layout == Layout::Bedrock,
        },
        "has a layout that its dialect has no URLs for".into(),
    );
    let own = match manifest.dialect {
        Dialect::OpenaiChat => Some(Surface::Chat),
        Dialect::OpenaiResponses => Some(Surface::Responses),
        Dialect::Anthropic => Some(Surface::Messages),
        Dialect::Gemini | Dialect::Cohere | Dialect::Bedrock | Dialect::Voyage => None,
    };
    if let Some(own) = own {
        problems.unless(
            manifest.surfaces.contains(&own) || manifest.embeds(),
            format!("does not list the surface of its own dialect, {own:?}"),
        );
    }
    problems.unless(
        (manifest.auth == Auth::Sigv4) == (manifest.dialect == Dialect::Bedrock),
        "auth \"sigv4\" and dialect \"bedrock\" go together".into(),
    );
}

fn options(manifest: &Manifest, problems: &mut Problems<'_>) {
    let mut names = BTreeSet::new();
    for option in &manifest.options {
        let name = &option.name;
        problems.unless(
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                && names.insert(name),
            format!("the option {name:?} is named twice or has more than a-z and _"),
        );
        for value in [Some(&option.example), option.default.as_ref()]
            .into_iter()
            .flatten()
        {
            problems.unless(
                !value.is_empty()
                    && value.len() <= 128
                    && !value.contains("..")
                    && value.starts_with(|c: char| c.is_ascii_alphanumeric())
                    && value
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
                format!("the option {name:?} may not be {value:?}"),
            );
        }
        problems.unless(
            option.hint.ends_with('.') && !(option.required && option.default.is_some()),
            format!(
                "the option {name:?} has a hint that is no sentence, or is required with a default"
            ),
        );
    }
}

/// Fields of OpenAI's chat request, and what is like one, that `quirks.unsupported` may name.
const FIELDS: &[&str] = &[
    "audio",
    "frequency_penalty",
    "images",
    "logit_bias",
    "logprobs",
    "metadata",
    "modalities",
    "n",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "response_format",
    "safety_identifier",
    "service_tier",
    "stop",
    "store",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
];

fn quirks(manifest: &Manifest, problems: &mut Problems<'_>) {
    let quirks = &manifest.quirks;
    let among = |value: &str, allowed: &[&str]| allowed.contains(&value);
    problems.unless(
        among(&quirks.seed, &["seed", "random_seed", "none"])
            && among(&quirks.required_tool_choice, &["required", "any"])
            && among(
                &quirks.reasoning,
                &["reasoning_content", "reasoning", "none"],
            ),
        "quirks.seed, quirks.required_tool_choice or quirks.reasoning is no known word".into(),
    );
    let mut seen = BTreeSet::new();
    for field in &quirks.unsupported {
        problems.unless(
            FIELDS.contains(&field.as_str()) && seen.insert(field),
            format!(
                "quirks.unsupported names {field:?}, which is no field to name, or named twice"
            ),
        );
    }
    problems.unless(
        !quirks.done_marker || manifest.surfaces.contains(&Surface::Chat),
        "quirks.done_marker is of OpenAI's chat streams, which it does not serve".into(),
    );
}

fn models(manifest: &Manifest, problems: &mut Problems<'_>) {
    for pattern in &manifest.model_patterns {
        // A pattern without any other character would take every provider's models.
        problems.unless(
            pattern.bytes().any(|b| b != b'*') && pattern.bytes().all(|b| b.is_ascii_graphic()),
            format!("the model pattern {pattern:?} is empty, only *, or not printable"),
        );
    }
    let mut ids = BTreeSet::new();
    for model in &manifest.models {
        let id = &model.id;
        problems.unless(
            !id.is_empty() && id.len() <= 200 && id.bytes().all(|b| b.is_ascii_graphic()),
            format!("the model id {id:?} is empty, too long or not printable"),
        );
        problems.unless(ids.insert(id), format!("lists the model {id:?} twice"));
        problems.unless(
            match model.kind {
                Kind::Chat => manifest.chats(),
                Kind::Embedding => manifest.embeds(),
                Kind::Completion => manifest.surfaces.contains(&Surface::Completions),
                Kind::Image => manifest.surfaces.contains(&Surface::Images),
                Kind::Audio => manifest.surfaces.contains(&Surface::Audio),
                Kind::Moderation => manifest.surfaces.contains(&Surface::Moderations),
            },
            format!("the model {id:?} is of a kind that no listed surface serves"),
        );
        limits(model, problems);
    }
}

fn limits(model: &Model, problems: &mut Problems<'_>) {
    let id = &model.id;
    problems.unless(
        model.context != Some(0) && model.max_output != Some(0),
        format!("the model {id:?} has a limit of 0 tokens; leave out what is not known"),
    );
    if let (Some(context), Some(output)) = (model.context, model.max_output) {
        problems.unless(
            output <= context,
            format!("the model {id:?} may write more than its context holds"),
        );
    }
    let Some(price) = model.price else { return };
    let given = [Some(price.input), price.cached_input, price.output];
    problems.unless(
        given.into_iter().flatten().all(|p| p <= MAX_PRICE),
        format!(
            "the model {id:?} costs more than 1,000 USD per million tokens; prices are in micro-USD"
        ),
    );
    problems.unless(
        price
            .cached_input
            .is_none_or(|cached| cached <= price.input),
        format!("the model {id:?} has cached input dearer than input"),
    );
    problems.unless(
        match model.kind {
            Kind::Chat | Kind::Completion => price.output.is_some(),
            Kind::Embedding | Kind::Moderation => price.output.is_none(),
            Kind::Image | Kind::Audio => true,
        },
        format!("the model {id:?} has an output price and embeds, or lacks one and writes"),
    );
}

fn is_header(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

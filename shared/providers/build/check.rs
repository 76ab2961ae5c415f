//! What a manifest must be beside well-formed TOML with known fields. Every problem is reported, not only the first.

use crate::manifest::{Auth, Kind, Manifest, Model};
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
        let env = &manifest.env;
        for name in env.key.iter().chain(&env.near_misses).chain(&env.base_url) {
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
        !url.contains(['?', '#', '@', '\\']) && url.bytes().all(|b| b.is_ascii_graphic())
    };
    let host = base.split_once("://").map(|(_, rest)| rest).unwrap_or("");
    let loopback = ["127.0.0.1:", "localhost:", "[::1]:"]
        .iter()
        .any(|h| host.starts_with(h));
    problems.unless(
        !host.is_empty() && !host.starts_with('/') && !base.ends_with('/') && plain(base),
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

fn environment(manifest: &Manifest, problems: &mut Problems<'_>) {
    let env = &manifest.env;
    problems.unless(
        manifest.auth == Auth::None || !env.key.is_empty(),
        "needs a key but has no env.key".into(),
    );
    for name in env.key.iter().chain(&env.near_misses).chain(&env.base_url) {
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
    problems.unless(!manifest.surfaces.is_empty(), "serves no surface".into());
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
            manifest.surfaces.contains(&model.kind),
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
        price.output.is_some() == (model.kind != Kind::Embedding),
        format!("the model {id:?} has an output price and embeds, or lacks one and writes"),
    );
}

fn is_header(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

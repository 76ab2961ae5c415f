//! The URL of a call to a provider, and how its credential travels. Pure: what proxies a request and what checks a key
//! make the same URLs.
//!
//! Paths: OpenAI <https://platform.openai.com/docs/api-reference>, Azure
//! <https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle>, Anthropic <https://docs.anthropic.com/en/api>,
//! Gemini <https://ai.google.dev/api>, Cohere <https://docs.cohere.com/reference>, Bedrock
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html>.
//!
//! What a client wrote (a path, a model) can only ever name something below the base URL: a `.` or `..` that a URL parser
//! would take for a step up is escaped once more, so that it names nothing.

use std::collections::BTreeMap;

use lockgate_host::Secret;

use crate::manifest::{Auth, Dialect, Layout, Manifest, Surface};
use crate::options::{self, MissingOption};

/// What a provider is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// A request that passes as it is.
    Surface {
        /// The surface.
        surface: Surface,
        /// What followed `/v1` in the client's path: `/chat/completions`, `/files/file-1/content`.
        path: &'a str,
        /// The model, where the request names one; Azure's dated API has it in the path.
        model: Option<&'a str>,
    },
    /// A chat in the provider's own dialect.
    Chat {
        /// The model, as the provider knows it.
        model: &'a str,
        /// Whether the answer is to be a stream.
        stream: bool,
    },
    /// Embeddings in the provider's own dialect.
    Embed {
        /// The model, as the provider knows it.
        model: &'a str,
        /// Whether there are several texts.
        many: bool,
    },
    /// The list of models.
    Models,
}

/// The URL of a call. `base` is what [`base`](crate::base) gave; `query` is that of the client's request, without `?`.
///
/// Only a request that passes as it is takes the client's query along, without an `api-version`, which only Azure has: there
/// a dated one (the key's option `api_version`, else the client's) means the API with deployments in its paths, another one or
/// none the v1 API. A base URL that ends in `/openai`, `/openai/v1` or a version that the path begins with is taken as it is.
#[must_use]
pub fn url(
    manifest: &Manifest,
    base: &str,
    operation: Operation<'_>,
    options: &BTreeMap<String, String>,
    query: Option<&str>,
) -> String {
    let base = base.trim_end_matches('/');
    let query = query.unwrap_or_default();
    if manifest.layout == Layout::Azure {
        return azure(manifest, base, operation, options, query);
    }
    let passes = matches!(operation, Operation::Surface { .. });
    let mut url = match operation {
        Operation::Surface { path, .. } => {
            let path = client_path(path);
            match manifest.layout {
                Layout::OpenAi | Layout::Azure => format!("{base}{path}"),
                Layout::Anthropic => joined(base, "/v1", &path),
                // Their APIs for clients of OpenAI.
                Layout::Gemini => joined(base, "/v1beta", &format!("/openai{path}")),
                Layout::Cohere => format!("{base}/compatibility/v1{path}"),
                Layout::Bedrock => format!("{base}/openai/v1{path}"),
            }
        }
        Operation::Chat { model, stream } => chat(manifest, base, model, stream),
        Operation::Embed { model, many } => embed(manifest, base, model, many),
        Operation::Models => {
            let path = manifest.models_path.unwrap_or("/models");
            match path.match_indices('/').nth(1) {
                Some((at, _)) => {
                    let (version, rest) = path.split_at(at);
                    joined(base, version, rest)
                }
                None => format!("{base}{path}"),
            }
        }
    };
    if passes {
        extend_query(&mut url, query);
    }
    url
}

/// The URL of the `GET` that checks a key; `None` where there is no such call, or where it is at another host than the
/// key's own `base_url`, to which alone the key may go.
///
/// # Errors
/// [`MissingOption`] where the key lacks an option that is in the URL.
pub fn health_url(
    manifest: &Manifest,
    key_base_url: Option<&str>,
    options: &BTreeMap<String, String>,
) -> Result<Option<String>, MissingOption> {
    let Some(call) = manifest.health else {
        return Ok(None);
    };
    if call.starts_with("https://") {
        return match key_base_url {
            Some(_) => Ok(None),
            None => Ok(Some(options::filled(manifest, call, options)?.into_owned())),
        };
    }
    let base = options::base(manifest, key_base_url, options)?;
    Ok(Some(if manifest.models_path == Some(call) {
        url(manifest, &base, Operation::Models, options, None)
    } else {
        format!("{base}{call}")
    }))
}

/// How a credential travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// In a header.
    Header {
        /// Its name, lower case.
        name: &'static str,
        /// What stands before the key in its value.
        prefix: &'static str,
    },
    /// Not at all: it signs the request, by AWS's Signature Version 4.
    SigV4,
}

/// What API keys of Bedrock begin with, long-lived and short-lived ones; other keys for [`Auth::SigV4`] are pairs.
const BEDROCK_API_KEYS: [&[u8]; 2] = [b"ABSK", b"bedrock-api-key-"];

impl Manifest {
    /// How the key `secret` travels, which for AWS is told from how it looks.
    #[must_use]
    pub fn sending(&self, secret: &Secret) -> Sending {
        let api_key = || {
            BEDROCK_API_KEYS
                .iter()
                .any(|prefix| secret.expose().starts_with(prefix))
        };
        if self.auth == Auth::SigV4 && !api_key() {
            return Sending::SigV4;
        }
        let (name, prefix) = self.auth.header();
        Sending::Header { name, prefix }
    }
}

fn chat(manifest: &Manifest, base: &str, model: &str, stream: bool) -> String {
    match manifest.layout {
        Layout::OpenAi | Layout::Azure => {
            format!("{base}{}", chat_surface(manifest).path())
        }
        Layout::Anthropic => joined(base, "/v1", "/messages"),
        Layout::Gemini => {
            let call = if stream {
                "streamGenerateContent?alt=sse"
            } else {
                "generateContent"
            };
            joined(base, "/v1beta", &format!("/{}:{call}", gemini_model(model)))
        }
        Layout::Cohere => joined(base, "/v2", "/chat"),
        Layout::Bedrock => {
            let call = if stream {
                "converse-stream"
            } else {
                "converse"
            };
            format!("{base}/model/{}/{call}", segment(model))
        }
    }
}

fn embed(manifest: &Manifest, base: &str, model: &str, many: bool) -> String {
    match manifest.layout {
        Layout::OpenAi | Layout::Azure => format!("{base}/embeddings"),
        Layout::Anthropic => joined(base, "/v1", "/embeddings"),
        Layout::Gemini => {
            let call = if many {
                "batchEmbedContents"
            } else {
                "embedContent"
            };
            joined(base, "/v1beta", &format!("/{}:{call}", gemini_model(model)))
        }
        Layout::Cohere => joined(base, "/v2", "/embed"),
        Layout::Bedrock => format!("{base}/model/{}/invoke", segment(model)),
    }
}

fn chat_surface(manifest: &Manifest) -> Surface {
    if manifest.dialect == Dialect::OpenAiResponses {
        Surface::Responses
    } else {
        Surface::Chat
    }
}

/// Azure: `{base}/openai/v1/…`, and with a dated version `{base}/openai/…?api-version=`, where what runs a model is
/// under `/deployments/<model>`, all but responses.
fn azure(
    manifest: &Manifest,
    base: &str,
    operation: Operation<'_>,
    options: &BTreeMap<String, String>,
    query: &str,
) -> String {
    let own = manifest
        .option("api_version")
        .and_then(|option| options::value(option, options));
    let asked = query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        is_api_version(name).then_some(value)
    });
    let version = own.or(asked).filter(|version| !version.is_empty());
    let at_v1 = base.ends_with("/openai/v1");
    let dated = version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()));

    let mut url = base.to_owned();
    if !at_v1 && !base.ends_with("/openai") {
        url.push_str("/openai");
    }
    if !at_v1 && !dated {
        url.push_str("/v1");
    }
    let (path, model) = match operation {
        Operation::Surface {
            surface,
            path,
            model,
        } => {
            let deployed = matches!(
                surface,
                Surface::Chat
                    | Surface::Completions
                    | Surface::Embeddings
                    | Surface::Images
                    | Surface::Audio
            );
            (client_path(path), model.filter(|_| deployed))
        }
        Operation::Chat { model, .. } => {
            let surface = chat_surface(manifest);
            let deployed = surface == Surface::Chat;
            (surface.path().to_owned(), Some(model).filter(|_| deployed))
        }
        Operation::Embed { model, .. } => ("/embeddings".to_owned(), Some(model)),
        Operation::Models => ("/models".to_owned(), None),
    };
    if let Some(model) = model
        && dated
        && !at_v1
    {
        url.push_str("/deployments/");
        url.push_str(&segment(model));
    }
    url.push_str(&path);
    if let Some(version) = version
        && !(at_v1 && dated)
    {
        url.push_str("?api-version=");
        url.push_str(version);
    }
    if matches!(operation, Operation::Surface { .. }) {
        extend_query(&mut url, query);
    }
    url
}

/// Appends the client's query without its `api-version`.
fn extend_query(url: &mut String, query: &str) {
    let pairs = query
        .split('&')
        .filter(|pair| !is_api_version(pair.split_once('=').map_or(*pair, |(name, _)| name)));
    for pair in pairs.filter(|pair| !pair.is_empty()) {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(pair);
    }
}

fn is_api_version(name: &str) -> bool {
    name.eq_ignore_ascii_case("api-version")
}

/// `base`, `version` and `path` in a row, without the version where the base URL already ends in it.
fn joined(base: &str, version: &str, path: &str) -> String {
    if base.ends_with(version) {
        format!("{base}{path}")
    } else {
        format!("{base}{version}{path}")
    }
}

/// `models/<id>`, also where the name has that prefix, or the one of tuned models.
fn gemini_model(model: &str) -> String {
    for kind in ["models/", "tunedModels/"] {
        if let Some(id) = model.strip_prefix(kind) {
            return format!("{kind}{}", segment(id));
        }
    }
    format!("models/{}", segment(model))
}

/// `text` as one segment of a path, in the escaping of AWS's clients, which is the strictest (RFC 3986: all but the
/// unreserved characters).
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    if is_step(text) {
        for _ in text.bytes() {
            out.push_str("%252E");
        }
        return out;
    }
    for byte in text.bytes() {
        escape(byte, is_unreserved(byte), &mut out);
    }
    out
}

/// A client's path, with a `/` at its beginning, in which nothing but the slashes that are to be seen parts segments.
fn client_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 1);
    for part in path.strip_prefix('/').unwrap_or(path).split('/') {
        out.push('/');
        let plain = unescaped(part);
        if is_step(&plain) {
            out.push_str(&segment(&plain));
            continue;
        }
        // An escape that hides a separator, or that is none, is escaped itself.
        let hides = plain.contains(['/', '\\', '\0']) || !are_escapes(part);
        for byte in part.bytes() {
            let stays =
                is_unreserved(byte) || b"!$&'()*+,;=:@".contains(&byte) || (byte == b'%' && !hides);
            escape(byte, stays, &mut out);
        }
    }
    out
}

fn escape(byte: u8, stays: bool, out: &mut String) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    if stays {
        out.push(char::from(byte));
        return;
    }
    out.push('%');
    for half in [byte >> 4, byte & 15] {
        out.extend(HEX.get(usize::from(half)));
    }
}

/// Whether a URL parser takes the segment for a step (WHATWG URL, “single-dot” and “double-dot”).
fn is_step(plain: &str) -> bool {
    matches!(plain, "." | "..")
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Whether each `%` has two hex digits after it.
fn are_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        after
            .as_bytes()
            .first_chunk::<2>()
            .is_some_and(|pair| pair.iter().all(u8::is_ascii_hexdigit))
    })
}

/// `text` without its escapes, as far as they are ASCII.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let pair = after.get(..2).filter(|pair| pair.is_ascii());
        let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match byte.filter(u8::is_ascii) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

//! What a path and a method name (FEATURES E1, E2; Azure's paths of E8).

use lockgate_host::Method;
use lockgate_providers::Surface;
use lockgate_refusal::{Code, Refusal, shown};

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint<'a> {
    /// `GET /v1/models`, and one of them.
    Models(Option<&'a str>),
    /// Something that a provider answers.
    Call(Call<'a>),
}

/// A call that a provider answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call<'a> {
    /// The surface it belongs to.
    pub(crate) surface: Surface,
    /// What follows `/v1`, as the client called it.
    pub(crate) path: &'a str,
    /// Where the model stands.
    pub(crate) body: BodyKind,
    /// The model, where it stands in the path (Azure's deployments).
    pub(crate) deployment: Option<&'a str>,
}

/// What the body is, as far as the gateway has to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// A JSON object with a `model`.
    Json,
    /// A JSON object that may have a `model`.
    JsonMaybe,
    /// A form with a field `model`.
    Form,
    /// Passed on unread: the call names no model.
    Unread,
    /// There is none.
    None,
}

const PASSED: &str = "This gateway serves /v1/chat/completions, /v1/responses, /v1/messages, /v1/messages/count_tokens, \
    /v1/embeddings, /v1/completions, /v1/models, and passes on /v1/images, /v1/audio, /v1/moderations, /v1/files, \
    /v1/uploads and /v1/batches.";

impl<'a> Endpoint<'a> {
    pub(crate) fn of(method: &Method, path: &'a str) -> Result<Self, Refusal> {
        let (called, deployment) = match path.strip_prefix("/openai") {
            Some(azure) => match azure.strip_prefix("/deployments/") {
                Some(named) => {
                    let (name, rest) = deployment(named).ok_or_else(|| unknown(path))?;
                    (rest, Some(name))
                }
                None => (azure.strip_prefix("/v1").unwrap_or(azure), None),
            },
            None => (path.strip_prefix("/v1").unwrap_or_default(), None),
        };
        // Dots and escapes could lead to another path at the provider, under its key.
        let plain = |segment: &str| {
            !segment.is_empty()
                && !segment.bytes().all(|byte| byte == b'.')
                && segment
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
        };
        let rest = called.strip_prefix('/').ok_or_else(|| unknown(path))?;
        // A model's id may have slashes.
        if let Some(id) = rest.strip_prefix("models") {
            let id = match id.strip_prefix('/') {
                Some(id) if !id.is_empty() => Some(id),
                None if id.is_empty() => None,
                _ => return Err(unknown(path)),
            };
            return only(&[Method::GET], method, path).map(|()| Self::Models(id));
        }
        let mut parts = [""; 4];
        let mut count = 0;
        for (place, part) in parts.iter_mut().zip(rest.splitn(4, '/')) {
            *place = part;
            count += 1;
        }
        let parts = parts.get(..count).unwrap_or_default();
        if !parts.iter().all(|part| plain(part)) {
            return Err(unknown(path));
        }
        let (surface, body, methods) = named(parts, method).ok_or_else(|| unknown(path))?;
        only(methods, method, path)?;
        if deployment.is_some() && !matches!(body, BodyKind::Json | BodyKind::Form) {
            return Err(unknown(path));
        }
        Ok(Self::Call(Call {
            surface,
            path: called,
            body,
            deployment,
        }))
    }
}

/// Azure's SDKs put the model between `/deployments/` and the call as it is, slashes too.
fn deployment(named: &str) -> Option<(&str, &str)> {
    let (before, _) = named.rsplit_once('/')?;
    let split = match before.rsplit_once('/') {
        Some((name, "chat" | "images" | "audio")) => name.len(),
        _ => before.len(),
    };
    let (name, rest) = named.split_at_checked(split)?;
    (!name.is_empty()).then_some((name, rest))
}

const POST: &[Method] = &[Method::POST];
const GET: &[Method] = &[Method::GET];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const GET_DELETE: &[Method] = &[Method::GET, Method::DELETE];

/// The surface that the path's segments name, what the body is, and which methods it takes.
fn named(segments: &[&str], method: &Method) -> Option<(Surface, BodyKind, &'static [Method])> {
    let unread = if *method == Method::POST {
        BodyKind::Unread
    } else {
        BodyKind::None
    };
    Some(match segments {
        ["chat", "completions"] => (Surface::Chat, BodyKind::Json, POST),
        ["completions"] => (Surface::Completions, BodyKind::Json, POST),
        ["embeddings"] => (Surface::Embeddings, BodyKind::Json, POST),
        ["responses"] => (Surface::Responses, BodyKind::Json, POST),
        ["responses", _] => (Surface::Responses, BodyKind::None, GET_DELETE),
        ["responses", _, "cancel"] => (Surface::Responses, BodyKind::None, POST),
        ["responses", _, "input_items"] => (Surface::Responses, BodyKind::None, GET),
        ["messages"] => (Surface::Messages, BodyKind::Json, POST),
        ["messages", "count_tokens"] => (Surface::CountTokens, BodyKind::Json, POST),
        ["images", "generations"] => (Surface::Images, BodyKind::Json, POST),
        ["images", "edits" | "variations"] => (Surface::Images, BodyKind::Form, POST),
        ["audio", "speech"] => (Surface::Audio, BodyKind::Json, POST),
        ["audio", "transcriptions" | "translations"] => (Surface::Audio, BodyKind::Form, POST),
        ["moderations"] => (Surface::Moderations, BodyKind::JsonMaybe, POST),
        ["files"] => (Surface::Files, unread, GET_POST),
        ["files", _] => (Surface::Files, BodyKind::None, GET_DELETE),
        ["files", _, "content"] => (Surface::Files, BodyKind::None, GET),
        ["uploads"] => (Surface::Files, BodyKind::Unread, POST),
        ["uploads", _, "parts" | "complete"] => (Surface::Files, BodyKind::Unread, POST),
        ["uploads", _, "cancel"] => (Surface::Files, BodyKind::None, POST),
        ["batches"] => (Surface::Batches, unread, GET_POST),
        ["batches", _] => (Surface::Batches, BodyKind::None, GET),
        ["batches", _, "cancel"] => (Surface::Batches, BodyKind::None, POST),
        _ => return None,
    })
}

fn only(methods: &[Method], method: &Method, path: &str) -> Result<(), Refusal> {
    if methods.contains(method) {
        return Ok(());
    }
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    Err(Refusal::new(
        Code::METHOD_NOT_ALLOWED,
        format!(
            "{} takes {}, not {method}.",
            shown(path),
            names.join(" or ")
        ),
    ))
}

fn unknown(path: &str) -> Refusal {
    Refusal::new(Code::NOT_FOUND, format!("There is no {}.", shown(path))).remedy(PASSED)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn call(method: Method, path: &str) -> Result<(Surface, String, Option<&str>), &'static str> {
        match Endpoint::of(&method, path) {
            Ok(Endpoint::Call(call)) => Ok((call.surface, call.path.to_owned(), call.deployment)),
            Ok(Endpoint::Models(_)) => Err("models"),
            Err(refusal) => Err(refusal.code.text),
        }
    }

    #[test]
    fn paths_are_told_apart() {
        for (path, surface) in [
            ("/chat/completions", Surface::Chat),
            ("/responses", Surface::Responses),
            ("/messages", Surface::Messages),
            ("/messages/count_tokens", Surface::CountTokens),
            ("/images/edits", Surface::Images),
            ("/files", Surface::Files),
        ] {
            for prefix in ["/v1", "/openai/v1", "/openai"] {
                let full = format!("{prefix}{path}");
                assert_eq!(
                    call(Method::POST, &full),
                    Ok((surface, path.to_owned(), None))
                );
            }
        }
        assert_eq!(
            call(Method::POST, "/openai/deployments/gpt-4o/chat/completions"),
            Ok((
                Surface::Chat,
                "/chat/completions".to_owned(),
                Some("gpt-4o")
            ))
        );
        assert_eq!(
            call(
                Method::POST,
                "/openai/deployments/openai/text-embedding-3/embeddings"
            ),
            Ok((
                Surface::Embeddings,
                "/embeddings".to_owned(),
                Some("openai/text-embedding-3")
            ))
        );
        assert_eq!(
            call(Method::GET, "/v1/files/file-abc/content"),
            Ok((Surface::Files, "/files/file-abc/content".to_owned(), None))
        );
        assert_eq!(
            Endpoint::of(&Method::GET, "/v1/models/a/b/c/d/e"),
            Ok(Endpoint::Models(Some("a/b/c/d/e")))
        );
    }

    #[test]
    fn no_path_leads_elsewhere() {
        for path in [
            "/v1/files/../organization",
            "/v1/files/..",
            "/v1/files/%2e%2e/content",
            "/v1/files//content",
            "/v1/files/a?b/content",
            "/v1/batches/a/b/cancel",
            "/v1",
            "/v1/",
            "/openai",
            "/openai/deployments/x",
            "/openai/deployments/x/files",
            "/v2/chat/completions",
            "/v1/chat/completions/x",
        ] {
            assert_eq!(call(Method::GET, path), Err("not_found"), "{path}");
        }
        assert_eq!(
            call(Method::GET, "/v1/responses"),
            Err("method_not_allowed")
        );
        assert_eq!(call(Method::PUT, "/v1/files"), Err("method_not_allowed"));
    }
}

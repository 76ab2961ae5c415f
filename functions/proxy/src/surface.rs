//! What is asked: the endpoint, the gateway key among the headers, the model in the body, and the target it means.

use std::borrow::Cow;
use std::ops::Range;

use lockgate_host::{Headers, Method};
use lockgate_providers::{Manifest, Surface};
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::snapshot::Snapshot;

use crate::skim::{SkimError, skim};

/// What a path and method name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint<'a> {
    /// A body that names a model, passed on to a provider.
    Forward(Surface),
    /// `GET /v1/models`, and one of them.
    Models(Option<&'a str>),
}

impl<'a> Endpoint<'a> {
    pub(crate) fn of(method: &Method, path: &'a str) -> Result<Self, Refusal> {
        let (endpoint, wanted) = match path {
            "/v1/chat/completions" => (Self::Forward(Surface::Chat), Method::POST),
            "/v1/completions" => (Self::Forward(Surface::Completions), Method::POST),
            "/v1/embeddings" => (Self::Forward(Surface::Embeddings), Method::POST),
            "/v1/models" => (Self::Models(None), Method::GET),
            _ => match path.strip_prefix("/v1/models/") {
                Some(id) if !id.is_empty() => (Self::Models(Some(id)), Method::GET),
                _ => {
                    return Err(Refusal::new(
                        Code::NOT_FOUND,
                        format!("There is no {}.", shown(path)),
                    )
                    .remedy(
                        "This version serves /v1/chat/completions, /v1/completions, /v1/embeddings and /v1/models.",
                    ));
                }
            },
        };
        if *method != wanted {
            return Err(Refusal::new(
                Code::METHOD_NOT_ALLOWED,
                format!("{} takes {wanted}, not {method}.", shown(path)),
            ));
        }
        Ok(endpoint)
    }
}

/// A path or name for a message: no longer than a line.
fn shown(text: &str) -> String {
    if text.chars().count() <= 100 {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(100).collect();
    short.push('…');
    short
}

/// The gateway key, from whichever header the client's SDK puts it in.
pub(crate) fn gateway_key<H: Headers>(headers: &H) -> Result<Cow<'_, str>, Refusal> {
    if let Some(value) = headers.get("authorization") {
        let scheme = value.get(..7).unwrap_or_default();
        if scheme.eq_ignore_ascii_case("bearer ") {
            return Ok(match value {
                Cow::Borrowed(text) => Cow::Borrowed(text.get(7..).unwrap_or_default().trim()),
                Cow::Owned(text) => Cow::Owned(text.get(7..).unwrap_or_default().trim().to_owned()),
            });
        }
    }
    for name in ["x-api-key", "api-key", "x-goog-api-key"] {
        if let Some(value) = headers.get(name) {
            return Ok(value);
        }
    }
    Err(Refusal::new(
        Code::GATEWAY_KEY_MISSING,
        "The request carries no gateway key.",
    )
    .remedy("Send `Authorization: Bearer lgk_…` (or `x-api-key`, `api-key`, `x-goog-api-key`)."))
}

/// Refuses a body that says itself that it is too large, before any of it is read.
pub(crate) fn check_length<H: Headers>(headers: &H, limit: usize) -> Result<(), Refusal> {
    match headers
        .get("content-length")
        .and_then(|n| n.parse::<u64>().ok())
    {
        Some(length) if length > limit as u64 => {
            Err(lockgate_host::ReadError::TooLarge { limit }.into())
        }
        _ => Ok(()),
    }
}

/// A request body, read as far as routing needs.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    surface: Surface,
    model: Cow<'a, str>,
    /// Where the model's value stands in the body, quotes included.
    pub(crate) model_at: Range<usize>,
    pub(crate) stream: bool,
}

impl<'a> Ask<'a> {
    pub(crate) fn read(body: &'a [u8], surface: Surface) -> Result<Self, Refusal> {
        let skimmed = skim(body).map_err(|error| {
            let code = match error {
                SkimError::NotText(_) | SkimError::Repeated(_) | SkimError::NotAnObject => {
                    Code::INVALID_REQUEST
                }
                _ => Code::INVALID_JSON,
            };
            let refusal = Refusal::new(code, format!("The request body cannot be read: {error}."));
            match error {
                SkimError::NotText(name) | SkimError::Repeated(name) => refusal.param(name),
                _ => refusal,
            }
        })?;
        let model = skimmed
            .model
            .filter(|model| !model.is_empty())
            .ok_or_else(|| {
                Refusal::new(Code::INVALID_REQUEST, "The request names no model.")
                    .param("model")
                    .remedy("Set `model`, for example to `openai/gpt-4o`.")
            })?;
        Ok(Self {
            surface,
            model,
            model_at: skimmed.model_at,
            stream: skimmed.stream,
        })
    }

    /// The provider and model that are meant (API.md, “Which target a request gets”).
    pub(crate) fn target(&self, snapshot: &Snapshot) -> Result<Target<'_>, Refusal> {
        let resolved = lockgate_routing::resolve(&self.model, &snapshot.providers()).map_err(
            |unresolved| {
                Refusal::new(Code::MODEL_NOT_FOUND, format!("{unresolved}")).param("model")
            },
        )?;
        if !resolved.manifest.serves(self.surface) {
            return Err(Refusal::new(
                Code::UNSUPPORTED_FEATURE,
                format!(
                    "{} has no {}.",
                    resolved.manifest.title,
                    match self.surface {
                        Surface::Chat => "chat completions",
                        Surface::Completions => "completions",
                        Surface::Embeddings => "embeddings",
                    }
                ),
            )
            .provider(resolved.manifest.slug)
            .param("model")
            .remedy("Name a model of another provider."));
        }
        Ok(Target {
            manifest: resolved.manifest,
            model: resolved.model,
            rewritten: resolved.rewritten,
        })
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) manifest: &'static Manifest,
    /// The model, as the provider knows it.
    pub(crate) model: &'a str,
    /// Whether that is not how the client wrote it, so that the body's `model` has to be changed.
    pub(crate) rewritten: bool,
}

//! Sends a request to a provider and maps what can go wrong (FEATURES D3). A provider's 401 is never the client's 401.

use std::borrow::Cow;

use lockgate_host::{
    Credential as Header, FetchError, Headers, Host, Inbound, Method, Outbound, OutboundBody,
};
use lockgate_providers::Surface;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::Settings;
use serde::Deserialize;

use crate::Request;
use crate::credential::Credential;
use crate::log::Draft;
use crate::surface::{Ask, Target};

/// Headers of the client's request that every provider gets (API.md, “Data plane”).
const FORWARDED: &[&str] = &[
    "content-type",
    "accept",
    "anthropic-version",
    "anthropic-beta",
    "openai-beta",
    "idempotency-key",
    "user-agent",
];
/// Bytes of a provider's error that are read for its message.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// Characters of a provider's message that are shown.
const MAX_MESSAGE: usize = 1_000;
/// Seconds to wait where a provider limits the rate and does not say for how long.
const DEFAULT_RETRY_AFTER: u64 = 5;

/// Sends the request; an answer with a success status comes back with its body unread.
#[allow(clippy::too_many_arguments)]
pub(crate) async fn send<H: Host>(
    host: &H,
    settings: &Settings,
    request: &Request<'_, H>,
    ask: &Ask<'_>,
    target: &Target<'_>,
    credential: &Credential,
    payload: H::Payload,
    draft: &Draft,
) -> Result<Inbound<H>, Refusal> {
    let manifest = target.manifest;
    draft.attempt(&credential.key.name);
    let body = match ask.rewritten(target, payload.as_ref()) {
        Some(bytes) => OutboundBody::Bytes(bytes),
        None => OutboundBody::Payload(payload),
    };
    let base = credential.key.base_url.as_deref();
    let url = url(
        base.unwrap_or(manifest.base_url),
        request.surface,
        request.query,
    );
    let names = forwarded(manifest.forward_headers);
    let (header, prefix) = manifest.auth.header();
    let sent = host
        .fetch(Outbound {
            method: Method::POST,
            url: &url,
            forward: Some((request.headers, &names)),
            set: &[],
            credential: credential.secret.as_deref().map(|secret| Header {
                header,
                prefix,
                secret,
            }),
            body,
            head_timeout: settings.provider_timeout,
            idle_timeout: settings.provider_idle,
        })
        .await;
    let reply = match sent {
        Ok(reply) => reply,
        Err(error) => {
            draft.head(host, None);
            return Err(failed(&error, target, settings));
        }
    };
    draft.head(host, Some(reply.status));
    if (200..300).contains(&reply.status) {
        return Ok(reply);
    }
    let retry_after = reply
        .headers
        .get("retry-after")
        .and_then(|text| text.trim().parse().ok());
    let body = host.read(reply.body, MAX_ERROR_BYTES).await;
    let said = body.map(|body| Said::read(body.as_ref(), credential));
    Err(refused(
        reply.status,
        retry_after,
        said.unwrap_or_default(),
        target,
        credential,
    ))
}

fn forwarded(more: &'static [&'static str]) -> Cow<'static, [&'static str]> {
    if more.is_empty() {
        Cow::Borrowed(FORWARDED)
    } else {
        Cow::Owned([FORWARDED, more].concat())
    }
}

fn url(base: &str, surface: Surface, query: Option<&str>) -> String {
    let path = match surface {
        Surface::Chat => "/chat/completions",
        Surface::Completions => "/completions",
        Surface::Embeddings => "/embeddings",
    };
    let base = base.strip_suffix('/').unwrap_or(base);
    let mut url = String::with_capacity(base.len() + path.len() + 1 + query.map_or(0, str::len));
    url.push_str(base);
    url.push_str(path);
    if let Some(query) = query {
        url.push('?');
        url.push_str(query);
    }
    url
}

impl Ask<'_> {
    /// The body with the model's value changed and nothing else, where the provider knows the model by another name.
    fn rewritten(&self, target: &Target<'_>, body: &[u8]) -> Option<Vec<u8>> {
        if !target.rewritten {
            return None;
        }
        let model = serde_json::to_vec(target.model).ok()?;
        let before = body.get(..self.model_at.start)?;
        let after = body.get(self.model_at.end..)?;
        Some([before, &model, after].concat())
    }
}

fn failed(error: &FetchError, target: &Target<'_>, settings: &Settings) -> Refusal {
    let title = target.manifest.title;
    match error {
        FetchError::Timeout => Refusal::new(
            Code::PROVIDER_TIMEOUT,
            format!(
                "{title} did not begin to answer within {} ms.",
                settings.provider_timeout.as_millis()
            ),
        )
        .remedy("Try again, ask for less, or raise LOCKGATE_PROVIDER_TIMEOUT_MS."),
        FetchError::Unreachable(_) => Refusal::new(
            Code::PROVIDER_UNREACHABLE,
            format!("{title} cannot be reached: no connection could be made."),
        )
        .remedy("Try again; check the provider's status page and the key's base_url."),
        FetchError::Forbidden(_) => Refusal::new(
            Code::PROVIDER_UNREACHABLE,
            format!("The platform that the gateway runs on does not allow it to call {title} at this address."),
        )
        .remedy("Allow the host in the platform's outbound settings (docs/spin.md)."),
        // One engine cannot tell a refused connection from one that broke; the same code serves for both.
        FetchError::Broken(_) => Refusal::new(
            Code::PROVIDER_UNREACHABLE,
            format!("{title} cannot be reached: the connection could not be made or broke before an answer came."),
        )
        .remedy("Try again; check the provider's status page and the key's base_url."),
    }
    .provider(target.manifest.slug)
}

fn refused(
    status: u16,
    retry_after: Option<u64>,
    said: Said,
    target: &Target<'_>,
    credential: &Credential,
) -> Refusal {
    let title = target.manifest.title;
    let name = &credential.key.name;
    let with = |sentence: String| match &said.message {
        Some(message) => format!("{sentence} It says: {message}"),
        None => sentence,
    };
    let quota = || {
        Refusal::new(
            Code::PROVIDER_QUOTA_EXHAUSTED,
            with(format!(
                "The {title} account behind provider key `{name}` has no credit or quota left."
            )),
        )
        .remedy(format!(
            "Top it up at {title}, or use another key or provider."
        ))
    };
    let refusal = match status {
        401 | 403 => Refusal::new(
            Code::PROVIDER_KEY_REJECTED,
            format!("{title} rejected provider key `{name}` (it answered {status})."),
        )
        .remedy(if status == 401 {
            "Rotate the key under Provider keys: it was revoked or mistyped."
        } else {
            "The key may lack permission for this model or region: check it at the provider, or use another key."
        }),
        402 => quota(),
        429 if said.is_quota() => quota(),
        429 => {
            let mut refusal = Refusal::new(
                Code::PROVIDER_RATE_LIMITED,
                with(format!("{title} limits the rate of provider key `{name}`.")),
            )
            .remedy("Try again after the time in Retry-After, or spread the load over other keys or providers.");
            refusal.retry_after = Some(retry_after.unwrap_or(DEFAULT_RETRY_AFTER));
            refusal
        }
        404 => Refusal::new(
            Code::MODEL_NOT_FOUND,
            with(format!("{title} does not know model `{}`.", target.model)),
        )
        .param("model")
        .remedy("Check the model's name, and whether this key's account may use it."),
        408 | 504 => Refusal::new(
            Code::PROVIDER_TIMEOUT,
            with(format!("{title} gave up on the request after too long.")),
        )
        .remedy("Try again, or ask for less."),
        413 => Refusal::new(
            Code::REQUEST_TOO_LARGE,
            with(format!("The request is too large for {title}.")),
        ),
        400..500 => {
            let refusal = Refusal::new(
                Code::INVALID_REQUEST,
                with(format!("{title} refused the request.")),
            );
            match &said.param {
                Some(param) => refusal.param(param.clone()),
                None => refusal,
            }
        }
        503 | 529 => {
            let mut refusal = Refusal::new(
                Code::PROVIDER_OVERLOADED,
                with(format!("{title} has too much to do (it answered {status}).")),
            )
            .remedy("Try again in a moment, or use another provider.");
            refusal.retry_after = retry_after;
            refusal
        }
        500.. => Refusal::new(
            Code::PROVIDER_ERROR,
            with(format!("{title} failed (it answered {status}).")),
        )
        .remedy("Try again; if it stays so, check the provider's status page."),
        _ => Refusal::new(
            Code::PROVIDER_ERROR,
            format!("{title} answered {status}, which is no answer to this request."),
        )
        .remedy("Check the key's base_url: redirects are not followed."),
    };
    let mut refusal = refusal.provider(target.manifest.slug);
    refusal.provider_code = said.code;
    refusal
}

/// What a provider's error says, as far as it can be understood.
#[derive(Debug, Default)]
struct Said {
    message: Option<String>,
    code: Option<String>,
    param: Option<String>,
}

impl Said {
    fn read(body: &[u8], credential: &Credential) -> Self {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Object {
            message: Option<serde_json::Value>,
            detail: Option<serde_json::Value>,
            code: Option<serde_json::Value>,
            r#type: Option<serde_json::Value>,
            param: Option<serde_json::Value>,
            error: Option<serde_json::Value>,
        }
        let outer: Object = serde_json::from_slice(body).unwrap_or_default();
        let inner: Object = match outer.error {
            Some(serde_json::Value::String(message)) => Object {
                message: Some(message.into()),
                ..Object::default()
            },
            Some(object @ serde_json::Value::Object(_)) => {
                serde_json::from_value(object).unwrap_or_default()
            }
            _ => Object {
                error: None,
                ..outer
            },
        };
        let clean = |value: Option<serde_json::Value>| {
            let text = match value? {
                serde_json::Value::String(text) => text,
                serde_json::Value::Null => return None,
                other => other.to_string(),
            };
            // Some providers repeat the key they were sent.
            let secret = credential.secret.as_ref().and_then(|s| s.expose_str());
            if secret.is_some_and(|secret| text.contains(secret)) {
                return None;
            }
            Some(text.chars().take(MAX_MESSAGE).collect::<String>()).filter(|t| !t.is_empty())
        };
        let message = clean(inner.message).or_else(|| clean(inner.detail));
        let code = clean(inner.code).or_else(|| clean(inner.r#type));
        Self {
            message,
            code,
            param: clean(inner.param),
        }
    }

    /// Whether a 429 means an exhausted account, not a rate.
    fn is_quota(&self) -> bool {
        let code = self.code.as_deref().unwrap_or_default();
        ["insufficient_quota", "quota_exceeded", "billing", "credit"]
            .iter()
            .any(|word| code.contains(word))
    }
}

//! Whether the provider takes a key, by a call that costs nothing (FEATURES A6): on demand by
//! `POST /api/provider-keys/{id}/check`, and in turn by [`crate::tick`].
//!
//! What was learnt is stored with the version of the secret that was tried, so that it never sticks to another one.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use lockgate_dialects::Said;
use lockgate_host::{Credential, FetchError, Host, Method, Outbound, OutboundBody, Secret};
use lockgate_providers::Manifest;
use lockgate_providers::call::{Sending, health_url};
use lockgate_refusal::Refusal;
use lockgate_sigv4::Credentials;
use lockgate_workspace::health::rejects_key;
use lockgate_workspace::question::{DataQuestion, Denial, Question, Reply};
use lockgate_workspace::resource::{Health, HealthCheck, Timestamp};
use lockgate_workspace::snapshot::KeyPointer;
use lockgate_workspace::{AskError, Settings, UnsealError, ask, unseal};

use crate::Call;
use crate::provider_keys::manifest;
use crate::respond::{self, value};

/// How long a check may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a provider's error that are read for its message.
const MAX_ERROR_BYTES: usize = 64 << 10;
/// Characters of that message that are shown.
const MAX_MESSAGE: usize = 300;
/// A message that repeats so many bytes of the secret in a row is not shown.
const REPEATED: usize = 8;
/// How often a check begins again because the key was rotated meanwhile.
const TRIES: usize = 3;

/// What was learnt of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    health: Health,
    detail: String,
}

impl Finding {
    fn new(health: Health, detail: String) -> Self {
        Self { health, detail }
    }
}

pub(crate) async fn check<H: Host>(
    call: &Call<'_, H>,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    call.body.nothing()?;
    let check = look(call.host, &call.settings, &call.workspace, id).await?;
    Ok(value(200, respond::shown(&check)))
}

/// Asks the provider of a key, by id or name, and stores what was learnt.
pub(crate) async fn look<H: Host>(
    host: &H,
    settings: &Settings,
    workspace: &str,
    reference: &str,
) -> Result<HealthCheck, Refusal> {
    for _ in 0..TRIES {
        let question = Question::PointToProviderKey(reference.into());
        let key = match ask(host, settings, workspace, question).await?.reply {
            Reply::KeyPointer(key) => key,
            _ => return Err(AskError::Mismatch.into()),
        };
        let manifest = manifest(&key.provider)?;
        let secret = match &key.sealed {
            None => None,
            Some(pointer) => match unseal(host, settings, workspace, &key, pointer).await {
                Ok(secret) => Some(secret),
                Err(UnsealError::Moved) => continue,
                Err(error) => return Err(error.into()),
            },
        };
        let url = match health_url(manifest, key.base_url.as_deref(), &key.options) {
            Ok(Some(url)) => url,
            Ok(None) => return Ok(unasked(host, no_call(manifest))),
            Err(missing) => return Ok(unasked(host, missing.to_string())),
        };
        let asked = ask_provider(host, manifest, &key, &url, secret.as_deref());
        let Finding { health, detail } = match within(host, TIMEOUT, asked).await {
            Some(finding) => finding,
            None => silent(manifest),
        };
        let version = key.sealed.as_ref().map_or(0, |pointer| pointer.version);
        let question = DataQuestion::MarkHealth {
            id: key.id,
            version,
            health,
            detail: detail.clone(),
        };
        let Reply::ProviderKey(marked) = ask(host, settings, workspace, question).await?.reply
        else {
            return Err(AskError::Mismatch.into());
        };
        if marked.version == version {
            return Ok(HealthCheck {
                health,
                detail,
                checked_at: marked.checked_at.unwrap_or(Timestamp(host.now_ms())),
            });
        }
    }
    Err(Denial::InUse("the key is being rotated at this moment; check it again".into()).into())
}

/// Nobody was asked, so nothing was learnt and nothing is stored.
fn unasked<H: Host>(host: &H, detail: String) -> HealthCheck {
    HealthCheck {
        health: Health::Unknown,
        detail,
        checked_at: Timestamp(host.now_ms()),
    }
}

fn no_call(manifest: &Manifest) -> String {
    let title = manifest.title;
    if manifest.health.is_some() {
        format!(
            "The call that checks a key of {title} is at another host than this key's base_url, so it was not made."
        )
    } else {
        format!("{title} has no call that costs nothing and tells a good key from a bad one.")
    }
}

async fn ask_provider<H: Host>(
    host: &H,
    manifest: &'static Manifest,
    key: &KeyPointer,
    url: &str,
    secret: Option<&Secret>,
) -> Finding {
    let mut set = vec![(
        "user-agent",
        concat!("lockgate/", env!("CARGO_PKG_VERSION")),
    )];
    set.extend(manifest.headers);
    let signed: Vec<(&'static str, String)>;
    let credentials: Credentials;
    let mut credential = None;
    match secret.map(|secret| (secret, manifest.sending(secret))) {
        None => {}
        Some((secret, Sending::Header { name, prefix })) => {
            credential = Some(Credential {
                header: name,
                prefix,
                secret,
            });
        }
        Some((secret, Sending::SigV4)) => {
            let Some(pair) = Credentials::parse(secret) else {
                return Finding::new(
                    Health::Invalid,
                    format!(
                        "The key is neither an API key of {} nor of the form ACCESS_KEY_ID:SECRET_ACCESS_KEY.",
                        manifest.title
                    ),
                );
            };
            credentials = pair;
            let request = lockgate_sigv4::Request {
                method: Method::GET.as_str(),
                url,
                headers: &set,
                payload: &[],
            };
            let region = region(manifest, key);
            let now = host.now_ms();
            signed = lockgate_sigv4::sign(&credentials, region, "bedrock", &request, now);
            set.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
            credential = credentials.session_token.as_ref().map(|token| Credential {
                header: "x-amz-security-token",
                prefix: "",
                secret: token,
            });
        }
    }
    let sent = host
        .fetch(Outbound {
            method: Method::GET,
            url,
            forward: None,
            set: &set,
            credential,
            body: OutboundBody::Empty,
            head_timeout: TIMEOUT,
            idle_timeout: TIMEOUT,
        })
        .await;
    let reply = match sent {
        Ok(reply) => reply,
        Err(error) => return unreached(manifest, &error),
    };
    if (200..300).contains(&reply.status) {
        return judge(
            manifest.title,
            reply.status,
            secret.is_some(),
            &Said::default(),
        );
    }
    let said = match host.read(reply.body, MAX_ERROR_BYTES).await {
        Ok(body) => Said::read(body.as_ref()),
        Err(_) => Said::default(),
    };
    let said = Said {
        message: said.message.and_then(|message| clean(&message, secret)),
        ..said
    };
    judge(manifest.title, reply.status, secret.is_some(), &said)
}

fn region<'a>(manifest: &Manifest, key: &'a KeyPointer) -> &'a str {
    let stored = key.options.get("region").map(String::as_str);
    let default = manifest.option("region").and_then(|option| option.default);
    stored.or(default).unwrap_or("us-east-1")
}

/// The beginning of a provider's message, unless it repeats a piece of the secret.
fn clean(message: &str, secret: Option<&Secret>) -> Option<String> {
    let shown: String = message
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_MESSAGE)
        .collect();
    let secret = secret.map(Secret::expose).unwrap_or_default();
    let length = REPEATED.min(secret.len());
    let repeats = length > 0
        && shown
            .as_bytes()
            .windows(length)
            .any(|piece| secret.windows(length).any(|part| part == piece));
    Some(shown).filter(|shown| !repeats && !shown.is_empty())
}

fn silent(manifest: &Manifest) -> Finding {
    let detail = format!(
        "{} did not answer within {} s.",
        manifest.title,
        TIMEOUT.as_secs()
    );
    Finding::new(Health::Unreachable, detail)
}

fn unreached(manifest: &Manifest, error: &FetchError) -> Finding {
    let title = manifest.title;
    let detail = match error {
        FetchError::Timeout => return silent(manifest),
        FetchError::Unreachable(_) | FetchError::Broken(_) => format!(
            "{title} cannot be reached: the connection could not be made or broke before an answer came."
        ),
        FetchError::Forbidden(_) => format!(
            "The platform that the gateway runs on does not allow it to call {title} at this address."
        ),
    };
    Finding::new(Health::Unreachable, detail)
}

/// What an answer says of the key.
fn judge(title: &str, status: u16, has_secret: bool, said: &Said) -> Finding {
    let message = said.message.as_deref();
    let with = |sentence: String| match message {
        Some(message) => format!("{sentence} It says: {message}"),
        None => sentence,
    };
    let (health, detail) = match status {
        200..300 if has_secret => (Health::Ok, format!("{title} took the key.")),
        200..300 => (
            Health::Ok,
            format!("{title} answered, and asks for no key."),
        ),
        _ if rejects_key(status, message) => (
            Health::Invalid,
            format!(
                "{title} rejected the key (it answered {status}): it was revoked, has expired or was mistyped."
            ),
        ),
        402 => (
            Health::Unknown,
            with(format!(
                "{title} wants to be paid first (it answered 402), which says nothing of the key."
            )),
        ),
        403 => (
            Health::Unknown,
            with(format!(
                "{title} does not let the key make the call that checks it (it answered 403): a permission, a region or a network may be missing, and requests may be served all the same."
            )),
        ),
        429 => (
            Health::RateLimited,
            with(format!(
                "{title} limits the rate of the key, or its quota is used up."
            )),
        ),
        408 | 500.. => (
            Health::Unreachable,
            with(format!("{title} failed (it answered {status}).")),
        ),
        _ => (
            Health::Unknown,
            with(format!(
                "{title} answered {status} to the call that checks a key, which says nothing of it: check the base_url."
            )),
        ),
    };
    Finding::new(health, detail)
}

/// What `work` comes to, or `None` where it takes longer.
async fn within<H: Host, T>(host: &H, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut limit) = (pin!(work), pin!(host.sleep(limit)));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => limit.as_mut().poll(context).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(message: &str) -> Said {
        Said {
            message: Some(message.into()),
            ..Said::default()
        }
    }

    #[test]
    fn answers_are_judged() {
        for (status, message, health) in [
            (200, "", Health::Ok),
            (204, "", Health::Ok),
            (401, "", Health::Invalid),
            (401, "You are not welcome.", Health::Invalid),
            (
                400,
                "API key not valid. Please pass a valid API key.",
                Health::Invalid,
            ),
            (400, "Incorrect API key provided: sk***YA.", Health::Invalid),
            (
                403,
                "The security token included in the request is expired",
                Health::Invalid,
            ),
            (400, "`limit` is wrong", Health::Unknown),
            (402, "Insufficient balance", Health::Unknown),
            (403, "Missing scopes: api.model.read", Health::Unknown),
            (404, "Not found", Health::Unknown),
            (301, "", Health::Unknown),
            (408, "", Health::Unreachable),
            (429, "Slow down", Health::RateLimited),
            (500, "", Health::Unreachable),
            (529, "Overloaded", Health::Unreachable),
        ] {
            let finding = judge("Example", status, true, &said(message));
            assert_eq!(finding.health, health, "{status} {message}");
            assert!(finding.detail.starts_with("Example "), "{}", finding.detail);
        }
        let plain = judge("Ollama", 200, false, &Said::default());
        assert_eq!(plain.detail, "Ollama answered, and asks for no key.");
        let shown = judge("Example", 403, true, &said("Missing scopes.")).detail;
        assert!(shown.ends_with("It says: Missing scopes."), "{shown}");
    }

    #[test]
    fn no_piece_of_the_secret_is_shown() {
        let secret = Secret::from("sk-proj-0123456789abcdef".to_owned());
        let clean = |message: &str| clean(message, Some(&secret));
        for repeats in [
            "the key sk-proj-0123456789abcdef is wrong",
            "the key sk-proj-… is wrong",
            "…89abcdef is wrong",
        ] {
            assert_eq!(clean(repeats), None, "{repeats}");
        }
        assert_eq!(
            clean("the key sk-…cdef\n is wrong").as_deref(),
            Some("the key sk-…cdef is wrong")
        );
        assert_eq!(clean(""), None);
        assert_eq!(
            clean(&"x".repeat(1_000)).map(|shown| shown.len()),
            Some(MAX_MESSAGE)
        );
        let short = Secret::from("abc".to_owned());
        assert_eq!(super::clean("it is abc", Some(&short)), None);
        assert_eq!(
            super::clean("it is abc", None).as_deref(),
            Some("it is abc")
        );
    }
}

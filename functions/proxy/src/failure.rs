//! A provider's failure in the gateway's words (FEATURES D3): before an answer, instead of one, and in the middle of one.
//! A provider's 401 is never the client's 401.

use std::time::Duration;

use lockgate_dialects::{Failure as Reported, FailureKind, Said};
use lockgate_host::FetchError;
use lockgate_refusal::{Code, Refusal};
use lockgate_routing::Failed;
use lockgate_workspace::health::rejects_key;
use lockgate_workspace::plan::Cause;

use crate::credential::Credential;
use crate::target::Target;

/// Characters of a provider's message that are shown.
const MAX_MESSAGE: usize = 1_000;
/// The way out where the platform's key is the trouble.
const PLATFORM: &str = "Whoever runs this gateway has to see to it; with a key of the workspace's own under Provider keys it does not matter.";
/// Seconds to wait where a provider limits the rate and does not say for how long.
const DEFAULT_RETRY_AFTER: u64 = 5;

/// A try that has failed: what the client is told if it was the last, and what that means for another one.
pub(crate) struct Failure {
    pub(crate) refusal: Refusal,
    pub(crate) failed: Failed,
    /// Whether the connection broke after the request had gone out, or may have.
    broken: bool,
}

impl Failure {
    pub(crate) fn new(refusal: Refusal, cause: Option<Cause>) -> Self {
        let retry_after_ms = refusal
            .retry_after
            .map(|seconds| seconds.saturating_mul(1_000));
        Self {
            failed: Failed {
                cause,
                retry_after_ms,
            },
            refusal,
            broken: false,
        }
    }

    /// Whether the provider may have begun to work on it all the same: no head came, or it gave up itself.
    pub(crate) fn may_be_charged(&self) -> bool {
        self.failed.cause == Some(Cause::Timeout) || self.broken
    }

    /// Another try would meet the same.
    pub(crate) fn last(refusal: Refusal) -> Self {
        Self::new(refusal, None)
    }
}

/// Why a provider's answer that is no success calls for another try, if it does.
fn cause(kind: FailureKind) -> Option<Cause> {
    match kind {
        FailureKind::Key => Some(Cause::KeyRejected),
        FailureKind::Quota => Some(Cause::QuotaExhausted),
        FailureKind::RateLimited => Some(Cause::RateLimit),
        FailureKind::Timeout => Some(Cause::Timeout),
        FailureKind::Overloaded | FailureKind::Provider => Some(Cause::ServerError),
        FailureKind::NotFound | FailureKind::TooLarge | FailureKind::Invalid => None,
    }
}

/// No answer came.
pub(crate) fn unanswered(error: &FetchError, target: &Target<'_>, waited: Duration) -> Failure {
    let title = target.manifest.title;
    let cause = match error {
        FetchError::Timeout => Cause::Timeout,
        FetchError::Unreachable(_) | FetchError::Forbidden(_) | FetchError::Broken(_) => {
            Cause::ServerError
        }
    };
    let refusal = match error {
        FetchError::Timeout => Refusal::new(
            Code::PROVIDER_TIMEOUT,
            format!(
                "{title} did not begin to answer within {} ms.",
                waited.as_millis()
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
    .provider(target.manifest.slug);
    let mut failure = Failure::new(refusal, Some(cause));
    failure.broken = matches!(error, FetchError::Broken(_));
    failure
}

/// The answer is in a form that the gateway cannot read.
pub(crate) fn unreadable(what: &str, target: &Target<'_>) -> Refusal {
    Refusal::new(
        Code::PROVIDER_ERROR,
        format!(
            "{} answered in a form that makes no sense: {what}.",
            target.manifest.title
        ),
    )
    .provider(target.manifest.slug)
}

/// Who failed, for messages; it outlives the request where a stream is followed.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    pub(crate) title: &'static str,
    pub(crate) slug: &'static str,
    pub(crate) model: String,
    pub(crate) key: String,
    /// Whether the key is the platform's.
    pub(crate) managed: bool,
}

impl Who {
    pub(crate) fn of(target: &Target<'_>, credential: &Credential) -> Self {
        Self {
            title: target.manifest.title,
            slug: target.manifest.slug,
            model: target.model.to_owned(),
            key: credential.key.name.clone(),
            managed: credential.managed,
        }
    }
}

/// The provider answered `status`, which is no success.
pub(crate) fn refused(status: u16, retry_after: Option<u64>, said: Said, who: &Who) -> Failure {
    let kind = match status {
        401 | 403 => FailureKind::Key,
        402 => FailureKind::Quota,
        400 if is_no_credit(&said) => FailureKind::Quota,
        429 if is_quota(&said) => FailureKind::Quota,
        429 => FailureKind::RateLimited,
        404 => FailureKind::NotFound,
        408 | 504 => FailureKind::Timeout,
        413 => FailureKind::TooLarge,
        _ if rejects_key(status, said.message.as_deref()) => FailureKind::Key,
        400..500 if said.kind() == FailureKind::Quota => FailureKind::Quota,
        400..500 => FailureKind::Invalid,
        503 | 529 => FailureKind::Overloaded,
        500.. => FailureKind::Provider,
        _ => {
            let refusal = Refusal::new(
                Code::PROVIDER_ERROR,
                format!(
                    "{} answered {status}, which is no answer to this request.",
                    who.title
                ),
            )
            .remedy("Check the key's base_url: redirects are not followed.")
            .provider(who.slug);
            return Failure::new(refusal, Some(Cause::ServerError));
        }
    };
    let refusal = in_words(Reported { kind, said }, Some(status), retry_after, who);
    let mut failure = Failure::new(refusal, cause(kind));
    failure.failed.retry_after_ms = retry_after.map(|seconds| seconds.saturating_mul(1_000));
    failure
}

/// The provider said in the middle of its answer that it failed.
pub(crate) fn in_stream(mut failure: Reported, who: &Who) -> Refusal {
    // Of the platform's account, nothing.
    if who.managed && failure.kind != FailureKind::Invalid {
        failure.said.message = None;
    }
    in_words(failure, None, None, who)
}

fn in_words(
    failure: Reported,
    status: Option<u16>,
    retry_after: Option<u64>,
    who: &Who,
) -> Refusal {
    let Reported { kind, said } = failure;
    let title = who.title;
    let key = if who.managed {
        "the platform's key".to_owned()
    } else {
        format!("provider key `{}`", who.key)
    };
    let with = |sentence: String| match &said.message {
        Some(message) => format!("{sentence} It says: {message}"),
        None => sentence,
    };
    let answered = status.map_or(String::new(), |status| format!(" (it answered {status})"));
    let refusal = match kind {
        FailureKind::Key => Refusal::new(
            Code::PROVIDER_KEY_REJECTED,
            format!("{title} rejected {key}{answered}."),
        )
        .remedy(if who.managed {
            PLATFORM
        } else if status == Some(403) {
            "The key may lack permission for this model or region: check it at the provider, or use another key."
        } else {
            "Rotate the key under Provider keys: it was revoked or mistyped."
        }),
        FailureKind::Quota => Refusal::new(
            Code::PROVIDER_QUOTA_EXHAUSTED,
            with(format!(
                "The {title} account behind {key} has no credit or quota left."
            )),
        )
        .remedy(if who.managed {
            PLATFORM.to_owned()
        } else {
            format!("Top it up at {title}, or use another key or provider.")
        }),
        FailureKind::RateLimited => {
            let mut refusal = Refusal::new(
                Code::PROVIDER_RATE_LIMITED,
                with(format!("{title} limits the rate of {key}.")),
            )
            .remedy("Try again after the time in Retry-After, or spread the load over other keys or providers.");
            refusal.retry_after = Some(retry_after.unwrap_or(DEFAULT_RETRY_AFTER));
            refusal
        }
        FailureKind::NotFound => Refusal::new(
            Code::MODEL_NOT_FOUND,
            with(if who.model.is_empty() {
                format!("{title} does not know what was asked for.")
            } else {
                format!("{title} does not know model `{}`.", who.model)
            }),
        )
        .param("model")
        .remedy("Check the model's name, and whether this key's account may use it."),
        FailureKind::Timeout => Refusal::new(
            Code::PROVIDER_TIMEOUT,
            with(format!("{title} gave up on the request after too long.")),
        )
        .remedy("Try again, or ask for less."),
        FailureKind::TooLarge => Refusal::new(
            Code::REQUEST_TOO_LARGE,
            with(format!("The request is too large for {title}.")),
        ),
        FailureKind::Invalid => {
            let refusal = Refusal::new(
                Code::INVALID_REQUEST,
                with(format!("{title} refused the request.")),
            );
            match &said.param {
                Some(param) => refusal.param(param.clone()),
                None => refusal,
            }
        }
        FailureKind::Overloaded => {
            let mut refusal = Refusal::new(
                Code::PROVIDER_OVERLOADED,
                with(format!("{title} has too much to do{answered}.")),
            )
            .remedy("Try again in a moment, or use another provider.");
            refusal.retry_after = retry_after;
            refusal
        }
        FailureKind::Provider => Refusal::new(
            Code::PROVIDER_ERROR,
            with(format!("{title} failed{answered}.")),
        )
        .remedy("Try again; if it stays so, check the provider's status page."),
    };
    let mut refusal = refusal.provider(who.slug);
    refusal.provider_code = said.code;
    refusal
}

/// What the body of an error with this status says, without anything that a provider repeats of its key; of the platform's
/// account, nothing at all.
pub(crate) fn said(status: u16, body: &[u8], credential: &Credential) -> Said {
    let mut said = cleaned(Said::read(body), credential);
    let account = !matches!(status, 400 | 404 | 413 | 422) || is_no_credit(&said);
    if credential.managed && account {
        said.message = None;
    }
    said
}

fn cleaned(said: Said, credential: &Credential) -> Said {
    let secret = credential.secret.as_ref().and_then(|s| s.expose_str());
    let clean = |text: Option<String>| {
        let text = text?;
        if secret.is_some_and(|secret| text.contains(secret)) {
            return None;
        }
        Some(text.chars().take(MAX_MESSAGE).collect::<String>()).filter(|text| !text.is_empty())
    };
    Said {
        message: clean(said.message),
        code: clean(said.code),
        param: clean(said.param),
    }
}

/// Anthropic says so with a 400, in words only: <https://docs.anthropic.com/en/api/errors>.
fn is_no_credit(said: &Said) -> bool {
    let message = said.message.as_deref().unwrap_or_default();
    message.starts_with("Your credit balance is too low")
}

/// Whether a 429 means an exhausted account, not a rate.
fn is_quota(said: &Said) -> bool {
    let code = said.code.as_deref().unwrap_or_default();
    ["insufficient_quota", "quota_exceeded", "billing", "credit"]
        .iter()
        .any(|word| code.contains(word))
}

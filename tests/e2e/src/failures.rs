//! The ways in which providers fail and the fallback settings of routes, which the matrix in `fallback` puts together
//! (FEATURES C3).

/// Where a failing target's key points to.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum At {
    Mock,
    /// A port at which nothing listens.
    Closed,
    /// A host that has no address.
    Nowhere,
}

/// A way to fail, and what it means.
pub(crate) struct Failure {
    pub(crate) name: &'static str,
    pub(crate) at: At,
    /// The mock's model.
    pub(crate) model: &'static str,
    /// What a fallback setting calls it; `None` where no other target should get the request.
    pub(crate) cause: Option<&'static str>,
    /// What the client is told.
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) retry_after: Option<&'static str>,
}

const fn failure(
    name: &'static str,
    model: &'static str,
    cause: Option<&'static str>,
    status: u16,
    code: &'static str,
) -> Failure {
    Failure {
        name,
        at: At::Mock,
        model,
        cause,
        status,
        code,
        retry_after: None,
    }
}

const TIMEOUT: Option<&str> = Some("timeout");
const RATE_LIMIT: Option<&str> = Some("rate_limit");
const SERVER_ERROR: Option<&str> = Some("server_error");
const KEY_REJECTED: Option<&str> = Some("key_rejected");
const QUOTA: Option<&str> = Some("quota_exhausted");

/// The failures that are seen before an answer begins, whatever the dialect.
pub(crate) fn failures() -> Vec<Failure> {
    let unreachable = |name, at| Failure {
        at,
        ..failure(
            name,
            "mock-model",
            SERVER_ERROR,
            502,
            "provider_unreachable",
        )
    };
    let limited = |name, model, seconds| Failure {
        retry_after: Some(seconds),
        ..failure(name, model, RATE_LIMIT, 429, "provider_rate_limited")
    };
    vec![
        unreachable("refused", At::Closed),
        unreachable("dns", At::Nowhere),
        failure(
            "reset",
            "mock-reset",
            SERVER_ERROR,
            502,
            "provider_unreachable",
        ),
        failure("silence", "mock-silent", TIMEOUT, 504, "provider_timeout"),
        failure(
            "slow-head",
            "mock-slow-head-20000",
            TIMEOUT,
            504,
            "provider_timeout",
        ),
        failure("408", "mock-status-408", TIMEOUT, 504, "provider_timeout"),
        limited("429-retry-after", "mock-status-429", "7"),
        limited("429", "mock-limited", "5"),
        failure(
            "500",
            "mock-status-500",
            SERVER_ERROR,
            502,
            "provider_error",
        ),
        failure(
            "502-html",
            "mock-html-502",
            SERVER_ERROR,
            502,
            "provider_error",
        ),
        failure(
            "503",
            "mock-status-503",
            SERVER_ERROR,
            503,
            "provider_overloaded",
        ),
        failure(
            "529",
            "mock-status-529",
            SERVER_ERROR,
            503,
            "provider_overloaded",
        ),
        failure("504", "mock-status-504", TIMEOUT, 504, "provider_timeout"),
        failure("302", "mock-redirect", SERVER_ERROR, 502, "provider_error"),
        failure(
            "401",
            "mock-status-401",
            KEY_REJECTED,
            424,
            "provider_key_rejected",
        ),
        failure(
            "403",
            "mock-status-403",
            KEY_REJECTED,
            424,
            "provider_key_rejected",
        ),
        failure(
            "402",
            "mock-status-402",
            QUOTA,
            424,
            "provider_quota_exhausted",
        ),
        failure(
            "quota",
            "mock-quota",
            QUOTA,
            424,
            "provider_quota_exhausted",
        ),
        failure("400", "mock-status-400", None, 400, "invalid_request"),
        failure("404", "mock-status-404", None, 404, "model_not_found"),
    ]
}

/// The failures that are in the body of an answer whose head is fine. What is translated is read before anything of it is
/// given away; what passes is given away as it comes.
pub(crate) fn failures_of_bodies() -> Vec<Failure> {
    vec![
        failure(
            "truncated",
            "mock-truncated-json",
            SERVER_ERROR,
            502,
            "provider_error",
        ),
        failure(
            "invalid-json",
            "mock-invalid-json",
            SERVER_ERROR,
            502,
            "provider_error",
        ),
    ]
}

/// A fallback setting.
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    /// The member of the route, if it has one.
    pub(crate) document: &'static str,
    pub(crate) on: &'static [&'static str],
    /// Tries that may be made.
    pub(crate) attempts: usize,
    /// Whether there is a target to fall back on.
    pub(crate) second: bool,
}

const USUAL: &[&str] = &["timeout", "rate_limit", "server_error"];

pub(crate) fn settings() -> Vec<Setting> {
    let setting = |name, document, on| Setting {
        name,
        document,
        on,
        attempts: 2,
        second: true,
    };
    vec![
        setting("default", "", USUAL),
        setting("timeout", ", fallback: { on: [timeout] }", &["timeout"]),
        setting(
            "rate-limit",
            ", fallback: { on: [rate_limit] }",
            &["rate_limit"],
        ),
        setting(
            "server-error",
            ", fallback: { on: [server_error] }",
            &["server_error"],
        ),
        setting(
            "key-rejected",
            ", fallback: { on: [key_rejected] }",
            &["key_rejected"],
        ),
        setting(
            "quota",
            ", fallback: { on: [quota_exhausted] }",
            &["quota_exhausted"],
        ),
        setting("never", ", fallback: { on: [] }", &[]),
        Setting {
            attempts: 1,
            ..setting("once", ", fallback: { attempts: 1 }", USUAL)
        },
        Setting {
            attempts: 3,
            second: false,
            ..setting("thrice", ", fallback: { attempts: 3, deadline: 6s }", USUAL)
        },
    ]
}

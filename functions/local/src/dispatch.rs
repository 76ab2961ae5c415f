//! Which function answers which path.

use lockgate_host::AnswerBody;
use lockgate_host_native::{Answer, Incoming, NativeHost};

/// Answers one request.
pub(crate) async fn dispatch(host: NativeHost, request: Incoming) -> Answer {
    let under = |prefix: &str| {
        request
            .path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if under("/v1") {
        lockgate_proxy::handle(&host, request).await
    } else if under("/api") {
        lockgate_keys::handle(&host, request).await
    } else if under("/webhooks") {
        lockgate_billing::handle(&host, request).await
    } else {
        nothing_here()
    }
}

/// The answer where no function is mounted; it does not repeat the path, which may hold anything.
fn nothing_here() -> Answer {
    const BODY: &str = r#"{"error":{"message":"There is nothing at this path. Applications use /v1 (an OpenAI base URL ends with it), management is under /api, billing webhooks under /webhooks.","type":"invalid_request_error","code":"not_found","param":null}}"#;
    Answer {
        status: 404,
        from: None,
        set: vec![("content-type", "application/json".into())],
        body: AnswerBody::Bytes(BODY.as_bytes().to_vec()),
    }
}

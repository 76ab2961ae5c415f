//! Which function answers which path.

use lockgate_host_native::{Answer, Incoming, NativeHost};
use lockgate_refusal::{Code, Refusal, Shape};
use lockgate_workspace::new_id;

/// Answers one request.
pub(crate) async fn dispatch(host: NativeHost, request: Incoming) -> Answer {
    let under = |prefix: &str| {
        request
            .path
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if under("/v1") || under("/openai") {
        lockgate_proxy::handle(&host, request).await
    } else if under("/api") {
        lockgate_keys::handle(&host, request).await
    } else if under("/webhooks") {
        lockgate_billing::handle(&host, request).await
    } else {
        nothing_here(&host)
    }
}

/// The answer where no function is mounted; it does not repeat the path, which may hold anything.
fn nothing_here(host: &NativeHost) -> Answer {
    Refusal::new(Code::NOT_FOUND, "There is nothing at this path.")
        .remedy("Applications use /v1 (an OpenAI base URL ends with it), management is under /api, billing webhooks under /webhooks.")
        .answer(Shape::OpenAi, &new_id(host, "req"))
}

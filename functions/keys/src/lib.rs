//! The LABEL.
#![forbid(unsafe_code)]

#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
mod spin;

use lockgate_host::{Answer, AnswerBody, Host, Incoming};

/// Answers one request.
pub async fn handle<H: Host>(_host: &H, request: Incoming<H>) -> Answer<H> {
    Answer {
        status: 404,
        from: None,
        set: vec![("content-type", "application/json".into())],
        body: AnswerBody::Bytes(format!("{{\"path\":{:?}}}", request.path).into_bytes()),
    }
}

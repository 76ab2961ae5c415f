//! Billing webhooks, `/webhooks`, whose senders repeat what was not taken (API.md, “Billing webhooks”).
//!
//! This version takes no events. It answers every delivery with a 503, so that the sender keeps the event and tries
//! again: a 200 would lose it, and a 404 may make the sender give the address up.
#![forbid(unsafe_code)]

#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
mod spin;

use lockgate_host::{Answer, Host, Incoming, Method};
use lockgate_refusal::{Code, Refusal, Shape};
use lockgate_workspace::{Misconfigured, Settings, new_id};

/// Answers one request.
pub async fn handle<H: Host>(host: &H, request: Incoming<H>) -> Answer<H> {
    let request_id = new_id(host, "req");
    refuse(host, &request)
        .await
        .answer(Shape::OpenAi, &request_id)
}

/// Why the request is not served.
async fn refuse<H: Host>(host: &H, request: &Incoming<H>) -> Refusal {
    if let Err(misconfigured) = Settings::get(host).await {
        return misconfigured.into();
    }
    let path = request.path.as_str();
    let setting = match path {
        "/webhooks/stripe" => "STRIPE_WEBHOOK_SECRET",
        "/webhooks/standard" => "STANDARD_WEBHOOK_SECRETS",
        _ => {
            return Refusal::new(Code::NOT_FOUND, "There is no such webhook.")
                .remedy("Webhooks are /webhooks/stripe and /webhooks/standard.");
        }
    };
    if request.method != Method::POST {
        return Refusal::new(
            Code::METHOD_NOT_ALLOWED,
            format!("{path} takes POST, not {}.", request.method),
        );
    }
    match host.variable(setting).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            return Misconfigured {
                setting,
                problem: "it is not set, so no event can be verified".into(),
            }
            .into();
        }
        Err(misconfigured) => return misconfigured.into(),
    }
    Refusal::new(
        Code::MISCONFIGURED,
        "This version of Lockgate does not receive webhooks yet; the event was not stored.",
    )
    .remedy(
        "A sender that repeats deliveries keeps it; point the webhook here when billing is there.",
    )
}

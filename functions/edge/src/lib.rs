//! The Cloudflare Worker: mounts the functions by route and hosts the authority's Durable Object.
//!
//! `entry.js` is what the runtime sees; it calls the functions here. Empty on every target but `wasm32-unknown-unknown`.
#![forbid(unsafe_code)]
#![cfg(all(target_arch = "wasm32", target_os = "unknown"))]

use lockgate_host::{Answer, Incoming};
use lockgate_host_cloudflare::{Arrival, Cloudflare};
use lockgate_refusal::{Code, Refusal, Shape};
use lockgate_workspace::new_id;
use wasm_bindgen::prelude::*;

/// Prepares a fresh instance.
#[wasm_bindgen(start)]
pub fn start() {
    lockgate_host_cloudflare::start();
}

/// Serves one HTTP request; the arguments are [`Arrival`]'s.
#[wasm_bindgen]
pub fn serve(
    task: u32,
    head: String,
    headers: JsValue,
    request: JsValue,
    env: JsValue,
    ctx: JsValue,
) {
    let arrival = Arrival {
        task,
        head,
        headers,
        request,
        env,
        ctx,
    };
    lockgate_host_cloudflare::serve(arrival, |host, incoming| async move {
        route(&host, incoming).await
    });
}

/// Does what is due of the scheduled work; called by the cron trigger.
#[wasm_bindgen]
pub fn due(task: u32, env: JsValue, ctx: JsValue) {
    lockgate_host_cloudflare::due(task, env, ctx, |host| async move {
        let done = lockgate_keys::scheduled(&host).await;
        done.map_err(|refusal| format!("{}: {}", refusal.code.text, refusal.message))
    });
}

/// Answers one question to the authority, out of the storage of the Durable Object that was asked.
#[wasm_bindgen]
pub fn authority(task: u32, storage: JsValue, question: Vec<u8>) {
    lockgate_host_cloudflare::authority(
        task,
        storage,
        question,
        |database, now_ms, question| async move {
            lockgate_workspace::authority::serve(&database, now_ms, question).await
        },
    );
}

async fn route(host: &Cloudflare, incoming: Incoming<Cloudflare>) -> Answer<Cloudflare> {
    let path = incoming.path.as_str();
    if under(path, "/v1") || under(path, "/openai") {
        lockgate_proxy::handle(host, incoming).await
    } else if under(path, "/api") {
        lockgate_keys::handle(host, incoming).await
    } else if under(path, "/webhooks") {
        lockgate_billing::handle(host, incoming).await
    } else {
        not_found(host)
    }
}

/// Whether `path` is `mount` or lies below it.
fn under(path: &str, mount: &str) -> bool {
    path.strip_prefix(mount)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn not_found(host: &Cloudflare) -> Answer<Cloudflare> {
    Refusal::new(Code::NOT_FOUND, "There is nothing at this path.")
        .remedy("Applications use /v1 (an OpenAI base URL ends with it), management is under /api, billing webhooks under /webhooks.")
        .answer(Shape::OpenAi, &new_id(host, "req"))
}

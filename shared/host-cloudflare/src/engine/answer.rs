//! Answering the client.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use lockgate_host::{Answer, AnswerBody, End, Watch};
use wasm_bindgen::prelude::*;

use super::{Cloudflare, fetch, glue};
use crate::plain::unfinished;

thread_local! {
    static WATCHES: RefCell<BTreeMap<u32, Box<dyn Watch>>> = const { RefCell::new(BTreeMap::new()) };
    static LAST_WATCH: Cell<u32> = const { Cell::new(0) };
}

/// Hands the answer of a task to JavaScript, in one crossing.
pub(crate) fn give(task: u32, answer: Answer<Cloudflare>, ctx: &JsValue) {
    let Answer {
        status,
        from,
        set,
        body,
    } = answer;
    let from = from.map_or(JsValue::UNDEFINED, |headers| headers.js);
    let set = fetch::lines(set.iter().map(|(name, value)| (*name, value.as_ref())));
    match body {
        AnswerBody::Bytes(bytes) => glue::answer_bytes(task, status, &from, &set, bytes),
        AnswerBody::Through(body) => {
            let (source, _) = body.take();
            glue::answer_through(task, status, &from, &set, &source);
        }
        AnswerBody::Watched(body, watch) => {
            let (source, idle_ms) = body.take();
            let id = LAST_WATCH.get().wrapping_add(1);
            LAST_WATCH.set(id);
            WATCHES.with_borrow_mut(|watches| watches.insert(id, watch));
            glue::answer_watched(task, status, &from, &set, &source, id, idle_ms, ctx);
        }
    }
}

/// Tells a watcher how its body ended, and returns what to send after it; called by JavaScript, once. `how` is 0 complete, 1 broken, 2 idle, 3 client left.
#[allow(unreachable_pub, reason = "wasm-bindgen exports only what is `pub`")]
#[wasm_bindgen]
pub fn ended(watch: u32, tail: &[u8], bytes: f64, how: u32, detail: String) -> Option<Vec<u8>> {
    let watch = WATCHES.with_borrow_mut(|watches| watches.remove(&watch))?;
    let end = match how {
        0 => End::Complete,
        2 => End::Idle,
        3 => End::ClientLeft,
        _ => End::Broken(detail),
    };
    let words = watch.ended(tail, bytes as u64, end)?;
    let mut last = unfinished::ending(tail);
    last.extend_from_slice(&words);
    Some(last)
}

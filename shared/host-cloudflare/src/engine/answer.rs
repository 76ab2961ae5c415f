//! Answering the client.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use lockgate_host::{Answer, AnswerBody, End, Flow, Seen, Transform, Watch};
use wasm_bindgen::prelude::*;

use super::{Cloudflare, fetch, glue};
use crate::plain::unfinished;

thread_local! {
    static WATCHES: RefCell<BTreeMap<u32, Box<dyn Watch>>> = const { RefCell::new(BTreeMap::new()) };
    static TRANSFORMS: RefCell<BTreeMap<u32, Rewriting>> = const { RefCell::new(BTreeMap::new()) };
    /// The last number given to a watch or transform.
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
        AnswerBody::Followed(body, watch) => {
            let (source, idle_ms) = body.take();
            let id = keep(watch);
            glue::answer_followed(task, status, &from, &set, &source, id, idle_ms, ctx);
        }
        AnswerBody::Watched(body, watch) => {
            let (source, idle_ms) = body.take();
            let id = keep(watch);
            glue::answer_watched(task, status, &from, &set, &source, id, idle_ms, ctx);
        }
        AnswerBody::Transformed(body, transform) => {
            let (source, idle_ms) = body.take();
            let id = next_id();
            let last = Vec::new();
            TRANSFORMS.with_borrow_mut(|all| all.insert(id, Rewriting { transform, last }));
            glue::answer_transformed(task, status, &from, &set, &source, id, idle_ms, ctx);
        }
    }
}

/// Keeps a watcher until [`ended`] is called for it under this number.
fn keep(watch: Box<dyn Watch>) -> u32 {
    let id = next_id();
    WATCHES.with_borrow_mut(|watches| watches.insert(id, watch));
    id
}

fn next_id() -> u32 {
    let id = LAST_WATCH.get().wrapping_add(1);
    LAST_WATCH.set(id);
    id
}

struct Rewriting {
    transform: Box<dyn Transform>,
    /// What was made of the piece after which it had enough.
    last: Vec<u8>,
}

/// What becomes of a piece of a body; `undefined` where no more pieces are wanted. Called by JavaScript.
#[allow(unreachable_pub, reason = "wasm-bindgen exports only what is `pub`")]
#[wasm_bindgen]
pub fn transform(id: u32, piece: &[u8]) -> Option<Vec<u8>> {
    // Taken out, so that one that panics is not used again.
    let mut rewriting = TRANSFORMS.with_borrow_mut(|all| all.remove(&id))?;
    let mut out = Vec::new();
    let flow = rewriting.transform.push(piece, &mut out);
    let wanted = flow == Flow::More;
    if !wanted {
        rewriting.last = std::mem::take(&mut out);
    }
    TRANSFORMS.with_borrow_mut(|all| all.insert(id, rewriting));
    wanted.then_some(out)
}

/// Tells a transform how its body ended, and returns its last words; called by JavaScript, once. `how` is as for [`ended`].
#[allow(unreachable_pub, reason = "wasm-bindgen exports only what is `pub`")]
#[wasm_bindgen]
pub fn transformed(id: u32, how: u32, detail: String) -> Option<Vec<u8>> {
    let Rewriting {
        mut transform,
        mut last,
    } = TRANSFORMS.with_borrow_mut(|all| all.remove(&id))?;
    transform.ended(end(how, detail), &mut last);
    Some(last)
}

fn end(how: u32, detail: String) -> End {
    match how {
        0 => End::Complete,
        2 => End::Idle,
        3 => End::ClientLeft,
        _ => End::Broken(detail),
    }
}

/// Tells a watcher how its body ended, and returns what to send after it; called by JavaScript, once. `how` is 0 complete, 1 broken, 2 idle, 3 client left.
#[allow(unreachable_pub, reason = "wasm-bindgen exports only what is `pub`")]
#[wasm_bindgen]
pub fn ended(
    watch: u32,
    head: &[u8],
    tail: &[u8],
    bytes: f64,
    how: u32,
    detail: String,
) -> Option<Vec<u8>> {
    let watch = WATCHES.with_borrow_mut(|watches| watches.remove(&watch))?;
    let seen = Seen {
        head,
        tail,
        bytes: bytes as u64,
    };
    let words = watch.ended(seen, end(how, detail))?;
    Some(unfinished::last(tail, &words))
}

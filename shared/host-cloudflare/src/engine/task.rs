//! Running futures, and waiting for promises.
//!
//! Each request, question and piece of background work is a task with a number that JavaScript gave it. JavaScript polls it
//! inside a `try`, so that a panic (or any other trap, such as memory running out) is known to be that task's, and its
//! client gets an answer. A promise is waited for in a slot: JavaScript settles the slot by its number.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use wasm_bindgen::prelude::*;

use super::glue;

struct Task {
    work: Pin<Box<dyn Future<Output = ()>>>,
    waker: Waker,
}

enum Slot {
    Waiting(Option<Waker>),
    Settled(Result<JsValue, JsValue>),
}

thread_local! {
    static TASKS: RefCell<BTreeMap<u32, Task>> = const { RefCell::new(BTreeMap::new()) };
    static SLOTS: RefCell<BTreeMap<u32, Slot>> = const { RefCell::new(BTreeMap::new()) };
    static LAST_SLOT: Cell<u32> = const { Cell::new(0) };
    /// The task for which a slot is being settled, and whether that woke it.
    static SETTLING: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
}

struct Wakes(u32);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        if let Some((id, _)) = SETTLING.get()
            && id == self.0
        {
            SETTLING.set(Some((id, true)));
        } else {
            glue::wake(self.0);
        }
    }
}

/// Takes `work` in as task `id`, to be polled when it is woken.
pub(crate) fn insert(id: u32, work: impl Future<Output = ()> + 'static) {
    let task = Task {
        work: Box::pin(work),
        waker: Waker::from(Arc::new(Wakes(id))),
    };
    TASKS.with_borrow_mut(|tasks| tasks.insert(id, task));
}

/// Takes `work` in as task `id` and polls it at once.
pub(crate) fn run(id: u32, work: impl Future<Output = ()> + 'static) {
    insert(id, work);
    poll(id);
}

/// Polls a task; called by JavaScript. A task that panics is not polled again, since it was taken out first.
#[allow(unreachable_pub, reason = "wasm-bindgen exports only what is `pub`")]
#[wasm_bindgen]
pub fn poll(id: u32) {
    let Some(mut task) = TASKS.with_borrow_mut(|tasks| tasks.remove(&id)) else {
        return;
    };
    let pending = task
        .work
        .as_mut()
        .poll(&mut Context::from_waker(&task.waker))
        .is_pending();
    if pending {
        TASKS.with_borrow_mut(|tasks| tasks.insert(id, task));
    }
}

/// Drops a task that the runtime has given up; called by JavaScript.
#[allow(unreachable_pub, reason = "wasm-bindgen exports only what is `pub`")]
#[wasm_bindgen]
pub fn forget(id: u32) {
    let task = TASKS.with_borrow_mut(|tasks| tasks.remove(&id));
    drop(task);
}

/// Settles a slot for which `task` asked, and goes on with the task; called by JavaScript.
#[allow(unreachable_pub, reason = "wasm-bindgen exports only what is `pub`")]
#[wasm_bindgen]
pub fn settled(task: u32, slot: u32, ok: bool, value: JsValue) {
    let outcome = if ok { Ok(value) } else { Err(value) };
    let before = SLOTS.with_borrow_mut(|slots| {
        // A slot that is gone belonged to a future that was dropped.
        let slot = slots.get_mut(&slot)?;
        Some(std::mem::replace(slot, Slot::Settled(outcome)))
    });
    if let Some(Slot::Waiting(Some(waker))) = before {
        SETTLING.set(Some((task, false)));
        waker.wake();
        if let Some((_, true)) = SETTLING.replace(None) {
            poll(task);
        }
    }
}

/// What a promise comes to.
pub(crate) struct Promised {
    slot: u32,
}

impl Promised {
    /// A new slot, to be given to JavaScript by its number.
    pub(crate) fn new() -> Self {
        let slot = LAST_SLOT.get().wrapping_add(1);
        LAST_SLOT.set(slot);
        SLOTS.with_borrow_mut(|slots| slots.insert(slot, Slot::Waiting(None)));
        Self { slot }
    }

    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }
}

impl Future for Promised {
    type Output = Result<JsValue, JsValue>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        SLOTS.with_borrow_mut(|slots| match slots.remove(&self.slot) {
            Some(Slot::Settled(outcome)) => Poll::Ready(outcome),
            _ => {
                slots.insert(self.slot, Slot::Waiting(Some(context.waker().clone())));
                Poll::Pending
            }
        })
    }
}

impl Drop for Promised {
    fn drop(&mut self) {
        let slot = SLOTS.with_borrow_mut(|slots| slots.remove(&self.slot));
        drop(slot);
    }
}

/// A timer, cleared when it is dropped.
struct Timer(JsValue);

impl Drop for Timer {
    fn drop(&mut self) {
        glue::clear(&self.0);
    }
}

pub(crate) async fn sleep(duration: Duration) {
    let promised = Promised::new();
    let _timer = Timer(glue::sleep(promised.slot(), millis(duration)));
    // A timer is never rejected.
    let _ = promised.await;
}

/// A duration as JavaScript wants it, at most what a timer takes.
pub(crate) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).min(f64::from(i32::MAX))
}

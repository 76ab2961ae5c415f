//! Work beside and after the response, counted so that a drain can wait for it.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// The background tasks of one thread.
#[derive(Clone, Default)]
pub(crate) struct Tasks(Rc<State>);

#[derive(Default)]
struct State {
    running: Cell<usize>,
    closed: Cell<bool>,
    idle: Notify,
}

/// Counts one task for as long as it lives, also where it panics or is dropped unfinished.
struct Running(Rc<State>);

impl Drop for Running {
    fn drop(&mut self) {
        let left = self.0.running.get().saturating_sub(1);
        self.0.running.set(left);
        if left == 0 {
            self.0.idle.notify_waiters();
        }
    }
}

impl Tasks {
    /// Runs `work`; once [`Tasks::finish`] has returned there is nothing left to run it on, and it is dropped.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        if self.0.closed.get() {
            return;
        }
        self.0.running.set(self.0.running.get() + 1);
        let running = Running(Rc::clone(&self.0));
        tokio::task::spawn_local(async move {
            work.await;
            drop(running);
        });
    }

    /// Waits until nothing runs, and takes nothing more; `false` where something still does after `limit`.
    pub(crate) async fn finish(&self, limit: Duration) -> bool {
        let settle = async {
            loop {
                let idle = self.0.idle.notified();
                if self.0.running.get() == 0 {
                    return;
                }
                idle.await;
            }
        };
        let settled = timeout(limit, settle).await.is_ok();
        self.0.closed.set(true);
        settled
    }
}

//! Noticing silence without a timer per chunk.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use spin_sdk::wasip3::clocks::monotonic_clock;

/// Waits.
pub(crate) fn sleep(duration: Duration) -> impl Future<Output = ()> + 'static {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    monotonic_clock::wait_for(nanoseconds)
}

/// How often a silent stream is looked at. A client that left is noticed within twice this, which is to be a second.
const LOOK: Duration = Duration::from_millis(400);

/// What a look at a stream found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Nothing arrived since the last look.
    Lasting,
    /// Nothing arrived for as long as is allowed.
    TooLong,
}

/// Looks at a stream now and then. One host timer runs whatever the number of chunks, and none before the first time
/// there is nothing to read; so silence is measured to within [`LOOK`].
pub(crate) struct Watchdog {
    allowed: Duration,
    period: Duration,
    timer: Option<Pin<Box<dyn Future<Output = ()>>>>,
    moved: bool,
    silent: Duration,
}

impl Watchdog {
    /// Allows a silence of `allowed`.
    pub(crate) fn new(allowed: Duration) -> Self {
        Self {
            allowed,
            period: LOOK.min(allowed / 2).max(Duration::from_millis(1)),
            timer: None,
            moved: false,
            silent: Duration::ZERO,
        }
    }

    /// Takes note that something arrived.
    pub(crate) fn moved(&mut self) {
        self.moved = true;
    }

    /// To be polled while there is nothing to read; ready when silence has lasted since the last look.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Silence> {
        loop {
            let period = self.period;
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(period)));
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
            if std::mem::take(&mut self.moved) {
                self.silent = Duration::ZERO;
                continue;
            }
            self.silent += period;
            return Poll::Ready(if self.silent >= self.allowed {
                Silence::TooLong
            } else {
                Silence::Lasting
            });
        }
    }
}

//! A response body that follows a script: data, waits, a cut, silence.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::record::{Outcome, Track};
use crate::wire::{Cutter, cut_after};

/// One thing that a body does.
pub(crate) enum Step {
    /// Send this; what follows at once may leave with it.
    Data(Bytes),
    /// Send this as a chunk of its own and write it out before anything else.
    Flushed(Bytes),
    /// Wait until this long after the start of the body.
    At(Duration),
    /// Send this, then drop the connection in the middle of the chunk.
    Cut(Bytes),
    /// Nothing more, ever.
    Stall,
}

type Steps = Box<dyn Iterator<Item = Step> + Send>;

/// What a body will do, and the length it says it has.
pub(crate) struct Script {
    pub(crate) steps: Steps,
    /// The `content-length`; without it the body is chunked.
    pub(crate) length: Option<u64>,
}

impl Script {
    /// A body that is known from the start. Long ones are sent in pieces, so that a client that leaves is noticed on the way.
    pub(crate) fn whole(body: Bytes) -> Self {
        const PIECE: usize = 64 * 1024;
        let length = Some(body.len() as u64);
        let mut rest = body;
        let steps = std::iter::from_fn(move || {
            let piece = rest.split_to(rest.len().min(PIECE));
            (!piece.is_empty()).then_some(Step::Data(piece))
        });
        Self {
            steps: Box::new(steps),
            length,
        }
    }

    /// A chunked body.
    pub(crate) fn chunked(steps: impl Iterator<Item = Step> + Send + 'static) -> Self {
        Self {
            steps: Box::new(steps),
            length: None,
        }
    }
}

/// A [`Script`] being performed on a connection.
pub(crate) struct Play {
    steps: Steps,
    next: Option<Step>,
    length: Option<u64>,
    started: Option<Instant>,
    waiting: Option<Pin<Box<Sleep>>>,
    flushing: bool,
    track: Track,
    cutter: Cutter,
}

impl Play {
    pub(crate) fn new(script: Script, track: Track, cutter: Cutter) -> Self {
        let mut play = Self {
            steps: script.steps,
            next: None,
            length: script.length,
            started: None,
            waiting: None,
            flushing: false,
            track,
            cutter,
        };
        play.advance();
        play
    }

    fn advance(&mut self) {
        self.next = self.steps.next();
        if self.next.is_none() {
            self.track.end(Outcome::Completed);
        }
    }
}

impl Body for Play {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let started = *self.started.get_or_insert_with(Instant::now);
        loop {
            if let Some(sleep) = self.waiting.as_mut() {
                ready!(sleep.as_mut().poll(cx));
                self.waiting = None;
            }
            // The connection writes out what it has when a body has nothing for it.
            if std::mem::take(&mut self.flushing) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let data = match self.next.take() {
                None => return Poll::Ready(None),
                Some(Step::Stall) => {
                    self.next = Some(Step::Stall);
                    return Poll::Pending;
                }
                Some(Step::At(since)) => {
                    self.waiting = Some(Box::pin(sleep_until(started + since)));
                    self.advance();
                    continue;
                }
                Some(Step::Data(data)) => data,
                Some(Step::Flushed(data)) => {
                    self.flushing = true;
                    data
                }
                Some(Step::Cut(data)) => {
                    self.cutter.arm();
                    self.track.end(Outcome::Broken);
                    cut_after(&data).into()
                }
            };
            self.advance();
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none() && self.waiting.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

//! A provider's body as the gateway reads it on its way to the client: piece by piece, and not waited for longer than the
//! idle limit.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, SizeHint};
use hyper::body::Incoming as Hyper;
use lockgate_host::End;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::body::Source;

/// A provider's body.
pub(crate) enum Upstream {
    Stream(Silence, Hyper),
    Bytes(Bytes),
}

impl From<Source> for Upstream {
    fn from(source: Source) -> Self {
        match source {
            Source::Stream(stream, idle) => Self::Stream(Silence::new(idle), stream),
            Source::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}

impl Upstream {
    /// Whether nothing more will come, as far as that is known without asking.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Stream(_, stream) => stream.is_end_stream(),
            Self::Bytes(bytes) => bytes.is_empty(),
        }
    }

    /// How much is to come.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Stream(_, stream) => stream.size_hint(),
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }

    /// The next piece, or how the body ended. Trailers are withheld.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, End>> {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(Err(End::Complete)),
            Self::Bytes(bytes) => Poll::Ready(Ok(std::mem::take(bytes))),
            Self::Stream(silence, stream) => match Pin::new(&mut *stream).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    silence.broken();
                    Poll::Ready(Ok(frame.into_data().unwrap_or_default()))
                }
                Poll::Ready(None) => Poll::Ready(Err(End::Complete)),
                Poll::Ready(Some(Err(error))) => {
                    Poll::Ready(Err(End::Broken(crate::client::causes(&error))))
                }
                Poll::Pending => silence.poll_exceeded(cx).map(|()| Err(End::Idle)),
            },
        }
    }
}

/// Measures how long a provider has been silent while we were waiting for it. Time in which the client reads slowly
/// does not count, since then nobody waits. The timer is left to fire and looked at then, not moved for every piece.
pub(crate) struct Silence {
    limit: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    pub(crate) fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: None,
            timer: None,
        }
    }

    pub(crate) fn broken(&mut self) {
        self.since = None;
    }

    pub(crate) fn poll_exceeded(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = *self.since.get_or_insert_with(Instant::now) + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}

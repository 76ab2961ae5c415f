//! Response bodies as hyper takes them. A provider's body is passed on as it comes and not waited for longer than the
//! idle limit; a watched one, an event stream, is passed on in whole events, with its end observed.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming as Hyper;
use lockgate_host::{End, Watch, WholeEvents};
use thiserror::Error;

use crate::body::Source;
use crate::client::causes;
use crate::ends::Ends;
use crate::followed::Followed;
use crate::transformed::Transformed;
use crate::upstream::{Silence, Upstream};

/// A response body.
pub(crate) enum ResponseBody {
    /// Bytes at hand.
    Bytes(Bytes),
    /// A provider's body, as it is.
    Through(Silence, Hyper),
    /// A provider's body, watched.
    Watched(Box<Watched>),
    /// A provider's body, as it is, with its ends kept.
    Followed(Box<Followed>),
    /// A provider's body, rewritten.
    Transformed(Box<Transformed>),
}

/// Why a body is broken off, which breaks off the client's connection as well.
#[derive(Debug, Error)]
pub(crate) enum Cut {
    /// The provider's connection broke.
    #[error("{0}")]
    Broken(String),
    /// The provider was silent for too long.
    #[error("the provider fell silent")]
    Idle,
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Through(silence, stream) => match Pin::new(stream).poll_frame(cx) {
                Poll::Ready(frame) => {
                    silence.broken();
                    Poll::Ready(
                        frame.map(|frame| frame.map_err(|error| Cut::Broken(causes(&error)))),
                    )
                }
                Poll::Pending => silence.poll_exceeded(cx).map(|()| Some(Err(Cut::Idle))),
            },
            Self::Watched(watched) => watched
                .poll_data(cx)
                .map(|data| data.map(|bytes| Ok(Frame::data(bytes)))),
            Self::Followed(followed) => followed
                .poll_data(cx)
                .map(|data| data.map(|piece| piece.map(Frame::data))),
            Self::Transformed(transformed) => transformed
                .poll_data(cx)
                .map(|data| data.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Through(_, stream) => stream.is_end_stream(),
            Self::Followed(followed) => followed.is_end_stream(),
            // Polled to its end always: only then does the watcher hear that it was complete.
            Self::Watched(_) | Self::Transformed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Through(_, stream) => stream.size_hint(),
            Self::Followed(followed) => followed.size_hint(),
            // Last words may follow.
            Self::Watched(_) | Self::Transformed(_) => SizeHint::default(),
        }
    }
}

/// A body that is being watched. Pieces are passed on without a copy.
pub(crate) struct Watched {
    source: Option<Upstream>,
    watch: Option<Box<dyn Watch>>,
    events: WholeEvents,
    ends: Ends,
}

impl Watched {
    pub(crate) fn new(source: Source, watch: Box<dyn Watch>) -> Self {
        Self {
            source: Some(source.into()),
            watch: Some(watch),
            events: WholeEvents::default(),
            ends: Ends::default(),
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let end = loop {
            let Some(source) = &mut self.source else {
                return Poll::Ready(None);
            };
            let piece = match ready!(source.poll_piece(cx)) {
                Ok(piece) => piece,
                Err(end) => break end,
            };
            self.ends.push(&piece);
            let whole = self.events.push(piece);
            if !whole.is_empty() {
                return Poll::Ready(Some(whole));
            }
        };
        // Dropping the source first: a provider that fell silent is let go before anything else is done.
        self.source = None;
        let last = match self.ended(end) {
            Some(words) => Bytes::from(words),
            None => self.events.finish(),
        };
        Poll::Ready(Some(last).filter(|last| !last.is_empty()))
    }

    fn ended(&mut self, end: End) -> Option<Vec<u8>> {
        let watch = self.watch.take()?;
        self.ends.show(|seen| watch.ended(seen, end))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.source = None;
        self.ended(End::ClientLeft);
    }
}

//! The body of a request to a provider: bytes at hand, or a client's own body as it arrives.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming as Hyper;
use thiserror::Error;

use crate::body::Unread;
use crate::upstream::Silence;

/// A request's body. A length that is known is announced to the provider.
pub(crate) enum Upload {
    /// At hand.
    Bytes(Bytes),
    /// A client's, as it arrives. Where the provider does not take all of it, the rest is discarded as any body's that
    /// nobody wants.
    Client(Silence, Unread),
    /// A provider's, as it arrives.
    Provider(Hyper),
}

/// Why an upload is broken off, which breaks off the request to the provider as well.
#[derive(Debug, Error)]
pub(crate) enum Stopped {
    /// Its sender broke off.
    #[error("the upload broke off: {0}")]
    Broken(#[from] hyper::Error),
    /// The client was silent for too long.
    #[error("the upload stopped arriving")]
    Idle,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Stopped;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Stopped>>> {
        let frame = match self.get_mut() {
            Self::Bytes(bytes) if bytes.is_empty() => return Poll::Ready(None),
            Self::Bytes(bytes) => {
                return Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))));
            }
            Self::Client(silence, unread) => match unread.poll_frame(cx) {
                Poll::Pending => {
                    return silence.poll_exceeded(cx).map(|()| Some(Err(Stopped::Idle)));
                }
                frame => {
                    silence.broken();
                    frame
                }
            },
            Self::Provider(stream) => Pin::new(stream).poll_frame(cx),
        };
        frame.map(|frame| frame.map(|frame| frame.map_err(Stopped::from)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Client(_, unread) => unread.is_end_stream(),
            Self::Provider(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Client(_, unread) => unread.size_hint(),
            Self::Provider(stream) => stream.size_hint(),
        }
    }
}

//! Unread bodies, and reading them whole.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming as Hyper;
use lockgate_host::ReadError;
use tokio::time::timeout;

use crate::upload::Upload;
use crate::upstream::Silence;

/// How long a client's body may be silent while it is read.
const REQUEST_IDLE: Duration = Duration::from_secs(30);
/// At most this much is reserved ahead on the word of `content-length`.
const RESERVE_BYTES: usize = 1024 * 1024;
/// What a client may still send of a body nobody wants, so that it gets to read the answer: closing a connection with
/// unread bytes resets it, and the answer may be lost with it.
const DISCARD_BYTES: usize = 64 * 1024 * 1024;
/// How long that may take.
const DISCARD_TIME: Duration = Duration::from_secs(10);

/// An unread body: a client's, a provider's, or bytes of this process.
pub struct Body(Kind);

enum Kind {
    Request(Unread),
    /// Dropping it drops the provider's connection, unless the body had come to its end.
    Provider {
        stream: Hyper,
        idle: Duration,
    },
    Bytes(Bytes),
}

/// A body as something to read from.
pub(crate) enum Source {
    /// A stream, and how long it may be silent.
    Stream(Hyper, Duration),
    /// Bytes at hand.
    Bytes(Bytes),
}

impl Body {
    /// A body of bytes, for requests made in this process.
    #[must_use]
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Bytes(bytes.into()))
    }

    pub(crate) fn request(stream: Hyper, expects: bool) -> Self {
        Self(Kind::Request(Unread {
            stream: Some(stream),
            expects,
        }))
    }

    pub(crate) fn provider(stream: Hyper, idle: Duration) -> Self {
        Self(Kind::Provider { stream, idle })
    }

    pub(crate) fn into_source(self) -> Source {
        match self.0 {
            Kind::Request(mut unread) => match unread.stream.take() {
                Some(stream) => Source::Stream(stream, REQUEST_IDLE),
                None => Source::Bytes(Bytes::new()),
            },
            Kind::Provider { stream, idle } => Source::Stream(stream, idle),
            Kind::Bytes(bytes) => Source::Bytes(bytes),
        }
    }

    /// As the body of a request to a provider, unread.
    pub(crate) fn into_upload(self) -> Upload {
        match self.0 {
            Kind::Request(unread) => Upload::Client(Silence::new(REQUEST_IDLE), unread),
            Kind::Provider { stream, .. } => Upload::Provider(stream),
            Kind::Bytes(bytes) => Upload::Bytes(bytes),
        }
    }

    /// Reads it whole, up to `limit` bytes. A body that came in one piece is not copied.
    pub(crate) async fn read(self, limit: usize) -> Result<Bytes, ReadError> {
        match self.0 {
            Kind::Request(mut unread) => match &mut unread.stream {
                Some(stream) => collect(stream, limit, REQUEST_IDLE).await,
                None => Ok(Bytes::new()),
            },
            Kind::Provider { mut stream, idle } => collect(&mut stream, limit, idle).await,
            Kind::Bytes(bytes) if bytes.len() > limit => Err(ReadError::TooLarge { limit }),
            Kind::Bytes(bytes) => Ok(bytes),
        }
    }
}

async fn collect(stream: &mut Hyper, limit: usize, idle: Duration) -> Result<Bytes, ReadError> {
    let announced = usize::try_from(stream.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(ReadError::TooLarge { limit });
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(piece) = next(stream, idle).await? {
        if first.len() + whole.len() + piece.len() > limit {
            return Err(ReadError::TooLarge { limit });
        }
        if !whole.is_empty() {
            whole.extend_from_slice(&piece);
        } else if first.is_empty() {
            first = piece;
        } else {
            whole.reserve(announced.min(RESERVE_BYTES).max(first.len() + piece.len()));
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&piece);
        }
    }
    Ok(if whole.is_empty() {
        first
    } else {
        whole.freeze()
    })
}

/// The next piece of data; trailers are passed over.
async fn next(stream: &mut Hyper, idle: Duration) -> Result<Option<Bytes>, ReadError> {
    loop {
        let frame = poll_fn(|cx| Pin::new(&mut *stream).poll_frame(cx));
        match timeout(idle, frame).await {
            Err(_) => return Err(ReadError::Idle),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(ReadError::Broken(crate::client::causes(&error))),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// A client's body. What is left of it when it is dropped is discarded, within bounds, beside the answer.
pub(crate) struct Unread {
    /// Taken when it has come to its end.
    stream: Option<Hyper>,
    /// The client waits for `100 Continue` before it sends anything: then there is nothing to discard.
    expects: bool,
}

impl Unread {
    /// The next frame. A client that waits for `100 Continue` gets it now, and begins to send.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(None);
        };
        self.expects = false;
        let frame = Pin::new(stream).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.stream = None;
        }
        frame
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(Hyper::is_end_stream)
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.stream
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Hyper::size_hint)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        if stream.is_end_stream() || self.expects {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(timeout(DISCARD_TIME, async move {
                let mut left = DISCARD_BYTES;
                while let Ok(Some(piece)) = next(&mut stream, DISCARD_TIME).await {
                    match left.checked_sub(piece.len()) {
                        Some(rest) => left = rest,
                        None => break,
                    }
                }
            }));
        }
    }
}

//! Bodies: a resource of the host until somebody reads it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use lockgate_host::ReadError;
use spin_sdk::wasip3;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response, Trailers};
use spin_sdk::wasip3::wit_bindgen::{FutureReader, StreamReader, StreamResult};
use spin_sdk::wasip3::{wit_future, wit_stream};

use super::fetch::wording;
use super::headers;
use super::wait::{self, Silence, Watchdog};

/// How long a client may be silent while its request's body is read.
const CLIENT_IDLE: Duration = Duration::from_secs(60);
/// Most that is set aside on the word of a `content-length`; beyond it a buffer grows with what really arrives.
const TRUSTED_LENGTH: usize = 256 * 1024;
/// Least room for a read.
const READ: usize = 16 * 1024;

/// The stream of a body, and what is told after its end: trailers, or that it broke off.
pub(crate) type Opened = (
    StreamReader<u8>,
    FutureReader<Result<Option<Trailers>, ErrorCode>>,
);

/// Most that is read of a request's body that nobody wanted, so that its sender comes to read the answer.
const MOST_DRAINED: usize = 64 << 20;
/// And for how long.
const LONGEST_DRAIN: Duration = Duration::from_secs(10);

/// An unread body, still the host's own. A request's body that is dropped unread is drained within bounds: the host
/// would close the connection under a client that is still sending, and the client would not see why it was refused.
pub struct SpinBody(Option<Source>);

enum Source {
    Request {
        request: Request,
        length: Option<u64>,
    },
    Response {
        response: Response,
        sent: Sent,
        idle: Duration,
    },
}

/// How sending a request went.
pub(crate) type Sent = FutureReader<Result<(), ErrorCode>>;

impl SpinBody {
    /// The body of a client's request; `length` as announced.
    pub(crate) fn of_request(request: Request, length: Option<u64>) -> Self {
        Self(Some(Source::Request { request, length }))
    }

    /// The body of a provider's answer, which may be silent for `idle`; `sent` belongs to the request it answers.
    pub(crate) fn of_response(response: Response, sent: Sent, idle: Duration) -> Self {
        Self(Some(Source::Response {
            response,
            sent,
            idle,
        }))
    }

    /// How long it is, where that was announced.
    pub(crate) fn length(&self) -> Option<u64> {
        match self.0.as_ref()? {
            Source::Request { length, .. } => *length,
            Source::Response { response, .. } => headers::announced(&response.get_headers()),
        }
    }

    /// How long the sender may be silent.
    pub(crate) fn idle(&self) -> Duration {
        match &self.0 {
            Some(Source::Response { idle, .. }) => *idle,
            Some(Source::Request { .. }) | None => CLIENT_IDLE,
        }
    }

    /// Turns the resource into its stream. The host wants to be told how dealing with the body went, and does nothing
    /// with it.
    pub(crate) fn open(mut self) -> Opened {
        match self.0.take() {
            Some(Source::Request { request, .. }) => open_request(request),
            // How sending went will do, which is at hand and has the same form.
            Some(Source::Response { response, sent, .. }) => Response::consume_body(response, sent),
            // Nothing takes the source but this and the drop; an empty body is the answer to what cannot be.
            None => (wit_stream::new().1, wit_future::new(|| Ok(None)).1),
        }
    }

    /// Reads the whole body.
    pub(crate) async fn read(self, limit: usize) -> Result<Payload, ReadError> {
        let too_large = Err(ReadError::TooLarge { limit });
        let expected = match self.length().map(usize::try_from) {
            Some(Ok(length)) if length <= limit => Some(length),
            Some(_) => return too_large,
            None => None,
        };
        let mut watchdog = Watchdog::new(self.idle());
        let (mut stream, trailers) = self.open();
        let mut buffer = Vec::with_capacity(expected.unwrap_or(READ).min(TRUSTED_LENGTH));
        // The last byte announced is the end: asking for more would only be another host call.
        while expected != Some(buffer.len()) {
            if buffer.len() > limit {
                return too_large;
            }
            if buffer.len() == buffer.capacity() {
                buffer.reserve(READ);
            }
            let mut reading = pin!(stream.read(buffer));
            let (result, read) = poll_fn(|context| {
                if let Poll::Ready(read) = reading.as_mut().poll(context) {
                    return Poll::Ready(Ok(read));
                }
                loop {
                    match watchdog.poll(context) {
                        Poll::Ready(Silence::TooLong) => return Poll::Ready(Err(ReadError::Idle)),
                        Poll::Ready(Silence::Lasting) => {}
                        Poll::Pending => return Poll::Pending,
                    }
                }
            })
            .await?;
            buffer = read;
            watchdog.moved();
            if result == StreamResult::Dropped {
                match trailers.await {
                    Ok(_) if expected.is_none() => {}
                    Ok(_) => return Err(ReadError::Broken("shorter than announced".to_owned())),
                    Err(ErrorCode::ConnectionReadTimeout) => return Err(ReadError::Idle),
                    Err(code) => return Err(ReadError::Broken(wording(&code))),
                }
                break;
            }
        }
        if buffer.len() > limit {
            return too_large;
        }
        Ok(Payload(Rc::new(buffer)))
    }
}

fn open_request(request: Request) -> Opened {
    let (dealt_with, reader) = wit_future::new(|| Ok(()));
    let opened = Request::consume_body(request, reader);
    // Dropped, it writes its `Ok`; only now, since the host listens and takes it without waking this task.
    drop(dealt_with);
    opened
}

impl Drop for SpinBody {
    fn drop(&mut self) {
        if let Some(Source::Request { request, length }) = self.0.take()
            && length.is_some_and(|length| length > 0)
        {
            wasip3::spawn(drain(open_request(request).0));
        }
    }
}

async fn drain(mut stream: StreamReader<u8>) {
    let all = async {
        let mut drained = 0;
        let mut buffer = Vec::with_capacity(4 * READ);
        while drained < MOST_DRAINED {
            let (result, mut read) = stream.read(buffer).await;
            if result == StreamResult::Dropped {
                return;
            }
            drained += read.len();
            read.clear();
            buffer = read;
        }
    };
    let mut all = pin!(all);
    let mut late = pin!(wait::sleep(LONGEST_DRAIN));
    poll_fn(|context| match all.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => late.as_mut().poll(context),
    })
    .await;
}

/// A body that has been read. Clones share it.
#[derive(Clone)]
pub struct Payload(Rc<Vec<u8>>);

impl Payload {
    /// The bytes, without a copy where no clone is left.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        Rc::unwrap_or_clone(self.0)
    }
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

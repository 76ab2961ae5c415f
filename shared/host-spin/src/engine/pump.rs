//! A provider's body passed on by the guest, so that somebody learns what it was and how it ended.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use lockgate_host::{End, ReadError, Seen, Watch, WholeEvents};
use spin_sdk::wasip3::http::types::{ErrorCode, Trailers};
use spin_sdk::wasip3::wit_bindgen::{
    FutureReader, FutureWriter, StreamReader, StreamResult, StreamWriter,
};

use super::fetch::wording;
use super::wait::{Silence, Watchdog};
use super::{Payload, SpinBody};
use crate::plain::ends::{self, Ends};

/// Most that is held between provider and client.
pub(crate) const CHUNK: usize = 16 * 1024;

/// Passes `body` on to `client` and tells `watch` how it ended. Reading waits for writing, so a slow client slows the
/// provider down.
pub(crate) async fn pump(
    body: SpinBody,
    watch: Box<dyn Watch>,
    mut client: StreamWriter<u8>,
    result: FutureWriter<Result<Option<Trailers>, ErrorCode>>,
) {
    let mut watched = Watched::new(watch);
    let length = body.length();
    // A body of known length comes in one go: the host's own timeout is enough, and saves this task a timer.
    let mut watchdog = length.is_none().then(|| Watchdog::new(body.idle()));
    let (mut provider, trailers) = body.open();
    let mut events = WholeEvents::default();
    let passed = pass(
        &mut provider,
        &mut client,
        length,
        &mut watchdog,
        &mut watched.ends,
        Some(&mut events),
    )
    .await;
    // Before anything else: the provider is to stop where it was not read to its end.
    drop(provider);
    let end = passed.end(trailers).await;
    let left = end == End::ClientLeft;
    let words = watched.ended(end);
    // A stream whose reader is gone must not be written to again: the host would end the whole instance for it.
    if left {
        return;
    }
    // Last words stand in the place of an event that was never finished.
    let last = words.unwrap_or_else(|| Vec::from(events.finish()));
    if !last.is_empty() {
        // Unwritten ones went nowhere: the client left meanwhile.
        let _unwanted = client.write_all(last).await;
    }
    drop(client);
    // Dropped, it says that there are no trailers.
    drop(result);
}

/// Passes `body` on to `client` as it is and tells `watch` what its ends were. A break, or silence, breaks the client's
/// connection as well.
pub(crate) async fn follow(
    body: SpinBody,
    watch: Box<dyn Watch>,
    mut client: StreamWriter<u8>,
    result: FutureWriter<Result<Option<Trailers>, ErrorCode>>,
) {
    let mut watched = Watched::new(watch);
    let length = body.length();
    let mut watchdog = length.is_none().then(|| Watchdog::new(body.idle()));
    let (mut provider, trailers) = body.open();
    let passed = pass(
        &mut provider,
        &mut client,
        length,
        &mut watchdog,
        &mut watched.ends,
        None,
    )
    .await;
    drop(provider);
    let end = passed.end(trailers).await;
    let broken = code(&end);
    watched.ended(end);
    drop(client);
    match broken {
        // A host that has given the answer up does not listen.
        Some(code) => drop(result.write(Err(code)).await),
        // Dropped, it says that there are no trailers.
        None => drop(result),
    }
}

/// Reads a short `body` whole and tells `watch` what it was; the error is what to break the client's connection with.
pub(crate) async fn whole(
    body: SpinBody,
    limit: usize,
    watch: Box<dyn Watch>,
) -> Result<Payload, ErrorCode> {
    // It is told also where the host drops this task.
    let mut watched = Watched::new(watch);
    let read = body.read(limit).await;
    let Some(watch) = watched.watch.take() else {
        return Err(ErrorCode::ConnectionTerminated);
    };
    match read {
        Ok(payload) => {
            watch.ended(ends::of(payload.as_ref()), End::Complete);
            Ok(payload)
        }
        Err(error) => {
            let end = match error {
                ReadError::Idle => End::Idle,
                ReadError::Broken(_) | ReadError::TooLarge { .. } => End::Broken(error.to_string()),
            };
            let broken = code(&end);
            watch.ended(Seen::default(), end);
            Err(broken.unwrap_or(ErrorCode::ConnectionTerminated))
        }
    }
}

/// What tells the host that an answer is not whole, where it is not.
fn code(end: &End) -> Option<ErrorCode> {
    match end {
        End::Complete | End::ClientLeft => None,
        End::Idle => Some(ErrorCode::ConnectionReadTimeout),
        End::Broken(_) => Some(ErrorCode::ConnectionTerminated),
    }
}

/// How passing on came to its end.
pub(crate) enum Passed {
    /// Everything that was announced.
    All,
    /// All that came; whether that was all is not known yet.
    Ended,
    Silent,
    ClientLeft,
}

impl Passed {
    /// The same in the functions' words; `trailers` are those of the provider.
    pub(crate) async fn end(
        self,
        trailers: FutureReader<Result<Option<Trailers>, ErrorCode>>,
    ) -> End {
        match self {
            Self::All => End::Complete,
            Self::Ended => match trailers.await {
                Ok(_) => End::Complete,
                Err(ErrorCode::ConnectionReadTimeout) => End::Idle,
                Err(code) => End::Broken(wording(&code)),
            },
            Self::Silent => End::Idle,
            Self::ClientLeft => End::ClientLeft,
        }
    }
}

async fn pass(
    provider: &mut StreamReader<u8>,
    client: &mut StreamWriter<u8>,
    length: Option<u64>,
    watchdog: &mut Option<Watchdog>,
    ends: &mut Ends,
    mut events: Option<&mut WholeEvents>,
) -> Passed {
    let mut buffer = Vec::with_capacity(CHUNK);
    // The last byte announced is the end: asking for more would only wake this task once more.
    while length != Some(ends.seen().bytes) {
        let (result, read) = match next(provider, client, watchdog, buffer).await {
            Ok(read) => read,
            Err(passed) => return passed,
        };
        if result == StreamResult::Dropped {
            return Passed::Ended;
        }
        if let Some(watchdog) = watchdog {
            watchdog.moved();
        }
        ends.push(&read);
        let out = match &mut events {
            Some(events) => Vec::from(events.push(Bytes::from(read))),
            None => read,
        };
        buffer = if out.is_empty() {
            Vec::new()
        } else {
            client.write_all(out).await
        };
        if !buffer.is_empty() {
            return Passed::ClientLeft;
        }
        buffer.reserve(CHUNK);
    }
    Passed::All
}

/// Waits for something to read, looking now and then whether the client is still there.
pub(crate) async fn next(
    provider: &mut StreamReader<u8>,
    client: &mut StreamWriter<u8>,
    watchdog: &mut Option<Watchdog>,
    buffer: Vec<u8>,
) -> Result<(StreamResult, Vec<u8>), Passed> {
    let mut reading = pin!(provider.read(buffer));
    loop {
        let read = poll_fn(|context| match reading.as_mut().poll(context) {
            Poll::Ready(read) => Poll::Ready(Ok(read)),
            Poll::Pending => match watchdog {
                Some(watchdog) => watchdog.poll(context).map(Err),
                None => Poll::Pending,
            },
        })
        .await;
        match read {
            Ok(read) => return Ok(read),
            Err(Silence::TooLong) => return Err(Passed::Silent),
            // A client that leaves is only seen by writing to it. Writing nothing is enough.
            Err(Silence::Lasting) => {
                if client.write(Vec::new()).await.0 == StreamResult::Dropped {
                    return Err(Passed::ClientLeft);
                }
            }
        }
    }
}

/// Tells the watcher exactly once, also where the host drops this task.
struct Watched {
    watch: Option<Box<dyn Watch>>,
    ends: Ends,
}

impl Watched {
    fn new(watch: Box<dyn Watch>) -> Self {
        Self {
            watch: Some(watch),
            ends: Ends::default(),
        }
    }

    fn ended(&mut self, end: End) -> Option<Vec<u8>> {
        let watch = self.watch.take()?;
        watch.ended(self.ends.seen(), end)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.ended(End::ClientLeft);
    }
}

//! A provider's body passed on by the guest, so that somebody learns how it ended.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use lockgate_host::{End, Seen, Watch, WholeEvents};
use spin_sdk::wasip3::http::types::{ErrorCode, Trailers};
use spin_sdk::wasip3::wit_bindgen::{
    FutureReader, FutureWriter, StreamReader, StreamResult, StreamWriter,
};

use super::SpinBody;
use super::fetch::wording;
use super::wait::{Silence, Watchdog};
use crate::plain::tail::Tail;

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
    let mut watched = Watched {
        watch: Some(watch),
        tail: Tail::default(),
    };
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
        &mut watched.tail,
        &mut events,
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
    tail: &mut Tail,
    events: &mut WholeEvents,
) -> Passed {
    let mut buffer = Vec::with_capacity(CHUNK);
    // The last byte announced is the end: asking for more would only wake this task once more.
    while length != Some(tail.bytes()) {
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
        tail.push(&read);
        let whole = events.push(Bytes::from(read));
        buffer = if whole.is_empty() {
            Vec::new()
        } else {
            client.write_all(Vec::from(whole)).await
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
    tail: Tail,
}

impl Watched {
    fn ended(&mut self, end: End) -> Option<Vec<u8>> {
        let watch = self.watch.take()?;
        let seen = Seen {
            head: &[],
            tail: self.tail.last(),
            bytes: self.tail.bytes(),
        };
        watch.ended(seen, end)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.ended(End::ClientLeft);
    }
}

//! A provider's body passed on by the guest, so that somebody learns how it ended.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use lockgate_host::{End, Watch};
use spin_sdk::wasip3::http::types::{ErrorCode, Trailers};
use spin_sdk::wasip3::wit_bindgen::{FutureWriter, StreamReader, StreamResult, StreamWriter};

use super::SpinBody;
use super::fetch::wording;
use super::wait::{Silence, Watchdog};
use crate::plain::tail::Tail;

/// Most that is held between provider and client.
const CHUNK: usize = 16 * 1024;

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
    let mut watchdog = Watchdog::new(body.idle());
    let (mut provider, trailers) = body.open();
    let passed = pass(&mut provider, &mut client, &mut watchdog, &mut watched.tail).await;
    // Before anything else: the provider is to stop where it was not read to its end.
    drop(provider);
    let end = match passed {
        Passed::All => match trailers.await {
            Ok(_) => End::Complete,
            Err(ErrorCode::ConnectionReadTimeout) => End::Idle,
            Err(code) => End::Broken(wording(&code)),
        },
        Passed::Silent => End::Idle,
        Passed::ClientLeft => End::ClientLeft,
    };
    let left = end == End::ClientLeft;
    let whole = end == End::Complete;
    let words = watched.ended(end);
    // A stream whose reader is gone must not be written to again: the host would end the whole instance for it.
    if left {
        return;
    }
    match words {
        Some(words) if !words.is_empty() => {
            // Unwritten ones went nowhere: the client left meanwhile.
            let _unwanted = client.write_all(words).await;
        }
        None if !whole => {
            // Without a word of ours the client must still see that this was not the end.
            drop(client);
            let _client_left = result.write(Err(ErrorCode::HttpResponseIncomplete)).await;
            return;
        }
        _ => {}
    }
    drop(client);
    // Dropped, it says that there are no trailers.
    drop(result);
}

/// How passing on came to its end.
enum Passed {
    All,
    Silent,
    ClientLeft,
}

async fn pass(
    provider: &mut StreamReader<u8>,
    client: &mut StreamWriter<u8>,
    watchdog: &mut Watchdog,
    tail: &mut Tail,
) -> Passed {
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
        let (result, read) = match next(provider, client, watchdog, buffer).await {
            Ok(read) => read,
            Err(passed) => return passed,
        };
        if result == StreamResult::Dropped {
            return Passed::All;
        }
        watchdog.moved();
        tail.push(&read);
        buffer = client.write_all(read).await;
        if !buffer.is_empty() {
            return Passed::ClientLeft;
        }
    }
}

/// Waits for something to read, looking now and then whether the client is still there.
async fn next(
    provider: &mut StreamReader<u8>,
    client: &mut StreamWriter<u8>,
    watchdog: &mut Watchdog,
    buffer: Vec<u8>,
) -> Result<(StreamResult, Vec<u8>), Passed> {
    let mut reading = pin!(provider.read(buffer));
    loop {
        let read = poll_fn(|context| match reading.as_mut().poll(context) {
            Poll::Ready(read) => Poll::Ready(Ok(read)),
            Poll::Pending => watchdog.poll(context).map(Err),
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
        watch.ended(self.tail.last(), self.tail.bytes(), end)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.ended(End::ClientLeft);
    }
}

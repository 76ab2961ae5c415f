//! A provider's body rewritten by the guest on its way to the client.

use lockgate_host::{End, Flow, Transform};
use spin_sdk::wasip3::http::types::{ErrorCode, Trailers};
use spin_sdk::wasip3::wit_bindgen::{FutureWriter, StreamReader, StreamResult, StreamWriter};

use super::SpinBody;
use super::pump::{CHUNK, Passed, next};
use super::wait::Watchdog;

/// Passes to `client` what `transform` makes of `body`. Reading waits for writing, so a slow client slows the provider down.
pub(crate) async fn rewrite(
    body: SpinBody,
    transform: Box<dyn Transform>,
    mut client: StreamWriter<u8>,
    result: FutureWriter<Result<Option<Trailers>, ErrorCode>>,
) {
    let mut told = Told {
        transform,
        ended: false,
    };
    let mut watchdog = Some(Watchdog::new(body.idle()));
    let (mut provider, trailers) = body.open();
    let mut last = Vec::new();
    let passed = pass(
        &mut provider,
        &mut client,
        &mut watchdog,
        &mut *told.transform,
        &mut last,
    )
    .await;
    // Before anything else: the provider is to stop where it was not read to its end.
    drop(provider);
    let end = passed.end(trailers).await;
    let left = end == End::ClientLeft;
    told.ended(end, &mut last);
    // A stream whose reader is gone must not be written to again: the host would end the whole instance for it.
    if left {
        return;
    }
    if !last.is_empty() {
        // Unwritten ones went nowhere: the client left meanwhile.
        let _unwanted = client.write_all(last).await;
    }
    drop(client);
    // Dropped, it says that there are no trailers.
    drop(result);
}

/// What was made of the piece after which the transform had enough stays in `out`.
async fn pass(
    provider: &mut StreamReader<u8>,
    client: &mut StreamWriter<u8>,
    watchdog: &mut Option<Watchdog>,
    transform: &mut dyn Transform,
    out: &mut Vec<u8>,
) -> Passed {
    let mut buffer = Vec::with_capacity(CHUNK);
    loop {
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
        let flow = transform.push(&read, out);
        buffer = read;
        buffer.clear();
        if flow == Flow::Enough {
            return Passed::All;
        }
        if !out.is_empty() {
            // Comes back empty, to be filled again, unless the client has left.
            *out = client.write_all(std::mem::take(out)).await;
            if !out.is_empty() {
                return Passed::ClientLeft;
            }
        }
    }
}

/// Tells the transform exactly once how it ended, also where the host drops this task.
struct Told {
    transform: Box<dyn Transform>,
    ended: bool,
}

impl Told {
    fn ended(&mut self, end: End, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.ended, true) {
            self.transform.ended(end, out);
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.ended(End::ClientLeft, &mut Vec::new());
    }
}

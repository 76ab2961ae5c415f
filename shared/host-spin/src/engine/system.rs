//! Settings, time, randomness and work beside the response.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use lockgate_host::{Background, Clock, Misconfigured, Random, Variables};
use spin_sdk::variables::{self, Error};
use spin_sdk::wasip3;
use spin_sdk::wasip3::clocks::{monotonic_clock, system_clock};
use spin_sdk::wasip3::random::random::get_random_u64;

use super::SpinHost;
use super::wait;

/// Characters that are shown of what a provider of variables said.
const MAX_SAID: usize = 300;

thread_local! {
    /// Settings asked for. They cannot change while an instance lives. (A `HashMap` would ask the host for a seed.)
    static KNOWN: RefCell<BTreeMap<&'static str, Option<String>>> = const { RefCell::new(BTreeMap::new()) };
}

impl Variables for SpinHost {
    async fn variable(&self, name: &'static str) -> Result<Option<String>, Misconfigured> {
        if let Some(known) = KNOWN.with_borrow(|known| known.get(name).cloned()) {
            return Ok(known);
        }
        let value = match variables::get(name.to_ascii_lowercase()).await {
            Ok(value) => Some(value).filter(|value| !value.is_empty()),
            Err(Error::Undefined(_) | Error::InvalidName(_)) => None,
            // A provider of settings that is out of reach now may be back for the next request.
            Err(Error::Provider(said) | Error::Other(said)) => {
                let said: String = said.chars().take(MAX_SAID).collect();
                return Err(Misconfigured {
                    setting: name,
                    problem: format!("Spin's provider of variables does not give it: {said}"),
                });
            }
        };
        KNOWN.with_borrow_mut(|known| known.insert(name, value.clone()));
        Ok(value)
    }
}

impl Clock for SpinHost {
    fn now_ms(&self) -> u64 {
        let now = system_clock::now();
        u64::try_from(now.seconds)
            .unwrap_or(0)
            .saturating_mul(1000)
            .saturating_add(u64::from(now.nanoseconds / 1_000_000))
    }

    fn monotonic_ms(&self) -> u64 {
        monotonic_clock::now() / 1_000_000
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        wait::sleep(duration)
    }
}

impl Random for SpinHost {
    fn random(&self, buffer: &mut [u8]) {
        // Eight at a time: unlike the call for bytes, this one cannot return fewer than asked for.
        for chunk in buffer.chunks_mut(8) {
            for (byte, random) in chunk.iter_mut().zip(get_random_u64().to_ne_bytes()) {
                *byte = random;
            }
        }
    }
}

impl Background for SpinHost {
    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        wasip3::spawn(work);
    }
}

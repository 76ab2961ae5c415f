//! Circuit breaking (FEATURES C3): which endpoints have failed again and again, and which keys their provider wants left
//! alone. A state machine that is told what happens and when; it knows no clock and no I/O.
//!
//! *An endpoint*, that is a provider at an address: after [`FAILURES`] failures with no success between them its circuit is
//! open, for [`OPEN_MS`] at first and twice as long each time it fails again, up to [`MAX_OPEN_MS`]. Then one request
//! probes it while the others still leave it alone; a success closes the circuit.
//!
//! *A key* rests for as long as a 429 asks for ([`MAX_ASKED_MS`] at most), without that for [`REST_MS`] and twice as
//! long each time up to [`MAX_REST_MS`], and for [`EXHAUSTED_MS`] once its account is exhausted. A key that was
//! rejected is not this module's matter: that is a label which the authority keeps.
//!
//! A clock that steps back ends all of it, since nobody knows how long it would last.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, OccupiedEntry};

use lockgate_workspace::plan::Cause;
use lockgate_workspace::snapshot::KeyPointer;

use crate::Failed;

/// Failures in a row that open a circuit.
pub const FAILURES: u32 = 5;
/// How long a circuit is open at first, ms.
pub const OPEN_MS: u64 = 5_000;
/// How long at most, ms.
pub const MAX_OPEN_MS: u64 = 60_000;
/// A request that probes and of which nothing is heard for so long, ms, makes way for another: its client may be gone.
pub const PROBE_MS: u64 = 10_000;
/// How long a key rests at first after a 429 that does not say how long, ms.
pub const REST_MS: u64 = 1_000;
/// How long at most, ms.
pub const MAX_REST_MS: u64 = 30_000;
/// The longest rest that a provider may ask for, ms.
pub const MAX_ASKED_MS: u64 = 10 * 60_000;
/// How long a key rests whose account is exhausted, ms.
pub const EXHAUSTED_MS: u64 = 60_000;
/// Endpoints, and keys, that are remembered of one provider at most.
pub const MAX_REMEMBERED: usize = 1_000;

/// What is remembered of failures.
#[derive(Debug, Default)]
pub struct Circuits {
    /// By the provider's slug, so that a look at another provider's target ends at once.
    providers: HashMap<&'static str, Remembered>,
    /// The latest time that was told.
    latest: u64,
}

#[derive(Debug, Default)]
struct Remembered {
    /// By address.
    endpoints: HashMap<String, Breaker>,
    /// By id.
    keys: HashMap<String, Rest>,
}

/// An endpoint with failures since its last success.
#[derive(Debug)]
struct Breaker {
    failures: u32,
    /// How often in a row the circuit was opened; 0 while it is closed.
    opened: u32,
    until: u64,
    /// Until when another request is taken to be probing.
    probing_until: u64,
    /// Of the last failure.
    cause: Cause,
}

/// A key that was to be left alone since its last success.
#[derive(Debug)]
struct Rest {
    /// Another version of the key is another key.
    version: u64,
    /// How often in a row without a word of how long.
    times: u32,
    until: u64,
    cause: Cause,
}

/// Who is asked.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint<'a> {
    /// The provider's slug.
    pub provider: &'static str,
    /// Its address.
    pub address: &'a str,
}

impl Circuits {
    /// Whether nothing is remembered of a provider.
    #[must_use]
    pub fn is_clear(&self, provider: &str) -> bool {
        !self.providers.contains_key(provider)
    }

    /// A try has failed at `now`.
    pub fn failed(&mut self, to: Endpoint<'_>, key: &KeyPointer, failed: &Failed, now: u64) {
        self.clock(now);
        match failed.cause {
            Some(cause @ (Cause::ServerError | Cause::Timeout)) => {
                let endpoints = &mut self.providers.entry(to.provider).or_default().endpoints;
                if !endpoints.contains_key(to.address) {
                    make_room(endpoints, |breaker| breaker.until <= now);
                }
                let breaker = endpoints.entry(to.address.to_owned());
                breaker.or_insert(Breaker::CLOSED).failed(cause, now);
            }
            Some(cause @ (Cause::RateLimit | Cause::QuotaExhausted)) => {
                if cause == Cause::RateLimit {
                    self.answered(to, now);
                }
                let keys = &mut self.providers.entry(to.provider).or_default().keys;
                if !keys.contains_key(&key.id) {
                    make_room(keys, |rest| rest.until <= now);
                }
                let rest = keys.entry(key.id.clone()).or_insert(Rest::NONE);
                rest.failed(version(key), cause, failed.retry_after_ms, now);
            }
            Some(Cause::KeyRejected) => self.answered(to, now),
            // No provider was asked, or the client is to blame: that says nothing.
            Some(Cause::KeyMissing) | None => {}
        }
    }

    /// The endpoint answers, though not this request: a probe has found that out.
    fn answered(&mut self, to: Endpoint<'_>, now: u64) {
        if let Entry::Occupied(mut known) = self.providers.entry(to.provider) {
            let endpoints = &mut known.get_mut().endpoints;
            if let Some(breaker) = endpoints.get(to.address)
                && breaker.opened > 0
                && breaker.until <= now
            {
                endpoints.remove(to.address);
            }
            forget_empty(known);
        }
    }

    /// A try has worked: its endpoint's circuit is closed. What a provider has asked for stays in force, since the try may
    /// have begun before.
    pub fn worked(&mut self, to: Endpoint<'_>, key: &KeyPointer) {
        let latest = self.latest;
        if let Entry::Occupied(mut known) = self.providers.entry(to.provider) {
            let remembered = known.get_mut();
            remembered.endpoints.remove(to.address);
            if let Some(rest) = remembered.keys.get_mut(&key.id) {
                rest.times = 0;
                if rest.until <= latest {
                    remembered.keys.remove(&key.id);
                }
            }
            forget_empty(known);
        }
    }

    /// Why an endpoint is to be left alone at `now`, if it is. Where it may be probed and the asker `would_probe`, that is,
    /// asks it next, it is not, and until more is heard others leave it alone.
    pub fn open(&mut self, to: Endpoint<'_>, now: u64, would_probe: bool) -> Option<Cause> {
        self.clock(now);
        let remembered = self.providers.get_mut(to.provider)?;
        let breaker = remembered.endpoints.get_mut(to.address)?;
        breaker.open(now, would_probe)
    }

    /// Why a key is to be left alone at `now`, if it is.
    pub fn rests(&mut self, key: &KeyPointer, now: u64) -> Option<Cause> {
        self.clock(now);
        let rest = self
            .providers
            .get(key.provider.as_str())?
            .keys
            .get(&key.id)?;
        (rest.version == version(key) && now < rest.until).then_some(rest.cause)
    }

    fn clock(&mut self, now: u64) {
        if now < self.latest {
            self.providers.clear();
        }
        self.latest = now;
    }
}

fn version(key: &KeyPointer) -> u64 {
    key.sealed.as_ref().map_or(0, |pointer| pointer.version)
}

/// Makes room for one more: what is over goes first, and where nothing is, all of it.
fn make_room<T>(known: &mut HashMap<String, T>, is_over: impl Fn(&T) -> bool) {
    if known.len() >= MAX_REMEMBERED {
        known.retain(|_, one| !is_over(one));
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
    }
}

/// Forgets a provider of which nothing is remembered.
fn forget_empty(known: OccupiedEntry<'_, &'static str, Remembered>) {
    if known.get().endpoints.is_empty() && known.get().keys.is_empty() {
        known.remove();
    }
}

/// `first`, doubled with each of so many `times` after the first, up to `most`.
fn doubled(first: u64, times: u32, most: u64) -> u64 {
    first
        .saturating_mul(1 << times.saturating_sub(1).min(16))
        .min(most)
}

impl Breaker {
    const CLOSED: Self = Self {
        failures: 0,
        opened: 0,
        until: 0,
        probing_until: 0,
        cause: Cause::ServerError,
    };

    fn failed(&mut self, cause: Cause, now: u64) {
        self.cause = cause;
        if self.opened == 0 {
            self.failures += 1;
            if self.failures < FAILURES {
                return;
            }
        } else if now < self.until {
            // It began before the circuit was opened, or nothing else was left to try.
            return;
        }
        self.opened = self.opened.saturating_add(1);
        self.until = now.saturating_add(doubled(OPEN_MS, self.opened, MAX_OPEN_MS));
        self.probing_until = 0;
    }

    fn open(&mut self, now: u64, would_probe: bool) -> Option<Cause> {
        if self.opened == 0 {
            return None;
        }
        let probes = would_probe && self.until <= now && self.probing_until <= now;
        if probes {
            self.probing_until = now.saturating_add(PROBE_MS);
            return None;
        }
        Some(self.cause)
    }
}

impl Rest {
    const NONE: Self = Self {
        version: 0,
        times: 0,
        until: 0,
        cause: Cause::RateLimit,
    };

    fn failed(&mut self, version: u64, cause: Cause, retry_after_ms: Option<u64>, now: u64) {
        if version < self.version {
            // The key was rotated since the request began.
            return;
        }
        if version > self.version {
            *self = Self {
                version,
                ..Self::NONE
            };
        }
        let rest = match (cause, retry_after_ms) {
            (Cause::QuotaExhausted, _) => EXHAUSTED_MS,
            (_, Some(asked)) => asked.min(MAX_ASKED_MS),
            // Requests that were under way together fail together, which is one failure.
            (_, None) if now < self.until => return,
            (_, None) => {
                self.times = self.times.saturating_add(1);
                doubled(REST_MS, self.times, MAX_REST_MS)
            }
        };
        let until = now.saturating_add(rest);
        if until >= self.until {
            self.until = until;
            self.cause = cause;
        }
    }
}

//! Leases: how long an isolate may serve from what it knows, and how long a write waits before it is acknowledged.
//!
//! Pure, so that the simulator in `tests/leases.rs` runs exactly what is served.
//!
//! *Isolate*: a lease counts from **before** the authority was asked, on the isolate's own clock.
//! *Authority*: a write commits, then waits one full lease and a margin for drift, then is acknowledged. Every lease
//! that was granted on the state before the commit was asked for before the commit, so by then it has run out; no
//! record of leases is kept, so a restart forgets nothing, and no clock is compared with another one.
//! *Changing the length*: grants carry the new length at once, writes go on waiting for the longer of the two
//! ([`Lengths::wait_ms`]) until somebody has slept through one whole old wait after the change ([`Lengths::retire`]).

use serde::{Deserialize, Serialize};

/// The longest lease that can be configured, one minute: what a rotation would then wait for.
pub const MAX_LEASE_MS: u64 = 60_000;

/// An isolate's right to serve from a snapshot, on the isolate's own monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    asked_at: u64,
    ends_at: u64,
}

impl Lease {
    /// A lease of `granted_ms` that was asked for at `asked_at`.
    #[must_use]
    pub fn new(asked_at: u64, granted_ms: u64) -> Self {
        Self {
            asked_at,
            ends_at: asked_at.saturating_add(granted_ms),
        }
    }

    /// Whether it may be served under now. A clock that has stepped back ends it.
    #[must_use]
    pub fn holds(&self, now: u64) -> bool {
        self.asked_at <= now && now < self.ends_at
    }

    /// Whether it should be renewed beside the traffic: more than half of it has passed.
    #[must_use]
    pub fn ages(&self, now: u64) -> bool {
        now.saturating_sub(self.asked_at).saturating_mul(2)
            > self.ends_at.saturating_sub(self.asked_at)
    }
}

/// The lease lengths in force, part of the authority's stored state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// What a grant carries.
    pub lease_ms: u64,
    /// What a write waits for, without the margin; never shorter than any lease that may still run.
    pub wait_ms: u64,
    /// Counts the changes.
    pub generation: u64,
}

impl Lengths {
    /// The lengths of a new store.
    #[must_use]
    pub fn new(lease_ms: u64) -> Self {
        Self {
            lease_ms,
            wait_ms: lease_ms,
            generation: 0,
        }
    }

    /// Takes over another length; `None` where it is the one in force.
    #[must_use]
    pub fn adopt(&self, lease_ms: u64) -> Option<Self> {
        (lease_ms != self.lease_ms).then(|| Self {
            lease_ms,
            wait_ms: self.wait_ms.max(lease_ms),
            generation: self.generation.saturating_add(1),
        })
    }

    /// Whether a longer length than the one in force is still being waited out.
    #[must_use]
    pub fn settling(&self) -> bool {
        self.wait_ms > self.lease_ms
    }

    /// Ends the waiting for a longer length. Only for somebody who saw `generation` and has since then slept for
    /// [`Lengths::settle_ms`] of it; `None` where the lengths changed meanwhile.
    #[must_use]
    pub fn retire(&self, generation: u64) -> Option<Self> {
        (generation == self.generation && self.settling()).then_some(Self {
            wait_ms: self.lease_ms,
            ..*self
        })
    }

    /// How long a write waits between commit and acknowledgement: the lease, and 10 % (at least 100 ms) for clocks
    /// that run at different speeds.
    #[must_use]
    pub fn settle_ms(&self) -> u64 {
        match self.wait_ms {
            0 => 0,
            wait => wait.saturating_add((wait / 10).max(100)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_on_time_and_when_the_clock_steps_back() {
        let lease = Lease::new(1_000, 500);
        assert!(lease.holds(1_000) && lease.holds(1_499));
        assert!(!lease.holds(1_500) && !lease.holds(999));
        assert!(!Lease::new(7, 0).holds(7));
        assert!(!lease.ages(1_250) && lease.ages(1_251));
    }

    #[test]
    fn a_shorter_length_is_waited_out_and_retired_once() {
        let long = Lengths::new(10_000);
        let changed = long.adopt(500).unwrap_or(long);
        assert_eq!((changed.lease_ms, changed.wait_ms), (500, 10_000));
        assert_eq!(changed.settle_ms(), 11_000);
        assert_eq!(changed.retire(0), None);
        let settled = changed.retire(changed.generation);
        assert_eq!(settled.map(|l| l.settle_ms()), Some(600));
        assert_eq!(settled.and_then(|l| l.retire(l.generation)), None);
        assert_eq!(long.adopt(10_000), None);
        assert_eq!(Lengths::new(0).settle_ms(), 0);
    }
}

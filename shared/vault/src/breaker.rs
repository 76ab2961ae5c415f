//! When a vault that fails is left alone, so that a dead one does not add its timeout to each request. Pure: times are
//! milliseconds of any clock that does not step.

/// Failures in a row before the vault is left alone.
const PATIENCE: u32 = 3;
/// The first pause.
const FIRST_MS: u64 = 5_000;
/// The longest one.
const LONGEST_MS: u64 = 60_000;

/// What is known of a vault's health.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Breaker {
    failures: u32,
    /// Until when nobody asks.
    until: u64,
    /// Whether somebody is finding out, and until when the others leave it to him.
    probing_until: u64,
}

/// What may be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permit {
    /// Ask, and repeat a call that fails.
    Ask,
    /// Ask once, to find out whether the vault is back.
    Probe,
    /// Do not ask for so many milliseconds.
    Wait(u64),
}

impl Breaker {
    /// Whether the vault may be asked at `now`. A probe is granted to one asker at a time, who has `timeout_ms` for it.
    pub(crate) fn permit(&mut self, now: u64, timeout_ms: u64) -> Permit {
        if self.failures < PATIENCE {
            return Permit::Ask;
        }
        let closed_until = self.until.max(self.probing_until);
        if now < closed_until {
            return Permit::Wait(closed_until - now);
        }
        self.probing_until = now.saturating_add(timeout_ms);
        Permit::Probe
    }

    /// Whether the vault is left alone at `now`.
    #[must_use]
    pub(crate) fn is_open(&self, now: u64) -> bool {
        now < self.until
    }

    /// How many calls have failed in a row.
    #[must_use]
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    /// The vault answered, whatever it said.
    pub(crate) fn answered(&mut self) {
        *self = Self::default();
    }

    /// A call failed: no answer, or one that says that it cannot serve at the moment.
    pub(crate) fn failed(&mut self, now: u64) {
        self.probing_until = 0;
        // Calls that were under way when it opened tell nothing new.
        if now < self.until {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if let Some(opened) = self.failures.checked_sub(PATIENCE) {
            let pause = FIRST_MS.saturating_mul(1 << opened.min(10));
            self.until = now.saturating_add(pause.min(LONGEST_MS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Breaker, Permit};

    #[test]
    fn it_opens_after_failures_in_a_row_and_one_finds_out() {
        let mut breaker = Breaker::default();
        for now in 0..2 {
            breaker.failed(now);
            assert_eq!(breaker.permit(now, 2_000), Permit::Ask);
        }
        breaker.failed(2);
        assert_eq!(breaker.permit(3, 2_000), Permit::Wait(4_999));
        assert_eq!(breaker.permit(5_002, 2_000), Permit::Probe);
        // The others wait for the one who finds out, and take over where he is never heard of again.
        assert_eq!(breaker.permit(5_003, 2_000), Permit::Wait(1_999));
        assert_eq!(breaker.permit(7_002, 2_000), Permit::Probe);
        breaker.failed(7_003);
        assert_eq!(breaker.permit(7_003, 2_000), Permit::Wait(10_000));
        assert_eq!(breaker.permit(17_003, 2_000), Permit::Probe);
        breaker.answered();
        assert_eq!(breaker.permit(17_004, 2_000), Permit::Ask);
        assert_eq!(breaker.failures(), 0);
    }

    #[test]
    fn the_pause_has_an_end() {
        let mut breaker = Breaker::default();
        let mut now = 0;
        for _ in 0..100 {
            breaker.failed(now);
            now += match breaker.permit(now, 0) {
                Permit::Wait(ms) => ms,
                Permit::Ask | Permit::Probe => 0,
            };
        }
        breaker.failed(now);
        assert_eq!(breaker.permit(now, 0), Permit::Wait(60_000));
    }

    #[test]
    fn calls_that_fail_together_count_as_what_opened_it() {
        let mut breaker = Breaker::default();
        for _ in 0..15 {
            breaker.failed(10);
        }
        assert_eq!(breaker.permit(10, 0), Permit::Wait(5_000));
    }
}

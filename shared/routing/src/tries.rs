//! Which target is tried next (FEATURES C2, C3): a state machine over what has happened so far. It knows no clock, no
//! chance and no I/O; it is told.
//!
//! Targets are tried by priority. Inside one priority the split decides who is first ([`Tries::arranged`]), then the others
//! follow. A target that is known to be out of order comes after all others, where the route would leave it anyway
//! after its failure; without another one it is tried all the same. A failure whose cause the route does not name, or
//! that has none, ends it.
//!
//! Every failure uses up a try or takes its target out for good, and every pause comes before a try, so it ends after so
//! many steps whatever happens, and whatever the clock shows.

use std::collections::VecDeque;

use lockgate_workspace::plan::{Cause, KeysTried, Route};

/// The pause before targets are tried again, ms; it doubles with each round, and chance takes up to half of it away.
const PAUSE_MS: u64 = 250;
/// The longest pause that is not asked for by a provider, ms.
const MAX_PAUSE_MS: u64 = 8_000;
/// The longest that a provider may ask for where the route has no deadline, ms. A client is told rather than kept longer.
const MAX_ASKED_MS: u64 = 60_000;

/// What went wrong with a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// Why, as far as another try may help; `None` for a request that no other target should get.
    pub cause: Option<Cause>,
    /// How long the provider asks to be left alone, ms.
    pub retry_after_ms: Option<u64>,
}

impl Failed {
    /// No key could be used.
    pub const UNREADY: Self = Self {
        cause: Some(Cause::KeyMissing),
        retry_after_ms: None,
    };
    /// The key's secret could not be unsealed.
    pub const SEALED: Self = Self {
        cause: Some(Cause::ServerError),
        retry_after_ms: None,
    };
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Say in which order the choices of this step are to be tried ([`Tries::arranged`]).
    Arrange(usize),
    /// Try the choice of this step and place; its provider has so long to begin its answer, ms, where that is limited.
    Try {
        /// The step of the course.
        step: usize,
        /// The place in the step.
        place: usize,
        /// What is left for it.
        within_ms: Option<u64>,
    },
    /// Wait so long, and ask again.
    Pause(u64),
    /// Nothing is left to try: the last failure is what the client gets.
    Stop,
}

/// Where a choice stands: its step, and its place in it.
type Place = (usize, usize);

/// The tries of one request.
#[derive(Debug)]
pub struct Tries {
    on: Vec<Cause>,
    keys: KeysTried,
    attempts: Option<u32>,
    ends_at: Option<u64>,
    /// The latest time that was told.
    now: u64,
    /// How many choices each step has.
    sizes: Vec<usize>,
    /// The next step to be arranged.
    step: usize,
    /// What is to be tried, in this order.
    queue: VecDeque<Place>,
    /// What comes after everything else.
    last: Vec<Place>,
    /// What may be tried once more, with the time before which it is to be left alone.
    tried: Vec<(Place, u64)>,
    made: u32,
    round: u32,
    /// What is to pass before the next try, ms.
    pause: Option<u64>,
    stopped: bool,
}

impl Tries {
    /// The tries that a route allows over steps with so many choices each, from `now` on. Without a route there is one.
    #[must_use]
    pub fn new(route: Option<&Route>, sizes: Vec<usize>, now: u64) -> Self {
        let rules = route.map(|route| &route.fallback);
        Self {
            on: rules.map_or_else(Vec::new, |rules| rules.on.clone()),
            keys: rules.map_or(KeysTried::One, |rules| rules.keys),
            attempts: rules.map_or(Some(1), |rules| rules.attempts.map(|most| most.max(1))),
            ends_at: rules
                .and_then(|rules| rules.deadline_ms)
                .map(|ms| now.saturating_add(ms)),
            now,
            sizes,
            step: 0,
            queue: VecDeque::new(),
            last: Vec::new(),
            tried: Vec::new(),
            made: 0,
            round: 0,
            pause: None,
            stopped: false,
        }
    }

    /// How many tries were made.
    #[must_use]
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Whether the route leaves a target for this.
    #[must_use]
    pub fn leaves_for(&self, cause: Cause) -> bool {
        self.on.contains(&cause)
    }

    /// Whether, after a failure for this cause, another key of the same provider is to be tried: the cause is the key's own
    /// and the route says so.
    #[must_use]
    pub fn takes_other_keys(&self, cause: Cause) -> bool {
        self.keys == KeysTried::All
            && self.leaves_for(cause)
            && matches!(
                cause,
                Cause::RateLimit | Cause::KeyRejected | Cause::QuotaExhausted
            )
    }

    /// A clock that steps back stands still here, so that no deadline and no pause gets longer.
    fn clock(&mut self, now: u64) -> u64 {
        self.now = self.now.max(now);
        self.now
    }

    /// What is next at `now`.
    pub fn next(&mut self, now: u64) -> Next {
        let now = self.clock(now);
        if self.stopped || self.attempts.is_some_and(|most| self.made >= most) {
            return Next::Stop;
        }
        if let Some(pause) = self.pause.take() {
            return Next::Pause(pause);
        }
        let left = self.ends_at.map(|end| end.saturating_sub(now));
        // Whatever came before it took, one try is made: else there would be nothing to tell the client.
        if left == Some(0) && self.made > 0 {
            return Next::Stop;
        }
        if let Some((step, place)) = self.queue.front().copied() {
            return Next::Try {
                step,
                place,
                within_ms: left.map(|left| self.share(left)),
            };
        }
        if self.step < self.sizes.len() {
            return Next::Arrange(self.step);
        }
        Next::Stop
    }

    /// What one try may take of what is left: an equal part for each that may follow, so that a target that says nothing
    /// leaves time for the next; all of it where the route leaves no target for its silence.
    fn share(&self, left: u64) -> u64 {
        let waiting = self.sizes.iter().skip(self.step).sum::<usize>();
        let targets = (self.queue.len() + self.last.len() + waiting) as u64;
        let allowed = self.attempts.map(|most| u64::from(most - self.made));
        let tries = match self.leaves_for(Cause::Timeout) {
            true => allowed.unwrap_or(targets).max(1),
            false => 1,
        };
        (left / tries).max(1)
    }

    /// Puts the choices of the step that was to be arranged into this order; those that are `out` of order, for a cause for
    /// which the route leaves a target, go behind everything else.
    pub fn arranged(
        &mut self,
        order: impl IntoIterator<Item = usize>,
        out: impl Fn(usize) -> Option<Cause>,
    ) {
        let step = self.step;
        for place in order {
            match out(place) {
                Some(cause) if self.leaves_for(cause) => self.last.push((step, place)),
                _ => self.queue.push_back((step, place)),
            }
        }
        self.step += 1;
        self.refill();
    }

    /// Where all steps are through, what was put behind comes.
    fn refill(&mut self) {
        if self.queue.is_empty() && self.step >= self.sizes.len() {
            self.queue.extend(self.last.drain(..));
        }
    }

    /// The provider is about to be asked.
    pub fn sent(&mut self) {
        self.made = self.made.saturating_add(1);
    }

    /// The choice that was to be tried has failed at `now`, and no other key of its provider will be tried. `chance` is a
    /// random number.
    pub fn failed(&mut self, failed: Failed, now: u64, chance: u64) {
        let now = self.clock(now);
        let Some(place) = self.queue.pop_front() else {
            self.stopped = true;
            return;
        };
        if !failed.cause.is_some_and(|cause| self.leaves_for(cause)) {
            self.stopped = true;
            return;
        }
        // What no key can serve will not be served a moment later.
        if failed.cause != Some(Cause::KeyMissing) {
            let again_at = now.saturating_add(failed.retry_after_ms.unwrap_or(0));
            self.tried.push((place, again_at));
        }
        self.refill();
        if self.queue.is_empty() && self.step >= self.sizes.len() {
            self.go_round(now, chance);
        }
    }

    /// Everything was tried: where the route allows further attempts, it begins again after a pause, with what may be asked
    /// again by then. What may not waits for a later round.
    fn go_round(&mut self, now: u64, chance: u64) {
        self.tried.sort_by_key(|(_, again_at)| *again_at);
        let more = self.attempts.is_some_and(|most| self.made < most);
        let Some((_, first)) = self.tried.first().copied().filter(|_| more) else {
            self.stopped = true;
            return;
        };
        let longest = (PAUSE_MS << self.round.min(16)).min(MAX_PAUSE_MS);
        let backoff = longest - chance % (longest / 2 + 1);
        let pause = backoff.max(first.saturating_sub(now));
        let begins = now.saturating_add(pause);
        let too_late = match self.ends_at {
            Some(end) => begins >= end,
            None => pause > MAX_ASKED_MS,
        };
        if too_late {
            self.stopped = true;
            return;
        }
        self.round = self.round.saturating_add(1);
        self.pause = Some(pause);
        let due = self
            .tried
            .partition_point(|(_, again_at)| *again_at <= begins);
        let due = self.tried.drain(..due).map(|(place, _)| place);
        self.queue.extend(due);
    }
}

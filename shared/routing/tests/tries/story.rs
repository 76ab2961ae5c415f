//! Requests whose tries all fail, told from their beginning to their end.

use lockgate_routing::{Failed, Next, Tries};
use lockgate_workspace::plan::{Cause, Fallback, Route};

pub(crate) const CAUSES: [Cause; 6] = [
    Cause::Timeout,
    Cause::RateLimit,
    Cause::ServerError,
    Cause::KeyMissing,
    Cause::KeyRejected,
    Cause::QuotaExhausted,
];

pub(crate) type Place = (usize, usize);

pub(crate) fn route(fallback: Fallback) -> Route {
    Route {
        name: "chat".into(),
        models: Vec::new(),
        task: None,
        allow_providers: None,
        fallback,
        targets: Vec::new(),
    }
}

pub(crate) fn on(causes: &[Cause]) -> Fallback {
    Fallback {
        on: causes.to_vec(),
        ..Fallback::default()
    }
}

pub(crate) fn failed(cause: Cause) -> Failed {
    Failed {
        cause: Some(cause),
        retry_after_ms: None,
    }
}

/// What a try came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) failed: Failed,
    /// What shows on the clock while it lasts.
    pub(crate) took: i64,
    pub(crate) chance: u64,
}

impl Outcome {
    pub(crate) fn of(failed: Failed) -> Self {
        Self {
            failed,
            took: 0,
            chance: 0,
        }
    }
}

/// A try as it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tried {
    pub(crate) place: Place,
    pub(crate) at: u64,
    pub(crate) within: Option<u64>,
}

/// All that happened.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) tries: Vec<Tried>,
    /// With how many tries had been made before each.
    pub(crate) pauses: Vec<(usize, u64)>,
    /// How many steps of the course were arranged.
    pub(crate) arranged: usize,
    /// How often it was asked what is next.
    pub(crate) asked: usize,
}

impl Story {
    pub(crate) fn places(&self) -> Vec<Place> {
        self.tries.iter().map(|tried| tried.place).collect()
    }
}

/// As the data plane goes about it, where no try works. What has no key is not sent.
pub(crate) fn told(
    route: Option<&Route>,
    sizes: &[usize],
    out: impl Fn(Place) -> Option<Cause>,
    mut outcome: impl FnMut(usize, Place) -> Outcome,
) -> Story {
    let mut now = 1_000_000_u64;
    let mut story = Story::default();
    let mut tries = Tries::new(route, sizes.to_vec(), now);
    loop {
        story.asked += 1;
        assert!(story.asked < 10_000, "it does not end: {story:?}");
        match tries.next(now) {
            Next::Arrange(step) => {
                story.arranged += 1;
                tries.arranged(0..sizes[step], |place| out((step, place)));
            }
            Next::Try {
                step,
                place,
                within_ms,
            } => {
                let place = (step, place);
                let Outcome {
                    failed,
                    took,
                    chance,
                } = outcome(story.tries.len(), place);
                story.tries.push(Tried {
                    place,
                    at: now,
                    within: within_ms,
                });
                if failed.cause != Some(Cause::KeyMissing) {
                    tries.sent();
                }
                now = now.saturating_add_signed(took);
                tries.failed(failed, now, chance);
            }
            Next::Pause(ms) => {
                assert!(ms > 0);
                story.pauses.push((story.tries.len(), ms));
                now += ms;
            }
            Next::Stop => return story,
        }
    }
}

pub(crate) fn always(route: &Route, sizes: &[usize], cause: Cause) -> Story {
    told(
        Some(route),
        sizes,
        |_| None,
        |_, _| Outcome::of(failed(cause)),
    )
}

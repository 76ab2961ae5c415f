//! Which of an isolate's requests asks a managed vault for a secret, while the others that want it look on; and how it
//! fared, so that those who come next hear it at once instead of asking for the same. Pure: times are milliseconds of a
//! clock that does not step.
//!
//! Nobody waits on another's work: a Worker must not await what belongs to another request, and a request whose client has
//! left may never come to an end there. So whoever asks has so much time; then somebody else takes over.

use std::collections::HashMap;

use crate::UnsealError;
use crate::snapshot::SealedPointer;

/// How long a failure is told instead of asking again.
const TOLD_MS: u64 = 2_000;
/// How many secrets are watched at once.
const MAX_WATCHED: usize = 10_000;

/// What is known of asking for one key's secret.
struct Seat {
    pointer: SealedPointer,
    state: State,
}

enum State {
    /// Since then somebody is asking, told from others by a number.
    Asking(u64, u64),
    /// Until then this is what there is to say.
    Failed(u64, UnsealError),
}

/// The requests that ask, by provider key.
#[derive(Default)]
pub(crate) struct Desk {
    seats: HashMap<String, Seat>,
    drawn: u64,
}

/// What a request is to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Part {
    /// Ask, and say how it ended under this number.
    Ask(u64),
    /// Look again in a moment.
    Look,
    /// Nothing: it has just failed.
    Told(UnsealError),
}

impl Desk {
    /// What a request that wants this secret does. Who asks has `patience` ms for it.
    pub(crate) fn part(
        &mut self,
        key: &str,
        pointer: &SealedPointer,
        now: u64,
        patience: u64,
    ) -> Part {
        if let Some(seat) = self.seats.get(key).filter(|seat| seat.pointer == *pointer) {
            match &seat.state {
                State::Asking(since, _) if now.saturating_sub(*since) < patience => {
                    return Part::Look;
                }
                State::Failed(until, error) if now < *until => return Part::Told(error.clone()),
                State::Asking(..) | State::Failed(..) => {}
            }
        }
        if self.seats.len() >= MAX_WATCHED {
            self.seats.clear();
        }
        self.drawn += 1;
        let seat = Seat {
            pointer: pointer.clone(),
            state: State::Asking(now, self.drawn),
        };
        self.seats.insert(key.to_owned(), seat);
        Part::Ask(self.drawn)
    }

    /// Whoever asked under this number has come to an end: with a failure that would be everybody's, or otherwise.
    pub(crate) fn ended(&mut self, key: &str, number: u64, failure: Option<UnsealError>, now: u64) {
        let Some(seat) = self.seats.get_mut(key) else {
            return;
        };
        if !matches!(seat.state, State::Asking(_, drawn) if drawn == number) {
            return;
        }
        match failure {
            Some(error) => seat.state = State::Failed(now.saturating_add(TOLD_MS), error),
            None => {
                self.seats.remove(key);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::{Desk, Part, TOLD_MS};
    use crate::UnsealError;
    use crate::snapshot::SealedPointer;

    fn pointer(kek: &str) -> SealedPointer {
        SealedPointer {
            version: 1,
            entry: "e".into(),
            wrapped: "w".into(),
            kek: kek.into(),
        }
    }

    fn asks(part: Part) -> u64 {
        match part {
            Part::Ask(number) => number,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_asks_and_the_others_look() {
        let mut desk = Desk::default();
        let at = pointer("aws-kms:a");
        let number = asks(desk.part("pk", &at, 0, 100));
        assert_eq!(desk.part("pk", &at, 99, 100), Part::Look);
        asks(desk.part("other", &at, 99, 100));
        desk.ended("pk", number, None, 99);
        asks(desk.part("pk", &at, 99, 100));
    }

    #[test]
    fn who_is_not_heard_of_again_is_followed_by_another() {
        let mut desk = Desk::default();
        let at = pointer("aws-kms:a");
        let first = asks(desk.part("pk", &at, 0, 100));
        let second = asks(desk.part("pk", &at, 100, 100));
        // The first comes to an end after all: it speaks for nobody any more.
        desk.ended("pk", first, None, 101);
        assert_eq!(desk.part("pk", &at, 101, 100), Part::Look);
        desk.ended("pk", second, Some(UnsealError::Moved), 102);
        assert_eq!(
            desk.part("pk", &at, 103, 100),
            Part::Told(UnsealError::Moved)
        );
    }

    #[test]
    fn a_failure_is_told_for_a_moment_and_of_this_place_only() {
        let mut desk = Desk::default();
        let at = pointer("aws-kms:a");
        let number = asks(desk.part("pk", &at, 0, 100));
        desk.ended("pk", number, Some(UnsealError::Moved), 10);
        let told = Part::Told(UnsealError::Moved);
        assert_eq!(desk.part("pk", &at, 9 + TOLD_MS, 100), told);
        asks(desk.part("pk", &pointer("aws-kms:b"), 11, 100));
        let number = asks(desk.part("pk", &at, 11, 100));
        desk.ended("pk", number, Some(UnsealError::Moved), 12);
        asks(desk.part("pk", &at, 12 + TOLD_MS, 100));
    }
}

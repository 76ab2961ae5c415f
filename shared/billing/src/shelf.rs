//! Facts about objects of one type, kept so that the order in which they are told does not matter.
//!
//! Of each object one fact is kept: the one with the greatest [`Stamp`]. Stamps are totally ordered and come from the
//! event alone, so telling facts is taking a maximum, which is commutative, associative and idempotent. A shelf holds a
//! bounded number of objects: the youngest, by the object's own `created` and its id. Those never change, so an object
//! that had to go stays gone, whatever is told later, and the bound too is indifferent to order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Something that is told about an object.
pub(crate) trait Fact {
    /// The object's id.
    fn id(&self) -> &str;

    /// When the object was made. The same in all facts about it.
    fn born(&self) -> i64;

    /// Whether nothing can follow this state. Such a fact outweighs every other, however late that one is stamped.
    fn is_last_word(&self) -> bool {
        false
    }

    /// Which of two facts of the same second is the later one, as far as the object's state tells.
    fn rank(&self) -> (u8, i64) {
        (0, 0)
    }
}

/// Who told a fact. Within a second, later variants know better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    /// The event that the object was made, before which there is none.
    Birth,
    /// Another event.
    Event,
    /// An answer of Stripe's API.
    Answer,
}

/// The place of a fact among those about the same object; the order of the members is the order of what decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Stamp {
    last_word: bool,
    at: i64,
    source: Source,
    rank: (u8, i64),
    /// The event's id, which decides between events that nothing else tells apart.
    event: String,
}

impl Stamp {
    /// What of the stamp says when it was told, without what was guessed from the state.
    fn moment(&self) -> (bool, i64, Source) {
        (self.last_word, self.at, self.source)
    }
}

/// A fact and who told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Told<T> {
    stamp: Stamp,
    /// Whether another event of the same second said something about the object, so that the state had to decide.
    contested: bool,
    fact: T,
}

/// The facts about at most `MOST` objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Shelf<T, const MOST: usize>(BTreeMap<String, Told<T>>);

impl<T, const MOST: usize> Default for Shelf<T, MOST> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Fact + Clone, const MOST: usize> Shelf<T, MOST> {
    /// Tells `fact`, as `event` said it at that second; whether the shelf is another one now.
    pub(crate) fn tell(&mut self, at: i64, source: Source, event: &str, fact: &T) -> bool {
        let stamp = Stamp {
            last_word: fact.is_last_word(),
            at,
            source,
            rank: fact.rank(),
            event: event.to_owned(),
        };
        let Some(known) = self.0.get_mut(fact.id()) else {
            return self.put(stamp, fact);
        };
        let same_moment = stamp.moment() == known.stamp.moment();
        let contests = same_moment
            && stamp.source == Source::Event
            && !stamp.last_word
            && stamp.event != known.stamp.event;
        let contested = contests || (known.contested && stamp.moment() <= known.stamp.moment());
        if stamp > known.stamp {
            *known = Told {
                stamp,
                contested,
                fact: fact.clone(),
            };
            return true;
        }
        let changed = known.contested != contested;
        known.contested = contested;
        changed
    }

    fn put(&mut self, stamp: Stamp, fact: &T) -> bool {
        let told = Told {
            stamp,
            contested: false,
            fact: fact.clone(),
        };
        self.0.insert(fact.id().to_owned(), told);
        if self.0.len() <= MOST {
            return true;
        }
        let oldest = self
            .0
            .values()
            .map(|told| (told.fact.born(), told.fact.id()))
            .min()
            .map(|(_, id)| id.to_owned());
        match oldest {
            Some(id) => {
                self.0.remove(&id);
                id != fact.id()
            }
            None => true,
        }
    }

    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.0.get(id).map(|told| &told.fact)
    }

    /// The facts, youngest object first.
    pub(crate) fn youngest_first(&self) -> Vec<&T> {
        let mut facts: Vec<&T> = self.0.values().map(|told| &told.fact).collect();
        facts.sort_by(|a, b| (b.born(), b.id()).cmp(&(a.born(), a.id())));
        facts
    }

    /// Each fact with the second it was told of.
    pub(crate) fn with_time(&self) -> impl Iterator<Item = (&T, i64)> {
        self.0.values().map(|told| (&told.fact, told.stamp.at))
    }

    /// Whether events of one second told different things about the object.
    pub(crate) fn is_contested(&self, id: &str) -> bool {
        self.0.get(id).is_some_and(|told| told.contested)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Thing {
        id: String,
        state: u8,
    }

    impl Fact for Thing {
        fn id(&self) -> &str {
            &self.id
        }

        /// Never changes, and is the same for several.
        fn born(&self) -> i64 {
            self.id.bytes().map(i64::from).sum::<i64>() % 3
        }

        fn is_last_word(&self) -> bool {
            self.state == 9
        }

        fn rank(&self) -> (u8, i64) {
            (self.state / 3, 0)
        }
    }

    /// What is told about one of seven things in one of four seconds. The number is the event's id, as each event says
    /// one thing.
    fn facts() -> impl Strategy<Value = Vec<(i64, Source, String, Thing)>> {
        let source = prop_oneof![
            Just(Source::Birth),
            Just(Source::Event),
            Just(Source::Answer)
        ];
        proptest::collection::vec((0..4i64, source, 0..7u8, 0..10u8), 1..40).prop_map(|all| {
            all.into_iter()
                .enumerate()
                .map(|(number, (at, source, id, state))| {
                    let id = char::from(b'a' + id).to_string();
                    (
                        at,
                        source,
                        format!("{:03}", number * 37 % 101),
                        Thing { id, state },
                    )
                })
                .collect()
        })
    }

    fn fold<'a>(
        facts: impl IntoIterator<Item = &'a (i64, Source, String, Thing)>,
    ) -> Shelf<Thing, 4> {
        let mut shelf = Shelf::default();
        for (at, source, event, thing) in facts {
            shelf.tell(*at, *source, event, thing);
        }
        shelf
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn neither_order_nor_repetition_matter_also_where_it_is_full(
            (facts, shuffled) in facts().prop_flat_map(|facts| {
                let twice = [facts.clone(), facts.clone()].concat();
                (Just(facts), Just(twice).prop_shuffle())
            }),
        ) {
            let (once, again) = (fold(&facts), fold(&shuffled));
            prop_assert_eq!(&once, &again);
            prop_assert!(once.0.len() <= 4);
            let mut kept: Vec<_> = facts.iter().map(|(_, _, _, thing)| (thing.born(), thing.id())).collect();
            kept.sort_unstable();
            kept.dedup();
            kept.reverse();
            kept.truncate(4);
            let has: Vec<_> = once.youngest_first().into_iter().map(|thing| (thing.born(), thing.id())).collect();
            prop_assert_eq!(has, kept);
        }

        #[test]
        fn telling_says_whether_anything_is_different(facts in facts()) {
            let mut shelf: Shelf<Thing, 4> = Shelf::default();
            for (at, source, event, thing) in &facts {
                let before = shelf.clone();
                let changed = shelf.tell(*at, *source, event, thing);
                prop_assert_eq!(changed, before != shelf);
            }
        }
    }
}

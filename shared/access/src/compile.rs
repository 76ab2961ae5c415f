//! For which provider keys a statement is in force, conditions on the model aside. What several statements look at is
//! looked at once.

use std::collections::BTreeMap;

use crate::hold::{Scene, Truth, any, shared};
use crate::resource::covers;
use crate::{Bearer, Circumstances, Condition, KeyFacts, Statement, Test, USE_PROVIDER_KEY};

/// A set of keys, by their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySet(Vec<u64>);

impl KeySet {
    /// The empty set, with room for so many keys.
    pub(crate) fn none(keys: usize) -> Self {
        Self(vec![0; keys.div_ceil(64)])
    }

    fn insert(&mut self, key: usize) {
        if let Some(word) = self.0.get_mut(key / 64) {
            *word |= 1 << (key % 64);
        }
    }

    pub(crate) fn contains(&self, key: usize) -> bool {
        self.0
            .get(key / 64)
            .is_some_and(|word| word & 1 << (key % 64) != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.combine(other, |ours, theirs| ours | theirs);
    }

    pub(crate) fn remove(&mut self, other: &Self) {
        self.combine(other, |ours, theirs| ours & !theirs);
    }

    fn keep(&mut self, other: &Self) {
        self.combine(other, |ours, theirs| ours & theirs);
    }

    fn combine(&mut self, other: &Self, combine: impl Fn(u64, u64) -> u64) {
        for (ours, theirs) in self.0.iter_mut().zip(&other.0) {
            *ours = combine(*ours, *theirs);
        }
    }
}

/// The keys by each value that a tag has on them.
type Column<'a> = BTreeMap<&'a str, KeySet>;

/// Settles statements for the keys of a workspace.
pub(crate) struct Compiler<'a> {
    scene: Scene<'a>,
    keys: &'a [KeyFacts<'a>],
    resources: BTreeMap<&'a str, KeySet>,
    columns: BTreeMap<&'a str, Column<'a>>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(circumstances: &Circumstances<'a>, keys: &'a [KeyFacts<'a>]) -> Self {
        Self {
            scene: Scene {
                circumstances: *circumstances,
                model: None,
                key: None,
            },
            keys,
            resources: BTreeMap::new(),
            columns: BTreeMap::new(),
        }
    }

    /// The keys that `statement` covers and for which its conditions on tags hold.
    pub(crate) fn settle(&mut self, statement: &'a Statement) -> KeySet {
        let mut settled = KeySet::none(self.keys.len());
        // Without a key and a model, only what is about neither is known.
        let never = |condition| self.scene.holds(condition) == Truth::No;
        if !any(&statement.actions, USE_PROVIDER_KEY) || statement.conditions.iter().any(never) {
            return settled;
        }
        for pattern in &statement.resources {
            settled.add(self.covered(pattern));
        }
        for condition in &statement.conditions {
            if !settled.is_empty() {
                self.restrict(&mut settled, condition);
            }
        }
        settled
    }

    fn covered(&mut self, pattern: &'a str) -> &KeySet {
        self.resources.entry(pattern).or_insert_with(|| {
            let mut covered = KeySet::none(self.keys.len());
            for (at, key) in self.keys.iter().enumerate() {
                if covers(pattern, key) {
                    covered.insert(at);
                }
            }
            covered
        })
    }

    /// Leaves in `settled` the keys for which `condition` holds, or may.
    fn restrict(&mut self, settled: &mut KeySet, condition: &'a Condition) {
        let mut fitting = settled.clone();
        match &condition.test {
            Test::TagEquals(Bearer::ProviderKey, tags) => {
                for (key, wanted) in tags {
                    self.narrow(&mut fitting, key, |value| value == wanted);
                }
            }
            Test::TagIn(Bearer::ProviderKey, tags) => {
                for (key, wanted) in tags {
                    self.narrow(&mut fitting, key, |value| {
                        wanted.iter().any(|one| one == value)
                    });
                }
            }
            Test::TagLike(Bearer::ProviderKey, tags) => {
                for (key, globs) in tags {
                    self.narrow(&mut fitting, key, |value| any(globs, value));
                }
            }
            Test::TagsMatch(keys) => {
                for key in keys {
                    let wanted = shared(&self.scene.circumstances, key);
                    self.narrow(&mut fitting, key, |value| Some(value) == wanted);
                }
            }
            // What is of the request holds, or `settle` would not have come here; what is of the model is asked later.
            Test::TagEquals(..)
            | Test::TagIn(..)
            | Test::TagLike(..)
            | Test::ModelIn(_)
            | Test::ModelLike(_) => return,
        }
        if condition.negated {
            settled.remove(&fitting);
        } else {
            settled.keep(&fitting);
        }
    }

    /// Leaves in `keys` those with a tag `key` whose value `fits`.
    fn narrow(&mut self, keys: &mut KeySet, key: &'a str, fits: impl Fn(&str) -> bool) {
        let column = self.columns.entry(key).or_insert_with(|| {
            let mut column = Column::new();
            for (at, facts) in self.keys.iter().enumerate() {
                if let Some(value) = facts.tags.get(key) {
                    column
                        .entry(value)
                        .or_insert_with(|| KeySet::none(self.keys.len()))
                        .insert(at);
                }
            }
            column
        });
        let mut fitting = KeySet::none(self.keys.len());
        for (value, with) in column {
            if fits(value) {
                fitting.add(with);
            }
        }
        keys.keep(&fitting);
    }
}

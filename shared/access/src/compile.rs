//! For which provider keys a statement is in force, conditions on the model aside. What several statements look at is
//! looked at once.

use std::collections::BTreeMap;
use std::iter;

use crate::hold::{Scene, Truth, Wanted, about_model, any, shared, wanted};
use crate::resource::Reach;
use crate::{Circumstances, Condition, KeyFacts, Statement, USE_PROVIDER_KEY};

/// A set of keys, by their places. Few workspaces have more keys than fit in the first word.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeySet {
    first: u64,
    more: Vec<u64>,
}

impl KeySet {
    /// The empty set, with room for so many keys.
    pub(crate) fn none(keys: usize) -> Self {
        Self {
            first: 0,
            more: vec![0; keys.div_ceil(64).saturating_sub(1)],
        }
    }

    pub(crate) fn insert(&mut self, key: usize) {
        if let Some(word) = self.words_mut().nth(key / 64) {
            *word |= 1 << (key % 64);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words().all(|word| word == 0)
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

    /// The places of the keys in it.
    pub(crate) fn keys(&self) -> impl Iterator<Item = usize> {
        self.words()
            .enumerate()
            .flat_map(|(at, word)| bits(word).map(move |bit| at * 64 + bit))
    }

    fn combine(&mut self, other: &Self, combine: impl Fn(u64, u64) -> u64) {
        for (ours, theirs) in self.words_mut().zip(other.words()) {
            *ours = combine(*ours, theirs);
        }
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        iter::once(self.first).chain(self.more.iter().copied())
    }

    fn words_mut(&mut self) -> impl Iterator<Item = &mut u64> {
        iter::once(&mut self.first).chain(&mut self.more)
    }
}

/// The places of the bits that are set.
pub(crate) fn bits(word: u64) -> impl Iterator<Item = usize> {
    let next = |rest: &u64| Some(rest & (rest - 1)).filter(|rest| *rest != 0);
    iter::successors(Some(word).filter(|word| *word != 0), next)
        .map(|rest| rest.trailing_zeros() as usize)
}

/// The keys by each value that a tag has on them.
type Column<'a> = BTreeMap<&'a str, KeySet>;

/// Settles statements for the keys of a workspace.
pub(crate) struct Compiler<'a> {
    scene: Scene<'a>,
    keys: &'a [KeyFacts<'a>],
    /// The places of the keys of each provider.
    providers: BTreeMap<&'a str, Vec<usize>>,
    all: KeySet,
    resources: BTreeMap<&'a str, KeySet>,
    conditions: BTreeMap<&'a Condition, KeySet>,
    columns: BTreeMap<&'a str, Column<'a>>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(circumstances: &Circumstances<'a>, keys: &'a [KeyFacts<'a>]) -> Self {
        let mut providers: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut all = KeySet::none(keys.len());
        for (at, key) in keys.iter().enumerate() {
            all.insert(at);
            providers.entry(key.provider).or_default().push(at);
        }
        Self {
            scene: Scene {
                circumstances: *circumstances,
                model: None,
                key: None,
            },
            keys,
            providers,
            all,
            resources: BTreeMap::new(),
            conditions: BTreeMap::new(),
            columns: BTreeMap::new(),
        }
    }

    /// The keys that `statement` covers and for which its conditions on tags hold.
    pub(crate) fn settle(&mut self, statement: &'a Statement) -> KeySet {
        let mut settled = KeySet::none(self.keys.len());
        if !any(&statement.actions, USE_PROVIDER_KEY) {
            return settled;
        }
        for pattern in &statement.resources {
            settled.add(self.covered(pattern));
        }
        for condition in &statement.conditions {
            if about_model(&condition.test) || settled.is_empty() {
                continue;
            }
            if let Some(fitting) = self.conditions.get(condition) {
                settled.keep(fitting);
            } else {
                let fitting = self.fitting(condition);
                settled.keep(&fitting);
                self.conditions.insert(condition, fitting);
            }
        }
        settled
    }

    fn covered(&mut self, pattern: &'a str) -> &KeySet {
        self.resources.entry(pattern).or_insert_with(|| {
            let mut covered = KeySet::none(self.keys.len());
            for (provider, places) in &self.providers {
                let reach = Reach::new(pattern, provider);
                let covers = |at: &&usize| self.keys.get(**at).is_some_and(|key| reach.covers(key));
                for at in places.iter().filter(covers) {
                    covered.insert(*at);
                }
            }
            covered
        })
    }

    /// The keys for which a condition on tags holds.
    fn fitting(&mut self, condition: &'a Condition) -> KeySet {
        let none = KeySet::none(self.keys.len());
        match self.scene.holds(condition) {
            Truth::Yes => return self.all.clone(),
            Truth::No => return none,
            // The scene has no key, so it depends on that.
            Truth::Unknown => {}
        }
        let mut fitting = self.all.clone();
        for (key, wanted) in wanted(&condition.test) {
            match wanted {
                Wanted::Same => {
                    let same = shared(&self.scene.circumstances, key);
                    self.narrow(&mut fitting, key, |value| Some(value) == same);
                }
                Wanted::Value(_, values) => {
                    self.narrow(&mut fitting, key, |value| values.fit(value))
                }
            }
        }
        if condition.negated {
            let mut rest = self.all.clone();
            rest.remove(&fitting);
            rest
        } else {
            fitting
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

//! Which provider keys a resource pattern covers.
//!
//! A pattern with a slash is a glob over `<provider>/<key name>` and `<provider>/<key id>`; one without is a glob over the
//! provider's slug and the key's id.

use lockgate_glob::glob;

use crate::KeyFacts;

/// With this begins the id of every provider key.
const ID_PREFIX: &str = "pk_";

/// What is left of a pattern once the provider is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reach<'p> {
    /// It covers every key.
    all: bool,
    /// A glob over ids.
    id: Option<&'p str>,
    /// Globs over names and ids.
    either: [Option<&'p str>; 2],
}

impl<'p> Reach<'p> {
    /// What `pattern` says of the keys of `provider`.
    pub(crate) fn new(pattern: &'p str, provider: &str) -> Self {
        if !pattern.contains('/') {
            return Self {
                all: glob(pattern, provider),
                id: Some(pattern),
                either: [None; 2],
            };
        }
        // The slash after the provider is either the first of the pattern, as a slug has none, or is taken by a star
        // before it, which then stands on both sides. Of those stars the last says it all: what an earlier one lets
        // follow, it lets follow too.
        let (before, after) = pattern.split_once('/').unwrap_or((pattern, ""));
        let star = before
            .rmatch_indices('*')
            .filter_map(|(at, _)| Some((pattern.get(..=at)?, pattern.get(at..)?)))
            .find(|(before, _)| glob(before, provider));
        Self {
            all: false,
            id: None,
            either: [
                glob(before, provider).then_some(after),
                star.map(|(_, after)| after),
            ],
        }
    }

    /// Whether it covers `key`, which is one of the provider's.
    pub(crate) fn covers(&self, key: &KeyFacts<'_>) -> bool {
        self.all
            || self.id.is_some_and(|pattern| glob(pattern, key.id))
            || self
                .globs()
                .any(|pattern| glob(pattern, key.name) || glob(pattern, key.id))
    }

    /// Whether it can cover a key that the provider does not have yet. Nobody can have written down the id of such a key,
    /// but the beginning of it.
    pub(crate) fn may_cover(&self) -> bool {
        let begins = |pattern: &str| {
            pattern
                .split_once('*')
                .is_some_and(|(head, _)| head.starts_with(ID_PREFIX) || ID_PREFIX.starts_with(head))
        };
        self.all || self.id.is_some_and(begins) || self.globs().any(|pattern| !pattern.is_empty())
    }

    /// Whether it covers every key that the provider can ever have. As names are free, it can do so only by a star at its
    /// end that takes the whole name, or all of the id but its beginning.
    pub(crate) fn covers_all(&self) -> bool {
        let takes = |pattern: &str, start| pattern.ends_with('*') && glob(pattern, start);
        self.all
            || self.id.is_some_and(|pattern| takes(pattern, ID_PREFIX))
            || self
                .globs()
                .any(|pattern| takes(pattern, "") || takes(pattern, ID_PREFIX))
    }

    fn globs(&self) -> impl Iterator<Item = &'p str> {
        self.either.into_iter().flatten()
    }
}

//! Whether conditions hold, in three values: what is not known yet is neither true nor false.

use std::collections::BTreeMap;
use std::ops::Not;

use lockgate_glob::glob;

use crate::{Bearer, Circumstances, Condition, Tags, Test};

/// Whether something holds. In this order, so that of several conditions the least one counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    /// It does not.
    No,
    /// It depends on what is not known.
    Unknown,
    /// It does.
    Yes,
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }
}

/// The tags of what is not in play.
pub(crate) static NO_TAGS: Tags = BTreeMap::new();

/// What conditions are asked of.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    /// Whose request it is.
    pub(crate) circumstances: Circumstances<'a>,
    /// The model it names.
    pub(crate) model: Option<&'a str>,
    /// The provider key's tags, where there is a key.
    pub(crate) key: Option<&'a Tags>,
}

impl<'a> Scene<'a> {
    /// The tags of `bearer`, if they are known.
    pub(crate) fn tags(&self, bearer: Bearer) -> Option<&'a Tags> {
        match bearer {
            Bearer::ProviderKey => self.key,
            Bearer::Agent => Some(self.circumstances.agent),
            Bearer::Gateway => Some(self.circumstances.gateway.unwrap_or(&NO_TAGS)),
            Bearer::Configuration => Some(self.circumstances.configuration.unwrap_or(&NO_TAGS)),
        }
    }

    /// Whether a condition holds.
    pub(crate) fn holds(&self, condition: &Condition) -> Truth {
        let holds = self.passes(&condition.test);
        if condition.negated { !holds } else { holds }
    }

    fn passes(&self, test: &Test) -> Truth {
        match test {
            Test::ModelIn(models) => self.names(|model| models.iter().any(|one| one == model)),
            Test::ModelLike(globs) => self.names(|model| any(globs, model)),
            _ => wanted(test)
                .map(|(key, wanted)| self.tag(key, &wanted))
                .min()
                .unwrap_or(Truth::Yes),
        }
    }

    fn names(&self, fits: impl Fn(&str) -> bool) -> Truth {
        self.model
            .map_or(Truth::Unknown, |model| Truth::from(fits(model)))
    }

    /// Whether the tag `key` is as `wanted`.
    pub(crate) fn tag(&self, key: &str, wanted: &Wanted<'_>) -> Truth {
        let (bearer, fits): (_, &dyn Fn(&str) -> bool) = match wanted {
            Wanted::Value(bearer, values) => (*bearer, &|value| values.fit(value)),
            Wanted::Same => match shared(&self.circumstances, key) {
                Some(same) => (Bearer::ProviderKey, &move |value| value == same),
                None => return Truth::No,
            },
        };
        self.tags(bearer).map_or(Truth::Unknown, |tags| {
            Truth::from(tags.get(key).is_some_and(|value| fits(value)))
        })
    }
}

/// What a test wants of one tag.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// Such a value on a bearer.
    Value(Bearer, Values<'a>),
    /// The same on the provider key, the agent, and the gateway and configuration in play.
    Same,
}

/// Values of a tag.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Values<'a> {
    /// This one.
    One(&'a str),
    /// One of these.
    In(&'a [String]),
    /// Those that one of these globs matches.
    Like(&'a [String]),
}

impl Values<'_> {
    pub(crate) fn fit(&self, value: &str) -> bool {
        match self {
            Self::One(one) => value == *one,
            Self::In(values) => values.iter().any(|one| one == value),
            Self::Like(globs) => any(globs, value),
        }
    }
}

/// The tags that a test looks at, and what it wants of each. All of them have to be so.
pub(crate) fn wanted(test: &Test) -> impl Iterator<Item = (&str, Wanted<'_>)> {
    let (equals, lists, same) = match test {
        Test::TagEquals(bearer, tags) => (Some((bearer, tags)), None, None),
        Test::TagIn(bearer, tags) => (None, Some((bearer, tags, false)), None),
        Test::TagLike(bearer, tags) => (None, Some((bearer, tags, true)), None),
        Test::TagsMatch(keys) => (None, None, Some(keys)),
        Test::ModelIn(_) | Test::ModelLike(_) => (None, None, None),
    };
    let equals = equals.into_iter().flat_map(|(bearer, tags)| {
        tags.iter()
            .map(|(key, value)| (key.as_str(), Wanted::Value(*bearer, Values::One(value))))
    });
    let lists = lists.into_iter().flat_map(|(bearer, tags, like)| {
        let values: fn(&[String]) -> Values<'_> = if like {
            |globs| Values::Like(globs)
        } else {
            |list| Values::In(list)
        };
        tags.iter()
            .map(move |(key, list)| (key.as_str(), Wanted::Value(*bearer, values(list))))
    });
    let same = same
        .into_iter()
        .flatten()
        .map(|key| (key.as_str(), Wanted::Same));
    equals.chain(lists).chain(same)
}

/// The value of the tag `key` if it is the same on the agent and on the gateway and configuration in play.
pub(crate) fn shared<'a>(circumstances: &Circumstances<'a>, key: &str) -> Option<&'a str> {
    let value = circumstances.agent.get(key)?;
    [circumstances.gateway, circumstances.configuration]
        .into_iter()
        .flatten()
        .all(|tags| tags.get(key) == Some(value))
        .then_some(value)
}

/// Whether one of `globs` matches `text`.
pub(crate) fn any(globs: &[String], text: &str) -> bool {
    globs.iter().any(|pattern| glob(pattern, text))
}

/// Whether a test looks at the model, and not at tags.
pub(crate) fn about_model(test: &Test) -> bool {
    matches!(test, Test::ModelIn(_) | Test::ModelLike(_))
}

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
            Test::TagEquals(bearer, tags) => {
                self.each(*bearer, tags, |value, wanted| value == wanted)
            }
            Test::TagIn(bearer, tags) => {
                self.each(*bearer, tags, |value, wanted| wanted.contains(value))
            }
            Test::TagLike(bearer, tags) => {
                self.each(*bearer, tags, |value, wanted| any(wanted, value))
            }
            Test::TagsMatch(keys) => keys
                .iter()
                .map(|key| self.matches(key))
                .min()
                .unwrap_or(Truth::Yes),
            Test::ModelIn(models) => self.names(|model| models.iter().any(|one| one == model)),
            Test::ModelLike(globs) => self.names(|model| any(globs, model)),
        }
    }

    fn each<W>(
        &self,
        bearer: Bearer,
        wanted: &BTreeMap<String, W>,
        fits: impl Fn(&String, &W) -> bool,
    ) -> Truth {
        self.tags(bearer).map_or(Truth::Unknown, |tags| {
            Truth::from(
                wanted
                    .iter()
                    .all(|(key, wanted)| tags.get(key).is_some_and(|value| fits(value, wanted))),
            )
        })
    }

    /// Whether the tag `key` is there and equal on everything in play.
    fn matches(&self, key: &str) -> Truth {
        let Some(value) = shared(&self.circumstances, key) else {
            return Truth::No;
        };
        self.key.map_or(Truth::Unknown, |tags| {
            Truth::from(tags.get(key).is_some_and(|other| other == value))
        })
    }

    fn names(&self, fits: impl Fn(&str) -> bool) -> Truth {
        self.model
            .map_or(Truth::Unknown, |model| Truth::from(fits(model)))
    }
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

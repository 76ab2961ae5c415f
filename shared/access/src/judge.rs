//! Judging one provider key, or one that is not there yet, by the words of the roles.

use crate::hold::{Scene, Truth, about_model, any};
use crate::resource::Reach;
use crate::{Effect, Role, Statement, Tags, USE_PROVIDER_KEY};

/// What is known of a provider key.
#[derive(Debug, Clone, Copy)]
pub struct KeyFacts<'a> {
    /// `pk_…`
    pub id: &'a str,
    /// The provider's slug, which has no slash.
    pub provider: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its tags.
    pub tags: &'a Tags,
}

/// Whose request it is.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The agent's tags.
    pub agent: &'a Tags,
    /// The gateway's, where one is in play.
    pub gateway: Option<&'a Tags>,
    /// The configuration's, where one is in play.
    pub configuration: Option<&'a Tags>,
}

/// What the roles say of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// A statement grants it, and none forbids it.
    Allowed,
    /// A statement forbids it.
    Denied,
    /// A statement would grant it but for its tag conditions, and none forbids it.
    TagMismatch,
    /// No statement is about it.
    NoStatement,
}

/// What `roles`, those attached to the agent, say of `key`. A request that names no `model` passes no allow with a condition
/// on the model, and no deny with one lets it pass.
#[must_use]
pub fn judge<'r>(
    roles: impl IntoIterator<Item = &'r Role>,
    circumstances: &Circumstances<'_>,
    model: Option<&str>,
    key: &KeyFacts<'_>,
) -> Judgement {
    Case::new(circumstances, model, Subject::Key(*key)).judge(roles)
}

/// What `roles` say of a key that `provider` does not have: allowed if a key with the right name and tags could be,
/// denied only if every key would be.
#[must_use]
pub fn judge_absent<'r>(
    roles: impl IntoIterator<Item = &'r Role>,
    circumstances: &Circumstances<'_>,
    model: Option<&str>,
    provider: &str,
) -> Judgement {
    Case::new(circumstances, model, Subject::AnyOf(provider)).judge(roles)
}

/// What is judged.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// A key that is there.
    Key(KeyFacts<'a>),
    /// One of this provider that is not.
    AnyOf(&'a str),
}

/// What a statement is to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bearing {
    /// It is about other actions or keys.
    Elsewhere,
    /// Its conditions on the model do not hold.
    ModelDiffers,
    /// Its conditions on the model hold, those on tags do not.
    TagsDiffer,
    /// It applies.
    Applies,
}

/// One question: this request, this key.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) scene: Scene<'a>,
    pub(crate) subject: Subject<'a>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(
        circumstances: &Circumstances<'a>,
        model: Option<&'a str>,
        subject: Subject<'a>,
    ) -> Self {
        let key = match subject {
            Subject::Key(key) => Some(key.tags),
            Subject::AnyOf(_) => None,
        };
        Self {
            scene: Scene {
                circumstances: *circumstances,
                model,
                key,
            },
            subject,
        }
    }

    fn judge<'r>(&self, roles: impl IntoIterator<Item = &'r Role>) -> Judgement {
        let mut judgement = Judgement::NoStatement;
        for statement in roles.into_iter().flat_map(|role| &role.statements) {
            judgement = match (statement.effect, self.bearing(statement)) {
                (Effect::Deny, Bearing::Applies) => return Judgement::Denied,
                (Effect::Allow, Bearing::Applies) => Judgement::Allowed,
                (Effect::Allow, Bearing::TagsDiffer) if judgement == Judgement::NoStatement => {
                    Judgement::TagMismatch
                }
                _ => judgement,
            };
        }
        judgement
    }

    /// What `statement` is to this case. Of what is not known about the request, the worst is taken: an allow does not
    /// hold and a deny does. Of what is not known about the key, because it is not there, the best is taken.
    pub(crate) fn bearing(&self, statement: &Statement) -> Bearing {
        if !any(&statement.actions, USE_PROVIDER_KEY) || !self.covered(statement) {
            return Bearing::Elsewhere;
        }
        let worst = |about: bool| {
            statement
                .conditions
                .iter()
                .filter(|condition| about_model(&condition.test) == about)
                .map(|condition| self.scene.holds(condition))
                .min()
                .unwrap_or(Truth::Yes)
        };
        let (model, tags) = match statement.effect {
            Effect::Allow => (worst(true) == Truth::Yes, worst(false) != Truth::No),
            Effect::Deny => (worst(true) != Truth::No, worst(false) == Truth::Yes),
        };
        match (model, tags) {
            (false, _) => Bearing::ModelDiffers,
            (true, false) => Bearing::TagsDiffer,
            (true, true) => Bearing::Applies,
        }
    }

    fn covered(&self, statement: &Statement) -> bool {
        statement
            .resources
            .iter()
            .any(|pattern| match (&self.subject, statement.effect) {
                (Subject::Key(key), _) => Reach::new(pattern, key.provider).covers(key),
                (Subject::AnyOf(provider), Effect::Allow) => {
                    Reach::new(pattern, provider).may_cover()
                }
                (Subject::AnyOf(provider), Effect::Deny) => {
                    Reach::new(pattern, provider).covers_all()
                }
            })
    }
}

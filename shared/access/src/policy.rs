//! The roles of an agent, compiled for the data plane: which provider keys each statement is about is settled once, so that
//! a request costs a look at the statements with conditions on the model.

use crate::hold::Truth;
use crate::judge::{Case, Subject};
use crate::{Circumstances, Condition, Effect, KeyFacts, Role};

/// What an agent's roles say of the provider keys of a workspace.
#[derive(Debug, Clone)]
pub struct Policy {
    has_roles: bool,
    statements: Vec<Compiled>,
    open: usize,
}

/// A statement that is about some key.
#[derive(Debug, Clone)]
struct Compiled {
    effect: Effect,
    models: Vec<Condition>,
    keys: Vec<bool>,
}

impl Policy {
    /// Compiles `roles` for `keys`, which [`Ask::allows`] then names by their place.
    #[must_use]
    pub fn new<'r>(
        roles: impl IntoIterator<Item = &'r Role>,
        circumstances: &Circumstances<'_>,
        keys: &[KeyFacts<'_>],
    ) -> Self {
        let mut policy = Self {
            has_roles: false,
            statements: Vec::new(),
            open: 0,
        };
        for role in roles {
            policy.has_roles = true;
            for statement in &role.statements {
                let mut tags = statement.clone();
                let models = tags
                    .conditions
                    .extract_if(.., |condition| crate::hold::about_model(&condition.test))
                    .collect();
                policy.statements.push(Compiled {
                    effect: statement.effect,
                    models,
                    keys: keys
                        .iter()
                        .map(|key| {
                            Case::new(circumstances, None, Subject::Key(*key)).bearing(&tags)
                                == crate::judge::Bearing::Applies
                        })
                        .collect(),
                });
            }
        }
        policy
    }

    /// Allows each of `keys` keys to everyone, as a workspace does whose access is open.
    #[must_use]
    pub fn open(keys: usize) -> Self {
        Self {
            has_roles: false,
            statements: Vec::new(),
            open: keys,
        }
    }

    /// Whether any role is attached.
    #[must_use]
    pub fn has_roles(&self) -> bool {
        self.has_roles
    }

    /// Asks for a request that names `model`.
    #[must_use]
    pub fn ask<'a>(&'a self, model: Option<&'a str>) -> Ask<'a> {
        Ask {
            policy: self,
            model,
        }
    }
}

/// One request's question to a [`Policy`].
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    policy: &'a Policy,
    model: Option<&'a str>,
}

impl Ask<'_> {
    /// Whether the key at this place among those the policy was made for may be used.
    pub fn allows(&mut self, key: usize) -> bool {
        if key < self.policy.open {
            return true;
        }
        let empty = crate::Tags::new();
        let circumstances = Circumstances {
            agent: &empty,
            gateway: None,
            configuration: None,
        };
        let scene = Case::new(&circumstances, self.model, Subject::AnyOf("")).scene;
        let applies = |statement: &&Compiled| {
            let worst = statement
                .models
                .iter()
                .map(|one| scene.holds(one))
                .min()
                .unwrap_or(Truth::Yes);
            statement.keys.get(key) == Some(&true)
                && match statement.effect {
                    Effect::Allow => worst == Truth::Yes,
                    Effect::Deny => worst != Truth::No,
                }
        };
        let mut applying = self
            .policy
            .statements
            .iter()
            .filter(applies)
            .map(|one| one.effect)
            .peekable();
        applying.peek().is_some() && applying.all(|effect| effect == Effect::Allow)
    }
}

//! The roles of an agent, compiled for the data plane. For which keys a statement is in force is settled once; what a
//! request adds is its model, so what remains are the sets of conditions on the model, each of which is asked once at most.

use std::collections::BTreeMap;
use std::iter;

use crate::compile::{Compiler, KeySet, bits};
use crate::hold::{NO_TAGS, Scene, Truth, about_model};
use crate::{Circumstances, Condition, Effect, KeyFacts, Role};

/// So many words of 64 answers each an [`Ask`] remembers; those beyond are worked out every time.
const REMEMBERED: usize = 8;

/// What an agent's roles say of the provider keys of a workspace.
#[derive(Debug, Clone)]
pub struct Policy {
    has_roles: bool,
    keys: Vec<Entry>,
    premises: Vec<Premise>,
}

/// What is said of one key: under which premises, as a set of their places.
#[derive(Debug, Clone)]
struct Entry {
    always: bool,
    allow: Vec<u64>,
    deny: Vec<u64>,
}

/// A condition on the model, together with the premise before it if there is one. Statements with the same conditions
/// share it.
#[derive(Debug, Clone)]
struct Premise {
    condition: Condition,
    and: Option<usize>,
}

impl Policy {
    /// Compiles `roles`, those attached to the agent, for `keys`, which [`Ask::allows`] then names by their place.
    #[must_use]
    pub fn new<'r>(
        roles: impl IntoIterator<Item = &'r Role>,
        circumstances: &Circumstances<'_>,
        keys: &[KeyFacts<'_>],
    ) -> Self {
        let mut has_roles = false;
        let mut compiler = Compiler::new(circumstances, keys);
        let mut always = KeySet::none(keys.len());
        let mut never = always.clone();
        let mut premises = Vec::new();
        let mut known = BTreeMap::new();
        let mut conditional = Vec::new();
        for role in roles {
            has_roles = true;
            for statement in &role.statements {
                let settled = compiler.settle(statement);
                if settled.is_empty() {
                    continue;
                }
                let mut premise = None;
                let on_model = |condition: &&Condition| about_model(&condition.test);
                for condition in statement.conditions.iter().filter(on_model) {
                    let place = known.entry((premise, condition)).or_insert_with(|| {
                        premises.push(Premise {
                            condition: condition.clone(),
                            and: premise,
                        });
                        premises.len() - 1
                    });
                    premise = Some(*place);
                }
                match (premise, statement.effect) {
                    (None, Effect::Allow) => always.add(&settled),
                    (None, Effect::Deny) => never.add(&settled),
                    (Some(premise), effect) => conditional.push((premise, effect, settled)),
                }
            }
        }
        let words = premises.len().div_ceil(64);
        let entry = || Entry {
            always: false,
            allow: vec![0; words],
            deny: vec![0; words],
        };
        let mut entries: Vec<_> = iter::repeat_with(entry).take(keys.len()).collect();
        always.remove(&never);
        for key in always.keys() {
            if let Some(entry) = entries.get_mut(key) {
                entry.always = true;
            }
        }
        for (premise, effect, mut settled) in conditional {
            settled.remove(&never);
            for key in settled.keys() {
                let row = entries.get_mut(key).map(|entry| match effect {
                    Effect::Allow => &mut entry.allow,
                    Effect::Deny => &mut entry.deny,
                });
                if let Some(word) = row.and_then(|row| row.get_mut(premise / 64)) {
                    *word |= 1 << (premise % 64);
                }
            }
        }
        Self {
            has_roles,
            keys: entries,
            premises,
        }
    }

    /// Allows each of `keys` keys to everyone, as in a workspace whose access is open.
    #[must_use]
    pub fn open(keys: usize) -> Self {
        let entry = Entry {
            always: true,
            allow: Vec::new(),
            deny: Vec::new(),
        };
        Self {
            has_roles: false,
            keys: vec![entry; keys],
            premises: Vec::new(),
        }
    }

    /// Whether any role was attached.
    #[must_use]
    pub fn has_roles(&self) -> bool {
        self.has_roles
    }

    /// Asks for a request that names `model`, or none.
    #[must_use]
    pub fn ask<'a>(&'a self, model: Option<&'a str>) -> Ask<'a> {
        Ask {
            policy: self,
            model,
            answers: [Answers::default(); REMEMBERED],
        }
    }

    /// Whether the conditions of a premise hold for `model`.
    fn holds(&self, premise: usize, model: &str) -> bool {
        let scene = Scene {
            circumstances: Circumstances {
                agent: &NO_TAGS,
                gateway: None,
                configuration: None,
            },
            model: Some(model),
            key: None,
        };
        let mut next = Some(premise);
        while let Some(premise) = next.and_then(|at| self.premises.get(at)) {
            if scene.holds(&premise.condition) != Truth::Yes {
                return false;
            }
            next = premise.and;
        }
        true
    }
}

/// One request's question to a [`Policy`]. It remembers what it found out about the model.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    policy: &'a Policy,
    model: Option<&'a str>,
    answers: [Answers; REMEMBERED],
}

/// Which of 64 premises were asked, and which hold.
#[derive(Debug, Clone, Copy, Default)]
struct Answers {
    asked: u64,
    hold: u64,
}

impl Ask<'_> {
    /// Whether the key may be used that is at this place among those the policy was made for.
    pub fn allows(&mut self, key: usize) -> bool {
        self.policy.keys.get(key).is_some_and(|entry| {
            (entry.always || self.any(&entry.allow, Effect::Allow))
                && !self.any(&entry.deny, Effect::Deny)
        })
    }

    /// Whether one of `premises` holds. Without a model none does for an allow, and each for a deny.
    fn any(&mut self, premises: &[u64], effect: Effect) -> bool {
        let Some(model) = self.model else {
            return effect == Effect::Deny && premises.iter().any(|word| *word != 0);
        };
        premises.iter().enumerate().any(|(at, word)| {
            let mut forgotten = Answers::default();
            let answers = self.answers.get_mut(at).unwrap_or(&mut forgotten);
            if word & answers.hold == 0 {
                let open = bits(word & !answers.asked);
                for bit in open {
                    answers.asked |= 1 << bit;
                    if self.policy.holds(at * 64 + bit, model) {
                        answers.hold |= 1 << bit;
                        break;
                    }
                }
            }
            word & answers.hold != 0
        })
    }
}

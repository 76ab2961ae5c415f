//! Random worlds: an agent with roles, and provider keys, over a vocabulary so small that things meet, with names that look
//! alike.

use std::collections::BTreeMap;

use lockgate_access::{
    Bearer, Circumstances, Condition, Effect, KeyFacts, Role, Statement, Tags, Test,
};

pub(crate) const PROVIDERS: [&str; 4] = ["openai", "azure-openai", "anthropic", "open"];
pub(crate) const NAMES: [&str; 6] = ["prod-us", "prod", "dev", "prod/us", "*", "pk_b"];
const IDS: [&str; 4] = ["pk_a", "pk_b", "pk_ab", "pk_*"];
pub(crate) const TAGS: [&str; 3] = ["environment", "team", "Team "];
pub(crate) const VALUES: [&str; 6] = ["production", "prod", "staging", "", "prod*", "pröd\\u"];
pub(crate) const MODELS: [&str; 5] = ["gpt-4o", "gpt-4o-mini", "gpt-*", "claude/opus", ""];
const MODEL_GLOBS: [&str; 6] = ["gpt-*", "*", "gpt-4o", "*/*", "*mini", "g*4*o*"];
const VALUE_GLOBS: [&str; 7] = ["prod*", "*", "staging", "*\\*", "", "*ö*", "p*d*"];
const ACTIONS: [&str; 7] = [
    "provider-key:use",
    "provider-key:use",
    "provider-key:*",
    "*",
    "*:use",
    "provider-key:read",
    "provider-key",
];
const RESOURCES: [&str; 19] = [
    "*",
    "*",
    "openai",
    "openai/*",
    "openai/*",
    "open*",
    "*/*",
    "*openai/*",
    "openai/prod*",
    "*/prod-us",
    "*-openai/*us",
    "anthropic*",
    "pk_*",
    "openai/pk_*",
    "*/pk_b",
    "openai/",
    "*prod*",
    "*open*/us",
    "*e*n*/*us",
];

/// Keys of a world.
pub(crate) const MOST_KEYS: usize = 5;

/// Numbers that look random and are the same each time (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }

    pub(crate) fn percent(&mut self, of: usize) -> bool {
        self.below(100) < of
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn some<T: Copy + ToString>(&mut self, from: &[T], most: usize) -> Vec<String> {
        let count = 1 + self.below(most);
        (0..count).map(|_| self.pick(from).to_string()).collect()
    }

    pub(crate) fn tags(&mut self) -> Tags {
        let mut tags = Tags::new();
        for key in TAGS {
            if self.percent(70) {
                // Two values stand for most, so that resources agree often enough.
                let value = if self.percent(60) {
                    VALUES[0]
                } else {
                    self.pick(&VALUES)
                };
                tags.insert(key.to_owned(), value.to_owned());
            }
        }
        tags
    }

    fn tag_test<T>(&mut self, mut value: impl FnMut(&mut Self) -> T) -> BTreeMap<String, T> {
        let count = 1 + self.below(4) / 3;
        (0..count)
            .map(|_| (self.pick(&TAGS).to_owned(), value(self)))
            .collect()
    }

    pub(crate) fn condition(&mut self) -> Condition {
        let bearer = if self.percent(70) {
            Bearer::ProviderKey
        } else {
            self.pick(&Bearer::ALL)
        };
        let test = match self.below(8) {
            0 => Test::TagEquals(bearer, self.tag_test(|dice| dice.pick(&VALUES).to_owned())),
            1 => Test::TagIn(bearer, self.tag_test(|dice| dice.some(&VALUES, 3))),
            2 => Test::TagLike(bearer, self.tag_test(|dice| dice.some(&VALUE_GLOBS, 2))),
            3 | 4 => Test::TagsMatch(self.some(&TAGS, 2)),
            5 => Test::ModelIn(self.some(&MODELS, 3)),
            _ => Test::ModelLike(self.some(&MODEL_GLOBS, 2)),
        };
        Condition {
            negated: self.percent(25),
            test,
        }
    }

    pub(crate) fn statement(&mut self, conditions: usize) -> Statement {
        Statement {
            effect: if self.percent(25) {
                Effect::Deny
            } else {
                Effect::Allow
            },
            actions: self.some(&ACTIONS, 2),
            resources: self.some(&RESOURCES, 2),
            conditions: (0..self.below(conditions + 1))
                .map(|_| self.condition())
                .collect(),
        }
    }
}

/// So many statements, each with at most so many conditions.
pub(crate) fn pool(dice: &mut Dice, statements: usize, conditions: usize) -> Vec<Statement> {
    (0..statements)
        .map(|_| dice.statement(conditions))
        .collect()
}

/// A key that owns what [`KeyFacts`] borrows.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) provider: String,
    pub(crate) name: String,
    pub(crate) tags: Tags,
}

impl Key {
    pub(crate) fn facts(&self) -> KeyFacts<'_> {
        KeyFacts {
            id: &self.id,
            provider: &self.provider,
            name: &self.name,
            tags: &self.tags,
        }
    }
}

/// An agent's world.
#[derive(Debug)]
pub(crate) struct World {
    /// Where in the pool each statement of the roles, in their order, was drawn.
    pub(crate) drawn: Vec<usize>,
    pub(crate) roles: Vec<Role>,
    pub(crate) keys: Vec<Key>,
    pub(crate) agent: Tags,
    pub(crate) gateway: Option<Tags>,
    pub(crate) configuration: Option<Tags>,
}

impl World {
    /// A world whose statements are drawn from `pool`.
    pub(crate) fn random(dice: &mut Dice, pool: &[Statement]) -> Self {
        let mut drawn = Vec::new();
        let mut role = |dice: &mut Dice| {
            let places: Vec<_> = (0..dice.below(4)).map(|_| dice.below(pool.len())).collect();
            drawn.extend(&places);
            Role {
                id: "role_a".to_owned(),
                name: "a".to_owned(),
                statements: places.iter().map(|at| pool[*at].clone()).collect(),
            }
        };
        let key = |dice: &mut Dice| Key {
            id: dice.pick(&IDS).to_owned(),
            provider: dice.pick(&PROVIDERS[..3]).to_owned(),
            name: dice.pick(&NAMES).to_owned(),
            tags: dice.tags(),
        };
        let roles = (0..=dice.below(3)).map(|_| role(dice)).collect();
        Self {
            drawn,
            roles,
            keys: (0..1 + dice.below(MOST_KEYS)).map(|_| key(dice)).collect(),
            agent: dice.tags(),
            gateway: dice.percent(40).then(|| dice.tags()),
            configuration: dice.percent(40).then(|| dice.tags()),
        }
    }

    pub(crate) fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            agent: &self.agent,
            gateway: self.gateway.as_ref(),
            configuration: self.configuration.as_ref(),
        }
    }
}

/// What a request names, mostly a model.
pub(crate) fn model(dice: &mut Dice) -> Option<&'static str> {
    (!dice.percent(15)).then(|| dice.pick(&MODELS))
}

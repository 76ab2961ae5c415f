//! The worlds that are measured: 20 roles of 20 statements over 50 provider keys.

use lockgate_access::{Circumstances, KeyFacts, Role, Tags, read};
use serde_json::{Value, json};

/// What a policy is made of.
pub struct World {
    pub roles: Vec<Role>,
    keys: Vec<Key>,
    agent: Tags,
    gateway: Tags,
    configuration: Tags,
}

struct Key {
    id: String,
    provider: &'static str,
    name: String,
    tags: Tags,
}

const PROVIDERS: [&str; 10] = [
    "openai",
    "azure-openai",
    "anthropic",
    "gemini",
    "mistral",
    "groq",
    "bedrock",
    "cohere",
    "together",
    "deepseek",
];
const ENVIRONMENTS: [&str; 3] = ["production", "staging", "development"];

fn tags(pairs: &[(&str, String)]) -> Tags {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect()
}

impl World {
    /// `statement` says what the statement with this number is.
    fn new(statement: impl Fn(usize) -> Value) -> Self {
        let keys = (0..50)
            .map(|number| Key {
                id: format!("pk_{number:0>16}"),
                provider: PROVIDERS[number % PROVIDERS.len()],
                name: format!("prod-{}", number / PROVIDERS.len()),
                tags: tags(&[
                    (
                        "environment",
                        ENVIRONMENTS[number % ENVIRONMENTS.len()].to_owned(),
                    ),
                    ("team", format!("team-{}", number % 7)),
                    ("region", format!("region-{number}")),
                ]),
            })
            .collect();
        let role = |role: usize| Role {
            id: format!("role_{role}"),
            name: format!("role-{role}"),
            statements: read(
                &Value::from_iter((0..20).map(|at| statement(role * 20 + at))).to_string(),
            )
            .unwrap_or_default(),
        };
        let shared = tags(&[
            ("environment", "production".to_owned()),
            ("team", "team-1".to_owned()),
        ]);
        Self {
            roles: (0..20).map(role).collect(),
            keys,
            agent: shared.clone(),
            gateway: shared.clone(),
            configuration: shared,
        }
    }

    /// As people write roles: few patterns, much repeated, and a condition on the model here and there.
    pub fn typical() -> Self {
        Self::new(|number| {
            let provider = PROVIDERS[number % PROVIDERS.len()];
            let mut conditions = vec![json!({ "tags_match": ["environment"] })];
            if number % 3 == 0 {
                conditions.push(json!({ "model_like": [format!("gpt-{}*", number % 5)] }));
            }
            if number % 4 == 0 {
                conditions
                    .push(json!({ "tag_equals": { "team": format!("team-{}", number % 7) } }));
            }
            json!({
                "effect": if number % 10 == 9 { "deny" } else { "allow" },
                "actions": ["provider-key:use"],
                "resources": [format!("{provider}/*")],
                "conditions": conditions,
            })
        })
    }

    /// No two statements alike, each about every key and under conditions on tags and on models that have to be looked at to
    /// their end. All of them allow but do not hold for the model, so that nothing is decided before the last.
    pub fn worst() -> Self {
        Self::new(|number| {
            json!({
                "effect": "allow",
                "actions": [format!("*provider*key*:{}*", if number % 2 == 0 { "use" } else { "us" })],
                "resources": [format!("*{}*/*-*", ["", "*", "**", "***"][number % 4]), format!("*/pk_{number}*")],
                "conditions": [
                    { "tags_match": ["environment"] },
                    { "not": { "tag_like": { "region": [format!("*-{number}-*")] } } },
                    { "model_like": [format!("*gpt*4*{number}x"), format!("gpt-*-{number}-*")] },
                ],
            })
        })
    }

    pub fn keys(&self) -> Vec<KeyFacts<'_>> {
        fn facts(key: &Key) -> KeyFacts<'_> {
            KeyFacts {
                id: &key.id,
                provider: key.provider,
                name: &key.name,
                tags: &key.tags,
            }
        }
        self.keys.iter().map(facts).collect()
    }

    pub fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            agent: &self.agent,
            gateway: Some(&self.gateway),
            configuration: Some(&self.configuration),
        }
    }
}

/// The model of the request that is measured.
pub const MODEL: &str = "gpt-4o-mini-2024-07-18";

//! What a role says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A role as the data plane needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// `role_…`
    pub id: String,
    /// Unique in the workspace.
    pub name: String,
    /// What it says.
    pub statements: Vec<Statement>,
}

/// One statement of a role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statement {
    /// Whether it grants or forbids.
    pub effect: Effect,
    /// Globs over actions.
    pub actions: Vec<String>,
    /// Globs over `<provider>/<key name>` and `<provider>/<key id>`; without a slash, over provider slugs and key ids.
    pub resources: Vec<String>,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
}

/// What a statement does where it applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It grants.
    Allow,
    /// It forbids, whatever else grants.
    Deny,
}

/// A condition of a statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// Whether it stands in a `not`.
    pub negated: bool,
    /// What is looked at.
    pub test: Test,
}

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    /// Each tag is there and has this value.
    TagEquals(Bearer, BTreeMap<String, String>),
    /// Each tag is there and has one of these values.
    TagIn(Bearer, BTreeMap<String, Vec<String>>),
    /// Each tag is there and one of these globs matches its value.
    TagLike(Bearer, BTreeMap<String, Vec<String>>),
    /// Each tag is there and equal on the provider key, the agent, and the gateway and configuration in play.
    TagsMatch(Vec<String>),
    /// The model is one of these.
    ModelIn(Vec<String>),
    /// One of these globs matches the model.
    ModelLike(Vec<String>),
}

/// Whose tags are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bearer {
    /// The provider key's.
    #[default]
    ProviderKey,
    /// The agent's.
    Agent,
    /// The gateway's.
    Gateway,
    /// The configuration's.
    Configuration,
}

impl Bearer {
    /// Each of them.
    pub const ALL: [Self; 4] = [
        Self::ProviderKey,
        Self::Agent,
        Self::Gateway,
        Self::Configuration,
    ];

    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ProviderKey => "provider_key",
            Self::Agent => "agent",
            Self::Gateway => "gateway",
            Self::Configuration => "configuration",
        }
    }
}

/// What is wrong with statements, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {problem}")]
pub struct Invalid {
    /// Such as `statements[0].conditions[1].tag_in`.
    pub path: String,
    /// In a sentence without its full stop.
    pub problem: String,
}

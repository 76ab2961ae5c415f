//! Kinds of resources that are handled alike, and one resource of any of them.

use serde::{Deserialize, Serialize};

use crate::resource::{AdminToken, Agent, Configuration, Gateway, Role};

/// Kinds of resources that are found, listed and removed alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Roles.
    Role,
    /// Agents.
    Agent,
    /// Gateways.
    Gateway,
    /// Configurations.
    Configuration,
    /// Admin tokens.
    AdminToken,
}

impl Kind {
    /// For messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Agent => "agent",
            Self::Gateway => "gateway",
            Self::Configuration => "configuration",
            Self::AdminToken => "admin token",
        }
    }

    /// What its ids begin with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Agent => "agent",
            Self::Gateway => "gw",
            Self::Configuration => "cfg",
            Self::AdminToken => "at",
        }
    }
}

/// One resource of any [`Kind`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Resource {
    /// A role.
    Role(Role),
    /// An agent.
    Agent(Agent),
    /// A gateway.
    Gateway(Gateway),
    /// A configuration.
    Configuration(Configuration),
    /// An admin token.
    AdminToken(AdminToken),
}

impl Resource {
    /// Where it stands in lists: when it was made, and its id.
    #[must_use]
    pub fn place(&self) -> (u64, &str) {
        match self {
            Self::Role(one) => (one.created_at.0, &one.id),
            Self::Agent(one) => (one.created_at.0, &one.id),
            Self::Gateway(one) => (one.created_at.0, &one.id),
            Self::Configuration(one) => (one.created_at.0, &one.id),
            Self::AdminToken(one) => (one.created_at.0, &one.id),
        }
    }

    /// In the form that `/api` shows, with its `revision`.
    #[must_use]
    pub fn value(&self) -> serde_json::Value {
        let value = match self {
            Self::Role(one) => serde_json::to_value(one),
            Self::Agent(one) => serde_json::to_value(one),
            Self::Gateway(one) => serde_json::to_value(one),
            Self::Configuration(one) => serde_json::to_value(one),
            Self::AdminToken(one) => serde_json::to_value(one),
        };
        value.unwrap_or_default()
    }
}

/// A change of something that can be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change<T> {
    /// As it is.
    #[default]
    Keep,
    /// Absent from now on.
    Clear,
    /// This from now on.
    Set(T),
}

impl<T> Change<T> {
    /// What it comes to.
    #[must_use]
    pub fn of(self, present: Option<T>) -> Option<T> {
        match self {
            Self::Keep => present,
            Self::Clear => None,
            Self::Set(new) => Some(new),
        }
    }
}

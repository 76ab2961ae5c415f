//! The read-only view of a workspace that the data plane serves from.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use lockgate_access::Role;

use crate::plan::Plan;
use crate::question::Options;
use crate::resource::{Access, Budget, Health, Limits, Pin, Price};
use crate::tags::Tags;

/// Who a gateway key stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The gateway key's id.
    pub gateway_key: String,
    /// The gateway key's name.
    pub name: String,
    /// The agent's name.
    pub agent: String,
    /// The agent's id.
    pub agent_id: String,
    /// The agent's tags.
    pub agent_tags: Tags,
    /// Ids of the roles attached to the agent.
    pub roles: Vec<String>,
    /// The provider keys the agent holds to.
    pub pins: Vec<Pin>,
    /// The gateway's name.
    pub gateway: Option<String>,
    /// The gateway's tags, where there is one.
    pub gateway_tags: Option<Tags>,
    /// The id of the configuration that the gateway key is bound to; else the workspace's default counts.
    pub configuration: Option<String>,
    /// The team.
    pub team: Option<String>,
    /// How much it may ask for.
    #[serde(default)]
    pub limits: Limits,
    /// How much it may cost.
    #[serde(default)]
    pub budget: Option<Budget>,
}

/// A workspace as the data plane sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Rises with every change.
    pub version: u64,
    /// The workspace's id.
    pub workspace: String,
    /// The workspace's name.
    pub name: String,
    /// Who may use provider keys.
    pub access: Access,
    /// The provider keys, the default first for each provider, then by name.
    pub keys: Vec<Arc<KeyPointer>>,
    /// The roles, by name.
    pub roles: Vec<Arc<Role>>,
    /// Slugs of the providers with a seeded entry that was not deleted.
    pub seeded: Vec<String>,
    /// The configurations, live or not.
    pub configurations: Vec<Arc<Live>>,
    /// The id of the configuration for gateway keys that are bound to none.
    pub default_configuration: Option<String>,
    /// The workspace's own prices, which go before those of the manifests.
    #[serde(default)]
    pub prices: Vec<Price>,
}

/// A configuration as the data plane sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// `cfg_…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Tags,
    /// What its live version says; `None` until the first is applied.
    pub plan: Option<Plan>,
}

/// A provider key as the data plane sees it: where its sealed secret is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyPointer {
    /// `pk_…`
    pub id: String,
    /// The provider's slug.
    pub provider: String,
    /// Its name.
    pub name: String,
    /// Whether it may be used.
    pub enabled: bool,
    /// Whether it is the provider's default.
    pub default: bool,
    /// Where it goes, if not to the manifest's own address.
    pub base_url: Option<String>,
    /// Options of the provider.
    pub options: Options,
    /// Tags.
    pub tags: Tags,
    /// Health, a label.
    pub health: Health,
    /// The sealed secret; `None` for a provider that needs none.
    pub sealed: Option<SealedPointer>,
}

/// Where a sealed secret is, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPointer {
    /// The version.
    pub version: u64,
    /// The name of its KV entry.
    pub entry: String,
    /// The wrapped data key, base64; empty where a vault holds the secret itself.
    pub wrapped: String,
    /// The name of the KEK that wrapped it.
    #[serde(default)]
    pub kek: String,
}

impl Snapshot {
    /// The configuration in play for a caller: the one its gateway key is bound to, else the workspace's default.
    #[must_use]
    pub fn configuration(&self, identity: &Identity) -> Option<&Arc<Live>> {
        let id = identity
            .configuration
            .as_ref()
            .or(self.default_configuration.as_ref())?;
        self.configurations.iter().find(|live| live.id == *id)
    }

    /// The roles attached to a caller's agent.
    pub fn attached<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = &'a Role> {
        let roles = self.roles.iter().map(|role| &**role);
        roles.filter(|role| identity.roles.contains(&role.id))
    }

    /// The enabled keys of a provider, the default first.
    pub fn usable<'a>(&'a self, provider: &'a str) -> impl Iterator<Item = &'a Arc<KeyPointer>> {
        self.keys
            .iter()
            .filter(move |key| key.enabled && key.provider == provider)
    }

    /// The slugs of the providers with an enabled key, each once.
    #[must_use]
    pub fn providers(&self) -> Vec<&str> {
        let mut slugs: Vec<&str> = Vec::new();
        for key in self.keys.iter().filter(|key| key.enabled) {
            if !slugs.contains(&key.provider.as_str()) {
                slugs.push(&key.provider);
            }
        }
        slugs
    }
}

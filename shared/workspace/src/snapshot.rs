//! The read-only view of a workspace that the data plane serves from.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::question::Options;
use crate::resource::{Access, Health};

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
    /// The gateway's name.
    pub gateway: Option<String>,
    /// The team.
    pub team: Option<String>,
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
    /// The wrapped data key, base64.
    pub wrapped: String,
}

impl Snapshot {
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

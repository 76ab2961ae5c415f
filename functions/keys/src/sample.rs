//! Resources for tests.

use std::collections::BTreeMap;

use lockgate_workspace::resource::{Health, ManagedBy, ProviderKey, Timestamp};

/// An enabled OpenAI key that nothing has used yet.
pub(crate) fn provider_key(name: &str) -> ProviderKey {
    ProviderKey {
        id: format!("pk_{name}"),
        provider: "openai".into(),
        name: name.into(),
        masked: String::new(),
        version: 1,
        base_url: None,
        options: BTreeMap::new(),
        default: false,
        enabled: true,
        tags: BTreeMap::new(),
        health: Health::Unknown,
        health_detail: None,
        checked_at: None,
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(0),
        rotated_at: None,
        last_used_at: None,
        versions: Vec::new(),
        revision: 1,
    }
}

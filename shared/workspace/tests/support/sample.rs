//! A provider key as a new one reaches the authority.

use std::collections::BTreeMap;

use lockgate_workspace::resource::{Health, ManagedBy, ProviderKey, Timestamp};

pub(crate) fn provider_key(id: &str, provider: &str, name: &str, created_at: u64) -> ProviderKey {
    ProviderKey {
        id: id.into(),
        provider: provider.into(),
        name: name.into(),
        masked: "sk-…wxyz".into(),
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
        created_at: Timestamp(created_at),
        rotated_at: None,
        last_used_at: None,
        versions: Vec::new(),
        revision: 0,
    }
}

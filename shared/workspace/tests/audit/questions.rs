//! Questions that change something, for the story that the log is to tell.

use lockgate_workspace::plan::Plan;
use lockgate_workspace::question::{Declared, SealedVersion};
use lockgate_workspace::resource::{Configuration, Draft, Gateway, GatewayKey, ProviderKey};

use super::*;

pub(super) fn provider_key(id: &str, name: &str, default: bool) -> ProviderKey {
    ProviderKey {
        default,
        ..sample::provider_key(id, "openai", name, START)
    }
}

pub(super) fn sealed(version: u64) -> SealedVersion {
    SealedVersion {
        version,
        entry: format!("the entry {version}"),
        wrapped: "the wrapped data key".into(),
        ciphertext: "the ciphertext".into(),
        kek: "kek 1".into(),
        masked: format!("sk-…000{version}"),
    }
}

pub(super) fn create_key(id: &str, name: &str, default: bool) -> Question {
    Question::CreateProviderKey {
        key: Box::new(provider_key(id, name, default)),
        sealed: Some(sealed(1)),
    }
}

pub(super) fn patch_key(reference: &str, default: Option<bool>) -> Question {
    Question::PatchProviderKey {
        reference: reference.into(),
        expect: None,
        name: None,
        tags: None,
        default,
        enabled: Some(true),
        managed_by: None,
    }
}

pub(super) fn gateway(id: &str, name: &str) -> Gateway {
    Gateway {
        id: id.into(),
        name: name.into(),
        tags: BTreeMap::new(),
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(START),
        revision: 0,
    }
}

pub(super) fn gateway_key() -> GatewayKey {
    GatewayKey {
        budget: Default::default(),
        limits: Default::default(),
        id: "gk_1".into(),
        name: "app".into(),
        masked: "lgk_…wxyz".into(),
        agent: "bot".into(),
        gateway: None,
        configuration: None,
        team: None,
        created_by: "at_tester".into(),
        expires_at: None,
        revoked_at: None,
        created_at: Timestamp(START),
        last_used_at: None,
        revision: 0,
    }
}

pub(super) fn configuration() -> Configuration {
    Configuration {
        id: "cfg_1".into(),
        name: "main".into(),
        tags: BTreeMap::new(),
        version: 0,
        document: None,
        draft: Some(Draft {
            document: Some("the first document".into()),
            based_on: 0,
            written_by: "at_tester".into(),
            written_at: Timestamp(START),
        }),
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(START),
        applied_at: None,
        revision: 0,
    }
}

pub(super) fn apply(
    store: &Store,
    document: &str,
    declared: Declared,
    restores: Option<u64>,
) -> Question {
    let Ok(Reply::Resource(found)) = store.ask(Question::Get(Kind::Configuration, "cfg_1".into()))
    else {
        panic!("no configuration");
    };
    let value = found.value();
    Question::ApplyConfiguration {
        id: "cfg_1".into(),
        expect: value["revision"].as_u64().unwrap_or_default(),
        expected_version: value["version"].as_u64().unwrap(),
        document: document.into(),
        plan: Plan::default(),
        declared,
        restores,
    }
}

pub(super) fn rotate(version: u64) -> Question {
    Question::RotateProviderKey {
        id: "pk_1".into(),
        expect: None,
        sealed: sealed(version),
    }
}

pub(super) fn create_gateway_key() -> Question {
    Question::CreateGatewayKey {
        key: Box::new(gateway_key()),
        hash: "hash of app".into(),
    }
}

pub(super) fn revoke(expect: Option<u64>) -> Question {
    Question::RevokeGatewayKey {
        reference: "app".into(),
        expect,
    }
}

pub(super) fn delete_key() -> Question {
    Question::DeleteProviderKey {
        reference: "prod".into(),
        expect: None,
    }
}

pub(super) fn patch_agent(reference: &str, expect: Option<u64>) -> Question {
    Question::PatchAgent {
        reference: reference.into(),
        expect,
        name: None,
        tags: None,
        roles: Some(Vec::new()),
        pins: None,
        managed_by: None,
    }
}

pub(super) fn patch_configuration() -> Question {
    Question::PatchConfiguration {
        reference: "main".into(),
        expect: None,
        name: None,
        tags: Some(BTreeMap::from([("a".to_owned(), "b".to_owned())])),
    }
}

pub(super) fn put_draft() -> Question {
    Question::PutDraft {
        reference: "main".into(),
        expect: None,
        document: "the second document".into(),
    }
}

//! One of each resource, as `/api` shows it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use lockgate_workspace::resource::{
    Access, AdminRole, AdminToken, Agent, Attempt, AuditEntry, Budget, Configuration,
    ConfigurationVersion, Draft, Gateway, GatewayKey, Health, HealthCheck, KeyVersion, LedgerEntry,
    LedgerKind, Limits, ManagedBy, Period, Pin, PinMode, ProviderKey, RequestRecord, Role,
    Timestamp, Tokens, UsageRow, Verified, Wallet, Workspace,
};

const AT: Timestamp = Timestamp(0);

pub(crate) fn workspace() -> Workspace {
    Workspace {
        id: String::new(),
        name: String::new(),
        plan: String::new(),
        access: Access::Open,
        default_configuration: None,
        created_at: AT,
        revision: 1,
    }
}

pub(crate) fn key_version() -> KeyVersion {
    KeyVersion {
        version: 1,
        created_at: AT,
    }
}

pub(crate) fn provider_key() -> ProviderKey {
    ProviderKey {
        id: String::new(),
        provider: String::new(),
        name: String::new(),
        masked: String::new(),
        version: 1,
        base_url: None,
        options: BTreeMap::new(),
        default: true,
        enabled: true,
        tags: BTreeMap::new(),
        health: Health::Unknown,
        health_detail: None,
        checked_at: None,
        managed_by: ManagedBy::Manual,
        created_at: AT,
        rotated_at: None,
        last_used_at: None,
        versions: vec![key_version()],
        revision: 1,
    }
}

pub(crate) fn check() -> HealthCheck {
    HealthCheck {
        health: Health::Unknown,
        detail: String::new(),
        checked_at: AT,
    }
}

pub(crate) fn role() -> Role {
    Role {
        id: String::new(),
        name: String::new(),
        statements: Vec::new(),
        managed_by: ManagedBy::Manual,
        created_at: AT,
        revision: 1,
    }
}

pub(crate) fn pin() -> Pin {
    Pin {
        provider: String::new(),
        provider_key: String::new(),
        name: String::new(),
        mode: PinMode::Hard,
    }
}

pub(crate) fn agent() -> Agent {
    Agent {
        id: String::new(),
        name: String::new(),
        tags: BTreeMap::new(),
        roles: Vec::new(),
        pins: vec![pin()],
        managed_by: ManagedBy::Manual,
        created_at: AT,
        revision: 1,
    }
}

pub(crate) fn gateway() -> Gateway {
    Gateway {
        id: String::new(),
        name: String::new(),
        tags: BTreeMap::new(),
        managed_by: ManagedBy::Manual,
        created_at: AT,
        revision: 1,
    }
}

pub(crate) fn draft() -> Draft {
    Draft {
        document: None,
        based_on: 0,
        written_by: String::new(),
        written_at: AT,
    }
}

pub(crate) fn configuration() -> Configuration {
    Configuration {
        id: String::new(),
        name: String::new(),
        tags: BTreeMap::new(),
        version: 0,
        document: None,
        draft: Some(draft()),
        managed_by: ManagedBy::Manual,
        created_at: AT,
        applied_at: None,
        revision: 1,
    }
}

pub(crate) fn version() -> ConfigurationVersion {
    ConfigurationVersion {
        version: 1,
        document: None,
        applied_by: String::new(),
        applied_at: AT,
        restores: None,
    }
}

pub(crate) fn admin_token() -> AdminToken {
    AdminToken {
        id: String::new(),
        name: String::new(),
        masked: String::new(),
        workspace: None,
        role: AdminRole::Viewer,
        created_by: String::new(),
        expires_at: None,
        created_at: AT,
        revision: 1,
    }
}

pub(crate) fn audit_entry() -> AuditEntry {
    AuditEntry {
        seq: 1,
        at: AT,
        actor: String::new(),
        action: String::new(),
        resource: String::new(),
        before: None,
        after: None,
        hash: String::new(),
        previous_hash: String::new(),
    }
}

pub(crate) fn verified() -> Verified {
    Verified {
        ok: true,
        rows: 0,
        first_bad_seq: None,
    }
}

pub(crate) fn gateway_key() -> GatewayKey {
    GatewayKey {
        budget: Default::default(),
        limits: Default::default(),
        id: String::new(),
        name: String::new(),
        masked: String::new(),
        agent: String::new(),
        gateway: None,
        configuration: None,
        team: None,
        created_by: String::new(),
        expires_at: None,
        revoked_at: None,
        created_at: AT,
        last_used_at: None,
        revision: 1,
    }
}

pub(crate) fn attempt() -> Attempt<'static> {
    Attempt {
        credential: Default::default(),
        model: Default::default(),
        provider: Cow::Borrowed(""),
        provider_key: None,
        status: None,
        code: None,
        milliseconds: 0,
    }
}

pub(crate) fn record() -> RequestRecord<'static> {
    RequestRecord {
        cost_microusd: Default::default(),
        tokens: Default::default(),
        id: Cow::Borrowed(""),
        at: AT,
        milliseconds: 0,
        gateway_key: Cow::Borrowed(""),
        agent: Cow::Borrowed(""),
        gateway: None,
        team: None,
        path: Cow::Borrowed(""),
        route: None,
        provider: None,
        model: None,
        provider_key: None,
        credential: None,
        status: 200,
        code: None,
        stream: false,
        outcome: None,
        attempts: vec![attempt()],
    }
}

pub(crate) fn limits() -> Limits {
    Limits {
        requests_per_minute: Some(1),
        tokens_per_minute: Some(1),
        requests_per_day: Some(1),
    }
}

pub(crate) fn budget() -> Budget {
    Budget {
        amount_microusd: 0,
        period: Period::Day,
    }
}

pub(crate) fn tokens() -> Tokens {
    Tokens {
        cached_input: Some(0),
        reasoning: Some(0),
        estimated: true,
        ..Tokens::default()
    }
}

pub(crate) fn usage_row() -> UsageRow {
    UsageRow::default()
}

pub(crate) fn wallet() -> Wallet {
    Wallet::default()
}

pub(crate) fn ledger_entry() -> LedgerEntry {
    LedgerEntry {
        seq: 1,
        at: AT,
        kind: LedgerKind::Credit,
        amount_microusd: 0,
        shortfall_microusd: 0,
        balance_microusd: 0,
        reserved_microusd: 0,
        reservation: None,
        request: None,
        note: None,
    }
}

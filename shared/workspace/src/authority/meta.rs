//! The schema and its migrations, what its secrets may be sealed under, and the lease lengths.
//!
//! The column `kek_check` has the marks of the KEKs that the store knows, separated by spaces: the check values of local ones,
//! the names of managed vaults. The first of all, a check value, is the store's origin: the token keys were derived from that KEK.
//! Whoever asks has to be able to open everything that the store has sealed, and what he seals under has to be among the
//! marks before he seals anything.
//!
//! The SQL stays within what PostgreSQL takes as well; times are milliseconds since the Unix epoch, sealed secrets
//! base64 text, tags and attempts JSON text.

use lockgate_host::{StoreError, Tx};
use lockgate_vault::Held;

use crate::lease::Lengths;
use crate::question::{Denial, Keyring};
use crate::{DEFAULT_WORKSPACE, PLATFORM_WORKSPACE};

use super::cells::{Cells, json};
use super::{seeds, vault};

/// The schema from which on there are token keys that were sealed.
const FIRST_WITH_TOKEN_KEYS: u64 = 6;

/// Each entry takes a store from the version of its index to the next.
const MIGRATIONS: &[&[&str]] = &[
    &[
        "CREATE TABLE workspaces (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        plan TEXT NOT NULL,
        access TEXT NOT NULL,
        default_configuration TEXT,
        created_at BIGINT NOT NULL,
        revision BIGINT NOT NULL,
        snapshot_version BIGINT NOT NULL)",
        "CREATE TABLE provider_keys (
        id TEXT PRIMARY KEY,
        workspace TEXT NOT NULL,
        provider TEXT NOT NULL,
        name TEXT NOT NULL,
        masked TEXT NOT NULL,
        version BIGINT NOT NULL,
        base_url TEXT,
        options TEXT NOT NULL,
        is_default BIGINT NOT NULL,
        enabled BIGINT NOT NULL,
        tags TEXT NOT NULL,
        health TEXT NOT NULL,
        managed_by TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        rotated_at BIGINT,
        last_used_at BIGINT,
        revision BIGINT NOT NULL,
        UNIQUE (workspace, provider, name))",
        "CREATE TABLE provider_key_versions (
        provider_key TEXT NOT NULL,
        version BIGINT NOT NULL,
        entry TEXT,
        wrapped TEXT,
        ciphertext TEXT,
        kek TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        PRIMARY KEY (provider_key, version))",
        "CREATE TABLE agents (
        id TEXT PRIMARY KEY,
        workspace TEXT NOT NULL,
        name TEXT NOT NULL,
        tags TEXT NOT NULL,
        managed_by TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        revision BIGINT NOT NULL,
        UNIQUE (workspace, name))",
        "CREATE TABLE gateways (
        id TEXT PRIMARY KEY,
        workspace TEXT NOT NULL,
        name TEXT NOT NULL,
        tags TEXT NOT NULL,
        managed_by TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        revision BIGINT NOT NULL,
        UNIQUE (workspace, name))",
        "CREATE TABLE gateway_keys (
        id TEXT PRIMARY KEY,
        workspace TEXT NOT NULL,
        hash TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        masked TEXT NOT NULL,
        agent TEXT NOT NULL,
        gateway TEXT,
        team TEXT,
        expires_at BIGINT,
        revoked_at BIGINT,
        created_at BIGINT NOT NULL,
        last_used_at BIGINT,
        revision BIGINT NOT NULL)",
        "CREATE INDEX gateway_keys_by_workspace ON gateway_keys (workspace, created_at, id)",
        "CREATE TABLE requests (
        workspace TEXT NOT NULL,
        at TEXT NOT NULL,
        id TEXT NOT NULL,
        gateway_key TEXT NOT NULL,
        agent TEXT NOT NULL,
        route TEXT,
        provider TEXT,
        model TEXT,
        credential TEXT,
        status BIGINT NOT NULL,
        record TEXT NOT NULL)",
        "CREATE INDEX requests_by_time ON requests (workspace, at, id)",
    ],
    &[
        "ALTER TABLE provider_keys ADD COLUMN health_detail TEXT",
        "ALTER TABLE provider_keys ADD COLUMN checked_at BIGINT",
    ],
    &[
        "CREATE TABLE roles (
        id TEXT PRIMARY KEY,
        workspace TEXT NOT NULL,
        name TEXT NOT NULL,
        statements TEXT NOT NULL,
        managed_by TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        revision BIGINT NOT NULL,
        UNIQUE (workspace, name))",
        "ALTER TABLE agents ADD COLUMN roles TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE agents ADD COLUMN pins TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE gateway_keys ADD COLUMN configuration TEXT",
        "ALTER TABLE gateway_keys ADD COLUMN created_by TEXT NOT NULL DEFAULT 'root'",
        "CREATE TABLE seeds (
        workspace TEXT NOT NULL,
        provider TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        deleted_at BIGINT,
        PRIMARY KEY (workspace, provider))",
        "CREATE TABLE configurations (
        id TEXT PRIMARY KEY,
        workspace TEXT NOT NULL,
        name TEXT NOT NULL,
        tags TEXT NOT NULL,
        version BIGINT NOT NULL,
        plan TEXT,
        draft TEXT,
        draft_based_on BIGINT,
        draft_by TEXT,
        draft_at BIGINT,
        managed_by TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        revision BIGINT NOT NULL,
        UNIQUE (workspace, name))",
        "CREATE TABLE configuration_versions (
        configuration TEXT NOT NULL,
        version BIGINT NOT NULL,
        document TEXT NOT NULL,
        applied_by TEXT NOT NULL,
        applied_at BIGINT NOT NULL,
        restores BIGINT,
        PRIMARY KEY (configuration, version))",
        "CREATE TABLE admin_tokens (
        id TEXT PRIMARY KEY,
        workspace TEXT NOT NULL,
        hash TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        masked TEXT NOT NULL,
        scope TEXT,
        role TEXT NOT NULL,
        created_by TEXT NOT NULL,
        expires_at BIGINT,
        created_at BIGINT NOT NULL,
        revision BIGINT NOT NULL,
        UNIQUE (workspace, name))",
        "CREATE TABLE audit (
        workspace TEXT NOT NULL,
        seq BIGINT NOT NULL,
        at BIGINT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        resource TEXT NOT NULL,
        before TEXT,
        after TEXT,
        previous_hash TEXT NOT NULL,
        hash TEXT NOT NULL,
        PRIMARY KEY (workspace, seq))",
        "CREATE TABLE audit_heads (
        workspace TEXT PRIMARY KEY,
        seq BIGINT NOT NULL,
        hash TEXT NOT NULL)",
    ],
    // Ids of the roles, agents and gateways that a configuration's live document declares.
    &["ALTER TABLE configurations ADD COLUMN declared TEXT"],
    &[
        "ALTER TABLE gateway_keys ADD COLUMN limits TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE gateway_keys ADD COLUMN budget TEXT",
        "CREATE TABLE ledgers (
        workspace TEXT NOT NULL,
        gateway_key TEXT NOT NULL,
        kind TEXT NOT NULL,
        ledger TEXT NOT NULL,
        PRIMARY KEY (gateway_key, kind))",
        "CREATE TABLE splits (
        workspace TEXT NOT NULL,
        split TEXT NOT NULL,
        weights TEXT NOT NULL,
        handed TEXT NOT NULL,
        PRIMARY KEY (workspace, split))",
        "CREATE TABLE prices (
        workspace TEXT NOT NULL,
        provider TEXT NOT NULL,
        model TEXT NOT NULL,
        input BIGINT NOT NULL,
        cached_input BIGINT,
        output BIGINT NOT NULL,
        PRIMARY KEY (workspace, provider, model))",
        "CREATE TABLE wallets (
        workspace TEXT PRIMARY KEY,
        balance BIGINT NOT NULL,
        reserved BIGINT NOT NULL,
        seq BIGINT NOT NULL)",
        "CREATE TABLE reservations (
        id TEXT PRIMARY KEY,
        workspace TEXT NOT NULL,
        request TEXT NOT NULL,
        amount BIGINT NOT NULL,
        state TEXT NOT NULL,
        expires_at BIGINT NOT NULL)",
        "CREATE INDEX reservations_by_end ON reservations (workspace, state, expires_at)",
        "CREATE TABLE wallet_ledger (
        workspace TEXT NOT NULL,
        seq BIGINT NOT NULL,
        at BIGINT NOT NULL,
        kind TEXT NOT NULL,
        amount BIGINT NOT NULL,
        shortfall BIGINT NOT NULL,
        balance BIGINT NOT NULL,
        reserved BIGINT NOT NULL,
        reference TEXT NOT NULL,
        request TEXT,
        note TEXT,
        PRIMARY KEY (workspace, seq))",
        "CREATE INDEX wallet_ledger_by_reference ON wallet_ledger (workspace, reference)",
        // What requests had none of is the empty text.
        "CREATE TABLE usage (
        workspace TEXT NOT NULL,
        day TEXT NOT NULL,
        gateway_key TEXT NOT NULL,
        agent TEXT NOT NULL,
        team TEXT NOT NULL,
        route TEXT NOT NULL,
        provider TEXT NOT NULL,
        provider_key TEXT NOT NULL,
        model TEXT NOT NULL,
        credential TEXT NOT NULL,
        requests BIGINT NOT NULL,
        errors BIGINT NOT NULL,
        input_tokens BIGINT NOT NULL,
        cached_input_tokens BIGINT NOT NULL,
        output_tokens BIGINT NOT NULL,
        cost BIGINT NOT NULL,
        PRIMARY KEY (workspace, day, gateway_key, agent, team, route, provider, provider_key, model, credential))",
    ],
    &[
        "CREATE TABLE bridges (
        provider_key TEXT NOT NULL,
        version BIGINT NOT NULL,
        kek TEXT,
        sealed TEXT,
        proven_at BIGINT,
        expires_at BIGINT,
        asked_at BIGINT NOT NULL,
        failures BIGINT NOT NULL,
        failed_at BIGINT NOT NULL,
        PRIMARY KEY (provider_key, version))",
        "CREATE TABLE leftovers (
        workspace TEXT NOT NULL,
        entry TEXT NOT NULL,
        since BIGINT NOT NULL,
        PRIMARY KEY (workspace, entry))",
        "CREATE TABLE token_keys (kek TEXT PRIMARY KEY, sealed TEXT NOT NULL)",
    ],
];

/// What a store says of itself.
pub(super) struct Meta {
    schema: u64,
    marks: String,
    pub(super) lengths: Lengths,
}

impl Meta {
    /// Reads it; `None` for a store without tables.
    pub(super) fn read(tx: &mut dyn Tx) -> Result<Option<Self>, StoreError> {
        // Asking for the table first keeps a missing one apart from a damaged store, on every engine.
        let tables = tx.query(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'meta'",
            &[],
        )?;
        if tables.is_empty() {
            return Ok(None);
        }
        let rows = tx.query("SELECT schema_version, kek_check, lengths FROM meta", &[])?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let mut cells = Cells::new(row);
        Ok(Some(Self {
            schema: cells.number()?,
            marks: cells.text()?,
            lengths: cells.json()?,
        }))
    }

    /// Whether the tables are not those of this version, or the marks not those that the asker's keys want; [`prepare`]
    /// mends it, or refuses.
    pub(super) fn differs(&self, keys: &Keyring) -> bool {
        let known = |held: &Held| self.marks().any(|mark| mark == held.mark);
        self.schema != MIGRATIONS.len() as u64
            || !keys.in_force.iter().all(known)
            || !self.marks().all(|mark| has(keys, mark))
    }

    /// The check value of the store's first KEK.
    pub(super) fn origin(&self) -> &str {
        self.marks().next().unwrap_or_default()
    }

    fn marks(&self) -> impl Iterator<Item = &str> {
        self.marks.split(' ')
    }

    /// The marks that the store has once this asker has used it.
    ///
    /// # Errors
    /// The asker lacks a KEK that something is under.
    fn marked(&self, tx: &mut dyn Tx, keys: &Keyring) -> Result<String, Denial> {
        // Known before anything is migrated: a store with the wrong KEK is left as it is.
        if !keys
            .all()
            .any(|held| self.marks().any(|mark| mark == held.mark))
        {
            return Err(Denial::WrongKek);
        }
        let tables = self.schema >= FIRST_WITH_TOKEN_KEYS;
        let sealed = if tables {
            vault::sealed_token_keys(tx)?.map(|(kek, _)| kek)
        } else {
            None
        };
        let origin = self.origin();
        match sealed {
            None if !has(keys, origin) => return Err(Denial::WrongKek),
            Some(kek) if !keys.all().any(|held| kek == held.prefix) => {
                return Err(Denial::KekNeeded { kek, secrets: 0 });
            }
            _ => {}
        }
        if let Some((kek, secrets)) = vault::beyond(tx, keys)? {
            return Err(Denial::KekNeeded { kek, secrets });
        }
        if tables && let Some((entry, entries)) = vault::left_beyond(tx, keys)? {
            return Err(Denial::StoreNeeded { entry, entries });
        }
        // What is left out has nothing under it.
        let mut marks: Vec<&str> = self.marks().filter(|mark| has(keys, mark)).collect();
        for held in &keys.in_force {
            if !marks.contains(&held.mark.as_str()) {
                marks.push(&held.mark);
            }
        }
        Ok(marks.join(" "))
    }
}

/// Whether an asker has what a mark stands for.
fn has(keys: &Keyring, mark: &str) -> bool {
    keys.all().any(|held| held.mark == mark)
}

/// Makes or migrates the tables, notes what secrets are sealed under, takes over the lease length.
pub(super) fn prepare(
    tx: &mut dyn Tx,
    now_ms: u64,
    keys: &Keyring,
    lease_ms: u64,
) -> Result<(), Denial> {
    let meta = Meta::read(tx)?;
    let marks = match &meta {
        Some(meta) => meta.marked(tx, keys)?,
        None => {
            let marks: Vec<&str> = keys
                .in_force
                .iter()
                .map(|held| held.mark.as_str())
                .collect();
            marks.join(" ")
        }
    };
    let from = match &meta {
        Some(meta) if meta.schema > MIGRATIONS.len() as u64 => {
            return Err(Denial::Store(format!(
                "the store is of a newer version of Lockgate (schema {}, this version knows {})",
                meta.schema,
                MIGRATIONS.len()
            )));
        }
        Some(meta) => usize::try_from(meta.schema).unwrap_or(usize::MAX),
        None => 0,
    };
    for statement in MIGRATIONS.iter().skip(from).flat_map(|m| m.iter()) {
        tx.query(statement, &[])?;
    }
    let schema = MIGRATIONS.len() as u64;
    match meta {
        None => {
            tx.query(
                "CREATE TABLE meta (schema_version BIGINT NOT NULL, kek_check TEXT NOT NULL, lengths TEXT NOT NULL)",
                &[],
            )?;
            let lengths = Lengths::new(lease_ms);
            tx.query(
                "INSERT INTO meta (schema_version, kek_check, lengths) VALUES (?1, ?2, ?3)",
                &[schema.into(), marks.into(), json(&lengths)],
            )?;
            found(tx, now_ms, DEFAULT_WORKSPACE, "default")?;
        }
        Some(meta) => {
            tx.query(
                "UPDATE meta SET schema_version = ?1, kek_check = ?2",
                &[schema.into(), marks.into()],
            )?;
            if let Some(adopted) = meta.lengths.adopt(lease_ms) {
                store_lengths(tx, &adopted)?;
            }
        }
    }
    if from < MIGRATIONS.len() {
        found(tx, now_ms, PLATFORM_WORKSPACE, "platform")?;
        // A later version may seed more; what a workspace has or had is left alone.
        for row in tx.query("SELECT id FROM workspaces", &[])? {
            seeds::plant(tx, now_ms, &Cells::new(row).text()?)?;
        }
    }
    Ok(())
}

/// Makes a workspace that always exists, unless it does, or its name was given to another one before it was reserved.
fn found(tx: &mut dyn Tx, now_ms: u64, id: &str, name: &str) -> Result<(), StoreError> {
    tx.query(
        "INSERT INTO workspaces (id, name, plan, access, created_at, revision, snapshot_version)
         VALUES (?1, ?2, 'free', 'enforced', ?3, 1, 1) ON CONFLICT DO NOTHING",
        &[id.into(), name.into(), now_ms.into()],
    )
    .map(|_| ())
}

/// Stores the lease lengths in force.
pub(super) fn store_lengths(tx: &mut dyn Tx, lengths: &Lengths) -> Result<(), StoreError> {
    tx.query("UPDATE meta SET lengths = ?1", &[json(lengths)])
        .map(|_| ())
}

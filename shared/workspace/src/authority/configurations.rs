//! Configurations: a draft, a live version and a history.

mod declared;

use lockgate_host::{Row, StoreError, Tx};

use crate::plan::Plan;
use crate::question::{Declared, Denial, Kind, Reply};
use crate::resource::{Configuration, ConfigurationVersion, Draft};
use crate::tags::Tags;

use super::Context;
use super::admit::touch;
use super::cells::{Cells, MAX_NUMBER, expect_revision, json, not_found, taken, word};
use super::gateway_keys::unused;
use super::stored::{Stored, accessors, editable, find, get, remove};

impl Stored for Configuration {
    const KIND: Kind = Kind::Configuration;
    const TABLE: &'static str = "configurations";
    const COLUMNS: &'static str = "id, name, tags, version,
        (SELECT v.document FROM configuration_versions v WHERE v.configuration = configurations.id
            AND v.version = configurations.version),
        draft, draft_based_on, draft_by, draft_at, managed_by, created_at,
        (SELECT v.applied_at FROM configuration_versions v WHERE v.configuration = configurations.id
            AND v.version = configurations.version),
        revision";
    const LISTED: &'static str =
        "id, name, tags, version, NULL, NULL, draft_based_on, draft_by, draft_at,
        managed_by, created_at,
        (SELECT v.applied_at FROM configuration_versions v WHERE v.configuration = configurations.id
            AND v.version = configurations.version),
        revision";

    fn read(mut cells: Cells) -> Result<Self, StoreError> {
        Ok(Self {
            id: cells.text()?,
            name: cells.text()?,
            tags: cells.json()?,
            version: cells.number()?,
            document: cells.optional_text()?,
            draft: {
                let document = cells.optional_text()?;
                let based_on = cells.optional_number()?;
                let (by, at) = (cells.optional_text()?, cells.optional_time()?);
                match (based_on, by, at) {
                    (Some(based_on), Some(written_by), Some(written_at)) => Some(Draft {
                        document,
                        based_on,
                        written_by,
                        written_at,
                    }),
                    _ => None,
                }
            },
            managed_by: cells.word()?,
            created_at: cells.time()?,
            applied_at: cells.optional_time()?,
            revision: cells.number()?,
        })
    }

    accessors!(Configuration, managed);
}

/// What is applied.
pub(super) struct Apply<'a> {
    pub(super) id: &'a str,
    pub(super) expect: u64,
    pub(super) expected_version: u64,
    pub(super) document: &'a str,
    pub(super) plan: &'a Plan,
    pub(super) declared: &'a Declared,
    pub(super) restores: Option<u64>,
}

/// Makes one whose document is a draft. Nothing is live yet, but its tags count for what is bound to it.
pub(super) fn create(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    configuration: &Configuration,
) -> Result<Reply, Denial> {
    tx.query(
        "INSERT INTO configurations (workspace, id, name, tags, version, managed_by, created_at, revision)
         VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, 1)",
        &[
            context.workspace.into(),
            configuration.id.as_str().into(),
            configuration.name.as_str().into(),
            json(&configuration.tags),
            word(&configuration.managed_by),
            configuration.created_at.0.into(),
        ],
    )
    .map_err(|e| taken(e, Configuration::KIND.word(), &configuration.name))?;
    let draft = configuration.draft.as_ref();
    if let Some(document) = draft.and_then(|draft| draft.document.as_deref()) {
        write_draft(tx, context, &configuration.id, document)?;
    }
    touch(tx, context.workspace)?;
    get::<Configuration>(tx, context.workspace, &configuration.id)
}

pub(super) fn patch(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
    name: Option<String>,
    tags: Option<Tags>,
) -> Result<Reply, Denial> {
    let found: Configuration = editable(tx, workspace, reference, expect)?;
    let name = name.unwrap_or(found.name);
    tx.query(
        "UPDATE configurations SET name = ?2, tags = ?3, revision = revision + 1 WHERE id = ?1",
        &[
            found.id.as_str().into(),
            name.as_str().into(),
            json(&tags.unwrap_or(found.tags)),
        ],
    )
    .map_err(|e| taken(e, Configuration::KIND.word(), &name))?;
    touch(tx, workspace)?;
    get::<Configuration>(tx, workspace, &found.id)
}

/// Replaces the draft. It is part of the flow by which declarative ones change, so they take it too.
pub(super) fn put_draft(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    reference: &str,
    expect: Option<u64>,
    document: &str,
) -> Result<Reply, Denial> {
    let found: Configuration = find(tx, context.workspace, reference)?;
    expect_revision(expect, found.revision)?;
    write_draft(tx, context, &found.id, document)?;
    tx.query(
        "UPDATE configurations SET revision = revision + 1 WHERE id = ?1",
        &[found.id.as_str().into()],
    )?;
    get::<Configuration>(tx, context.workspace, &found.id)
}

fn write_draft(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    id: &str,
    document: &str,
) -> Result<(), StoreError> {
    tx.query(
        "UPDATE configurations SET draft = ?2, draft_based_on = version, draft_by = ?3, draft_at = ?4 WHERE id = ?1",
        &[
            id.into(),
            document.into(),
            context.actor.into(),
            context.now_ms.into(),
        ],
    )
    .map(|_| ())
}

/// Makes a document the live version, with what it declares, in the revision that it was compiled at and over the
/// version that the asker means to replace: of two who apply at once, one is refused.
pub(super) fn apply(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    apply: Apply<'_>,
) -> Result<Reply, Denial> {
    let found: Configuration = find(tx, context.workspace, apply.id)?;
    if found.version != apply.expected_version {
        return Err(Denial::Stale {
            expected: apply.expected_version,
            found: found.version,
        });
    }
    expect_revision(Some(apply.expect), found.revision)?;
    let version = found.version.saturating_add(1);
    tx.query(
        "INSERT INTO configuration_versions (configuration, version, document, applied_by, applied_at, restores)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        &[
            found.id.as_str().into(),
            version.into(),
            apply.document.into(),
            context.actor.into(),
            context.now_ms.into(),
            apply.restores.into(),
        ],
    )?;
    tx.query(
        "UPDATE configurations SET version = ?2, plan = ?3, revision = revision + 1 WHERE id = ?1",
        &[found.id.as_str().into(), version.into(), json(apply.plan)],
    )?;
    if apply.restores.is_none() {
        tx.query(
            "UPDATE configurations SET draft = NULL, draft_based_on = NULL, draft_by = NULL, draft_at = NULL
             WHERE id = ?1",
            &[found.id.as_str().into()],
        )?;
    }
    declared::declare(tx, context.workspace, &found, apply.declared)?;
    touch(tx, context.workspace)?;
    get::<Configuration>(tx, context.workspace, &found.id)
}

pub(super) fn versions(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    limit: u32,
    before: Option<u64>,
) -> Result<Reply, Denial> {
    let found: Configuration = find(tx, workspace, reference)?;
    let rows = tx.query(
        "SELECT version, NULL, applied_by, applied_at, restores FROM configuration_versions
         WHERE configuration = ?1 AND version < ?2 ORDER BY version DESC LIMIT ?3",
        &[
            found.id.as_str().into(),
            before.unwrap_or(MAX_NUMBER).min(MAX_NUMBER).into(),
            u64::from(limit).into(),
        ],
    )?;
    let versions: Result<_, StoreError> = rows.into_iter().map(read_version).collect();
    Ok(Reply::Versions(versions?))
}

pub(super) fn version(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    version: u64,
) -> Result<Reply, Denial> {
    let found: Configuration = find(tx, workspace, reference)?;
    let rows = tx.query(
        "SELECT version, document, applied_by, applied_at, restores FROM configuration_versions
         WHERE configuration = ?1 AND version = ?2",
        &[found.id.as_str().into(), version.min(MAX_NUMBER).into()],
    )?;
    match rows.into_iter().next() {
        Some(row) => Ok(Reply::Version(Box::new(read_version(row)?))),
        None => Err(not_found(
            "version",
            &format!("{version} of {}", found.name),
        )),
    }
}

fn read_version(row: Row) -> Result<ConfigurationVersion, StoreError> {
    let mut cells = Cells::new(row);
    Ok(ConfigurationVersion {
        version: cells.number()?,
        document: cells.optional_text()?,
        applied_by: cells.text()?,
        applied_at: cells.time()?,
        restores: cells.optional_number()?,
    })
}

/// Removes one that nothing is bound to, a declarative one too: no document could do it. What it declared is managed
/// by hand from then on.
pub(super) fn delete(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
) -> Result<Reply, Denial> {
    let found: Configuration = find(tx, workspace, reference)?;
    expect_revision(expect, found.revision)?;
    unused(tx, workspace, &found)?;
    let defaults = tx.query(
        "SELECT id FROM workspaces WHERE id = ?1 AND default_configuration = ?2",
        &[workspace.into(), found.id.as_str().into()],
    )?;
    if !defaults.is_empty() {
        return Err(Denial::InUse(format!(
            "the configuration “{}” is the workspace's default: make another one the default first",
            found.name
        )));
    }
    declared::declare(tx, workspace, &found, &Declared::default())?;
    tx.query(
        "DELETE FROM configuration_versions WHERE configuration = ?1",
        &[found.id.as_str().into()],
    )?;
    remove(tx, &found)?;
    touch(tx, workspace)?;
    Ok(Reply::Done)
}

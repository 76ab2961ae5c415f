//! Configurations: a draft, a live version and a history.

use lockgate_host::{StoreError, Tx};

use crate::plan::Plan;
use crate::question::{Declared, Denial, Kind, Reply, Resource};
use crate::resource::{Configuration, Draft, ManagedBy};
use crate::tags::Tags;

use super::Context;
use super::cells::Cells;
use super::stored::Stored;

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

    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn revision(&self) -> u64 {
        self.revision
    }

    fn managed_by(&self) -> ManagedBy {
        self.managed_by
    }

    fn resource(self) -> Resource {
        Resource::Configuration(self)
    }
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

pub(super) fn create(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    configuration: &Configuration,
) -> Result<Reply, Denial> {
    let _ = (tx, context, configuration);
    Err(Denial::Store("not yet".into()))
}

pub(super) fn patch(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
    name: Option<String>,
    tags: Option<Tags>,
) -> Result<Reply, Denial> {
    let _ = (tx, workspace, reference, expect, name, tags);
    Err(Denial::Store("not yet".into()))
}

pub(super) fn put_draft(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    reference: &str,
    expect: Option<u64>,
    document: &str,
) -> Result<Reply, Denial> {
    let _ = (tx, context, reference, expect, document);
    Err(Denial::Store("not yet".into()))
}

pub(super) fn apply(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    apply: Apply<'_>,
) -> Result<Reply, Denial> {
    let _ = (tx, context, apply);
    Err(Denial::Store("not yet".into()))
}

pub(super) fn versions(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    limit: u32,
    before: Option<u64>,
) -> Result<Reply, Denial> {
    let _ = (tx, workspace, reference, limit, before);
    Err(Denial::Store("not yet".into()))
}

pub(super) fn version(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    version: u64,
) -> Result<Reply, Denial> {
    let _ = (tx, workspace, reference, version);
    Err(Denial::Store("not yet".into()))
}

pub(super) fn delete(
    tx: &mut dyn Tx,
    workspace: &str,
    reference: &str,
    expect: Option<u64>,
) -> Result<Reply, Denial> {
    let _ = (tx, workspace, reference, expect);
    Err(Denial::Store("not yet".into()))
}

//! The audit log: each workspace has a chain of rows, each with the hash of the one before, written in the transaction
//! of the change it tells of.

use lockgate_host::Tx;

use crate::question::{Denial, Incident, Question, Reply};

use super::Context;

/// What a change is about, found before it is made.
pub(super) struct Subject {
    pub(super) action: &'static str,
}

/// What the audit log says of a question, if it says anything: looked up before the question is answered.
pub(super) fn subject(
    _tx: &mut dyn Tx,
    _context: &Context<'_>,
    _question: &Question,
) -> Result<Option<Subject>, Denial> {
    Ok(None)
}

/// Writes the row of a change that was made.
pub(super) fn changed(
    _tx: &mut dyn Tx,
    _context: &Context<'_>,
    _subject: Subject,
    _reply: &Reply,
) -> Result<(), Denial> {
    Ok(())
}

/// Writes the rows of what the data plane reports.
pub(super) fn incidents(
    _tx: &mut dyn Tx,
    _context: &Context<'_>,
    _incidents: &[Incident],
) -> Result<(), Denial> {
    Ok(())
}

/// Rows to list.
pub(super) struct Filter {
    pub(super) action: Option<String>,
    pub(super) actor: Option<String>,
    pub(super) resource: Option<String>,
}

pub(super) fn record(
    tx: &mut dyn Tx,
    context: &Context<'_>,
    action: &str,
    resource: &str,
    detail: &serde_json::Value,
) -> Result<Reply, Denial> {
    let _ = (tx, context, action, resource, detail);
    Err(Denial::Store("not yet".into()))
}

pub(super) fn list(
    tx: &mut dyn Tx,
    workspace: &str,
    limit: u32,
    before: Option<u64>,
    filter: &Filter,
) -> Result<Reply, Denial> {
    let _ = (
        tx,
        workspace,
        limit,
        before,
        filter.action.as_ref(),
        filter.actor.as_ref(),
        filter.resource.as_ref(),
    );
    Err(Denial::Store("not yet".into()))
}

pub(super) fn verify(
    tx: &mut dyn Tx,
    workspace: &str,
    from: u64,
    previous: Option<String>,
    limit: u32,
) -> Result<Reply, Denial> {
    let _ = (tx, workspace, from, previous, limit);
    Err(Denial::Store("not yet".into()))
}

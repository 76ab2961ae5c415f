//! The chain: how a row is hashed, appended and checked.
//!
//! A row's hash is the SHA-256, in hex, of these fields as netstrings (`<bytes>:<field>,`), a field that is absent as
//! `-`: [`DOMAIN`], the workspace, `seq`, `at` in milliseconds, `actor`, `action`, `resource`, `before`, `after`,
//! `previous_hash`. So no two rows have the same input, and none passes for one of another workspace.
//!
//! The head, the newest row's number and hash, is kept in a table of its own: a tail that was cut off is missed.

use std::fmt::Write as _;

use lockgate_host::{StoreError, Tx};

use crate::authority::Context;
use crate::authority::cells::Cells;
use crate::minted;
use crate::question::{Denial, Reply};
use crate::resource::{Timestamp, Verified};

/// What every hash begins with; another form of row gets another one.
const DOMAIN: &str = "lockgate audit v1";
/// The hash before the first row.
const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Rows that one question checks at most.
const MAX_STRETCH: u32 = 1_000;

/// What [`Row::read`] reads.
pub(super) const COLUMNS: &str =
    "seq, at, actor, action, resource, before, after, previous_hash, hash";

/// A row as it is stored.
pub(super) struct Row {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) actor: String,
    pub(super) action: String,
    pub(super) resource: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    pub(super) previous_hash: String,
    pub(super) hash: String,
}

impl Row {
    /// Fails where a column is of another kind than was written.
    pub(super) fn read(mut cells: Cells) -> Result<Self, StoreError> {
        Ok(Self {
            seq: cells.number()?,
            at: cells.time()?,
            actor: cells.text()?,
            action: cells.text()?,
            resource: cells.text()?,
            before: cells.optional_text()?,
            after: cells.optional_text()?,
            previous_hash: cells.text()?,
            hash: cells.text()?,
        })
    }

    fn digest(&self, workspace: &str) -> String {
        let mut input = String::new();
        let (seq, at) = (self.seq.to_string(), self.at.0.to_string());
        for field in [
            Some(DOMAIN),
            Some(workspace),
            Some(&seq),
            Some(&at),
            Some(&self.actor),
            Some(&self.action),
            Some(&self.resource),
            self.before.as_deref(),
            self.after.as_deref(),
            Some(&self.previous_hash),
        ] {
            match field {
                // Writing to a String cannot fail.
                Some(field) => _ = write!(input, "{}:{field},", field.len()),
                None => input.push('-'),
            }
        }
        minted::hash_text(&minted::hash(&input))
    }
}

/// The newest row's number and hash.
struct Head {
    seq: u64,
    hash: String,
}

impl Head {
    /// As it is kept. A missing one is that of an empty chain, and so is one that was damaged: then every row is one
    /// too many, which the check says.
    fn read(tx: &mut dyn Tx, workspace: &str) -> Result<Self, StoreError> {
        let rows = tx.query(
            "SELECT seq, hash FROM audit_heads WHERE workspace = ?1",
            &[workspace.into()],
        )?;
        let read = |row| {
            let mut cells = Cells::new(row);
            let (seq, hash) = (cells.number().ok()?, cells.text().ok()?);
            Some(Self { seq, hash })
        };
        Ok(rows.into_iter().next().and_then(read).unwrap_or(Self {
            seq: 0,
            hash: GENESIS.to_owned(),
        }))
    }
}

/// A workspace's chain, open for appending.
pub(super) struct Chain<'a> {
    context: &'a Context<'a>,
    head: Head,
}

impl<'a> Chain<'a> {
    pub(super) fn open(tx: &mut dyn Tx, context: &'a Context<'a>) -> Result<Self, StoreError> {
        let mut head = Head::read(tx, context.workspace)?;
        let rows = tx.query(
            "SELECT MAX(seq) FROM audit WHERE workspace = ?1",
            &[context.workspace.into()],
        )?;
        let newest = rows.into_iter().next();
        let newest = newest.and_then(|row| Cells::new(row).optional_number().ok()?);
        let newest = newest.unwrap_or(0);
        if newest != head.seq {
            // It was tampered with. Nobody is to stop the gateway by spoiling its log, so it goes on behind whatever is
            // there; and it does not join what was broken, so that the check goes on naming the place.
            head = Head {
                seq: head.seq.max(newest),
                hash: GENESIS.to_owned(),
            };
        }
        Ok(Self { context, head })
    }

    /// Appends a row: who did what to what, and what it was before and after.
    pub(super) fn append(
        &mut self,
        tx: &mut dyn Tx,
        (actor, action, resource): (&str, &str, &str),
        (before, after): (Option<&str>, Option<&str>),
    ) -> Result<(), StoreError> {
        let workspace = self.context.workspace;
        let mut row = Row {
            seq: self.head.seq.saturating_add(1),
            at: Timestamp(self.context.now_ms),
            actor: actor.to_owned(),
            action: action.to_owned(),
            resource: resource.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            previous_hash: std::mem::take(&mut self.head.hash),
            hash: String::new(),
        };
        row.hash = row.digest(workspace);
        self.head = Head {
            seq: row.seq,
            hash: row.hash.clone(),
        };
        tx.query(
            &format!(
                "INSERT INTO audit (workspace, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
            ),
            &[
                workspace.into(),
                row.seq.into(),
                row.at.0.into(),
                row.actor.into(),
                row.action.into(),
                row.resource.into(),
                row.before.into(),
                row.after.into(),
                row.previous_hash.into(),
                row.hash.into(),
            ],
        )
        .map(|_| ())
    }

    /// Notes the newest row.
    pub(super) fn close(self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        tx.query(
            "INSERT INTO audit_heads (workspace, seq, hash) VALUES (?1, ?2, ?3)
             ON CONFLICT (workspace) DO UPDATE SET seq = excluded.seq, hash = excluded.hash",
            &[
                self.context.workspace.into(),
                self.head.seq.into(),
                self.head.hash.into(),
            ],
        )
        .map(|_| ())
    }
}

/// Checks a stretch of the chain, against the head where it reaches the end. Rows that are appended between two
/// stretches are part of the next one.
pub(in crate::authority) fn verify(
    tx: &mut dyn Tx,
    workspace: &str,
    from: u64,
    previous: Option<String>,
    limit: u32,
) -> Result<Reply, Denial> {
    let (first, mut previous) = match previous {
        Some(previous) if from > 1 => (from, previous),
        _ => (1, GENESIS.to_owned()),
    };
    let mut verified = Verified {
        ok: true,
        rows: 0,
        first_bad_seq: None,
    };
    let head = Head::read(tx, workspace)?;
    let limit = limit.clamp(1, MAX_STRETCH);
    let rows = tx.query(
        &format!(
            "SELECT {COLUMNS} FROM audit WHERE workspace = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3"
        ),
        &[workspace.into(), first.into(), u64::from(limit).into()],
    )?;
    let more = rows.len() >= limit as usize;
    let mut seq = first;
    for row in rows {
        verified.rows += 1;
        match Row::read(Cells::new(row)) {
            Ok(row)
                if row.seq == seq
                    && row.seq <= head.seq
                    && row.previous_hash == previous
                    && row.hash == row.digest(workspace) =>
            {
                previous = row.hash;
            }
            _ => return Ok(bad(verified, seq)),
        }
        seq = seq.saturating_add(1);
    }
    if more {
        let next = Some((seq, previous));
        return Ok(Reply::Verified { verified, next });
    }
    let last = seq - 1;
    if last < head.seq {
        return Ok(bad(verified, seq));
    }
    if head.hash != previous {
        return Ok(bad(verified, last));
    }
    if strays(tx, workspace)? {
        return Ok(bad(verified, 0));
    }
    Ok(Reply::Verified {
        verified,
        next: None,
    })
}

/// Whether there are rows before the first.
fn strays(tx: &mut dyn Tx, workspace: &str) -> Result<bool, StoreError> {
    let rows = tx.query(
        "SELECT 1 FROM audit WHERE workspace = ?1 AND (seq IS NULL OR seq < 1) LIMIT 1",
        &[workspace.into()],
    )?;
    Ok(!rows.is_empty())
}

fn bad(verified: Verified, seq: u64) -> Reply {
    Reply::Verified {
        verified: Verified {
            ok: false,
            first_bad_seq: Some(seq),
            ..verified
        },
        next: None,
    }
}

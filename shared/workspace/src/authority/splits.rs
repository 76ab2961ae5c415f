//! Weighted splits: which targets the next requests go to, so that counts are exact across isolates. What was handed out
//! is kept net of what came back, so that an isolate's unused blocks are made good by the next ones ([`crate::split`]).

use lockgate_host::{StoreError, Tx};

use crate::lease::Lengths;
use crate::question::{Denial, Reply, SplitDraw, SplitReturn};
use crate::split::{MAX_BLOCK, MAX_TARGETS, MAX_WEIGHT, hand, take_back as take};

use super::cells::{Cells, json};

/// Splits that a workspace keeps. Those of routes that are gone stay behind; with one more all begin anew.
const MAX_SPLITS: u64 = 1_000;

pub(super) fn draw(
    tx: &mut dyn Tx,
    workspace: &str,
    lengths: Lengths,
    draw: &SplitDraw,
) -> Result<Reply, Denial> {
    let weights = &draw.weights;
    let fits = (1..=MAX_TARGETS).contains(&weights.len())
        && weights
            .iter()
            .all(|weight| (1..=MAX_WEIGHT).contains(weight));
    if !fits {
        return Err(Denial::Store(format!(
            "a split has 1 to {MAX_TARGETS} weights of 1 to {MAX_WEIGHT}, not {weights:?}"
        )));
    }
    let most = match lengths.lease_ms {
        0 => 1,
        _ => draw.most.clamp(1, MAX_BLOCK),
    };
    let stored = stored(tx, workspace, &draw.split)?;
    if stored.is_none() {
        tx.query(
            "DELETE FROM splits WHERE workspace = ?1
             AND (SELECT COUNT(*) FROM splits WHERE workspace = ?1) >= ?2",
            &[workspace.into(), MAX_SPLITS.into()],
        )?;
    }
    let mut handed = match stored {
        Some(stored) if stored.is_of(weights) => stored.handed,
        _ => vec![0; weights.len()],
    };
    let places = hand(weights, &mut handed, most);
    tx.query(
        "INSERT INTO splits (workspace, split, weights, handed) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (workspace, split) DO UPDATE SET weights = excluded.weights, handed = excluded.handed",
        &[
            workspace.into(),
            draw.split.as_str().into(),
            json(weights),
            json(&handed),
        ],
    )?;
    Ok(Reply::Split {
        places,
        lease_ms: lengths.lease_ms,
    })
}

/// Takes back what isolates did not use. What was drawn under other weights, or of a split that is gone, counts no more.
pub(super) fn take_back(
    tx: &mut dyn Tx,
    workspace: &str,
    returns: &[SplitReturn],
) -> Result<(), StoreError> {
    for back in returns {
        let stored = stored(tx, workspace, &back.split)?;
        let Some(mut stored) = stored.filter(|stored| stored.is_of(&back.weights)) else {
            continue;
        };
        take(&stored.weights, &mut stored.handed, &back.unused);
        tx.query(
            "UPDATE splits SET handed = ?3 WHERE workspace = ?1 AND split = ?2",
            &[
                workspace.into(),
                back.split.as_str().into(),
                json(&stored.handed),
            ],
        )?;
    }
    Ok(())
}

/// A split as it is stored.
struct Stored {
    weights: Vec<u32>,
    /// How many requests each target was handed, less whole cycles.
    handed: Vec<u64>,
}

impl Stored {
    fn is_of(&self, weights: &[u32]) -> bool {
        self.weights == weights && self.handed.len() == weights.len()
    }
}

fn stored(tx: &mut dyn Tx, workspace: &str, split: &str) -> Result<Option<Stored>, StoreError> {
    let rows = tx.query(
        "SELECT weights, handed FROM splits WHERE workspace = ?1 AND split = ?2",
        &[workspace.into(), split.into()],
    )?;
    let Some(row) = rows.into_iter().next() else {
        return Ok(None);
    };
    let mut cells = Cells::new(row);
    Ok(Some(Stored {
        weights: cells.json()?,
        handed: cells.json()?,
    }))
}

//! A workspace's own prices, which go before those of the manifests. Each change is a change of the snapshot.

use lockgate_host::{StoreError, Tx, Value};

use crate::question::{Denial, Reply};
use crate::resource::Price;

use super::admit::touch;
use super::cells::{Cells, not_found};

const KIND: &str = "price";
const COLUMNS: &str = "provider, model, input, cached_input, output";
/// Characters of a provider's slug.
const MAX_PROVIDER: usize = 64;
/// Characters of a model's name.
const MAX_MODEL: usize = 256;
/// Micro-USD for a million tokens: a token for a whole dollar. What a request costs then fits a number with room.
const MAX_PRICE: u64 = 1_000_000_000_000;
/// Prices of a workspace, since every snapshot carries them.
const MAX_PRICES: u64 = 1_000;

fn read(mut cells: Cells) -> Result<Price, StoreError> {
    Ok(Price {
        provider: cells.text()?,
        model: cells.text()?,
        input: cells.number()?,
        cached_input: cells.optional_number()?,
        output: cells.number()?,
    })
}

fn of(workspace: &str, provider: &str, model: &str) -> [Value; 3] {
    [workspace.into(), provider.into(), model.into()]
}

/// All of them, by provider and model.
pub(super) fn all(tx: &mut dyn Tx, workspace: &str) -> Result<Vec<Price>, StoreError> {
    let rows = tx.query(
        &format!("SELECT {COLUMNS} FROM prices WHERE workspace = ?1 ORDER BY provider, model"),
        &[workspace.into()],
    )?;
    rows.into_iter().map(|row| read(Cells::new(row))).collect()
}

/// One, where it is set.
pub(super) fn one(
    tx: &mut dyn Tx,
    workspace: &str,
    provider: &str,
    model: &str,
) -> Result<Option<Price>, StoreError> {
    let rows = tx.query(
        &format!(
            "SELECT {COLUMNS} FROM prices WHERE workspace = ?1 AND provider = ?2 AND model = ?3"
        ),
        &of(workspace, provider, model),
    )?;
    let row = rows.into_iter().next();
    row.map(|row| read(Cells::new(row))).transpose()
}

pub(super) fn list(tx: &mut dyn Tx, workspace: &str) -> Result<Reply, Denial> {
    Ok(Reply::Prices(all(tx, workspace)?))
}

pub(super) fn put(tx: &mut dyn Tx, workspace: &str, price: &Price) -> Result<Reply, Denial> {
    check(price)?;
    let Price {
        provider,
        model,
        input,
        cached_input,
        output,
    } = price;
    if one(tx, workspace, provider, model)?.is_none() {
        let rows = tx.query(
            "SELECT COUNT(*) FROM prices WHERE workspace = ?1",
            &[workspace.into()],
        )?;
        let count = rows.into_iter().next().map(|row| Cells::new(row).number());
        if count.transpose()?.unwrap_or_default() >= MAX_PRICES {
            return Err(Denial::InUse(format!(
                "the workspace has {MAX_PRICES} prices of its own, which is as many as it can have: delete one first"
            )));
        }
    }
    let [of_workspace, of_provider, of_model] = of(workspace, provider, model);
    tx.query(
        "INSERT INTO prices (workspace, provider, model, input, cached_input, output)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (workspace, provider, model) DO UPDATE
         SET input = excluded.input, cached_input = excluded.cached_input, output = excluded.output",
        &[
            of_workspace,
            of_provider,
            of_model,
            (*input).into(),
            (*cached_input).into(),
            (*output).into(),
        ],
    )?;
    touch(tx, workspace)?;
    Ok(Reply::Prices(vec![price.clone()]))
}

/// The last line of defence; what is asked for is checked where it comes in.
fn check(price: &Price) -> Result<(), Denial> {
    let refuse = |why: String| Err(Denial::InUse(why));
    let named = |name: &str, most: usize| !name.is_empty() && name.chars().nth(most).is_none();
    // In the audit log a price is `provider/model`.
    if !named(&price.provider, MAX_PROVIDER) || price.provider.contains('/') {
        return refuse(format!(
            "a price is of a provider, by its slug of 1 to {MAX_PROVIDER} characters without “/”"
        ));
    }
    if !named(&price.model, MAX_MODEL) {
        return refuse(format!(
            "a price is of a model, by its name of 1 to {MAX_MODEL} characters"
        ));
    }
    let prices = [
        ("input", Some(price.input)),
        ("cached_input", price.cached_input),
        ("output", Some(price.output)),
    ];
    for (name, price) in prices {
        if let Some(price) = price.filter(|price| *price > MAX_PRICE) {
            return refuse(format!(
                "{name} is {price} micro-USD for a million tokens; at most {MAX_PRICE} can be counted"
            ));
        }
    }
    Ok(())
}

pub(super) fn delete(
    tx: &mut dyn Tx,
    workspace: &str,
    provider: &str,
    model: &str,
) -> Result<Reply, Denial> {
    let gone = tx.query(
        "DELETE FROM prices WHERE workspace = ?1 AND provider = ?2 AND model = ?3 RETURNING model",
        &of(workspace, provider, model),
    )?;
    if gone.is_empty() {
        return Err(not_found(KIND, &format!("{provider}/{model}")));
    }
    touch(tx, workspace)?;
    Ok(Reply::Done)
}

//! A workspace's wallet, which pays for what runs on the platform's keys (FEATURES H5).

use std::ops::RangeInclusive;

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::question::{Question, Reply};
use lockgate_workspace::{AskError, PLATFORM_WORKSPACE, new_id};
use serde::Deserialize;
use serde_json::Value;

use crate::Call;
use crate::body::whole;
use crate::respond::{self, only};

/// Micro-USD of one credit.
const AMOUNTS: RangeInclusive<u64> = 1..=1_000_000_000_000_000;
/// Characters of a credit's id.
const MAX_ID: usize = 100;
/// Characters of a credit's note.
const MAX_NOTE: usize = 500;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credit {
    amount_microusd: Value,
    note: Option<String>,
    /// Of the caller's own making: what is sent again under it is one credit.
    id: Option<String>,
}

pub(crate) async fn get<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    only(call.query, &[])?;
    shown(call.ask(Question::GetWallet).await?)
}

fn shown(reply: Reply) -> Result<respond::Reply, Refusal> {
    match reply {
        Reply::Wallet(wallet) => Ok(respond::one(200, &wallet)),
        _ => Err(AskError::Mismatch.into()),
    }
}

pub(crate) async fn ledger<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let page = call.page()?;
    let wanted = page.question();
    let question = Question::ListLedger {
        limit: wanted.limit,
        before: wanted.after.map(|(seq, _)| seq),
    };
    match call.ask(question).await? {
        Reply::Ledger(lines) => Ok(page.reply(lines, |line| (line.seq, ""))),
        _ => Err(AskError::Mismatch.into()),
    }
}

pub(crate) async fn credit<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let body: Credit = call.body.read()?;
    let amount_microusd = whole("amount_microusd", &body.amount_microusd, AMOUNTS)?;
    text("note", body.note.as_deref(), 0, MAX_NOTE)?;
    text("id", body.id.as_deref(), 1, MAX_ID)?;
    if call.workspace == PLATFORM_WORKSPACE {
        return Err(Refusal::new(
            Code::INVALID_REQUEST,
            "The workspace “platform” needs no money: it is the one that the others' wallets pay.",
        )
        .remedy("Name the workspace whose wallet it is for in the header `lockgate-workspace`."));
    }
    let question = Question::CreditWallet {
        id: body.id.unwrap_or_else(|| new_id(call.host, "cr")),
        amount_microusd,
        note: body.note,
    };
    shown(call.ask(question).await?)
}

/// Checks a text that is stored as it is.
fn text(field: &str, given: Option<&str>, least: usize, most: usize) -> Result<(), Refusal> {
    let Some(given) = given else { return Ok(()) };
    let length = given.chars().count();
    if (least..=most).contains(&length) && !given.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!(
        "`{field}` has from {least} to {most} characters and no control characters; this one has {length}."
    );
    Err(Refusal::new(Code::INVALID_REQUEST, message).param(field))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::text;

    #[test]
    fn texts_are_checked() {
        assert!(text("note", None, 0, 5).is_ok());
        assert!(text("note", Some(""), 0, 5).is_ok());
        assert!(text("note", Some("größe"), 0, 5).is_ok());
        for bad in ["größer", "a\nb"] {
            let refusal = text("note", Some(bad), 0, 5).unwrap_err();
            assert_eq!(refusal.param.as_deref(), Some("note"));
        }
        assert!(text("id", Some(""), 1, 5).is_err());
    }
}

//! `lockgate wallet`: what a workspace has left for requests on the platform's keys.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::money::{self, dollars};
use crate::output::{say, table};
use crate::remote::{Target, with};

/// The wallet; without a command, what is in it.
#[derive(Args)]
pub(crate) struct Wallet {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do with the wallet.
#[derive(Subcommand)]
enum Command {
    /// Put money in; only with a token for the whole installation.
    Credit(Credit),
    /// Show what happened to it, the newest last.
    Ledger {
        /// How many lines.
        #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        lines: u16,
    },
}

/// Money to put in.
#[derive(Args)]
struct Credit {
    /// Dollars, such as 25.00.
    #[arg(value_parser = dollars)]
    amount: u64,
    /// What for.
    #[arg(long)]
    note: Option<String>,
    /// A name of your own for this credit: under the same one it is put in only once.
    #[arg(long)]
    id: Option<String>,
}

pub(crate) fn run(wallet: Wallet) -> anyhow::Result<()> {
    with(wallet.target, async |remote| match wallet.command {
        None => {
            show(&remote.get("/api/wallet").await?);
            Ok(())
        }
        Some(Command::Credit(credit)) => {
            let mut body = json!({"amount_microusd": credit.amount});
            for (field, value) in [("note", credit.note), ("id", credit.id)] {
                if let Some(value) = value {
                    body[field] = value.into();
                }
            }
            show(&remote.post("/api/wallet/credit", &body).await?);
            Ok(())
        }
        Some(Command::Ledger { lines }) => {
            let path = format!("/api/wallet/ledger?limit={lines}");
            let page = remote.get(&path).await?;
            let items = page.get("items").and_then(Value::as_array);
            let rows: Vec<Value> = items.into_iter().flatten().rev().map(line).collect();
            table(
                &rows,
                &[
                    "seq", "at", "kind", "amount", "balance", "reserved", "request", "note",
                ],
            );
            Ok(())
        }
    })
}

fn show(wallet: &Value) {
    say(&format!(
        "balance {}, reserved for requests under way {}",
        money::field(wallet, "balance_microusd"),
        money::field(wallet, "reserved_microusd")
    ));
}

fn line(entry: &Value) -> Value {
    let mut entry = entry.clone();
    for name in ["amount", "balance", "reserved"] {
        entry[name] = money::field(&entry, &format!("{name}_microusd")).into();
    }
    entry
}

//! `lockgate vault`: which KEKs there are and what is under them, moving secrets under the one in force, and the local KEKs of
//! the data folder (FEATURES G4).

use anyhow::{Context, bail};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::kek_file;
use crate::output::{say, table, text};
use crate::remote::{Remote, Target, with};
use crate::standing::Standing;

/// What to do with the vault.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the vault in force and what is under each KEK; exit with 0 if the vault answers and everything is under its KEK.
    Status {
        /// Print the answer of `/api`; where it has several pages, their sum.
        #[arg(long)]
        json: bool,
    },
    /// Move everything under the KEK in force; it may be stopped with Ctrl-C and run again.
    Rewrap {
        /// How many secrets are moved with each call; progress is shown after it.
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
    },
    /// Have a managed vault make a new version of its KEK. For local KEKs there is `new-kek`.
    Rotate,
    /// Put a new local KEK in force, in the data folder of a gateway that is stopped.
    NewKek,
    /// Take the local KEKs that nothing is under any more out of the data folder of a gateway that runs.
    DropKeks,
}

pub(crate) fn run(target: Target, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Status { json } => with(target, async |remote| {
            let standing = Standing::of(remote).await?;
            if json {
                say(&serde_json::to_string_pretty(&standing)?);
            } else {
                show(&standing)?;
            }
            settled(&standing)
        }),
        Command::Rewrap { limit } => with(target, async |remote| rewrap(remote, limit).await),
        Command::Rotate => with(target, async |remote| {
            let rotated = remote.post("/api/vault/rotate", &json!({})).await?;
            let (previous, kek) = (text(&rotated, "previous"), text(&rotated, "kek"));
            if previous == kek {
                say(&format!(
                    "{kek} has a new version; the vault keeps its name"
                ));
                return Ok(());
            }
            say(&format!("was {previous}"));
            say(&format!("is  {kek}"));
            say("what is saved from now on is under it; `lockgate vault rewrap` moves the rest");
            Ok(())
        }),
        Command::NewKek => kek_file::add(&target.folder()?),
        Command::DropKeks => {
            let folder = target.folder()?;
            let standing = with(target, async |remote| Standing::of(remote).await)?;
            kek_file::retire(&folder, &standing)
        }
    }
}

fn show(standing: &Standing) -> anyhow::Result<()> {
    say(&format!("vault: {}", standing.adapter));
    match (&standing.kek, &standing.error) {
        (Some(kek), _) => say(&format!("KEK in force: {kek}")),
        (None, error) => say(&format!(
            "KEK in force: not known, {}",
            error.as_deref().unwrap_or("the vault does not say")
        )),
    }
    say("");
    let mut rows = serde_json::to_value(&standing.keks)?;
    for row in rows.as_array_mut().into_iter().flatten() {
        let state = match (&row["in_force"], &row["readable"]) {
            (Value::Bool(true), _) => "in force",
            (_, Value::Bool(true)) => "readable",
            _ => "not readable: no setting leads to it",
        };
        row["state"] = state.into();
    }
    let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
    table(rows, &["kek", "adapter", "secrets", "state"]);
    say("");
    match standing.to_move() {
        Some(0) => say(&format!("secrets: {}, all under it", standing.secrets)),
        Some(left) => say(&format!(
            "secrets: {}, {left} of them to be moved: lockgate vault rewrap",
            standing.secrets
        )),
        None => say(&format!("secrets: {}", standing.secrets)),
    }
    if standing.token_keys_to_move() {
        say(&format!(
            "what gateway keys are recognised by is still under {}: lockgate vault rewrap",
            standing.token_keys
        ));
    }
    if standing.leftovers > 0 {
        say(&format!(
            "sealed entries that nothing points to: {}; the scheduled work removes them",
            standing.leftovers
        ));
    }
    if standing.adapter != lockgate_vault::LOCAL {
        let kept = if standing.bridge { "" } else { "not " };
        say(&format!(
            "while the vault does not answer, what it gave is used for {} s, and is {kept}kept for other instances",
            standing.outage_ms / 1_000
        ));
    }
    Ok(())
}

/// Whether nothing is left to be done.
fn settled(standing: &Standing) -> anyhow::Result<()> {
    if let Some(error) = &standing.error {
        bail!("the vault cannot be used: {error}");
    }
    if standing.to_move() != Some(0) || standing.token_keys_to_move() {
        bail!("not everything is under the KEK in force");
    }
    Ok(())
}

/// What one call has done.
#[derive(Deserialize)]
struct Rewrapped {
    kek: String,
    rewrapped: u64,
    failed: Vec<Value>,
    stopped: bool,
    next_cursor: Option<String>,
}

async fn rewrap(remote: &Remote, limit: u16) -> anyhow::Result<()> {
    let total = Standing::of(remote).await?.to_move().unwrap_or_default();
    let (mut moved, mut failed) = (0, 0);
    let mut body = json!({"limit": limit});
    let kek = loop {
        let again = || format!("moved {moved} of {total}; run it again to go on");
        let answer = remote.post("/api/vault/rewrap", &body).await;
        let done: Rewrapped = serde_json::from_value(answer.with_context(again)?)
            .context("the gateway's answer to /api/vault/rewrap is not one of this version")?;
        moved += done.rewrapped;
        failed += done.failed.len();
        for failure in &done.failed {
            let of = |field: &str| text(failure, field);
            say(&format!(
                "not moved: {}/{} version {} in workspace {}, under {}: {}",
                of("provider"),
                of("provider_key"),
                of("version"),
                of("workspace"),
                of("kek"),
                of("error")
            ));
        }
        if done.rewrapped > 0 {
            // Others may have saved some meanwhile.
            say(&format!("moved {moved} of {}", total.max(moved)));
        }
        if done.stopped {
            bail!("stopped, since the vault does not answer: run it again to go on");
        }
        match done.next_cursor {
            Some(next) => body["cursor"] = next.into(),
            None => break done.kek,
        }
    };
    if failed > 0 {
        bail!("secrets that could not be moved: {failed}, named above; they stay where they were");
    }
    match Standing::of(remote).await?.to_move() {
        Some(0) => {
            say(&format!("everything is under {kek}"));
            Ok(())
        }
        Some(left) => bail!(
            "secrets that are not under {kek} all the same: {left}. They are of versions that were just replaced, which are forgotten \
             within ten minutes, or were saved meanwhile by an instance with other settings; run it again then"
        ),
        None => bail!("the vault has stopped answering: see `lockgate vault status`"),
    }
}

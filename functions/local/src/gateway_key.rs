//! `lockgate gateway-key`: what applications hold.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::money::{Budget, budget};
use crate::output::{say, table, text};
use crate::remote::{Target, escaped, with};

/// What to do with gateway keys.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a key and show it, only now.
    Create(Create),
    /// List the keys; only their masked form is known.
    List,
    /// End a key at once.
    Revoke {
        /// The key, by name or id.
        key: String,
    },
}

/// A new key.
#[derive(Args)]
pub(crate) struct Create {
    /// The key's name.
    #[arg(long)]
    name: String,
    /// The agent that it is for, by name or id.
    #[arg(long, default_value = "local")]
    agent: String,
    /// The gateway that it is for, by name or id.
    #[arg(long)]
    gateway: Option<String>,
    /// The configuration that its requests follow, by name or id.
    #[arg(long)]
    configuration: Option<String>,
    /// How long it is good, such as 90d.
    #[arg(long)]
    expires_in: Option<String>,
    /// Requests that it may ask for in any minute.
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u64>,
    /// Tokens that it may use in any minute, input and output.
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<u64>,
    /// Requests that it may ask for in a day.
    #[arg(long, value_name = "N")]
    requests_per_day: Option<u64>,
    /// Dollars that it may cost in a day or a month, such as 25.00/month.
    #[arg(long, value_name = "AMOUNT/PERIOD", value_parser = budget)]
    budget: Option<Budget>,
}

pub(crate) fn run(target: Target, command: Command) -> anyhow::Result<()> {
    with(target, async |remote| match command {
        Command::Create(create) => {
            let mut body = json!({"name": create.name, "agent": create.agent});
            for (field, value) in [
                ("gateway", create.gateway),
                ("configuration", create.configuration),
                ("expires_in", create.expires_in),
            ] {
                if let Some(value) = value {
                    body[field] = value.into();
                }
            }
            for (field, value) in [
                ("requests_per_minute", create.requests_per_minute),
                ("tokens_per_minute", create.tokens_per_minute),
                ("requests_per_day", create.requests_per_day),
            ] {
                if let Some(value) = value {
                    body["limits"][field] = value.into();
                }
            }
            if let Some(budget) = create.budget {
                body["budget"] = json!({
                    "amount_microusd": budget.amount_microusd,
                    "period": budget.period,
                });
            }
            let key = remote.post("/api/gateway-keys", &body).await?;
            say(&text(&key, "key"));
            Ok(())
        }
        Command::List => {
            let keys = remote.list("/api/gateway-keys").await?;
            let fields = [
                "name",
                "masked",
                "agent",
                "expires_at",
                "revoked_at",
                "last_used_at",
                "id",
            ];
            table(&keys, &fields);
            Ok(())
        }
        Command::Revoke { key } => {
            let path = format!("/api/gateway-keys/{}", escaped(&key));
            remote.delete(&path).await?;
            say(&format!(
                "{key} is revoked: no request from here on is served under it"
            ));
            Ok(())
        }
    })
}

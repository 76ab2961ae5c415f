//! `lockgate price`: what models cost, in dollars for a million tokens.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::money::{self, dollars};
use crate::output::{say, table};
use crate::remote::{Target, escaped, with};

/// What to do with prices.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Set the workspace's own price of a model.
    Set(Set),
    /// Go back to the price that this version knows, if it knows one.
    Unset {
        /// The provider, such as `openai`.
        provider: String,
        /// The model.
        model: String,
    },
    /// List the prices in force.
    List {
        /// Only those of this provider.
        #[arg(long)]
        provider: Option<String>,
    },
}

/// A price, in dollars for a million tokens.
#[derive(Args)]
pub(crate) struct Set {
    /// The provider, such as `openai`.
    provider: String,
    /// The model, as the provider knows it.
    model: String,
    /// Input, such as 2.50.
    #[arg(long, value_parser = dollars)]
    input: u64,
    /// Input that the provider had cached [default: as other input].
    #[arg(long, value_parser = dollars)]
    cached_input: Option<u64>,
    /// Output.
    #[arg(long, value_parser = dollars)]
    output: u64,
}

pub(crate) fn run(target: Target, command: Command) -> anyhow::Result<()> {
    with(target, async |remote| match command {
        Command::Set(set) => {
            let body = json!({
                "input_microusd_per_mtok": set.input,
                "cached_input_microusd_per_mtok": set.cached_input,
                "output_microusd_per_mtok": set.output,
            });
            let price = remote.put(&path(&set.provider, &set.model), &body).await?;
            table(&[line(&price)], FIELDS);
            Ok(())
        }
        Command::Unset { provider, model } => {
            remote.delete(&path(&provider, &model)).await?;
            say(&format!(
                "{provider} {model} has no price of the workspace's own any more"
            ));
            Ok(())
        }
        Command::List { provider } => {
            let path = match provider {
                Some(provider) => format!("/api/prices?provider={}", escaped(&provider)),
                None => "/api/prices".to_owned(),
            };
            let answer = remote.get(&path).await?;
            let items = answer.get("items").and_then(Value::as_array);
            let rows: Vec<Value> = items.into_iter().flatten().map(line).collect();
            table(&rows, FIELDS);
            Ok(())
        }
    })
}

const FIELDS: &[&str] = &[
    "provider",
    "model",
    "input",
    "cached_input",
    "output",
    "source",
];

fn path(provider: &str, model: &str) -> String {
    format!("/api/prices/{}/{}", escaped(provider), escaped(model))
}

fn line(price: &Value) -> Value {
    let mut line = price.clone();
    for name in ["input", "cached_input", "output"] {
        line[name] = money::field(price, &format!("{name}_microusd_per_mtok")).into();
    }
    line
}

//! `lockgate provider-key`: providers' keys of a running gateway. Their secrets are read from standard input or the
//! environment, never from an argument, which every user of the machine could see.

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use crate::arguments::pair;
use crate::output::{say, table, text};
use crate::refusal::Refused;
use crate::remote::{Remote, Target, escaped, with};

/// A secret is one line of at most so many bytes.
const MAX_SECRET: u64 = 64 * 1024;

/// What to do with provider keys.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Save a key. Its secret is read from standard input.
    Add(Add),
    /// Replace a key's secret at once; the new one is read from standard input.
    Rotate(Rotate),
    /// List the keys; secrets are never shown.
    List,
    /// Ask the provider whether it takes a key, by a call that costs nothing.
    Check {
        /// The key, by name or id.
        key: String,
    },
}

/// A new key.
#[derive(Args)]
pub(crate) struct Add {
    /// The provider, such as `openai`.
    provider: String,
    /// The key's name.
    #[arg(long)]
    name: String,
    /// Where the provider is, if not at its usual address.
    #[arg(long)]
    base_url: Option<String>,
    /// What the provider needs beside the secret, such as `region=eu-west-1`; may repeat.
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = pair)]
    options: Vec<(String, String)>,
    /// Make it the provider's default key.
    #[arg(long)]
    default: bool,
    /// Save it although its form looks wrong.
    #[arg(long)]
    force: bool,
    /// The provider asks for no key.
    #[arg(long, conflicts_with = "secret_from_env")]
    no_secret: bool,
    /// Read the secret from this environment variable instead.
    #[arg(long, value_name = "NAME")]
    secret_from_env: Option<String>,
}

/// A new secret for a key.
#[derive(Args)]
pub(crate) struct Rotate {
    /// The key, by name or id.
    key: String,
    /// Save it although its form looks wrong.
    #[arg(long)]
    force: bool,
    /// Read the secret from this environment variable instead.
    #[arg(long, value_name = "NAME")]
    secret_from_env: Option<String>,
}

pub(crate) fn run(target: Target, command: Command) -> anyhow::Result<()> {
    with(target, async |remote| match command {
        Command::Add(add) => self::add(remote, add).await,
        Command::Rotate(rotate) => self::rotate(remote, rotate).await,
        Command::Check { key } => check(remote, &key).await,
        Command::List => {
            let keys = remote.list("/api/provider-keys").await?;
            let fields = [
                "provider", "name", "masked", "version", "default", "enabled", "health", "id",
            ];
            table(&keys, &fields);
            Ok(())
        }
    })
}

async fn add(remote: &Remote, add: Add) -> anyhow::Result<()> {
    let mut body = json!({
        "provider": add.provider,
        "name": add.name,
        "default": add.default,
        "force": add.force,
    });
    if let Some(base_url) = add.base_url {
        body["base_url"] = base_url.into();
    }
    for (name, value) in add.options {
        body["options"][name] = value.into();
    }
    if !add.no_secret {
        body["secret"] = secret(add.secret_from_env.as_deref())?.as_str().into();
    }
    let key = remote.post("/api/provider-keys", &body).await?;
    say(&format!(
        "saved {} {} as {}",
        text(&key, "name"),
        text(&key, "masked"),
        text(&key, "id")
    ));
    Ok(())
}

async fn check(remote: &Remote, key: &str) -> anyhow::Result<()> {
    let path = format!("/api/provider-keys/{}/check", escaped(key));
    let found = remote.post(&path, &json!({})).await?;
    let (health, detail) = (text(&found, "health"), text(&found, "detail"));
    say(&format!("{health}: {detail}"));
    if health == "ok" {
        return Ok(());
    }
    bail!("{key} is not known to be good")
}

async fn rotate(remote: &Remote, rotate: Rotate) -> anyhow::Result<()> {
    let path = format!("/api/provider-keys/{}/secret", escaped(&rotate.key));
    let secret = secret(rotate.secret_from_env.as_deref())?;
    let body = json!({"secret": secret.as_str(), "force": rotate.force});
    let key = remote.put(&path, &body).await?;
    say(&format!(
        "{} is {} now, version {}: every request from here on uses it",
        text(&key, "name"),
        text(&key, "masked"),
        text(&key, "version")
    ));
    Ok(())
}

fn secret(variable: Option<&str>) -> anyhow::Result<Zeroizing<String>> {
    let secret = match variable {
        Some(name) => Zeroizing::new(
            std::env::var(name).map_err(|_| Refused(format!("{name} is not set, or no text")))?,
        ),
        None => {
            let input = std::io::stdin();
            if input.is_terminal() {
                eprintln!("reading the secret from standard input, one line; it will be seen here");
            }
            let mut line = Zeroizing::new(String::new());
            input
                .lock()
                .take(MAX_SECRET)
                .read_line(&mut line)
                .context("cannot read the secret from standard input")?;
            line
        }
    };
    let line = secret.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        let place = variable.unwrap_or("standard input");
        return Err(Refused(format!("there is no secret in {place}")).into());
    }
    Ok(Zeroizing::new(line.to_owned()))
}

//! `lockgate agent`: on whose behalf requests are sent.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::arguments::pair;
use crate::output::{say, table, text};
use crate::refusal::Refused;
use crate::remote::{Target, escaped, with};

/// What to do with agents.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make an agent.
    Create(Agent),
    /// Replace an agent's roles, or its tags, or both; what is not named stays.
    Patch(Agent),
    /// List the agents.
    List,
}

/// An agent and what it has.
#[derive(Args)]
pub(crate) struct Agent {
    /// The agent, by name; one that exists also by id.
    agent: String,
    /// A role, by name or id; may repeat.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A tag, such as `environment=production`; may repeat.
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = pair)]
    tags: Vec<(String, String)>,
}

pub(crate) fn run(target: Target, command: Command) -> anyhow::Result<()> {
    with(target, async |remote| match command {
        Command::Create(agent) => {
            let mut body = given(&agent);
            body["name"] = agent.agent.into();
            report("made", &remote.post("/api/agents", &body).await?);
            Ok(())
        }
        Command::Patch(agent) => {
            if agent.roles.is_empty() && agent.tags.is_empty() {
                let words = "there is nothing to change: say --role or --tag";
                return Err(Refused(words.to_owned()).into());
            }
            let path = format!("/api/agents/{}", escaped(&agent.agent));
            report("changed", &remote.patch(&path, &given(&agent)).await?);
            Ok(())
        }
        Command::List => {
            let agents = remote.list("/api/agents").await?;
            table(
                &agents,
                &["name", "roles", "tags", "pins", "managed_by", "id"],
            );
            Ok(())
        }
    })
}

/// The fields that the command line names.
fn given(agent: &Agent) -> Value {
    let mut body = json!({});
    if !agent.roles.is_empty() {
        body["roles"] = json!(agent.roles);
    }
    if !agent.tags.is_empty() {
        body["tags"] = json!(agent.tags.iter().cloned().collect::<BTreeMap<_, _>>());
    }
    body
}

fn report(done: &str, agent: &Value) {
    let [name, id, roles, tags] = ["name", "id", "roles", "tags"].map(|field| text(agent, field));
    say(&format!(
        "{done} agent {name} ({id}): roles {roles}, tags {tags}"
    ));
}

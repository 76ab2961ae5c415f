//! `lockgate role`: what agents may do.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lockgate_access::USE_PROVIDER_KEY;
use serde_json::{Value, json};

use crate::output::{say, table, text};
use crate::refusal::Refused;
use crate::remote::{Target, with};

/// What to do with roles.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Make a role; it counts for the agents that it is attached to.
    Create(Create),
    /// List the roles.
    List,
}

/// A new role.
#[derive(Args)]
#[command(group(
    clap::ArgGroup::new("said").args(["allow", "deny", "statements"]).required(true).multiple(true)
))]
pub(crate) struct Create {
    /// The role's name.
    name: String,
    /// Provider keys that may be used, such as `openai/*`, `openai/prod-us` or `*`; may repeat.
    #[arg(long, value_name = "PATTERN")]
    allow: Vec<String>,
    /// Provider keys that may not, whatever else allows them; may repeat.
    #[arg(long, value_name = "PATTERN")]
    deny: Vec<String>,
    /// Tags that must be equal on agent, provider key, gateway and configuration for --allow to count; may repeat.
    #[arg(long, value_name = "TAG", requires = "allow")]
    tags_match: Vec<String>,
    /// A file with statements as `/api/roles` takes them, a JSON array.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["allow", "deny"])]
    statements: Option<PathBuf>,
}

pub(crate) fn run(target: Target, command: Command) -> anyhow::Result<()> {
    with(target, async |remote| match command {
        Command::Create(create) => {
            let body = json!({"name": create.name, "statements": statements(&create)?});
            let role = remote.post("/api/roles", &body).await?;
            let (name, id) = (text(&role, "name"), text(&role, "id"));
            say(&format!(
                "made role {name} as {id}; it counts once an agent has it: lockgate agent patch AGENT --role {name}"
            ));
            Ok(())
        }
        Command::List => {
            let roles = remote.list("/api/roles").await?;
            table(&roles, &["name", "statements", "managed_by", "id"]);
            Ok(())
        }
    })
}

fn statements(create: &Create) -> anyhow::Result<Value> {
    if let Some(file) = &create.statements {
        let wrong = |error: &dyn std::fmt::Display| {
            Refused(format!("cannot read {}: {error}", file.display()))
        };
        let json = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
        return Ok(serde_json::from_str(&json).map_err(|error| wrong(&error))?);
    }
    let mut statements = Vec::new();
    let mut say = |effect: &str, resources: &[String], conditions: Value| {
        if !resources.is_empty() {
            statements.push(json!({
                "effect": effect,
                "actions": [USE_PROVIDER_KEY],
                "resources": resources,
                "conditions": conditions,
            }));
        }
    };
    let conditions = if create.tags_match.is_empty() {
        json!([])
    } else {
        json!([{"tags_match": create.tags_match}])
    };
    say("allow", &create.allow, conditions);
    say("deny", &create.deny, json!([]));
    Ok(statements.into())
}

//! `lockgate simulate`: what a request would get, without sending it. Exit code 0 where it would be served, 1 where not.

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use crate::output::{say, table, text};
use crate::remote::{Target, escaped, with};

/// Which request, on whose behalf.
#[derive(Args)]
#[group(skip)]
#[command(group(
    clap::ArgGroup::new("asked").args(["model", "provider", "route"]).required(true).multiple(true)
))]
pub(crate) struct Simulate {
    #[command(flatten)]
    target: Target,
    /// The agent, by name or id.
    #[arg(long)]
    agent: String,
    /// The model, as an application would name it.
    #[arg(long)]
    model: Option<String>,
    /// The provider, by its slug; without a model it stands for a call that names none, such as one for files.
    #[arg(long)]
    provider: Option<String>,
    /// The route, by its name or task.
    #[arg(long)]
    route: Option<String>,
    /// The gateway that the gateway key is for, by name or id.
    #[arg(long)]
    gateway: Option<String>,
    /// The configuration [default: the workspace's], by name or id.
    #[arg(long)]
    configuration: Option<String>,
    /// Print the answer of `/api` as it is.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(simulate: Simulate) -> anyhow::Result<()> {
    let Simulate { agent, .. } = simulate;
    let mut body = json!({});
    for (field, value) in [
        ("model", simulate.model),
        ("provider", simulate.provider),
        ("route", simulate.route),
        ("gateway", simulate.gateway),
        ("configuration", simulate.configuration),
    ] {
        if let Some(value) = value {
            body[field] = value.into();
        }
    }
    let answer = with(simulate.target, async |remote| {
        let path = format!("/api/agents/{}/simulate", escaped(&agent));
        remote.post(&path, &body).await
    })?;
    if simulate.json {
        say(&serde_json::to_string_pretty(&answer)?);
    } else {
        print(&answer);
    }
    if answer.get("allowed") == Some(&Value::Bool(true)) {
        return Ok(());
    }
    bail!(
        "the request would be refused: {} {}",
        text(&answer, "status"),
        text(&answer, "code")
    )
}

fn print(answer: &Value) {
    say(&format!("decision: {}", text(answer, "decision")));
    for (name, field) in [
        ("route", "route"),
        ("provider", "provider"),
        ("model", "model"),
        ("provider key", "provider_key"),
        ("credential", "credential"),
    ] {
        let value = text(answer, field);
        if !value.is_empty() {
            say(&format!("{name}: {value}"));
        }
    }
    section("", &text(answer, "explanation"));
    for (field, columns) in [
        (
            "statements",
            ["role", "statement", "effect", "applied", "because"].as_slice(),
        ),
        (
            "tags",
            &[
                "key",
                "agent",
                "gateway",
                "configuration",
                "provider_key",
                "agree",
            ],
        ),
    ] {
        if let Some(rows) = answer.get(field).and_then(Value::as_array)
            && !rows.is_empty()
        {
            say("");
            table(rows, columns);
        }
    }
    // Where there is only one, it has been told of above.
    if let Some(targets) = answer.get("targets").and_then(Value::as_array)
        && targets.len() > 1
    {
        say("");
        table(
            targets,
            &[
                "target",
                "priority",
                "weight",
                "provider",
                "model",
                "provider_key",
                "credential",
                "decision",
            ],
        );
    }
    section("next step: ", &text(answer, "next_step"));
    let warnings = answer.get("warnings").and_then(Value::as_array);
    for warning in warnings.into_iter().flatten().filter_map(Value::as_str) {
        section("warning: ", warning);
    }
}

/// A line set apart, where there is something to say.
fn section(title: &str, words: &str) {
    if !words.is_empty() {
        say(&format!("\n{title}{words}"));
    }
}

//! `lockgate usage`: what requests used and cost, summed up.

use clap::Args;
use serde_json::Value;

use crate::money;
use crate::output::table;
use crate::remote::{Target, escaped, with};

/// What to sum up.
#[derive(Args)]
pub(crate) struct Usage {
    #[command(flatten)]
    target: Target,
    /// One line for each of: day, gateway_key, agent, team, route, provider, provider_key, model, credential; several
    /// separated by commas.
    #[arg(long, value_name = "GROUPS")]
    group_by: Option<String>,
    /// From this day on, such as 2027-01-31.
    #[arg(long, value_name = "DAY")]
    since: Option<String>,
    /// Before this day.
    #[arg(long, value_name = "DAY")]
    until: Option<String>,
}

pub(crate) fn run(usage: Usage) -> anyhow::Result<()> {
    let groups = usage.group_by.unwrap_or_default();
    let mut path = format!("/api/usage?group_by={}", escaped(&groups));
    for (name, day) in [("since", usage.since), ("until", usage.until)] {
        if let Some(day) = day {
            path.push_str(&format!("&{name}={}", escaped(&time(day))));
        }
    }
    with(usage.target, async |remote| {
        let answer = remote.get(&path).await?;
        let items = answer.get("items").and_then(Value::as_array);
        let rows: Vec<Value> = items.into_iter().flatten().map(priced).collect();
        let mut fields: Vec<&str> = groups.split(',').map(str::trim).collect();
        fields.retain(|field| !field.is_empty());
        fields.extend([
            "requests",
            "errors",
            "input_tokens",
            "cached_input_tokens",
            "output_tokens",
            "cost",
        ]);
        table(&rows, &fields);
        Ok(())
    })
}

/// A time as the gateway takes it; a day is its beginning.
fn time(text: String) -> String {
    if text.contains('T') {
        text
    } else {
        format!("{text}T00:00:00Z")
    }
}

/// A line with its cost in dollars.
fn priced(row: &Value) -> Value {
    let mut row = row.clone();
    row["cost"] = money::field(&row, "cost_microusd").into();
    row
}

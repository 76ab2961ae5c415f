//! `lockgate logs tail`: the request log of a running gateway.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::money;
use crate::output::{say, text};
use crate::remote::{Target, with};

/// How often a followed log is asked for.
const EVERY: Duration = Duration::from_secs(1);
/// How many of the newest requests are looked at each time. A request is logged under the time it came, when it has
/// ended: one during which as many others came and ended is missed by `--follow`.
const WINDOW: usize = 200;

/// What to do with logs.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the newest requests, the newest last.
    Tail(Tail),
}

/// The end of the request log.
#[derive(Args)]
pub(crate) struct Tail {
    /// How many.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    lines: u16,
    /// Go on with requests as they end.
    #[arg(long, short)]
    follow: bool,
}

pub(crate) fn run(target: Target, command: Command) -> anyhow::Result<()> {
    let Command::Tail(tail) = command;
    with(target, async |remote| {
        let mut seen = Seen::default();
        let mut limit = usize::from(tail.lines);
        loop {
            let page = remote.get(&format!("/api/requests?limit={limit}")).await?;
            let items = page.get("items").and_then(Value::as_array);
            for item in items.into_iter().flatten().rev() {
                if seen.is_new(&text(item, "id")) {
                    say(&line(item));
                }
            }
            if !tail.follow {
                return Ok(());
            }
            if limit < WINDOW {
                // What was there before and not asked for is not new.
                let page = remote.get(&format!("/api/requests?limit={WINDOW}")).await?;
                let items = page.get("items").and_then(Value::as_array);
                for item in items.into_iter().flatten().skip(limit) {
                    seen.is_new(&text(item, "id"));
                }
            }
            limit = WINDOW;
            tokio::time::sleep(EVERY).await;
        }
    })
}

/// Requests that were shown, as many as can come again.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    fn is_new(&mut self, id: &str) -> bool {
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > 8 * WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

fn line(item: &Value) -> String {
    let or_dash = |field| match text(item, field) {
        empty if empty.is_empty() => "-".to_owned(),
        text => text,
    };
    let attempts = item.get("attempts").and_then(Value::as_array);
    format!(
        "{} {} {} {} {} {} {}ms attempts={} tokens={} cost={} {}",
        or_dash("at"),
        or_dash("status"),
        or_dash("provider"),
        or_dash("model"),
        or_dash("agent"),
        or_dash("credential"),
        or_dash("milliseconds"),
        attempts.map_or(0, Vec::len),
        tokens(item),
        match money::field(item, "cost_microusd") {
            none if none.is_empty() => "-".to_owned(),
            cost => cost,
        },
        match text(item, "code") {
            none if none.is_empty() => or_dash("outcome"),
            code => code,
        }
    )
}

/// Input and output, with a sign where they are an estimate.
fn tokens(item: &Value) -> String {
    match item.get("tokens") {
        Some(tokens) if tokens.is_object() => {
            let estimated = tokens.get("estimated") == Some(&Value::Bool(true));
            let about = if estimated { "~" } else { "" };
            format!(
                "{about}{}+{}",
                text(tokens, "input"),
                text(tokens, "output")
            )
        }
        _ => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_says_what_a_request_came_to() {
        let mut item = json!({
            "at": "2027-01-31T00:00:00.000Z", "status": 200, "provider": "openai", "model": "gpt-4o", "agent": "a",
            "credential": "managed", "milliseconds": 12, "attempts": [{}, {}], "code": null, "outcome": "complete",
            "tokens": {"input": 3, "output": 4}, "cost_microusd": 48,
        });
        assert_eq!(
            line(&item),
            "2027-01-31T00:00:00.000Z 200 openai gpt-4o a managed 12ms attempts=2 tokens=3+4 cost=$0.000048 complete"
        );
        item["tokens"]["estimated"] = json!(true);
        assert!(line(&item).contains(" tokens=~3+4 "));
        let refused =
            json!({"status": 404, "code": "model_not_found", "tokens": null, "attempts": []});
        assert_eq!(
            line(&refused),
            "- 404 - - - - -ms attempts=0 tokens=- cost=- model_not_found"
        );
    }
}

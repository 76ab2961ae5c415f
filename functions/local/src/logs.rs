//! `lockgate logs tail`: the request log of a running gateway.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::Value;

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
    format!(
        "{} {} {} {} {} {} {}ms {}",
        or_dash("at"),
        or_dash("status"),
        or_dash("provider"),
        or_dash("model"),
        or_dash("agent"),
        or_dash("credential"),
        or_dash("milliseconds"),
        match text(item, "code") {
            none if none.is_empty() => or_dash("outcome"),
            code => code,
        }
    )
}

//! Calls that were refused for want of rights, in the audit log. A program that keeps trying does not fill it: of each
//! token and kind of call an isolate writes one row a minute.

use std::cell::RefCell;
use std::collections::HashSet;

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::question::Question;
use lockgate_workspace::{DEFAULT_WORKSPACE, Settings, admin_token};
use serde_json::json;

use super::{Actor, Rule, word};

/// Characters of a path that are kept.
const MAX_PATH: usize = 200;
const MINUTE_MS: u64 = 60_000;

/// The refusals that were written in the minute it is.
#[derive(Default)]
struct Written {
    minute: u64,
    calls: HashSet<(String, &'static str, &'static str)>,
}

impl Written {
    /// Whether this one is the first of its kind in its minute.
    fn first(&mut self, now_ms: u64, actor: &str, rule: &Rule) -> bool {
        let minute = now_ms / MINUTE_MS;
        if minute != self.minute {
            self.minute = minute;
            self.calls.clear();
        }
        self.calls
            .insert((actor.to_owned(), rule.method, rule.path))
    }
}

thread_local! {
    static WRITTEN: RefCell<Written> = RefCell::default();
}

/// Who makes which call, for the audit log.
pub(crate) struct Visit {
    pub(crate) actor: Actor,
    pub(crate) rule: &'static Rule,
    /// The path without its query.
    pub(crate) path: String,
}

impl Visit {
    /// Writes that the call was refused for want of rights; other refusals are not written. Where no workspace was
    /// picked it goes to the caller's own log: nobody writes into that of another by being refused there.
    pub(crate) async fn note<H: Host>(
        &self,
        host: &H,
        settings: &Settings,
        workspace: &str,
        refusal: &Refusal,
    ) {
        let now_ms = host.now_ms();
        if refusal.code != Code::ACCESS_DENIED
            || !WRITTEN.with_borrow_mut(|w| w.first(now_ms, &self.actor.id, self.rule))
        {
            return;
        }
        let mut details = refusal.details.iter();
        let needs = match details.find(|(name, _)| *name == "needs") {
            Some((_, needs)) => needs.clone(),
            None => word(self.rule.needs.least()).into(),
        };
        let question = Question::Record {
            action: "api.deny".into(),
            resource: shown(&self.path),
            detail: json!({
                "method": self.rule.method,
                "path": shown(&self.path),
                "role": word(self.actor.role),
                "needs": needs,
                "reason": refusal.reason,
            }),
        };
        let own = self.actor.workspace.as_deref();
        let object = match workspace {
            "" => own.unwrap_or(DEFAULT_WORKSPACE),
            picked => picked,
        };
        // The caller is refused whether or not this can be written.
        let _ = lockgate_workspace::ask_as(host, settings, object, &self.actor.id, question).await;
    }
}

/// A path for the log: bounded, and without a token that was put where an id belongs.
fn shown(path: &str) -> String {
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| match segment {
            token if admin_token::looks_like_one(token) => "lga_…",
            key if key.starts_with("lgk_") => "lgk_…",
            other => other,
        })
        .collect();
    segments.join("/").chars().take(MAX_PATH).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::rule;
    use super::*;

    #[test]
    fn one_row_a_minute_for_each_token_and_kind_of_call() {
        let mut written = Written::default();
        let line = |method: &str, id: &str| {
            rule(method, &["provider-keys".to_owned(), id.to_owned()]).unwrap()
        };
        assert!(written.first(120_000, "at_1", line("DELETE", "a")));
        for id in ["a", "b", "c"] {
            assert!(!written.first(179_999, "at_1", line("DELETE", id)));
        }
        assert!(written.first(150_000, "at_2", line("DELETE", "a")));
        assert!(written.first(150_000, "at_1", line("PATCH", "a")));
        assert!(written.first(180_000, "at_1", line("DELETE", "a")));
        assert_eq!(written.calls.len(), 1, "the minute before is forgotten");
    }

    #[test]
    fn a_path_is_bounded_and_shows_no_token() {
        assert_eq!(shown("/api/roles/ops"), "/api/roles/ops");
        let path = format!("/api/admin-tokens/lga_{}", "a".repeat(68));
        assert_eq!(shown(&path), "/api/admin-tokens/lga_…");
        let path = format!("/api/gateway-keys/lgk_{}/x", "a".repeat(68));
        assert_eq!(shown(&path), "/api/gateway-keys/lgk_…/x");
        assert_eq!(shown(&"ü".repeat(900)).chars().count(), MAX_PATH);
    }
}

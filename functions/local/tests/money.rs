//! Limits, prices, usage and wallets, from the command line and through `/api`.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::Path;
use std::time::Duration;

use common::{Gateway, good};
use mock_provider::MockProvider;
use serde_json::{Value, json};

const SECRET: &str = "sk-proj-first-0123456789abcdefghijklmnopqrstuvwxyz";

/// What a test does to a gateway.
struct Running<'a> {
    gateway: &'a Gateway,
    folder: &'a Path,
    token: String,
}

impl<'a> Running<'a> {
    fn new(gateway: &'a Gateway, folder: &'a Path) -> Self {
        let token = std::fs::read_to_string(folder.join("admin-token")).unwrap();
        Self {
            gateway,
            folder,
            token: token.trim().to_owned(),
        }
    }

    fn cli(&self, arguments: &[&str]) -> String {
        good(&self.gateway.cli(self.folder, arguments, SECRET))
    }

    /// What a command that fails says.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.gateway.cli(self.folder, arguments, SECRET);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn api(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.api_as(&self.token, method, path, body)
    }

    fn api_as(&self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.gateway
            .json(method, &format!("/api/{path}"), token, &body)
    }

    /// That a call is refused with this status and code, for this field.
    fn declines(&self, (method, path, body): (&str, &str, Value), status: u16, param: Value) {
        let (got, answer) = self.api(method, path, &body);
        assert_eq!(got, status, "{method} {path} {body}: {answer}");
        assert_eq!(answer["error"]["param"], param, "{method} {path} {body}");
    }
}

#[test]
fn limits_and_budgets_are_set_shown_changed_and_cleared() {
    let outer = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(outer.path(), &[]);
    let it = Running::new(&gateway, outer.path());
    it.cli(&[
        "gateway-key",
        "create",
        "--name",
        "app",
        "--requests-per-minute",
        "60",
        "--requests-per-day",
        "5000",
        "--budget",
        "25.00/month",
    ]);
    let (_, key) = it.api("GET", "gateway-keys/app", &Value::Null);
    assert_eq!(
        key["limits"],
        json!({"requests_per_minute": 60, "requests_per_day": 5000})
    );
    let budget = json!({"amount_microusd": 25_000_000, "period": "month"});
    assert_eq!(key["budget"], budget);
    let patch = |body: Value| it.api("PATCH", "gateway-keys/app", &body).1;
    let key = patch(json!({"limits": {"tokens_per_minute": 9}}));
    assert_eq!(key["limits"], json!({"tokens_per_minute": 9}));
    assert_eq!(key["budget"], budget);
    let key = patch(json!({"name": "app"}));
    assert_eq!(key["limits"], json!({"tokens_per_minute": 9}));
    let key = patch(json!({"limits": null, "budget": null}));
    assert_eq!((&key["limits"], &key["budget"]), (&json!({}), &Value::Null));
    let (_, listed) = it.api("GET", "gateway-keys", &Value::Null);
    assert!(listed["items"].as_array().unwrap().len() > 1);
    for key in listed["items"].as_array().unwrap() {
        assert_eq!(key["limits"], json!({}));
    }
    for (body, param) in [
        (
            json!({"limits": {"tokens_per_minute": 0}}),
            "limits.tokens_per_minute",
        ),
        (
            json!({"limits": {"requests_per_hour": 1}}),
            "requests_per_hour",
        ),
        (
            json!({"budget": {"amount_microusd": 1, "period": "week"}}),
            "budget.period",
        ),
    ] {
        it.declines(("PATCH", "gateway-keys/app", body), 400, param.into());
    }
    let wrong = it.refused(&["gateway-key", "create", "--name", "x", "--budget", "25"]);
    assert!(wrong.contains("25.00/month"), "{wrong}");
}

#[test]
fn the_platforms_workspace_is_there_and_stays() {
    let outer = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(outer.path(), &[]);
    let it = Running::new(&gateway, outer.path());
    let (status, platform) = it.api("GET", "workspaces/platform", &Value::Null);
    assert_eq!(status, 200, "{platform}");
    let path = "workspaces/platform";
    it.declines(
        (
            "DELETE",
            "workspaces/platform?confirm=platform",
            Value::Null,
        ),
        409,
        Value::Null,
    );
    it.declines(
        ("PATCH", path, json!({"name": "other"})),
        409,
        "name".into(),
    );
    it.declines(
        ("POST", "workspaces", json!({"name": "platform"})),
        409,
        "name".into(),
    );
    it.cli(&[
        "provider-key",
        "add",
        "openai",
        "--name",
        "main",
        "--workspace",
        "platform",
    ]);
    let keys = it.cli(&["provider-key", "list", "--workspace", "platform"]);
    assert!(keys.contains("main"), "{keys}");
    assert!(!it.cli(&["provider-key", "list"]).contains("main"));
    it.cli(&["agent", "create", "a", "--workspace", "platform"]);
    let none = it.refused(&[
        "gateway-key",
        "create",
        "--name",
        "x",
        "--agent",
        "a",
        "--workspace",
        "platform",
    ]);
    assert!(none.contains("has no gateway keys"), "{none}");

    // An owner of another workspace does not reach it.
    let wanted = json!({"name": "owner", "role": "owner", "workspace": "default"});
    let (status, made) = it.api("POST", "admin-tokens", &wanted);
    assert_eq!(status, 201, "{made}");
    let token = made["token"].as_str().unwrap();
    let list = [
        "provider-key",
        "list",
        "--workspace",
        "platform",
        "--admin-token",
        token,
    ];
    let refused = it.refused(&list);
    assert!(refused.contains("only"), "{refused}");
    let (status, answer) = it.api_as(token, "DELETE", "workspaces/platform", &Value::Null);
    assert_eq!(status, 403, "{answer}");
}

#[test]
fn prices_are_listed_set_and_unset() {
    let outer = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(outer.path(), &[]);
    let it = Running::new(&gateway, outer.path());
    let listed = it.cli(&["price", "list", "--provider", "openai"]);
    assert!(
        listed.contains("gpt-4o") && listed.contains("manifest"),
        "{listed}"
    );
    let model = "meta-llama/llama 9";
    let set = [
        "price",
        "set",
        "openrouter",
        model,
        "--input",
        "0.15",
        "--output",
        "0.60",
    ];
    assert!(it.cli(&set).contains("$0.15"));
    let price = |path: &str| {
        let (status, list) = it.api("GET", path, &Value::Null);
        assert_eq!(status, 200, "{list}");
        let items = list["items"].as_array().unwrap().clone();
        items.into_iter().find(|item| item["model"] == model)
    };
    let found = price("prices").unwrap();
    assert_eq!(
        found,
        json!({"provider": "openrouter", "model": model, "input_microusd_per_mtok": 150_000,
            "cached_input_microusd_per_mtok": null, "output_microusd_per_mtok": 600_000, "source": "workspace"})
    );
    assert!(price("prices?provider=openai").is_none());
    // A price of one workspace is none of another's.
    let elsewhere = it.cli(&[
        "price",
        "list",
        "--provider",
        "openrouter",
        "--workspace",
        "platform",
    ]);
    assert!(!elsewhere.contains(model), "{elsewhere}");
    let body = json!({"input_microusd_per_mtok": 1, "output_microusd_per_mtok": 2});
    let (status, answer) = it.api("PUT", "prices/openrouter/meta-llama/llama%209", &body);
    assert_eq!((status, &answer["model"]), (200, &json!(model)), "{answer}");
    assert_eq!(price("prices").unwrap()["input_microusd_per_mtok"], 1);
    it.cli(&["price", "unset", "openrouter", model]);
    assert!(price("prices").is_none());
    let put = |path: &'static str, body: Value| ("PUT", path, body);
    it.declines(put("prices/nobody/x", body.clone()), 400, "provider".into());
    let negative = json!({"input_microusd_per_mtok": -1, "output_microusd_per_mtok": 2});
    it.declines(
        put("prices/openai/x", negative),
        400,
        "input_microusd_per_mtok".into(),
    );
    let part = json!({"input_microusd_per_mtok": 1});
    it.declines(
        put("prices/openai/x", part),
        400,
        "output_microusd_per_mtok".into(),
    );
    it.declines(("GET", "prices?model=x", Value::Null), 400, "model".into());
    it.declines(("DELETE", "prices/openai", Value::Null), 404, Value::Null);
}

#[test]
fn a_wallet_is_credited_by_whoever_runs_the_gateway() {
    let outer = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(outer.path(), &[]);
    let it = Running::new(&gateway, outer.path());
    let empty = "balance $0.00, reserved for requests under way $0.00";
    assert_eq!(it.cli(&["wallet"]).trim(), empty);
    let credit = [
        "wallet",
        "credit",
        "12.345678",
        "--id",
        "invoice-1",
        "--note",
        "July",
    ];
    let full = "balance $12.345678, reserved for requests under way $0.00";
    assert_eq!(it.cli(&credit).trim(), full);
    // The same credit comes in once.
    assert_eq!(it.cli(&credit).trim(), full);
    it.cli(&["wallet", "credit", "0.000001"]);
    assert_eq!(
        it.api("GET", "wallet", &Value::Null).1,
        json!({"balance_microusd": 12_345_679, "reserved_microusd": 0})
    );
    let (_, ledger) = it.api("GET", "wallet/ledger?limit=1", &Value::Null);
    assert_eq!(ledger["items"][0]["seq"], 2, "{ledger}");
    assert_eq!(ledger["items"][0]["balance_microusd"], 12_345_679);
    let next = ledger["next_cursor"].as_str().unwrap();
    let (_, rest) = it.api(
        "GET",
        &format!("wallet/ledger?limit=1&cursor={next}"),
        &Value::Null,
    );
    let first = &rest["items"][0];
    assert_eq!(
        (&first["kind"], &first["note"]),
        (&json!("credit"), &json!("July"))
    );
    assert_eq!(rest["next_cursor"], Value::Null);
    let shown = it.cli(&["wallet", "ledger"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines[1].contains("$12.345678") && lines[2].contains("$0.000001"),
        "{shown}"
    );
    for (body, param) in [
        (json!({"amount_microusd": 0}), "amount_microusd"),
        (json!({"amount_microusd": 1.5}), "amount_microusd"),
        (json!({"note": "x"}), "amount_microusd"),
        (json!({"amount_microusd": 1, "id": ""}), "id"),
    ] {
        it.declines(("POST", "wallet/credit", body), 400, param.into());
    }

    let platform = it.refused(&["wallet", "credit", "1", "--workspace", "platform"]);
    assert!(platform.contains("needs no money"), "{platform}");

    // Only for the whole installation, and only an admin.
    let all = json!({"name": "everywhere", "role": "admin"});
    let own = json!({"name": "own", "role": "owner", "workspace": "default"});
    let low = json!({"name": "low", "role": "member"});
    for (wanted, may) in [(all, true), (own, false), (low, false)] {
        let (_, made) = it.api("POST", "admin-tokens", &wanted);
        let token = made["token"].as_str().unwrap();
        let body = json!({"amount_microusd": 1});
        let (status, answer) = it.api_as(token, "POST", "wallet/credit", &body);
        assert_eq!(status, if may { 200 } else { 403 }, "{wanted}: {answer}");
        let (status, _) = it.api_as(token, "GET", "wallet", &Value::Null);
        assert_eq!(status, 200);
    }
    let (_, wallet) = it.api("GET", "wallet", &Value::Null);
    assert_eq!(wallet["balance_microusd"], 12_345_680);
}

#[test]
fn what_requests_cost_is_logged_and_summed_up() {
    let outer = tempfile::tempdir().unwrap();
    let provider = MockProvider::start(0);
    let base_url = format!("{}/v1", provider.base_url());
    let gateway = Gateway::start(outer.path(), &[]);
    let it = Running::new(&gateway, outer.path());
    it.cli(&[
        "provider-key",
        "add",
        "openai",
        "--name",
        "main",
        "--base-url",
        &base_url,
    ]);
    it.cli(&[
        "price",
        "set",
        "openai",
        "mock-cached",
        "--input",
        "2",
        "--cached-input",
        "1",
        "--output",
        "10",
    ]);
    let key = it.cli(&["gateway-key", "create", "--name", "app"]);
    for model in [
        "openai/mock-cached",
        "openai/mock-cached",
        "openai/mock-status-400",
    ] {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "x"}]});
        it.gateway.send(
            "POST",
            "/v1/chat/completions",
            key.trim(),
            &body.to_string(),
        );
    }
    let mut logs = String::new();
    for _ in 0..100 {
        logs = it.cli(&["logs", "tail"]);
        if logs.lines().count() == 3 {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    // 36 fresh and 64 cached tokens of input, 30 of output: 36 × 2 + 64 × 1 + 30 × 10 micro-USD.
    let counted = "attempts=1 tokens=100+30 cost=$0.000436 ";
    assert_eq!(logs.matches(counted).count(), 2, "{logs}");
    let all = it.cli(&["usage"]);
    let row: Vec<&str> = all.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["3", "1", "200", "128", "60", "$0.000872"], "{all}");
    let (_, usage) = it.api(
        "GET",
        "usage?group_by=provider,model,credential&model=mock-cached",
        &Value::Null,
    );
    assert_eq!(
        usage["items"],
        json!([{"provider": "openai", "model": "mock-cached", "credential": "byok", "requests": 2, "errors": 0,
            "input_tokens": 200, "cached_input_tokens": 128, "output_tokens": 60, "cost_microusd": 872}])
    );
    let days = it.cli(&[
        "usage",
        "--group-by",
        "day,credential",
        "--since",
        "2020-01-01",
    ]);
    assert!(days.starts_with("DAY"), "{days}");
    assert!(days.contains(" byok "), "{days}");
    let none = it.cli(&["usage", "--group-by", "day", "--until", "2020-01-01"]);
    assert_eq!(none.lines().count(), 1, "{none}");
    let wrong = it.refused(&["usage", "--group-by", "week"]);
    assert!(wrong.contains("`week`"), "{wrong}");
}

#[test]
fn a_tick_says_what_it_did() {
    let outer = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(outer.path(), &[("LOCKGATE_TICK_MS", "0")]);
    let it = Running::new(&gateway, outer.path());
    let (status, done) = it.api("POST", "tick", &Value::Null);
    assert_eq!(status, 200, "{done}");
    assert_eq!(done, json!({"checked": [], "housekept": [], "more": false}));
}

//! The official OpenAI SDKs against the gateway (FEATURES E8). Each SDK's script runs once an engine and reports every one of
//! its tests; here each is a test of the suite with a name of its own. `scripts/test` installs what the scripts need.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::access::deny;
use crate::case::{Case, Env};
use crate::client::Call;
use crate::gateway::root;
use crate::tenant::{Tenant, base_url};

/// What both scripts test.
const TESTS: [&str; 22] = [
    "chat",
    "stream",
    "stream_split",
    "async_stream",
    "completions",
    "embeddings",
    "models",
    "with_headers",
    "authentication_error",
    "bad_request_error",
    "not_found_error",
    "rate_limit_error",
    "not_ready_error",
    "access_denied_error",
    "key_rejected_error",
    "quota_error",
    "too_large_error",
    "server_error",
    "overloaded_error",
    "timeout_error",
    "stream_refused",
    "stream_error_event",
];

pub(crate) fn cases() -> Vec<Case> {
    ["python", "node"]
        .into_iter()
        .flat_map(|language| {
            TESTS.into_iter().map(move |test| {
                Case::new(format!("sdk_{language}::{test}"), move |env| {
                    report(env, language, test);
                })
            })
        })
        .collect()
}

/// Name of a test, and what went wrong, if something did.
type Results = BTreeMap<String, Option<String>>;

/// What came of each run, by engine and language.
type Runs = BTreeMap<(&'static str, &'static str), Result<Results, String>>;

/// Fails where this test of this SDK did.
fn report(env: &Env, language: &'static str, test: &str) {
    static RUNS: Mutex<Runs> = Mutex::new(Runs::new());
    // The first to come runs the script for all.
    let mut runs = RUNS.lock().unwrap_or_else(PoisonError::into_inner);
    let run = runs
        .entry((env.engine.name(), language))
        .or_insert_with(|| run(env, language));
    let outcome = match run {
        Ok(results) => results
            .get(test)
            .cloned()
            .unwrap_or_else(|| Some("the script did not come to this test".to_owned())),
        Err(why) => Some(why.clone()),
    };
    drop(runs);
    if let Some(why) = outcome {
        panic!("{why}");
    }
}

fn run(env: &Env, language: &str) -> Result<Results, String> {
    let folder = root().join("tests/e2e/sdk").join(language);
    let (program, script): (PathBuf, _) = if language == "python" {
        (root().join(".tools/python/bin/python"), "openai_sdk.py")
    } else {
        (folder.join("node_modules/.bin/node"), "openai_sdk.mjs")
    };
    if !program.exists() {
        return Err(format!(
            "{} is missing: `scripts/test --prepare` installs it",
            program.display()
        ));
    }
    let tenant = Tenant::new(env.gateway());
    // With a second provider an unknown model has no single place to go.
    tenant.gateway.create(
        &tenant.workspace,
        "provider-keys",
        &json!({"provider": "groq", "name": "g", "secret": "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",
                "force": true, "base_url": base_url(&tenant.mock)}),
    );
    let denied = json!({"name": "no-xai", "statements": [deny(&["xai/*"])]});
    tenant.gateway.create(&tenant.workspace, "roles", &denied);
    let roles = json!({"roles": ["app-anything", "no-xai"]});
    tenant
        .api(Call::new("PATCH", "/api/agents/app").json(&roles))
        .expect(200);
    let output = Command::new(program)
        .arg(folder.join(script))
        .env("LOCKGATE_BASE_URL", format!("{}/v1", tenant.gateway.url()))
        .env("LOCKGATE_API_KEY", tenant.key())
        .output()
        .map_err(|error| error.to_string())?;
    let mut results = Results::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(report) = serde_json::from_str::<Value>(line) else {
            return Err(format!("the script printed: {line}"));
        };
        let name = report["test"].as_str().unwrap_or_default().to_owned();
        if !TESTS.contains(&name.as_str()) {
            return Err(format!(
                "the script has a test that the suite does not list: {name}"
            ));
        }
        let why = report["detail"].as_str().unwrap_or_default();
        results.insert(name, (report["ok"] != true).then(|| why.to_owned()));
    }
    if !output.status.success() {
        return Err(format!(
            "the script failed: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    if tenant
        .sent()
        .iter()
        .any(|sent| format!("{:?}", sent.headers).contains("x-stainless"))
    {
        return Err("headers of the SDK reached the provider".to_owned());
    }
    Ok(results)
}

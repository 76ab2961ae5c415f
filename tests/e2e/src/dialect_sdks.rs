//! The official OpenAI and Anthropic SDKs over providers of three dialects (FEATURES E3, E8). Each language's script runs once an
//! engine and reports every one of its tests; here each is a test of the suite with a name of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::case::{Case, Env};
use crate::dialects::World;
use crate::gateway::root;

const SCENARIOS: [&str; 10] = [
    "text",
    "stream",
    "tools_loop",
    "tools_streamed",
    "tools_parallel",
    "json_schema",
    "image",
    "reasoning",
    "errors",
    "stream_errors",
];

/// The names of a script's tests.
fn tests(language: &str) -> Vec<String> {
    let mut tests = vec!["messages_count_tokens".to_owned()];
    if language == "python" {
        tests
            .extend(["chat", "stream", "embeddings", "errors"].map(|test| format!("azure_{test}")));
    }
    for surface in ["chat", "responses", "messages"] {
        for provider in ["openai", "anthropic", "google"] {
            tests.extend(SCENARIOS.map(|scenario| format!("{surface}_{provider}_{scenario}")));
        }
    }
    tests
}

pub(crate) fn cases() -> Vec<Case> {
    ["python", "node"]
        .into_iter()
        .flat_map(|language| {
            tests(language).into_iter().map(move |test| {
                Case::new(format!("dialect_sdks_{language}::{test}"), move |env| {
                    report(env, language, &test);
                })
            })
        })
        .collect()
}

/// Name of a test, and what went wrong, if something did.
type Results = BTreeMap<String, Option<String>>;

/// What came of each run, by engine and language.
type Runs = BTreeMap<(&'static str, &'static str), Result<Results, String>>;

/// Fails where this test did.
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
        (root().join(".tools/python/bin/python"), "dialects.py")
    } else {
        (folder.join("node_modules/.bin/node"), "dialects.mjs")
    };
    if !program.exists() {
        return Err(format!(
            "{} is missing: `scripts/test --prepare` installs it",
            program.display()
        ));
    }
    let world = World::new(env.gateway(), "openai");
    world.also("anthropic");
    world.also("google");
    let output = Command::new(program)
        .arg(folder.join(script))
        .env("LOCKGATE_URL", world.gateway.url())
        .env("LOCKGATE_API_KEY", &world.key)
        .output()
        .map_err(|error| error.to_string())?;
    let known = tests(language);
    let mut results = Results::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(report) = serde_json::from_str::<Value>(line) else {
            return Err(format!("the script printed: {line}"));
        };
        let name = report["test"].as_str().unwrap_or_default().to_owned();
        if !known.contains(&name) {
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
    Ok(results)
}

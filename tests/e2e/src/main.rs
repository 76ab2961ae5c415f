//! The end-to-end suite: the same tests over HTTP against every engine, each asserting what reached the provider.
//!
//! It starts the engines itself through `scripts/serve`. `LOCKGATE_E2E_ENGINES=native,wasi,cloudflare` picks some of
//! them. `LOCKGATE_E2E_URL` and `LOCKGATE_E2E_TOKEN` run, against a gateway that is up already, those tests that need
//! no hold of its process. Other arguments are those of `cargo test`.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod admin_tokens;
mod audit;
mod bodies;
mod case;
mod changes;
mod client;
mod configurations;
mod consistency;
mod dialect_sdks;
mod dialects;
mod disguises;
mod errors;
mod failover;
mod failures;
mod fallback;
mod gateway;
mod health;
mod hostile;
mod lifecycle;
mod limits;
mod managed;
mod management;
mod misconfiguration;
mod passthrough;
mod pins;
mod platform;
mod provider_keys;
mod roles;
mod routes;
mod scene;
mod script;
mod sdk;
mod secrets;
mod secrets_store;
mod seeds;
mod simulate;
mod splits;
mod stores;
mod streamed;
mod streaming;
mod surfaces;
mod tags;
mod telemetry;
mod tenant;
mod translated_streams;
mod translation;
mod upgrade;
mod usage;
mod vault;
mod vault_adapters;
mod vault_hot_path;
mod vault_migration;
mod vault_outage;
mod vault_rotation;
mod vault_tampering;
mod wallets;
mod worlds;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use case::{Case, Env};
use gateway::{Engine, Gateway};

fn cases() -> Vec<Case> {
    [
        passthrough::cases(),
        errors::cases(),
        hostile::cases(),
        streaming::cases(),
        management::cases(),
        provider_keys::cases(),
        health::cases(),
        consistency::cases(),
        secrets::cases(),
        misconfiguration::cases(),
        lifecycle::cases(),
        sdk::cases(),
        dialect_sdks::cases(),
        translation::cases(),
        bodies::cases(),
        translated_streams::cases(),
        surfaces::cases(),
        access::cases(),
        roles::cases(),
        disguises::cases(),
        tags::cases(),
        simulate::cases(),
        pins::cases(),
        seeds::cases(),
        configurations::cases(),
        routes::cases(),
        admin_tokens::cases(),
        audit::cases(),
        changes::cases(),
        fallback::cases(),
        usage::cases(),
        telemetry::cases(),
        platform::cases(),
        managed::cases(),
        limits::cases(),
        failover::cases(),
        splits::cases(),
        upgrade::cases(),
        secrets_store::cases(),
        vault_adapters::cases(),
        vault_rotation::cases(),
        vault_migration::cases(),
        vault_hot_path::cases(),
        vault_outage::cases(),
        vault_tampering::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn environments() -> Vec<Arc<Env>> {
    if let Ok(url) = std::env::var("LOCKGATE_E2E_URL") {
        let token = std::env::var("LOCKGATE_E2E_TOKEN").expect("LOCKGATE_E2E_TOKEN");
        let health = client::Call::get("/api/healthz").run(&url).json();
        let engine = Engine::ALL
            .into_iter()
            .find(|engine| health["engine"] == engine.reported())
            .expect("an engine that the suite knows");
        return vec![Arc::new(Env::running(Gateway::running(
            engine, &url, &token,
        )))];
    }
    let wanted = std::env::var("LOCKGATE_E2E_ENGINES").unwrap_or_default();
    Engine::ALL
        .into_iter()
        .filter(|engine| wanted.is_empty() || wanted.split(',').any(|name| name == engine.name()))
        .map(|engine| Arc::new(Env::starting(engine)))
        .collect()
}

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(4));
    let environments = environments();
    let mut trials = Vec::new();
    for env in &environments {
        for case in cases() {
            if case.needs_process && !env.owns_process() {
                continue;
            }
            let name = format!("{}::{}", env.engine.name(), case.name);
            let env = env.clone();
            trials.push(Trial::test(name, move || {
                case.run(&env);
                Ok(())
            }));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    let mut clean = true;
    for env in &environments {
        for fault in env.finish() {
            println!("{}: after all tests: {fault}", env.engine.name());
            clean = false;
        }
    }
    if conclusion.has_failed() || !clean {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

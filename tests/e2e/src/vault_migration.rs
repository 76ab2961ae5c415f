//! Secrets move from one vault to the next while requests flow, through a crash as well (FEATURES G4).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mock_vault::Fault;
use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::gateway::{ADMIN_TOKEN, DataDir, Engine, Gateway, Plan};
use crate::stores::holders;
use crate::tenant::{MARK, eventually};
use crate::vault::{House, Vault, counts, plan, rewrap_all, status};

pub(crate) fn cases() -> Vec<Case> {
    cases!["vault_migration":
        around_and_back [process],
        a_request_that_is_under_way [process],
        killed_in_the_middle [process],
    ]
}

const PROVIDERS: [&str; 3] = ["openai", "groq", "mistral"];
/// How many secrets there are in the two houses.
const SECRETS: u64 = 6;

/// Does something while requests for all the keys flow, each of which is served with the right secret; how many there were.
fn under_traffic<T>(gateway: &Gateway, houses: &[House], work: impl FnOnce() -> T) -> (T, usize) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flows: Vec<_> = houses
            .iter()
            .map(|house| {
                scope.spawn(|| {
                    let mut requests = 0;
                    // One round at least, and none is cut short.
                    loop {
                        for provider in PROVIDERS {
                            house.served(gateway, provider);
                            requests += 1;
                        }
                        if over.load(Ordering::Relaxed) {
                            return requests;
                        }
                    }
                })
            })
            .collect();
        let done = work();
        over.store(true, Ordering::Relaxed);
        let requests = flows.into_iter().map(|flow| flow.join().unwrap()).sum();
        (done, requests)
    })
}

fn houses(gateway: &Gateway) -> [House; 2] {
    std::thread::scope(|scope| {
        let first = scope.spawn(|| House::build(gateway, &PROVIDERS));
        [House::build(gateway, &PROVIDERS), first.join().unwrap()]
    })
}

/// Asserts that all secrets are under this adapter.
fn all_under(gateway: &Gateway, adapter: &str) {
    let counts: BTreeMap<String, u64> = counts(gateway)
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .collect();
    assert_eq!(counts, BTreeMap::from([(adapter.to_owned(), SECRETS)]));
    let said = status(gateway);
    assert_eq!(
        (&said["under_kek"], &said["leftovers"]),
        (&json!(SECRETS), &json!(0)),
        "{said}"
    );
}

fn around_and_back(env: &Env) {
    let (transit, server) = Vault::transit();
    let aws = Vault::aws_kms();
    let everything = |vault: &str, previous: &str| -> Plan {
        aws.beside(transit.beside(plan(env)))
            .set("LOCKGATE_VAULT", vault)
            .set("LOCKGATE_VAULT_PREVIOUS", previous)
    };
    let gateway = everything("local", "").start();
    let houses = houses(&gateway);
    all_under(&gateway, "local");
    let mut data = gateway.stop();
    let way = ["local", "vault-transit", "aws-kms", "vault-kv", "local"];
    for step in way.windows(2) {
        let [from, to] = step else { continue };
        let gateway = everything(to, from).data(&data).start();
        let (steps, requests) = under_traffic(&gateway, &houses, || rewrap_all(&gateway, 2));
        assert_eq!(
            steps.iter().sum::<u64>(),
            SECRETS,
            "{from} to {to}: {steps:?}"
        );
        assert!(
            steps.len() >= 3 && requests >= 6,
            "{from} to {to}: {steps:?}, {requests} requests"
        );
        all_under(&gateway, to);
        let held = server.entries("secret").len();
        assert_eq!(
            held,
            if *to == "vault-kv" { 6 } else { 0 },
            "{from} to {to}"
        );
        data = gateway.stop();
        assert!(
            holders(&data.path(), MARK).is_empty(),
            "{from} to {to}: a secret is at rest"
        );
        // What was left is needed no more.
        let gateway = everything(to, "").data(&data).start();
        houses.iter().for_each(|house| house.all_served(&gateway));
        data = gateway.stop();
    }
    let gateway = plan(env).data(&data).start();
    houses.iter().for_each(|house| house.all_served(&gateway));
    gateway.stop();
}

/// The secret of a request is moved, and what it was moved from removed, while the vault takes its time to answer it.
fn a_request_that_is_under_way(env: &Env) {
    let (vault, server) = Vault::transit();
    let start = |adapter: &str, previous: &str| {
        let plan = vault.beside(plan(env)).set("LOCKGATE_VAULT", adapter);
        plan.set("LOCKGATE_VAULT_PREVIOUS", previous)
            .set("LOCKGATE_VAULT_TIMEOUT_MS", "20000")
    };
    let gateway = start("vault-transit", "").start();
    let house = House::build(&gateway, &PROVIDERS);
    let mut data = gateway.stop();
    for (from, to) in [("vault-transit", "vault-kv"), ("vault-kv", "vault-transit")] {
        let gateway = start(to, from).data(&data).start();
        // The workspace is known in each thread, so that a request which finds the key moved may look anew.
        for _ in 0..20 {
            house.served(&gateway, "groq");
        }
        vault.server.clear();
        vault.fail(Fault::Slow(Duration::from_secs(2)));
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| house.ask(&gateway, "openai"));
            eventually("the vault is asked", || {
                (vault.calls() > 0 || slow.is_finished()).then_some(())
            });
            vault.fail(Fault::None);
            assert_eq!(rewrap_all(&gateway, 10), [3], "{from} to {to}");
            let reply = slow.join().unwrap();
            // Elsewhere it may have looked just before, and is told to come again.
            let told = reply.status == 424 && env.engine != Engine::Native;
            assert!(
                told || reply.status == 200,
                "{from} to {to}: {}",
                reply.text()
            );
        });
        house.all_served(&gateway);
        data = gateway.stop();
    }
    assert_eq!(server.entries("secret"), []);
}

fn killed_in_the_middle(env: &Env) {
    let (transit, server) = Vault::transit();
    let start = |vault: &str, previous: &str, data: &Arc<DataDir>| {
        let plan = transit.beside(plan(env)).data(data);
        plan.set("LOCKGATE_VAULT", vault)
            .set("LOCKGATE_VAULT_PREVIOUS", previous)
            .start()
    };
    let gateway = plan(env).start();
    let houses = houses(&gateway);
    let mut data = gateway.stop();
    // The second way writes into the vault's own store, where what a crash leaves has to be found again.
    for (from, to) in [("local", "vault-transit"), ("vault-transit", "vault-kv")] {
        let mut broken = 0;
        for calls in [2, 5, 9] {
            let gateway = start(to, from, &data);
            transit.server.clear();
            transit.fail(Fault::Slow(Duration::from_millis(40)));
            let url = gateway.url().to_owned();
            let call = Call::post("/api/vault/rewrap")
                .bearer(ADMIN_TOKEN)
                .json(&json!({"limit": 3}));
            let moving = std::thread::spawn(move || call.open(&url).map(|answer| answer.status));
            eventually("the vault is at work", || {
                (transit.calls() >= calls || moving.is_finished()).then_some(())
            });
            gateway.kill();
            broken += usize::from(moving.join().unwrap().is_err());
            transit.fail(Fault::None);
            data = gateway.data().clone();
            let gateway = start(to, from, &data);
            houses.iter().for_each(|house| house.all_served(&gateway));
            let secrets: u64 = counts(&gateway).values().sum();
            assert_eq!(
                secrets, SECRETS,
                "{from} to {to}, killed after {calls} calls"
            );
            data = gateway.stop();
        }
        assert!(broken > 0, "{from} to {to}: it was always done before");
        let gateway = start(to, from, &data);
        let (_, requests) = under_traffic(&gateway, &houses, || rewrap_all(&gateway, 2));
        assert!(requests > 0);
        let secrets = counts(&gateway);
        assert_eq!(secrets[to], SECRETS, "{secrets:?}");
        data = gateway.stop();
    }
    // Each secret is there, and what the crashes have left is known.
    let gateway = start("vault-kv", "", &data);
    houses.iter().for_each(|house| house.all_served(&gateway));
    let left = status(&gateway)["leftovers"].as_u64().unwrap();
    let held = server.entries("secret").len() as u64;
    assert!(
        (SECRETS..=SECRETS + left).contains(&held),
        "{held} in the vault's store, {left} left over"
    );
    let none = Value::Null;
    assert_eq!(status(&gateway)["error"], none);
    gateway.stop();
}

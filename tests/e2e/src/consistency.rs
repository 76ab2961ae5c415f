//! What an acknowledged write promises: no request that starts later, anywhere, sees the old state (FEATURES A3, A4, A7;
//! DESIGN.md, admission by lease). The mock provider's record is the proof.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::gateway::{Gateway, Plan};
use crate::tenant::{Tenant, base_url, chat_body, eventually, more_gateway_key, secret};

pub(crate) fn cases() -> Vec<Case> {
    cases!["consistency":
        rotation_under_load [alone],
        rotation_with_several_instances [process, alone],
        rotation_with_a_slow_kv [process, alone],
        rotation_without_leases [process, alone],
        requests_in_flight_keep_the_old_secret,
        deletion_everywhere [process],
        revocation_everywhere [process],
        creation_everywhere [process],
        disabling_and_back,
        rotations_at_once,
        restart_keeps_everything [process],
        restart_after_a_kill [process],
        lease_length_changes [process],
    ]
}

/// Workers that keep this many requests under way.
const WORKERS: usize = 32;

/// One request as its client saw it.
struct Seen {
    id: String,
    started: Instant,
    ended: Instant,
    status: u16,
    body: String,
}

/// Rotates over and over while requests are under way, then holds the provider's record against the clients' clocks.
fn rotate_under_load(gateway: &Gateway, rounds: usize, pause: Duration) {
    let tenant = Tenant::new(gateway);
    let secrets: Vec<String> = (0..=rounds)
        .map(|round| {
            if round == 0 {
                tenant.secret.clone()
            } else {
                secret(&format!("r{round}"))
            }
        })
        .collect();
    let over = AtomicBool::new(false);
    let next = AtomicU64::new(0);
    let seen: Mutex<Vec<Seen>> = Mutex::default();
    // When each rotation was asked for, and when the client had its answer.
    let mut asked = vec![Instant::now()];
    let mut answered = vec![Instant::now()];
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (tenant, over, next, seen) = (&tenant, &over, &next, &seen);
            scope.spawn(move || {
                // Each worker goes to one of the ports, where isolates have their own.
                let url = &gateway.urls[worker % gateway.urls.len()];
                while !over.load(Ordering::SeqCst) {
                    let id = format!("n-{}", next.fetch_add(1, Ordering::SeqCst));
                    let stream = worker % 4 == 0;
                    let model = if stream {
                        "mock-events-4-30"
                    } else {
                        "mock-slow-head-80"
                    };
                    let started = Instant::now();
                    let reply = tenant
                        .send(
                            "/v1/chat/completions",
                            &chat_body(model, stream).to_string(),
                        )
                        .header("idempotency-key", &id)
                        .run(url);
                    let one = Seen {
                        id,
                        started,
                        ended: reply.ended_at,
                        status: reply.status,
                        body: reply.text(),
                    };
                    seen.lock().unwrap().push(one);
                }
            });
        }
        std::thread::sleep(Duration::from_millis(300));
        for secret in &secrets[1..] {
            asked.push(Instant::now());
            answered.push(tenant.rotate(secret));
            std::thread::sleep(pause);
        }
        over.store(true, Ordering::SeqCst);
    });

    let mut versions: BTreeMap<String, usize> = BTreeMap::new();
    for record in tenant.sent() {
        let id = record.header("idempotency-key").unwrap().to_owned();
        let version = secrets
            .iter()
            .position(|secret| Some(secret) == record.secret.as_ref())
            .unwrap_or_else(|| panic!("{id} came with no secret of this key"));
        assert!(
            versions.insert(id.clone(), version).is_none(),
            "{id} was sent twice"
        );
    }
    let seen = seen.into_inner().unwrap();
    assert!(
        seen.len() > WORKERS * 2,
        "only {} requests were made",
        seen.len()
    );
    let mut used = vec![0_usize; secrets.len()];
    let mut crossed = 0;
    for one in &seen {
        assert_eq!(
            one.status, 200,
            "{} failed during a rotation: {}",
            one.id, one.body
        );
        if one.body.starts_with("data:") {
            assert!(
                one.body.trim_end().ends_with("[DONE]"),
                "{} broke off: {}",
                one.id,
                one.body
            );
        }
        let version = versions[&one.id];
        used[version] += 1;
        let least = answered
            .iter()
            .rposition(|at| *at < one.started)
            .unwrap_or(0);
        assert!(
            version >= least,
            "{} started {:?} after rotation {least} had answered, and carried secret {version}",
            one.id,
            one.started - answered[least]
        );
        let most = asked.iter().rposition(|at| *at < one.ended).unwrap_or(0);
        assert!(version <= most, "{} carried a secret not yet given", one.id);
        if least < version || answered.get(version + 1).is_some_and(|at| *at < one.ended) {
            crossed += 1;
        }
    }
    assert_eq!(
        versions.len(),
        seen.len(),
        "each request reached the provider once"
    );
    assert!(used[rounds] > 0, "the last secret was used: {used:?}");
    assert!(
        used.iter().filter(|count| **count > 0).count() > rounds / 2,
        "secrets in use: {used:?}"
    );
    assert!(crossed > 0, "no request was under way during a rotation");
}

fn rotation_under_load(env: &Env) {
    rotate_under_load(env.gateway(), 6, Duration::from_millis(250));
}

fn rotation_with_several_instances(env: &Env) {
    let gateway = env.plan().several().start();
    rotate_under_load(&gateway, 5, Duration::from_millis(250));
    gateway.stop();
}

fn rotation_with_a_slow_kv(env: &Env) {
    let gateway = env
        .plan()
        .several()
        .kv_hides_new(Duration::from_secs(60))
        .start();
    rotate_under_load(&gateway, 4, Duration::from_millis(250));
    gateway.stop();
}

fn rotation_without_leases(env: &Env) {
    // Each request asks the authority.
    let gateway = env.plan().several().set("LOCKGATE_LEASE_MS", "0").start();
    rotate_under_load(&gateway, 6, Duration::from_millis(250));
    gateway.stop();
}

fn requests_in_flight_keep_the_old_secret(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let fresh = secret("fresh");
    let (before, streamed, after) = std::thread::scope(|scope| {
        let slow = scope.spawn(|| tenant.chat("mock-slow-head-2500"));
        let mut stream = tenant.stream("mock-events-60-50");
        assert_eq!(stream.status, 200);
        stream.piece().unwrap().expect("the first event");
        assert!(tenant.mock.wait_for(2, Duration::from_secs(5)).is_some());
        tenant.rotate(&fresh);
        let after = tenant.chat("gpt-4o");
        (slow.join().unwrap(), stream.collect().unwrap(), after)
    });
    before.expect(200);
    assert!(
        streamed.text().trim_end().ends_with("[DONE]"),
        "the stream went on to its end"
    );
    after.expect(200);
    let sent = tenant.sent();
    let secrets: Vec<_> = sent.iter().map(|one| one.secret.clone().unwrap()).collect();
    assert_eq!(
        secrets,
        [tenant.secret.clone(), tenant.secret.clone(), fresh]
    );
}

/// Asks once through every port, and many times through each, at once.
fn everywhere(gateway: &Gateway, call: impl Fn() -> Call + Sync) -> Vec<Reply> {
    std::thread::scope(|scope| {
        let call = &call;
        let asking: Vec<_> = (0..24)
            .map(|number| {
                let url = &gateway.urls[number % gateway.urls.len()];
                scope.spawn(move || call().run(url))
            })
            .collect();
        asking.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

fn deletion_everywhere(env: &Env) {
    let gateway = env.plan().several().start();
    let tenant = Tenant::new(&gateway);
    for round in 0..4 {
        for reply in everywhere(&gateway, || tenant.chat_call("gpt-4o")) {
            assert_eq!(reply.status, 200, "round {round}: {}", reply.text());
        }
        let sent = tenant.sent().len();
        tenant
            .api(Call::new("DELETE", "/api/provider-keys/main"))
            .expect(204);
        for reply in everywhere(&gateway, || tenant.chat_call("gpt-4o")) {
            reply.refusal(424, "provider_not_ready");
        }
        assert_eq!(
            tenant.sent().len(),
            sent,
            "round {round}: sent after the removal had answered"
        );
        tenant.gateway.create(
            &tenant.workspace,
            "provider-keys",
            &json!({"provider": "openai", "name": "main", "secret": secret("next"), "base_url": base_url(&tenant.mock)}),
        );
    }
    drop(tenant);
    gateway.stop();
}

fn revocation_everywhere(env: &Env) {
    let gateway = env.plan().several().start();
    let tenant = Tenant::new(&gateway);
    for round in 0..4 {
        let made = more_gateway_key(&gateway, &tenant.workspace, "app", "doomed", &json!({}));
        let key = made["key"].as_str().unwrap();
        let call = || {
            Call::post("/v1/chat/completions")
                .bearer(key)
                .json(&chat_body("gpt-4o", false))
        };
        for reply in everywhere(&gateway, call) {
            assert_eq!(reply.status, 200, "round {round}: {}", reply.text());
        }
        let sent = tenant.sent().len();
        tenant
            .api(Call::new(
                "DELETE",
                &format!("/api/gateway-keys/{}", made["id"].as_str().unwrap()),
            ))
            .expect(204);
        for reply in everywhere(&gateway, call) {
            reply.refusal(401, "gateway_key_revoked");
        }
        assert_eq!(
            tenant.sent().len(),
            sent,
            "round {round}: sent after the revocation had answered"
        );
        tenant.next_is_fine();
    }
    drop(tenant);
    gateway.stop();
}

fn creation_everywhere(env: &Env) {
    // Nothing is refused from a snapshot: a key that was just made is served, wherever it goes first.
    let gateway = env
        .plan()
        .several()
        .kv_hides_new(Duration::from_secs(60))
        .start();
    let tenant = Tenant::new(&gateway);
    for reply in everywhere(&gateway, || tenant.chat_call("groq/llama-3.1-8b-instant")) {
        reply.refusal(424, "provider_not_ready");
    }
    tenant.gateway.create(
        &tenant.workspace,
        "provider-keys",
        &json!({"provider": "groq", "name": "g", "secret": "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",
                "force": true, "base_url": base_url(&tenant.mock)}),
    );
    let made = more_gateway_key(&gateway, &tenant.workspace, "app", "new", &json!({}));
    let key = made["key"].as_str().unwrap();
    let call = || {
        Call::post("/v1/chat/completions")
            .bearer(key)
            .json(&chat_body("groq/llama-3.1-8b-instant", false))
    };
    for reply in everywhere(&gateway, call) {
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    drop(tenant);
    gateway.stop();
}

fn disabling_and_back(env: &Env) {
    let tenant = Tenant::new(env.gateway());
    let path = format!("/api/provider-keys/{}", tenant.provider_key_id());
    let mut sent = 0;
    for _ in 0..4 {
        for _ in 0..5 {
            tenant.chat("gpt-4o").expect(200);
        }
        sent += 5;
        tenant
            .api(Call::new("PATCH", &path).json(&json!({"enabled": false})))
            .expect(200);
        for _ in 0..5 {
            tenant.chat("gpt-4o").refusal(424, "provider_not_ready");
        }
        assert_eq!(tenant.sent().len(), sent);
        tenant
            .api(Call::new("PATCH", &path).json(&json!({"enabled": true})))
            .expect(200);
    }
}

fn rotations_at_once(env: &Env) {
    // Several people rotate the same key: each is given a version of its own, or told that another came between,
    // and the one with the highest version is in force.
    let tenant = Tenant::new(env.gateway());
    let path = format!("/api/provider-keys/{}/secret", tenant.provider_key_id());
    let outcomes: Mutex<Vec<(u64, String)>> = Mutex::default();
    std::thread::scope(|scope| {
        for person in 0..6 {
            let (tenant, outcomes, path) = (&tenant, &outcomes, &path);
            scope.spawn(move || {
                let fresh = secret(&format!("p{person}"));
                let reply = tenant.api(Call::new("PUT", path).json(&json!({ "secret": fresh })));
                if reply.status == 200 {
                    let version = reply.json()["version"].as_u64().unwrap();
                    outcomes.lock().unwrap().push((version, fresh));
                } else {
                    assert!(
                        matches!(reply.status, 409 | 412 | 503),
                        "{}: {}",
                        reply.status,
                        reply.text()
                    );
                }
            });
        }
    });
    let outcomes: BTreeMap<u64, String> = {
        let outcomes = outcomes.into_inner().unwrap();
        let count = outcomes.len();
        let by_version: BTreeMap<_, _> = outcomes.into_iter().collect();
        assert_eq!(by_version.len(), count, "a version was given twice");
        by_version
    };
    let (version, newest) = outcomes.last_key_value().expect("one at least succeeds");
    let key = tenant
        .api(Call::get(&format!(
            "/api/provider-keys/{}",
            tenant.provider_key_id()
        )))
        .json();
    assert_eq!(key["version"].as_u64(), Some(*version));
    tenant.chat("gpt-4o").expect(200);
    assert_eq!(tenant.only_sent().secret.as_ref(), Some(newest));
}

/// What a restarted gateway must know, and does.
fn survives(plan: impl Fn() -> Plan, end: impl FnOnce(Gateway) -> Arc<crate::gateway::DataDir>) {
    let gateway = plan().start();
    let mut tenant = Tenant::new(&gateway);
    let fresh = secret("kept");
    tenant.rotate(&fresh);
    let doomed = more_gateway_key(&gateway, &tenant.workspace, "app", "doomed", &json!({}));
    tenant
        .api(Call::new(
            "DELETE",
            &format!("/api/gateway-keys/{}", doomed["id"].as_str().unwrap()),
        ))
        .expect(204);
    tenant.chat("gpt-4o").expect(200);
    eventually("the request log", || {
        let log = tenant.api(Call::get("/api/requests")).json();
        (log["items"].as_array().unwrap().len() == 1).then_some(())
    });
    let (workspace, mock, key, gateway_key) = (
        tenant.workspace.clone(),
        std::mem::replace(&mut tenant.mock, mock_provider::MockProvider::start(0)),
        tenant.provider_key.clone(),
        tenant.gateway_key.clone(),
    );
    drop(tenant);
    let data = end(gateway);

    let gateway = plan().data(&data).start();
    let tenant = Tenant {
        gateway: &gateway,
        workspace,
        mock,
        provider_key: key,
        secret: fresh.clone(),
        agent: "app".to_owned(),
        gateway_key,
    };
    tenant.chat("gpt-4o").expect(200);
    let sent = tenant.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(
        sent[1].secret.as_ref(),
        Some(&fresh),
        "the secret in force before the restart"
    );
    Call::get("/v1/models")
        .bearer(doomed["key"].as_str().unwrap())
        .run(gateway.url())
        .refusal(401, "gateway_key_revoked");
    let key = tenant
        .api(Call::get(&format!(
            "/api/provider-keys/{}",
            tenant.provider_key_id()
        )))
        .expect(200)
        .json();
    assert_eq!(key["version"], 2);
    eventually("both requests in the log", || {
        let log = tenant.api(Call::get("/api/requests")).json();
        (log["items"].as_array().unwrap().len() == 2).then_some(())
    });
    // It can be written as before.
    tenant.rotate(&secret("after"));
    tenant.next_is_fine();
    drop(tenant);
    gateway.stop();
}

fn restart_keeps_everything(env: &Env) {
    survives(|| env.plan(), Gateway::stop);
}

fn restart_after_a_kill(env: &Env) {
    // No chance to say goodbye: what was acknowledged is there all the same.
    survives(
        || env.plan(),
        |gateway| {
            let data = gateway.data().clone();
            let children = crate::lifecycle::descendants(gateway.pid());
            for pid in children.into_iter().chain([gateway.pid()]) {
                std::process::Command::new("kill")
                    .args(["-KILL", &pid.to_string()])
                    .status()
                    .unwrap();
            }
            assert!(gateway.wait(Duration::from_secs(10)).is_some());
            data
        },
    );
}

fn lease_length_changes(env: &Env) {
    // From long to short and back: a write waits out the longer one, so the promise holds across the change.
    let gateway = env.plan().set("LOCKGATE_LEASE_MS", "2000").start();
    let tenant = Tenant::new(&gateway);
    tenant.chat("gpt-4o").expect(200);
    let (workspace, key) = (tenant.workspace.clone(), tenant.key().to_owned());
    let id = tenant.gateway_key["id"].as_str().unwrap().to_owned();
    let mock = tenant.mock;
    let data = gateway.stop();
    let gateway = env
        .plan()
        .set("LOCKGATE_LEASE_MS", "100")
        .data(&data)
        .start();
    let call = || {
        Call::post("/v1/chat/completions")
            .bearer(&key)
            .json(&chat_body("gpt-4o", false))
    };
    call().run(gateway.url()).expect(200);
    gateway
        .api(
            &workspace,
            Call::new("DELETE", &format!("/api/gateway-keys/{id}")),
        )
        .expect(204);
    call()
        .run(gateway.url())
        .refusal(401, "gateway_key_revoked");
    assert_eq!(mock.requests().len(), 2);
    // Once adopted, the short lease makes writes quick.
    let started = Instant::now();
    gateway.create(&workspace, "agents", &json!({"name": "a"}));
    std::thread::sleep(Duration::from_secs(3));
    let quick = Instant::now();
    gateway.create(&workspace, "agents", &json!({"name": "b"}));
    assert!(
        quick.elapsed() < Duration::from_millis(1500),
        "{:?} after {:?}",
        quick.elapsed(),
        started.elapsed()
    );
    gateway.stop();
}

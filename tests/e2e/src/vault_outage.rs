//! The vault does not answer: what has been unsealed goes on for a bounded time, the rest fails at once and says why, and it all
//! comes back by itself (FEATURES G5).

use std::time::Duration;

use mock_vault::Fault;
use mock_vault::hashicorp::Hashicorp;
use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::configurations::live;
use crate::gateway::{Gateway, Plan};
use crate::scene::{Scene, chat, document, text};
use crate::tenant::eventually;
use crate::vault::{House, Vault, plan, status};

pub(crate) fn cases() -> Vec<Case> {
    cases!["vault_outage":
        what_is_known_goes_on_and_the_rest_fails_at_once [process],
        a_route_goes_on_to_another_target [process],
        it_ends [process],
        ways_to_fail [process],
        a_disabled_key [process],
    ]
}

/// Requests for keys that were never unsealed, while the vault is down.
const COLD: usize = 40;
/// What an isolate asks before it leaves a vault alone, three, by as many isolates as may have been asked, and some probes.
const FEW: usize = 12;

fn patient(plan: Plan) -> Plan {
    plan.set("LOCKGATE_VAULT_TIMEOUT_MS", "1000")
}

/// Asserts that a message says which vault it is about.
fn names_the_vault(message: &str) {
    assert!(
        message.to_lowercase().contains("vault-transit"),
        "names the vault: {message}"
    );
}

/// A key that is unsealed, and others that are not, with the vault down.
fn down(gateway: &Gateway, vault: &Vault, warm: &'static str, cold: &[&'static str]) -> House {
    let all: Vec<&str> = [warm].iter().chain(cold).copied().collect();
    let house = House::build(gateway, &all);
    for _ in 0..20 {
        // Both threads of a native gateway have it then.
        house.served(gateway, warm);
    }
    vault.server.clear();
    vault.fail(Fault::Down);
    house
}

fn what_is_known_goes_on_and_the_rest_fails_at_once(env: &Env) {
    let (vault, _) = Vault::transit();
    let gateway = patient(vault.on(plan(env))).start();
    let mut house = down(&gateway, &vault, "openai", &["groq"]);
    for _ in 0..20 {
        house.served(&gateway, "openai");
    }
    assert_eq!(vault.calls(), 0, "for what is known the vault is not asked");

    for _ in 0..COLD {
        names_the_vault(&house.sealed(&gateway, "groq"));
    }
    let calls = vault.calls();
    assert!(
        (1..=FEW).contains(&calls),
        "{calls} calls for {COLD} requests"
    );
    let error = house
        .ask(&gateway, "groq")
        .refusal(503, "vault_unavailable");
    assert!(
        text(&error["lockgate"]["remedy"]).contains("vault"),
        "{error}"
    );
    house.served(&gateway, "openai");

    // Nothing can be saved, and nothing is half saved.
    let keys = |house: &House| {
        let listed = house
            .api(&gateway, Call::get("/api/provider-keys"))
            .expect(200)
            .json();
        listed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| (text(&key["provider"]), key["version"].clone()))
            .collect::<Vec<_>>()
    };
    let before = keys(&house);
    house
        .save(&gateway, "mistral")
        .refusal(503, "vault_unavailable");
    house
        .rotate(&gateway, "openai", crate::tenant::secret("late"))
        .refusal(503, "vault_unavailable");
    assert_eq!(keys(&house), before);
    house.served(&gateway, "openai");
    let said = status(&gateway);
    assert_eq!(said["kek"], Value::Null, "{said}");
    names_the_vault(&text(&said["error"]));
    let rewrap = gateway.api("default", Call::post("/api/vault/rewrap"));
    names_the_vault(&text(&rewrap.refusal(503, "vault_unavailable")["message"]));

    vault.fail(Fault::None);
    recovered(&gateway, &house, "groq");
    recovered(&gateway, &house, "openai");
    eventually("keys can be saved again", || {
        (house.save(&gateway, "mistral").status == 201).then_some(())
    });
    recovered(&gateway, &house, "mistral");
    gateway.stop();
}

/// Waits until a key is served again, in each thread of a native gateway.
fn recovered(gateway: &Gateway, house: &House, provider: &str) {
    eventually("it is served again", || {
        let all = (0..10).all(|_| house.ask(gateway, provider).status == 200);
        all.then_some(())
    });
    // It went out with its secret.
    assert!(house.sent(provider) >= 10);
}

fn a_route_goes_on_to_another_target(env: &Env) {
    let (vault, _) = Vault::transit();
    let gateway = patient(vault.on(plan(env))).start();
    let house = House::build(&gateway, &["openai", "groq"]);
    let scene = Scene {
        gateway: &gateway,
        workspace: house.workspace,
        mock: house.mock,
    };
    let routes = |fallback: &str| {
        document(
            &[
                "id: cold, provider: groq, model: groq/mock-model",
                "id: warm, provider: openai, model: openai/mock-model",
            ],
            &[&format!(
                "name: r, match: {{ models: [r] }}, targets: [{{ target: cold }}, {{ target: warm, priority: 1 }}]{fallback}"
            )],
        )
    };
    live(&scene, "goes-on", &routes(""));
    live(&scene, "stays", &routes(", fallback: { on: [] }"));
    let bound = |name: &str| scene.gateway_key("app", &json!({ "configuration": name }));
    let (goes_on, stays) = (bound("goes-on"), bound("stays"));
    for _ in 0..20 {
        chat(&house.key, "openai/mock-model")
            .run(gateway.url())
            .expect(200);
    }
    vault.fail(Fault::Down);
    scene.mock.clear();
    let reply = chat(&goes_on, "r").run(gateway.url()).expect(200);
    assert_eq!(reply.header("lockgate-provider"), Some("openai"));
    assert_eq!(scene.mock.take_requests().len(), 1);
    chat(&stays, "r")
        .run(gateway.url())
        .refusal(503, "vault_unavailable");
    assert!(scene.mock.requests().is_empty(), "it was sent");
    gateway.stop();
}

fn it_ends(env: &Env) {
    let (vault, _) = Vault::transit();
    let gateway = patient(vault.on(plan(env)))
        .set("LOCKGATE_VAULT_OUTAGE_MS", "3000")
        .start();
    let house = down(&gateway, &vault, "openai", &[]);
    let message = eventually("what the vault gave is used no longer", || {
        (house.ask(&gateway, "openai").status != 200).then(|| house.sealed(&gateway, "openai"))
    });
    names_the_vault(&message);
    // It stays so.
    house.sealed(&gateway, "openai");
    vault.fail(Fault::None);
    recovered(&gateway, &house, "openai");
    gateway.stop();
}

/// What the vault does, what is done to it for that, and a word of what is said.
type Way = (&'static str, fn(&Vault, &Hashicorp), &'static str);

fn ways_to_fail(env: &Env) {
    let ways: [Way; 7] = [
        (
            "groq",
            |vault, _| vault.fail(Fault::Slow(Duration::from_secs(5))),
            "does not answer",
        ),
        (
            "mistral",
            |vault, _| {
                vault.fail(Fault::Says(
                    429,
                    "{\"errors\": [\"rate limit quota exceeded\"]}".into(),
                ))
            },
            "429",
        ),
        (
            "xai",
            |vault, _| {
                vault.fail(Fault::Says(
                    500,
                    "{\"errors\": [\"internal error\"]}".into(),
                ))
            },
            "500",
        ),
        (
            "cerebras",
            |vault, _| vault.fail(Fault::Says(200, "<html>hello</html>".into())),
            "makes no sense",
        ),
        ("deepseek", |_, server| server.seal(true), "sealed"),
        (
            "together",
            |_, server| server.revoke_tokens(),
            "LOCKGATE_VAULT_TOKEN",
        ),
        (
            "fireworks",
            |_, server| server.set_min_decryption_version("transit", "lockgate", 2),
            "min_decryption_version",
        ),
    ];
    let (vault, server) = Vault::transit();
    let quick = || vault.on(plan(env)).set("LOCKGATE_VAULT_TIMEOUT_MS", "300");
    let gateway = quick().start();
    let providers: Vec<&str> = ways.iter().map(|(provider, ..)| *provider).collect();
    let house = House::build(&gateway, &providers);
    let mut data = gateway.stop();
    for (provider, fail, word) in ways {
        let gateway = quick().data(&data).start();
        fail(&vault, &server);
        let message = house.sealed(&gateway, provider);
        names_the_vault(&message);
        assert!(
            message.contains(word),
            "{provider} should say “{word}”: {message}"
        );
        assert!(!message.contains(crate::vault::TOKEN), "{message}");
        data = gateway.stop();
        vault.fail(Fault::None);
        server.seal(false);
        let _ = server
            .clone()
            .token(crate::vault::TOKEN, &["default", "lockgate"]);
    }
    server.set_min_decryption_version("transit", "lockgate", 1);
    let gateway = quick().data(&data).start();
    // Where instances share what they know of the vault, it is left alone for some seconds.
    eventually("all are served again", || {
        let served = |provider: &&str| house.ask(&gateway, provider).status == 200;
        providers.iter().all(served).then_some(())
    });
    house.all_served(&gateway);
    let data = gateway.stop();
    assert!(
        !data.printed().contains(crate::vault::TOKEN),
        "the vault's token is in the log"
    );
}

fn a_disabled_key(env: &Env) {
    let (vault, service) = Vault::gcp_kms();
    let start = || vault.on(plan(env)).set("LOCKGATE_VAULT_BRIDGE", "off");
    let gateway = start().start();
    let house = House::build(&gateway, &["openai"]);
    house.served(&gateway, "openai");
    let data = gateway.stop();
    // Whoever asks now is refused, and a refusal is no outage: the vault is not asked again and again for one request.
    service.set_state(1, "DISABLED");
    let gateway = start().data(&data).start();
    vault.server.clear();
    let message = house.sealed(&gateway, "openai");
    assert!(message.contains("gcp-kms refuses"), "{message}");
    assert_eq!(vault.unseals(), 1);
    service.set_state(1, "ENABLED");
    recovered(&gateway, &house, "openai");
    gateway.stop();
}

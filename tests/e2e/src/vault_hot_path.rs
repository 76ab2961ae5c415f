//! The vault is asked for a secret once and left alone after that: counted over streams, workspaces, gateway keys and changing
//! instances (FEATURES G2, G5).

use serde_json::json;

use crate::case::{Case, Env, cases};
use crate::gateway::{Engine, Gateway};
use crate::scene::{pooled, text};
use crate::tenant::chat_body;
use crate::vault::{House, Vault, plan};

pub(crate) fn cases() -> Vec<Case> {
    cases!["vault_hot_path":
        nothing_is_asked_twice [process],
        one_asks_for_all_instances [process],
    ]
}

const PROVIDERS: [&str; 2] = ["openai", "groq"];
/// So many requests that instances on Spin, which take 128 each, are replaced.
const REQUESTS: usize = 300;
/// So many that each thread of a native gateway has had each version.
const WARM: usize = 120;
/// How many come at once.
const WIDTH: usize = 12;

/// Another gateway key of a house.
fn another_key(gateway: &Gateway, house: &House) -> String {
    let body = json!({"name": "another", "agent": "app"});
    text(&gateway.create(&house.workspace, "gateway-keys", &body)["key"])
}

/// Requests of both houses, some of them streamed, with one or the other of their keys; all are served.
fn traffic(gateway: &Gateway, houses: &[(House, String)], requests: usize) {
    let numbers: Vec<usize> = (0..requests).collect();
    pooled(&numbers, WIDTH, |number| {
        let (house, another) = &houses[number % houses.len()];
        let provider = PROVIDERS[number / 2 % PROVIDERS.len()];
        let key = if number % 3 == 0 { another } else { &house.key };
        let body = chat_body(&format!("{provider}/mock-model"), number % 5 == 0);
        let call = crate::client::Call::post("/v1/chat/completions").bearer(key);
        let reply = call.json(&body).run(gateway.url_of(*number));
        assert_eq!(reply.status, 200, "{provider}: {}", reply.text());
        if number % 5 == 0 {
            assert!(reply.text().contains("[DONE]"), "{}", reply.text());
        }
    });
}

fn houses(gateway: &Gateway) -> Vec<(House, String)> {
    std::thread::scope(|scope| {
        let build = || {
            let house = House::build(gateway, &PROVIDERS);
            let another = another_key(gateway, &house);
            (house, another)
        };
        let first = scope.spawn(build);
        vec![build(), first.join().unwrap()]
    })
}

/// How many requests each provider got, all of them with its secret.
fn reached(houses: &[(House, String)]) -> usize {
    let all = houses
        .iter()
        .flat_map(|(house, _)| PROVIDERS.map(|provider| house.sent(provider)));
    all.sum()
}

fn nothing_is_asked_twice(env: &Env) {
    let (vault, _) = Vault::transit();
    let gateway = vault.on(plan(env)).start();
    let houses = houses(&gateway);
    // Every thread of a native gateway unseals for itself; elsewhere one does for all.
    traffic(&gateway, &houses, WARM);
    assert!(vault.unseals() >= 4, "each version has been unsealed");
    let asked = vault.calls();
    traffic(&gateway, &houses, REQUESTS);
    assert_eq!(
        vault.calls(),
        asked,
        "calls to the vault for {REQUESTS} requests"
    );
    assert_eq!(reached(&houses), WARM + REQUESTS);
    // A rotated secret is a new version, and the old one is nobody's question any more.
    let mut houses = houses;
    let fresh = crate::tenant::secret("fresh");
    houses[0].0.mock.clear();
    houses[0].0.rotate(&gateway, "openai", fresh).expect(200);
    let asked = vault.unseals();
    houses[0].0.served(&gateway, "openai");
    assert!(vault.unseals() > asked, "the new version was unsealed");
    gateway.stop();
}

fn one_asks_for_all_instances(env: &Env) {
    let (vault, _) = Vault::transit();
    let run = |bridge: &str| -> usize {
        let several = vault.on(plan(env).several());
        let gateway = several.set("LOCKGATE_VAULT_BRIDGE", bridge).start();
        let houses = houses(&gateway);
        vault.server.clear();
        traffic(&gateway, &houses, REQUESTS);
        assert_eq!(reached(&houses), REQUESTS);
        gateway.stop();
        // Whoever asks for the first time looks up how long its token lives.
        let (looked, unseals) = (vault.server.calls("/lookup-self"), vault.unseals());
        assert_eq!(vault.calls(), looked + unseals, "calls for anything else");
        assert!(looked <= unseals, "{looked} looks for {unseals} secrets");
        unseals
    };
    // Two workspaces, two versions in each.
    assert_eq!(run("on"), 4, "calls with a bridge");
    let calls = run("off");
    match env.engine {
        // Two threads, and nothing says that both were asked for each version.
        Engine::Native => assert!((4..=8).contains(&calls), "{calls}"),
        _ => assert!(calls > 4, "each instance asks: {calls}"),
    }
}

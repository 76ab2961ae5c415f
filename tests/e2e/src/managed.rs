//! Traffic on the platform's keys, paid for out of a workspace's wallet (FEATURES C4, H5).
//!
//! The platform's keys are the whole installation's, so each test has a provider of its own there.

use std::time::Duration;

use mock_provider::MockProvider;
use serde_json::{Value, json};

use crate::access::{agent, deny, role};
use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::configurations::live;
use crate::gateway::Gateway;
use crate::scene::{Scene, document, pooled, text};
use crate::tenant::{MARK, allow, chat_body, eventually};
use crate::wallets::{audited, kinds, ledger, settled, wallet};

pub(crate) fn cases() -> Vec<Case> {
    cases!["managed":
        takes_over_where_byok_is_limited [process],
        splits_between_byok_and_managed [process],
        a_crowd_before_a_wallet [process],
        not_ready_reserves_nothing [process],
        a_client_that_leaves_pays [process],
        killed_between_reserve_and_settle [process],
        who_may_credit [process],
        prices [process],
    ]
}

/// How many requests come at once, and for how many there is money.
const CROWD: usize = 64;
const AFFORDED: usize = 10;
/// What the mock says a plain answer used.
const INPUT: u64 = 9;
const OUTPUT: u64 = 6;
const MAX_TOKENS: u64 = 30;

fn platform(gateway: &Gateway, call: Call) -> Reply {
    gateway.api("platform", call)
}

/// The platform's secret for a provider.
fn secret(provider: &str) -> String {
    format!("{MARK}platform{provider}{:0>32}", "")
}

/// Gives the platform a key of a provider, which has a mock of its own.
pub(crate) fn platform_key(gateway: &Gateway, provider: &str) -> MockProvider {
    let mock = MockProvider::start(0);
    let body = json!({
        "provider": provider, "name": "house", "secret": secret(provider), "force": true,
        "base_url": format!("{}/v1", mock.base_url()),
    });
    gateway.create("platform", "provider-keys", &body);
    mock
}

/// Sets the platform's price of a model: so many micro-USD for a token of input, and of output.
pub(crate) fn price(gateway: &Gateway, provider: &str, model: &str, input: u64, output: u64) {
    let body = json!({"input_microusd_per_mtok": input * 1_000_000, "output_microusd_per_mtok": output * 1_000_000});
    let path = format!("/api/prices/{provider}/{model}");
    platform(gateway, Call::new("PUT", &path).json(&body)).expect(200);
}

/// A workspace with OpenAI keys of its own, money, and a configuration.
pub(crate) fn ready(scene: &Scene<'_>, keys: &[Value], credit: u64, document: &str) -> String {
    let mut wanted: Vec<(&str, Value)> = keys
        .iter()
        .map(|key| ("provider-keys", key.clone()))
        .collect();
    wanted.push(role("anything", &[allow(&["*"])]));
    scene.make(&wanted);
    std::thread::scope(|scope| {
        scope.spawn(|| live(scene, "c", document));
        scope.spawn(|| {
            if credit > 0 {
                scene
                    .post("wallet/credit", &json!({"amount_microusd": credit}))
                    .expect(200);
            }
        });
        scene.create("agents", &agent("app", &["anything"]));
    });
    scene.gateway_key("app", &json!({"configuration": "c"}))
}

/// A route to the platform's key of a provider, alone.
pub(crate) fn alone(provider: &str, model: &str) -> String {
    document(
        &[&format!(
            "id: house, provider: {provider}, model: {model}, credential: managed"
        )],
        &["name: r, match: { models: [r] }, targets: [{ target: house }]"],
    )
}

fn body(model: &str) -> Value {
    let mut body = chat_body(model, false);
    body["max_tokens"] = json!(MAX_TOKENS);
    body
}

fn ask(scene: &Scene<'_>, key: &str, number: usize, body: &Value) -> Reply {
    Call::post("/v1/chat/completions")
        .bearer(key)
        .json(body)
        .run(scene.gateway.url_of(number))
}

/// The log's items, once there are so many.
pub(crate) fn log(scene: &Scene<'_>, count: usize) -> Vec<Value> {
    eventually("the log", || {
        let items = scene.get("requests?limit=1000")["items"]
            .as_array()
            .unwrap()
            .clone();
        (items.len() == count).then_some(items)
    })
}

fn takes_over_where_byok_is_limited(env: &Env) {
    let scene = Scene::new(env.crowd());
    let house = platform_key(scene.gateway, "mistral");
    price(scene.gateway, "mistral", "mock-model", 2, 5);
    let credit = 1_000_000;
    let document = document(
        &[
            "id: own, provider: openai, model: gpt-4o, credential: byok",
            "id: house, provider: mistral, model: mock-model, credential: managed",
        ],
        &[
            "name: r, match: { models: [r] }, targets: [{ target: own }, { target: house, priority: 1 }], fallback: { on: [rate_limit] }",
        ],
    );
    let limited = scene.key("openai", "limited", &json!({}));
    let key = ready(&scene, &[limited], credit, &document);
    let reply = ask(&scene, &key, 0, &body("r")).expect(200);
    assert_eq!(reply.header("lockgate-credential"), Some("managed"));
    assert_eq!(reply.header("lockgate-provider"), Some("mistral"));
    assert_eq!(reply.header("lockgate-attempts"), Some("2"));
    let why = "provider key limited of openai was passed over: provider_rate_limited";
    assert!(
        reply
            .headers
            .iter()
            .any(|(name, value)| name == "lockgate-warning" && value == why),
        "{:?}",
        reply.headers
    );
    assert_eq!(scene.mock.requests().len(), 1);
    let sent = house.take_requests();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].secret, Some(secret("mistral")));
    // The actual cost only.
    let cost = INPUT * 2 + OUTPUT * 5;
    assert_eq!(settled(&scene), cost);
    assert_eq!(wallet(&scene), (credit - cost, 0));
    assert_eq!(kinds(&scene), ["credit", "reserve", "settle"]);
    let item = log(&scene, 1).remove(0);
    assert_eq!(item["credential"], "managed", "{item}");
    assert_eq!(item["cost_microusd"], cost, "{item}");
    assert_eq!(
        (&item["tokens"]["input"], &item["tokens"]["output"]),
        (&json!(INPUT), &json!(OUTPUT))
    );
    let attempts = &item["attempts"];
    assert_eq!(attempts[0]["credential"], "byok", "{item}");
    assert_eq!(attempts[0]["code"], "provider_rate_limited", "{item}");
    assert_eq!(attempts[0]["status"], 429, "{item}");
    assert_eq!(attempts[1]["credential"], "managed", "{item}");
    assert_eq!(attempts[1]["code"], Value::Null, "{item}");
    let usage = scene.get("usage?group_by=credential");
    assert_eq!(usage["items"][0]["credential"], "managed", "{usage}");
    assert_eq!(usage["items"][0]["cost_microusd"], cost, "{usage}");
}

fn splits_between_byok_and_managed(env: &Env) {
    let scene = Scene::new(env.crowd());
    let house = platform_key(scene.gateway, "deepseek");
    price(scene.gateway, "deepseek", "mock-model", 1, 1);
    let document = document(
        &[
            "id: own, provider: openai, model: gpt-4o",
            "id: house, provider: deepseek, model: mock-model, credential: managed",
            "id: any, provider: deepseek, model: mock-model",
        ],
        &[
            "name: r, match: { models: [r] }, targets: [{ target: own, weight: 4 }, { target: house, weight: 1 }]",
            "name: any, match: { models: [any] }, targets: [{ target: any }]",
            "name: own, match: { models: [own] }, targets: [{ target: own }]",
        ],
    );
    let key = ready(
        &scene,
        &[scene.key("openai", "main", &json!({}))],
        1_000_000,
        &document,
    );
    let credentials: Vec<String> = (0..50)
        .map(|_| {
            let reply = ask(&scene, &key, 0, &body("r")).expect(200);
            reply
                .header("lockgate-credential")
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    let managed = credentials.iter().filter(|one| *one == "managed").count();
    assert!((9..=11).contains(&managed), "{managed} of 50 were managed");
    assert_eq!(house.requests().len(), managed);
    assert_eq!(settled(&scene), managed as u64 * (INPUT + OUTPUT));
    // BYOK reserves nothing.
    let lines = ledger(&scene).len();
    assert_eq!(lines, 1 + 2 * managed);
    for _ in 0..5 {
        ask(&scene, &key, 0, &body("own")).expect(200);
    }
    assert_eq!(ledger(&scene).len(), lines);
    // A target that takes either: the platform's key where there is none of the workspace's, which goes first.
    let reply = ask(&scene, &key, 0, &body("any")).expect(200);
    assert_eq!(reply.header("lockgate-credential"), Some("managed"));
    let own = scene.create("provider-keys", &scene.key("deepseek", "own", &json!({})));
    let reply = ask(&scene, &key, 0, &body("any")).expect(200);
    assert_eq!(reply.header("lockgate-credential"), Some("byok"));
    // One that is disabled is no reason to spend the platform's.
    let path = format!("provider-keys/{}", text(&own["id"]));
    scene.patch(&path, &json!({"enabled": false})).expect(200);
    let before = house.requests().len();
    ask(&scene, &key, 0, &body("any")).expect(424);
    assert_eq!(house.requests().len(), before);
}

fn a_crowd_before_a_wallet(env: &Env) {
    let scene = Scene::new(env.crowd());
    let house = platform_key(scene.gateway, "groq");
    let model = "mock-slow-head-2500";
    price(scene.gateway, "groq", model, 1, 1);
    let slow = body("r");
    // The body that is measured is the client's, before its model is put in.
    let each = (slow.to_string().len() as u64).div_ceil(3) + MAX_TOKENS;
    let credit = each * AFFORDED as u64 + each - 1;
    let key = ready(&scene, &[], credit, &alone("groq", model));
    let numbers: Vec<usize> = (0..CROWD).collect();
    let replies = pooled(&numbers, CROWD, |number| ask(&scene, &key, *number, &slow));
    let passed = replies.iter().filter(|one| one.status == 200).count();
    for one in replies.iter().filter(|one| one.status != 200) {
        one.refusal(402, "wallet_insufficient");
    }
    assert_eq!(passed, AFFORDED);
    assert_eq!(
        house.requests().len(),
        AFFORDED,
        "requests that reached the provider"
    );
    let cost = AFFORDED as u64 * (INPUT + OUTPUT);
    assert_eq!(settled(&scene), cost);
    assert_eq!(wallet(&scene), (credit - cost, 0));
}

fn not_ready_reserves_nothing(env: &Env) {
    let scene = Scene::new(env.crowd());
    let house = platform_key(scene.gateway, "xai");
    let document = document(
        &[
            "id: none, provider: cohere, model: command-r, credential: managed",
            "id: unpriced, provider: xai, model: mock-model-unpriced, credential: managed",
            "id: house, provider: xai, model: mock-model, credential: managed",
            "id: refused, provider: xai, model: mock-status-500, credential: managed",
        ],
        &[
            "name: none, match: { models: [none] }, targets: [{ target: none }]",
            "name: unpriced, match: { models: [unpriced] }, targets: [{ target: unpriced }]",
            "name: r, match: { models: [r] }, targets: [{ target: house }]",
            "name: refused, match: { models: [refused] }, targets: [{ target: refused }]",
        ],
    );
    for model in ["mock-model", "mock-status-500"] {
        price(scene.gateway, "xai", model, 1, 1);
    }
    let key = ready(&scene, &[], 1_000_000, &document);
    scene.create(
        "roles",
        &json!({"name": "byok-only", "statements": [allow(&["*"]), deny(&["xai/managed"])]}),
    );
    scene.create("agents", &agent("denied", &["byok-only"]));
    let denied = scene.gateway_key("denied", &json!({"configuration": "c"}));
    let lines = ledger(&scene);
    ask(&scene, &key, 0, &body("none")).refusal(424, "provider_not_ready");
    ask(&scene, &key, 0, &body("unpriced")).refusal(424, "price_unknown");
    ask(&scene, &denied, 0, &body("r")).refusal(403, "access_denied");
    assert_eq!(ledger(&scene), lines, "something was reserved");
    assert!(house.requests().is_empty());
    ask(&scene, &key, 0, &body("r")).expect(200);
    assert_eq!(settled(&scene), INPUT + OUTPUT);
    // A try that the provider refuses costs nothing.
    ask(&scene, &key, 0, &body("refused")).refusal(502, "provider_error");
    assert_eq!(house.requests().len(), 2);
    assert_eq!(settled(&scene), INPUT + OUTPUT);
}

fn a_client_that_leaves_pays(env: &Env) {
    let scene = Scene::new(env.crowd());
    let house = platform_key(scene.gateway, "together");
    let model = "mock-events-1000-20";
    price(scene.gateway, "together", model, 1, 1);
    let key = ready(&scene, &[], 1_000_000, &alone("together", model));
    let mut body = body("r");
    body["stream"] = json!(true);
    body["max_tokens"] = json!(500);
    let mut stream = Call::post("/v1/chat/completions")
        .bearer(&key)
        .json(&body)
        .open(scene.gateway.url())
        .unwrap();
    assert_eq!(stream.status, 200);
    let mut seen = 0;
    while seen < 2_000 {
        seen += stream.piece().unwrap().expect("more").1.len();
    }
    let reserved = wallet(&scene).1;
    assert!(reserved >= 500, "{reserved} is reserved while it runs");
    stream.leave();
    house
        .wait_for_ended(1, Duration::from_secs(20))
        .expect("the provider is left too");
    let paid = settled(&scene);
    assert!(paid > 0 && paid < reserved, "{paid} of {reserved} was paid");
    let item = log(&scene, 1).remove(0);
    assert_eq!(item["cost_microusd"], paid, "{item}");
    assert_eq!(item["tokens"]["estimated"], true, "{item}");
}

fn killed_between_reserve_and_settle(env: &Env) {
    let patient = |plan: crate::gateway::Plan| {
        plan.set("LOCKGATE_PROVIDER_TIMEOUT_MS", "60000")
            .set("LOCKGATE_RESERVATION_MS", "4000")
    };
    let gateway = patient(env.plan()).start();
    let scene = Scene::new(&gateway);
    let house = platform_key(&gateway, "groq");
    for model in ["mock-silent", "mock-model"] {
        price(&gateway, "groq", model, 1, 1);
    }
    let credit = 10_000;
    let document = document(
        &[
            "id: silent, provider: groq, model: mock-silent, credential: managed",
            "id: house, provider: groq, model: mock-model, credential: managed",
        ],
        &[
            "name: silent, match: { models: [silent] }, targets: [{ target: silent }]",
            "name: r, match: { models: [r] }, targets: [{ target: house }]",
        ],
    );
    let key = ready(&scene, &[], credit, &document);
    ask(&scene, &key, 0, &body("r")).expect(200);
    let paid = settled(&scene);
    let held: Vec<_> = (0..5)
        .map(|_| {
            let (url, key) = (gateway.url().to_owned(), key.clone());
            std::thread::spawn(move || {
                let call = Call::post("/v1/chat/completions")
                    .bearer(&key)
                    .json(&body("silent"));
                call.open(&url).is_err()
            })
        })
        .collect();
    house
        .wait_for(6, Duration::from_secs(20))
        .expect("they are under way");
    gateway.kill();
    for one in held {
        assert!(
            one.join().unwrap(),
            "an answer came from a process that was killed"
        );
    }
    let gateway = patient(env.plan()).data(gateway.data()).start();
    let scene = scene.at(&gateway);
    assert_eq!(audited(&scene), paid);
    let (balance, reserved) = wallet(&scene);
    assert!(reserved > 0);
    assert_eq!(balance + reserved + paid, credit);
    // Nobody will settle it: it goes back with the scheduled work.
    eventually("the reservations expire", || {
        gateway.api("default", Call::post("/api/tick")).expect(200);
        (wallet(&scene).1 == 0).then_some(())
    });
    assert_eq!(audited(&scene), paid);
    assert_eq!(wallet(&scene), (credit - paid, 0));
    assert_eq!(
        kinds(&scene)
            .iter()
            .filter(|kind| *kind == "expire")
            .count(),
        5
    );
    ask(&scene, &key, 0, &body("r")).expect(200);
    assert_eq!(settled(&scene), 2 * paid);
    gateway.stop();
}

fn who_may_credit(env: &Env) {
    let scene = Scene::new(env.crowd());
    let token = |body: &Value| text(&scene.create("admin-tokens", body)["token"]);
    let credit = |bearer: &str, id: &str| {
        Call::post("/api/wallet/credit")
            .bearer(bearer)
            .header("lockgate-workspace", &scene.workspace)
            .json(&json!({"amount_microusd": 100, "id": id, "note": "for the test"}))
            .run(scene.gateway.url())
    };
    for role in ["owner", "admin"] {
        let own = token(
            &json!({"name": crate::gateway::unique("own"), "workspace": scene.workspace, "role": role}),
        );
        credit(&own, "x").refusal(403, "access_denied");
    }
    assert_eq!(wallet(&scene), (0, 0));
    let all = scene.gateway.create(
        "default",
        "admin-tokens",
        &json!({"name": crate::gateway::unique("all"), "role": "admin"}),
    );
    credit(&text(&all["token"]), "one").expect(200);
    // Again under the same id is the same credit.
    credit(&text(&all["token"]), "one").expect(200);
    scene
        .post(
            "wallet/credit",
            &json!({"amount_microusd": 11, "id": "two"}),
        )
        .expect(200);
    assert_eq!(wallet(&scene), (111, 0));
    assert_eq!(kinds(&scene), ["credit", "credit"]);
    for wrong in [
        json!({"amount_microusd": 0}),
        json!({"amount_microusd": -5}),
        json!({"amount_microusd": 1.5}),
        json!({}),
    ] {
        scene.post("wallet/credit", &wrong).expect(400);
    }
    let audit = scene.get("audit?limit=1000").to_string();
    assert!(audit.contains("wallet.credit"), "{audit}");
    assert_eq!(audited(&scene), 0);
}

fn prices(env: &Env) {
    let scene = Scene::new(env.crowd());
    let listed = |provider: &str, model: &str| {
        let list = scene.get(&format!("prices?provider={provider}"));
        let items = list["items"].as_array().unwrap();
        items.iter().find(|one| one["model"] == model).cloned()
    };
    let manifest = listed("openai", "gpt-4o").expect("a known price");
    assert_eq!(manifest["source"], "manifest");
    let own = json!({"input_microusd_per_mtok": 7, "cached_input_microusd_per_mtok": 3, "output_microusd_per_mtok": 11});
    scene.put("prices/openai/gpt-4o", &own).expect(200);
    scene.put("prices/openai/house/model-1", &own).expect(200);
    for model in ["gpt-4o", "house/model-1"] {
        let price = listed("openai", model).expect("the workspace's own");
        assert_eq!(price["source"], "workspace");
        assert_eq!(
            (
                &price["input_microusd_per_mtok"],
                &price["output_microusd_per_mtok"]
            ),
            (&json!(7), &json!(11))
        );
    }
    scene.delete("prices/openai/gpt-4o").expect(204);
    scene.delete("prices/openai/house/model-1").expect(204);
    assert_eq!(listed("openai", "gpt-4o"), Some(manifest));
    assert_eq!(listed("openai", "house/model-1"), None);
    for (path, body) in [
        ("prices/nobody/m", own.clone()),
        (
            "prices/openai/m",
            json!({"input_microusd_per_mtok": -1, "output_microusd_per_mtok": 0}),
        ),
        ("prices/openai/m", json!({"input_microusd_per_mtok": 1})),
    ] {
        let reply = scene.put(path, &body);
        assert!(
            (400..500).contains(&reply.status),
            "{path}: {}",
            reply.text()
        );
    }
    // What a workspace says its models cost is nothing to the platform.
    let house = platform_key(scene.gateway, "fireworks");
    price(scene.gateway, "fireworks", "mock-model", 2, 3);
    let key = ready(&scene, &[], 10_000, &alone("fireworks", "mock-model"));
    let nothing = json!({"input_microusd_per_mtok": 0, "output_microusd_per_mtok": 0});
    scene
        .put("prices/fireworks/mock-model", &nothing)
        .expect(200);
    ask(&scene, &key, 0, &body("r")).expect(200);
    assert_eq!(house.requests().len(), 1);
    assert_eq!(settled(&scene), INPUT * 2 + OUTPUT * 3);
}

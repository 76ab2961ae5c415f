//! The request log and the sums of what was used: tokens, cost, attempts, grouping, retention, and no prompts (FEATURES F6).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::access::{agent, role};
use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::scene::{Scene, text};
use crate::stores;
use crate::tenant::{allow, chat_body, eventually};

pub(crate) fn cases() -> Vec<Case> {
    cases!["usage":
        tokens_and_cost,
        sums_by_group,
        old_rows_go [process],
        prompts_are_not_stored [process],
    ]
}

/// What the mock says a plain answer used.
const INPUT: u64 = 9;
const OUTPUT: u64 = 6;

fn furnish(scene: &Scene<'_>) {
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        ("provider-keys", scene.key("anthropic", "a", &json!({}))),
        role("anything", &[allow(&["*"])]),
    ]);
    scene.make(&[
        ("agents", agent("one", &["anything"])),
        ("agents", agent("two", &["anything"])),
    ]);
    let price = json!({"input_microusd_per_mtok": 2_000_000, "cached_input_microusd_per_mtok": 1_000_000, "output_microusd_per_mtok": 3_000_000});
    for model in [
        "openai/mock-model",
        "openai/mock-cached",
        "openai/mock-burst-5",
        "anthropic/mock-model",
    ] {
        scene.put(&format!("prices/{model}"), &price).expect(200);
    }
}

/// The log's items by their request's id, once there are so many.
fn log(scene: &Scene<'_>, count: usize) -> BTreeMap<String, Value> {
    eventually("the log", || {
        let items = scene.get("requests?limit=1000")["items"]
            .as_array()
            .unwrap()
            .clone();
        let by_id = items.into_iter().map(|item| (text(&item["id"]), item));
        let by_id: BTreeMap<String, Value> = by_id.collect();
        (by_id.len() == count).then_some(by_id)
    })
}

fn tokens_and_cost(env: &Env) {
    let scene = Scene::new(env.gateway());
    furnish(&scene);
    let key = scene.gateway_key("one", &json!({}));
    let send = |id: &str, path: &str, body: &Value| {
        Call::post(path)
            .bearer(&key)
            .header("lockgate-request-id", id)
            .json(body)
            .run(scene.gateway.url())
            .expect(200)
    };
    let mut stream = chat_body("openai/mock-burst-5", true);
    stream["stream_options"] = json!({"include_usage": true});
    let claude = json!({"model": "anthropic/mock-model", "max_tokens": 50, "messages": [{"role": "user", "content": "hi"}]});
    let mut claude_stream = claude.clone();
    claude_stream["stream"] = json!(true);
    let embed = json!({"model": "openai/mock-model", "input": "hi"});
    send(
        "plain",
        "/v1/chat/completions",
        &chat_body("openai/mock-model", false),
    );
    send(
        "cached",
        "/v1/chat/completions",
        &chat_body("openai/mock-cached", false),
    );
    send("stream", "/v1/chat/completions", &stream);
    send(
        "translated",
        "/v1/chat/completions",
        &chat_body("anthropic/mock-model", false),
    );
    send(
        "translated-stream",
        "/v1/chat/completions",
        &chat_body("anthropic/mock-model", true),
    );
    send("claude", "/v1/messages", &claude);
    send("claude-stream", "/v1/messages", &claude_stream);
    send(
        "responses",
        "/v1/responses",
        &json!({"model": "openai/mock-model", "input": "hi"}),
    );
    send(
        "unpriced",
        "/v1/chat/completions",
        &chat_body("openai/mock-model-2", false),
    );
    let embedded = send("embed", "/v1/embeddings", &embed).json();
    let log = log(&scene, 10);
    let cost = |input: u64, cached: u64, output: u64| (input - cached) * 2 + cached + output * 3;
    for (id, input, output) in [
        ("plain", INPUT, OUTPUT),
        ("stream", INPUT, 5),
        ("translated", INPUT, OUTPUT),
        ("translated-stream", INPUT, OUTPUT),
        ("claude", INPUT, OUTPUT),
        ("claude-stream", INPUT, OUTPUT),
        ("responses", INPUT, OUTPUT),
    ] {
        let item = &log[id];
        assert_eq!(item["tokens"]["input"], input, "{item}");
        assert_eq!(item["tokens"]["output"], output, "{item}");
        assert!(item["tokens"]["estimated"].is_null(), "{item}");
        assert_eq!(item["cost_microusd"], cost(input, 0, output), "{item}");
        assert_eq!(item["credential"], "byok", "{item}");
        assert_eq!(item["attempts"].as_array().unwrap().len(), 1, "{item}");
    }
    let cached = &log["cached"];
    assert_eq!(cached["tokens"]["input"], 100, "{cached}");
    assert_eq!(cached["tokens"]["cached_input"], 64, "{cached}");
    assert_eq!(cached["tokens"]["output"], 30, "{cached}");
    assert_eq!(cached["tokens"]["reasoning"], 20, "{cached}");
    assert_eq!(cached["cost_microusd"], cost(100, 64, 30), "{cached}");
    let unpriced = &log["unpriced"];
    assert_eq!(unpriced["tokens"]["input"], INPUT, "{unpriced}");
    assert_eq!(unpriced["cost_microusd"], Value::Null, "{unpriced}");
    let input = &embedded["usage"]["prompt_tokens"];
    assert_eq!(&log["embed"]["tokens"]["input"], input);
    assert_eq!(log["embed"]["tokens"]["output"], 0);
}

fn sums_by_group(env: &Env) {
    let scene = Scene::new(env.gateway());
    furnish(&scene);
    let one = scene.gateway_key("one", &json!({}));
    let two = scene.gateway_key("two", &json!({}));
    let mut requests = 0;
    for (key, model, times) in [
        (&one, "openai/mock-model", 4),
        (&one, "anthropic/mock-model", 3),
        (&two, "openai/mock-model", 2),
        (&two, "openai/mock-status-500", 1),
    ] {
        for _ in 0..times {
            scene.chat(key, model);
            requests += 1;
        }
    }
    log(&scene, requests);
    let cost = INPUT * 2 + OUTPUT * 3;
    let sums = |query: &str| -> Vec<Value> {
        scene.get(&format!("usage{query}"))["items"]
            .as_array()
            .unwrap()
            .clone()
    };
    let all = sums("");
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0]["requests"], 10);
    assert_eq!(all[0]["errors"], 1);
    assert_eq!(all[0]["input_tokens"], 9 * INPUT);
    assert_eq!(all[0]["output_tokens"], 9 * OUTPUT);
    assert_eq!(all[0]["cost_microusd"], 9 * cost);
    let find = |rows: &[Value], field: &str, value: &str| {
        let row = rows.iter().find(|row| row[field] == value);
        row.unwrap_or_else(|| panic!("no {field} {value}: {rows:?}"))
            .clone()
    };
    let by_provider = sums("?group_by=provider");
    assert_eq!(find(&by_provider, "provider", "openai")["requests"], 7);
    assert_eq!(
        find(&by_provider, "provider", "anthropic")["cost_microusd"],
        3 * cost
    );
    let by_both = sums("?group_by=agent,provider");
    assert_eq!(by_both.len(), 3, "{by_both:?}");
    let by_day = sums("?group_by=day,credential");
    let days: u64 = by_day
        .iter()
        .map(|row| row["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(days, 10, "{by_day:?}");
    let of_two = sums("?group_by=model&agent=two");
    assert_eq!(find(&of_two, "model", "mock-model")["requests"], 2);
    assert_eq!(sums("?provider=anthropic")[0]["requests"], 3);
    let error = scene
        .api(Call::get("/api/usage?group_by=colour"))
        .expect(400)
        .text();
    assert!(
        error.contains("colour") && error.contains("provider_key"),
        "{error}"
    );
    // The log's filters say the same.
    let logged = |query: &str| {
        scene.get(&format!("requests?limit=1000&{query}"))["items"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(logged("provider=openai"), 7);
    assert_eq!(logged("agent=two"), 3);
    assert_eq!(logged("credential=byok"), 10);
    assert_eq!(logged("status=502"), 1);
}

fn old_rows_go(env: &Env) {
    let settings = |plan: crate::gateway::Plan| plan.set("LOCKGATE_LOG_DAYS", "7");
    let gateway = settings(env.plan()).start();
    let scene = Scene::new(&gateway);
    furnish(&scene);
    let key = scene.gateway_key("one", &json!({}));
    let made = scene.get("provider-keys")["items"][0]["id"].clone();
    for _ in 0..6 {
        scene.chat(&key, "openai/mock-model").expect(200);
    }
    log(&scene, 6);
    // Four of them become eight days old, and one day of sums five hundred.
    gateway.end();
    let data = gateway.data().clone();
    let store = stores::authority(&data.path(), made.as_str().unwrap());
    let aged = "UPDATE requests SET at = replace(at, substr(at, 1, 10), date('now', '-8 days')) WHERE id IN (SELECT id FROM requests ORDER BY id LIMIT 4)";
    assert_eq!(store.execute(aged, []).unwrap(), 4);
    let days = store
        .execute("UPDATE usage SET day = date('now', '-500 days')", [])
        .unwrap();
    assert!(days > 0);
    drop(store);
    let gateway = settings(env.plan()).data(&data).start();
    let scene = scene.at(&gateway);
    assert_eq!(log(&scene, 6).len(), 6);
    let done = gateway
        .api("default", Call::post("/api/tick"))
        .expect(200)
        .json();
    let kept = done["housekept"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["workspace"] == scene.workspace.as_str());
    assert_eq!(kept.expect("it was tidied up")["log_removed"], 4, "{done}");
    assert_eq!(log(&scene, 2).len(), 2);
    let sums = scene.get("usage?group_by=day");
    assert_eq!(sums["items"], json!([]), "{sums}");
    scene.chat(&key, "openai/mock-model").expect(200);
    log(&scene, 3);
    gateway.stop();
}

fn prompts_are_not_stored(env: &Env) {
    let gateway = env.plan().start();
    let scene = Scene::new(&gateway);
    furnish(&scene);
    let key = scene.gateway_key("one", &json!({"limits": {"tokens_per_minute": 100_000}}));
    let prompt = "zq7-what-the-client-asked-for-zq7";
    let ask = |model: &str, stream: bool| {
        let mut body = chat_body(model, stream);
        body["messages"][0]["content"] = json!(prompt);
        body["user"] = json!(prompt);
        let call = Call::post("/v1/chat/completions").bearer(&key).json(&body);
        call.open(gateway.url()).unwrap().collect().ok();
    };
    for model in [
        "openai/mock-model",
        "openai/mock-status-400",
        "openai/mock-status-500",
        "openai/mock-truncated-json",
        "anthropic/mock-model",
        "nobody/knows",
    ] {
        ask(model, false);
        ask(model, true);
    }
    let log = log(&scene, 12);
    assert!(!format!("{log:?}").contains(prompt));
    // Nor what the models said.
    let said = "Hello from the mock provider";
    let data = gateway.stop();
    for text in [prompt, said] {
        let holders = stores::holders(&data.path(), text);
        assert!(holders.is_empty(), "“{text}” is in {holders:?}");
        assert!(!stores::holds(data.printed().as_bytes(), text));
    }
}

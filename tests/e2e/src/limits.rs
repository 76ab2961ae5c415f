//! Limits and budgets of gateway keys: exact with many requests at once over several isolates (FEATURES F3, E5).

use serde_json::{Value, json};

use crate::access::{agent, role};
use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::scene::{Scene, chat, pooled, text};
use crate::tenant::{allow, chat_body, eventually};

pub(crate) fn cases() -> Vec<Case> {
    cases!["limits":
        requests_per_minute [process],
        requests_per_day [process],
        tokens_per_minute [process],
        budgets [process],
        budgets_need_prices [process],
        changes_are_in_force_at_once [process],
        streams_are_counted_exactly [process],
        limits_are_checked,
    ]
}

/// How many requests come at once, and how many may pass.
const CROWD: usize = 64;
const MAY_PASS: usize = 10;
/// What the mock says a plain answer used.
const INPUT: u64 = 9;
const OUTPUT: u64 = 6;
/// The output that is asked for.
const MAX_TOKENS: u64 = 30;

/// A workspace with a key of OpenAI's, and an agent.
fn ready<'a>(env: &'a Env) -> Scene<'a> {
    let scene = Scene::new(env.crowd());
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        role("anything", &[allow(&["*"])]),
    ]);
    scene.create("agents", &agent("app", &["anything"]));
    scene
}

/// A request whose estimate is known.
fn body(model: &str) -> Value {
    let mut body = chat_body(model, false);
    body["max_tokens"] = json!(MAX_TOKENS);
    body
}

/// What a request is estimated at, in tokens.
fn estimate(body: &Value) -> u64 {
    (body.to_string().len() as u64).div_ceil(3) + MAX_TOKENS
}

/// Sends so many at once, spread over the isolates.
fn crowd(scene: &Scene<'_>, key: &str, body: &Value, count: usize) -> Vec<Reply> {
    let numbers: Vec<usize> = (0..count).collect();
    pooled(&numbers, count, |number| {
        Call::post("/v1/chat/completions")
            .bearer(key)
            .json(body)
            .run(scene.gateway.url_of(*number))
    })
}

/// How many were served; the others were all refused so.
fn served(replies: &[Reply], status: u16, code: &str) -> usize {
    let (good, bad): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|one| one.status == 200);
    for one in bad {
        one.refusal(status, code);
    }
    good.len()
}

fn header(reply: &Reply, name: &str) -> u64 {
    let value = reply.header(name);
    let number = value.and_then(|value| value.parse().ok());
    number.unwrap_or_else(|| panic!("{name}: {value:?}"))
}

/// Whether it is a time as OpenAI writes it: `1s`, `6m0s`, `120ms`.
fn is_span(text: &str) -> bool {
    let mut rest = text;
    for unit in ["h", "m", "s", "ms"] {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        if digits.len() < rest.len()
            && digits.starts_with(unit)
            && !(unit == "m" && digits.starts_with("ms"))
        {
            rest = &digits[unit.len()..];
        }
    }
    !text.is_empty() && rest.is_empty()
}

fn requests_per_minute(env: &Env) {
    let scene = ready(env);
    let limits = json!({"limits": {"requests_per_minute": MAY_PASS}});
    let key = scene.gateway_key("app", &limits);
    let other = scene.gateway_key("app", &limits);
    scene.mock.clear();
    let replies = crowd(&scene, &key, &chat_body("gpt-4o", false), CROWD);
    assert_eq!(served(&replies, 429, "rate_limited"), MAY_PASS);
    assert_eq!(
        scene.mock.requests().len(),
        MAY_PASS,
        "requests that reached the provider"
    );
    for reply in &replies {
        assert_eq!(header(reply, "x-ratelimit-limit-requests"), MAY_PASS as u64);
        assert!(header(reply, "x-ratelimit-remaining-requests") < MAY_PASS as u64);
        let reset = reply
            .header("x-ratelimit-reset-requests")
            .unwrap_or_default();
        assert!(is_span(reset), "{reset}");
        if reply.status == 429 {
            assert_eq!(header(reply, "x-ratelimit-remaining-requests"), 0);
            // What was granted may be used until its lease ends, and counts for a minute from then.
            let wait = header(reply, "retry-after");
            assert!((1..=62).contains(&wait), "retry-after: {wait}");
            let message = text(&reply.json()["error"]["message"]);
            assert!(message.contains("10"), "it names the limit: {message}");
        }
    }
    // It stays so, and is nothing to another key.
    let again = crowd(&scene, &key, &chat_body("gpt-4o", false), 5);
    assert_eq!(served(&again, 429, "rate_limited"), 0);
    chat(&other, "gpt-4o").run(scene.gateway.url()).expect(200);
    // Neither a list of models nor what is not sent counts.
    for _ in 0..MAY_PASS {
        Call::get("/v1/models")
            .bearer(&other)
            .run(scene.gateway.url())
            .expect(200);
        chat(&other, "mistral/some")
            .run(scene.gateway.url())
            .expect(424);
    }
    let replies = crowd(&scene, &other, &chat_body("gpt-4o", false), CROWD);
    assert_eq!(served(&replies, 429, "rate_limited"), MAY_PASS - 1);
}

fn requests_per_day(env: &Env) {
    let scene = ready(env);
    let key = scene.gateway_key("app", &json!({"limits": {"requests_per_day": 5}}));
    let mut passed = 0;
    for number in 0..12 {
        let reply = chat(&key, "gpt-4o").run(scene.gateway.url_of(number));
        assert_eq!(header(&reply, "x-ratelimit-limit-requests"), 5);
        if reply.status == 200 {
            passed += 1;
        } else {
            reply.refusal(429, "rate_limited");
            assert!(header(&reply, "retry-after") <= 86_400);
        }
    }
    assert_eq!(passed, 5);
}

/// After the crowd, sends requests one by one until no further one fits into `whole`, of which each uses as much as the mock
/// says; returns what was sent. What has ended is known to all isolates a moment later, so a refusal counts only then.
fn use_up(scene: &Scene<'_>, key: &str, whole: u64, status: u16, code: &str) -> Value {
    let fast = body("gpt-4o");
    let left = |sent: usize| whole - sent as u64 * (INPUT + OUTPUT);
    let mut sent = MAY_PASS;
    eventually("everything is used up", || {
        let reply = Call::post("/v1/chat/completions")
            .bearer(key)
            .json(&fast)
            .run(scene.gateway.url_of(sent));
        let fits = left(sent) >= estimate(&fast);
        if reply.status == 200 {
            assert!(fits, "served with {} left", left(sent));
            sent += 1;
            return None;
        }
        reply.refusal(status, code);
        (!fits).then_some(())
    });
    fast
}

fn tokens_per_minute(env: &Env) {
    let scene = ready(env);
    // Slow answers, so that every request holds its estimate while the others ask.
    let slow = body("mock-slow-head-2500");
    let each = estimate(&slow);
    let limit = each * MAY_PASS as u64 + each - 1;
    let key = scene.gateway_key("app", &json!({"limits": {"tokens_per_minute": limit}}));
    let replies = crowd(&scene, &key, &slow, CROWD);
    assert_eq!(served(&replies, 429, "rate_limited"), MAY_PASS);
    for reply in &replies {
        assert_eq!(header(reply, "x-ratelimit-limit-tokens"), limit);
        assert!(header(reply, "x-ratelimit-remaining-tokens") < limit);
        assert!(is_span(
            reply.header("x-ratelimit-reset-tokens").unwrap_or_default()
        ));
    }
    // What they really used has taken the place of the estimates.
    let fast = use_up(&scene, &key, limit, 429, "rate_limited");
    // A request that alone is more than the limit is told so.
    let mut large = fast;
    large["max_tokens"] = json!(limit + 1);
    let error = Call::post("/v1/chat/completions")
        .bearer(&key)
        .json(&large)
        .run(scene.gateway.url())
        .refusal(429, "rate_limited");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains(&limit.to_string()),
        "{error}"
    );
}

/// A micro-USD for each token.
fn price(scene: &Scene<'_>, model: &str) {
    let price =
        json!({"input_microusd_per_mtok": 1_000_000, "output_microusd_per_mtok": 1_000_000});
    scene
        .put(&format!("prices/openai/{model}"), &price)
        .expect(200);
}

fn budgets(env: &Env) {
    let scene = ready(env);
    let slow = body("mock-slow-head-2500");
    let each = estimate(&slow);
    let amount = each * MAY_PASS as u64 + each - 1;
    price(&scene, "mock-slow-head-2500");
    price(&scene, "gpt-4o");
    let key = scene.gateway_key(
        "app",
        &json!({"budget": {"amount_microusd": amount, "period": "month"}}),
    );
    let replies = crowd(&scene, &key, &slow, CROWD);
    assert_eq!(served(&replies, 402, "budget_exceeded"), MAY_PASS);
    let refused = replies.iter().find(|one| one.status == 402).unwrap();
    let message = text(&refused.json()["error"]["message"]);
    assert!(message.contains("month"), "{message}");
    // Then the actual cost counts.
    use_up(&scene, &key, amount, 402, "budget_exceeded");
}

fn budgets_need_prices(env: &Env) {
    let scene = ready(env);
    let key = scene.gateway_key(
        "app",
        &json!({"budget": {"amount_microusd": 1_000_000, "period": "day"}}),
    );
    scene.mock.clear();
    let error = scene
        .chat(&key, "mock-model-without-price")
        .refusal(424, "price_unknown");
    assert!(error.to_string().contains("/api/prices/openai"), "{error}");
    assert!(scene.mock.requests().is_empty());
    price(&scene, "mock-model-without-price");
    scene.chat(&key, "mock-model-without-price").expect(200);
    scene
        .delete("prices/openai/mock-model-without-price")
        .expect(204);
    scene
        .chat(&key, "mock-model-without-price")
        .refusal(424, "price_unknown");
    // A budget of nothing lets nothing through that costs anything.
    let none = scene.gateway_key(
        "app",
        &json!({"budget": {"amount_microusd": 0, "period": "day"}}),
    );
    scene.chat(&none, "gpt-4o").refusal(402, "budget_exceeded");
}

fn changes_are_in_force_at_once(env: &Env) {
    let scene = ready(env);
    let made = scene.create(
        "gateway-keys",
        &json!({"name": "app", "agent": "app", "limits": {"requests_per_minute": 3}}),
    );
    assert_eq!(made["limits"]["requests_per_minute"], 3);
    let (key, path) = (
        text(&made["key"]),
        format!("gateway-keys/{}", text(&made["id"])),
    );
    let passes = |count: usize| {
        let replies = crowd(&scene, &key, &chat_body("gpt-4o", false), count);
        served(&replies, 429, "rate_limited")
    };
    assert_eq!(passes(12), 3);
    let limit = |limits: Value| {
        scene
            .patch(&path, &json!({ "limits": limits }))
            .expect(200)
            .json()
    };
    let changed = limit(json!({"requests_per_minute": 8}));
    assert_eq!(changed["limits"]["requests_per_minute"], 8);
    assert_eq!(passes(12), 5, "what was used before counts");
    limit(json!({"requests_per_minute": 2}));
    assert_eq!(passes(12), 0);
    limit(Value::Null);
    assert_eq!(passes(12), 12);
    let reply = scene.chat(&key, "gpt-4o").expect(200);
    assert_eq!(reply.header("x-ratelimit-limit-requests"), None);
}

fn streams_are_counted_exactly(env: &Env) {
    let scene = ready(env);
    let limited = scene.gateway_key("app", &json!({"limits": {"tokens_per_minute": 1_000_000}}));
    let free = scene.gateway_key("app", &json!({}));
    let ask = |key: &str, usage: bool| {
        let mut body = body("mock-burst-20");
        body["stream"] = json!(true);
        if usage {
            body["stream_options"] = json!({"include_usage": true});
        }
        scene.mock.clear();
        let reply = Call::post("/v1/chat/completions")
            .bearer(key)
            .json(&body)
            .run(scene.gateway.url())
            .expect(200);
        let sent = scene.mock.take_requests().remove(0);
        let asked = serde_json::from_slice::<Value>(&sent.body).unwrap();
        assert!(reply.text().contains("[DONE]"), "{}", reply.text());
        (
            reply,
            asked["stream_options"]["include_usage"].clone(),
            sent.body == body.to_string().into_bytes(),
        )
    };
    let has_usage = |reply: &Reply| reply.text().contains("\"prompt_tokens\"");
    let (reply, asked, _) = ask(&limited, false);
    assert_eq!(asked, true, "usage is asked for");
    assert!(
        !has_usage(&reply),
        "the chunk that was not asked for: {}",
        reply.text()
    );
    assert!(
        reply
            .header("lockgate-warning")
            .is_some_and(|said| said.contains("include_usage"))
    );
    let (reply, asked, same) = ask(&limited, true);
    assert_eq!((asked, same), (json!(true), true));
    assert!(has_usage(&reply) && reply.header("lockgate-warning").is_none());
    // Without such limits the body is what the client wrote.
    let (reply, asked, same) = ask(&free, false);
    assert_eq!((asked, same), (Value::Null, true));
    assert!(!has_usage(&reply) && reply.header("lockgate-warning").is_none());
    let items = eventually("the log", || {
        let items = scene.get("requests")["items"].as_array().unwrap().clone();
        (items.len() == 3).then_some(items)
    });
    // Newest first; the last one's usage was never said.
    for item in &items[1..] {
        assert_eq!(item["tokens"]["input"], INPUT, "{item}");
        assert_eq!(item["tokens"]["output"], 20, "{item}");
        assert!(item["tokens"]["estimated"].is_null(), "{item}");
    }
}

fn limits_are_checked(env: &Env) {
    let scene = Scene::new(env.gateway());
    scene.create("agents", &agent("app", &[]));
    for (wrong, named) in [
        (
            json!({"limits": {"requests_per_minute": 0}}),
            "requests_per_minute",
        ),
        (
            json!({"limits": {"tokens_per_minute": -1}}),
            "tokens_per_minute",
        ),
        (
            json!({"limits": {"requests_per_hour": 5}}),
            "requests_per_hour",
        ),
        (
            json!({"budget": {"amount_microusd": 1.5, "period": "day"}}),
            "amount_microusd",
        ),
        (
            json!({"budget": {"amount_microusd": 1, "period": "week"}}),
            "period",
        ),
    ] {
        let mut body = json!({"name": "x", "agent": "app"});
        body.as_object_mut()
            .unwrap()
            .extend(wrong.as_object().unwrap().clone());
        let reply = scene.post("gateway-keys", &body).expect(400);
        assert!(reply.text().contains(named), "{}", reply.text());
    }
}

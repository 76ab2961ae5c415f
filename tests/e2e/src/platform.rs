//! The platform's account is shared by all workspaces: nothing of one of them stays there where another could reach it, and
//! nothing of the account reaches any (FEATURES C4).

use serde_json::json;

use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::managed::{alone, log, platform_key, price, ready};
use crate::scene::Scene;

pub(crate) fn cases() -> Vec<Case> {
    cases!["platform":
        keeps_nothing_and_tells_nothing [process],
        a_crafted_estimate_is_the_most_there_may_be [process],
    ]
}

fn keeps_nothing_and_tells_nothing(env: &Env) {
    let scene = Scene::new(env.crowd());
    let house = platform_key(scene.gateway, "openrouter");
    price(scene.gateway, "openrouter", "mock-model", 1, 1);
    price(scene.gateway, "openrouter", "mock-status-429", 1, 1);
    let key = ready(&scene, &[], 1_000_000, &alone("openrouter", "mock-model"));
    let send = |call: Call| -> Reply {
        call.bearer(&key)
            .header("lockgate-route", "r")
            .header("idempotency-key", "the-same")
            .header("openai-beta", "something=v1")
            .run(scene.gateway.url())
    };
    // What this provider would keep is asked for in a dialect that keeps nothing.
    let plain = json!({"input": "hi", "max_output_tokens": 20});
    let reply = send(Call::post("/v1/responses").json(&plain)).expect(200);
    assert_eq!(reply.json()["object"], "response");
    assert_eq!(reply.header("lockgate-credential"), Some("managed"));
    let kept = json!({"input": "hi", "previous_response_id": "resp_of_somebody"});
    send(Call::post("/v1/responses").json(&kept)).expect(400);
    send(Call::get("/v1/responses/resp_of_somebody")).expect(400);
    let requests = house.take_requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert!(
        request.path.ends_with("/chat/completions"),
        "{}",
        request.path
    );
    let reply = send(Call::post("/v1/chat/completions").json(&json!({
        "messages": [{"role": "user", "content": "hi"}], "max_tokens": 20
    })));
    let reply = reply.expect(200);
    for header in [
        "x-ratelimit-limit-requests",
        "openai-organization",
        "x-request-id",
    ] {
        assert_eq!(reply.header(header), None);
    }
    let requests = house.take_requests();
    for request in requests.iter().chain([request]) {
        for header in ["idempotency-key", "openai-beta"] {
            assert_eq!(request.header(header), None);
        }
    }
    // One row for each that a provider was asked for, with what was paid.
    let paid = log(&scene, 4)
        .into_iter()
        .filter(|item| item["status"] == 200);
    assert!(
        paid.clone()
            .all(|item| item["cost_microusd"].as_u64() > Some(0))
    );
    assert_eq!(paid.count(), 2);
}

fn a_crafted_estimate_is_the_most_there_may_be(env: &Env) {
    let scene = Scene::new(env.crowd());
    let house = platform_key(scene.gateway, "cerebras");
    price(scene.gateway, "cerebras", "mock-model", 1, 1);
    let key = ready(&scene, &[], 10_000, &alone("cerebras", "mock-model"));
    let send = |body: &str| {
        Call::post("/v1/chat/completions")
            .bearer(&key)
            .text(body)
            .run(scene.gateway.url())
    };
    let honest = r#"{"model":"r","messages":[{"role":"user","content":"hi"}],"max_tokens":20}"#;
    send(honest).expect(200);
    // There is money for one choice of 100 tokens, not for the 128 that hide behind an escape.
    let hidden = r#"{"model":"r","messages":[],"max_tokens":100,"\u006e":128}"#;
    assert_eq!(
        send(hidden).expect(402).json()["error"]["code"],
        "wallet_insufficient"
    );
    let twice = r#"{"model":"r","messages":[],"max_tokens":20,"stream":true,"stream_options":{},"stream_options":{}}"#;
    assert_eq!(
        send(twice).expect(400).json()["error"]["param"],
        "stream_options"
    );
    assert_eq!(house.requests().len(), 1);
}

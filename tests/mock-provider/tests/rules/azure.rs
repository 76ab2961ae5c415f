use serde_json::json;

use crate::{Sender, support};

#[test]
fn deployments() {
    let path = "/openai/deployments/mock-model/chat/completions?api-version=2024-10-21";
    let body = json!({"messages": [{"role": "user", "content": "hi"}]});
    let azure = Sender::new(path, "api-key: k\r\n", "/error/message", body.clone());
    azure.refuses(
        &[("/top_k", json!(1))],
        "Unrecognized request argument supplied: top_k",
    );
    assert_eq!(
        azure.send(&[("/model", json!("other"))]).json()["model"],
        "mock-model"
    );
    for (path, headers, status, code) in [
        (
            "/openai/deployments/d/chat/completions",
            "api-key: k\r\n",
            404,
            "404",
        ),
        (
            "/openai/deployments/d/chat/completions?api-version=v1",
            "api-key: k\r\n",
            404,
            "404",
        ),
        (path, "", 401, "401"),
        (path, "api-key: revoked\r\n", 401, "401"),
        (
            "/openai/deployments/mock-status-429/chat/completions?api-version=2024-10-21",
            "api-key: k\r\n",
            429,
            "429",
        ),
    ] {
        let answer = support::request(&azure.provider, "POST", path, headers, &body.to_string());
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.json()["error"]["code"], code);
    }
}

#[test]
fn a_stream_begins_with_the_filter() {
    let path = "/openai/deployments/mock-model/chat/completions?api-version=2024-10-21";
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "stream": true});
    let azure = Sender::new(path, "api-key: k\r\n", "/error/message", body);
    let answer = azure.send(&[]);
    assert!(answer.events()[0].contains("prompt_filter_results"));
    assert_eq!(answer.content(), "Hello from the mock provider.");
}

#[test]
fn the_v1_api_is_openais() {
    let body = json!({"model": "d", "messages": [{"role": "user", "content": "hi"}]});
    let azure = Sender::new(
        "/openai/v1/chat/completions",
        "api-key: k\r\n",
        "/error/message",
        body,
    );
    azure.refuses(
        &[("/model", json!(null))],
        "you must provide a model parameter",
    );
}

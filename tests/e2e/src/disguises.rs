//! Models that are written so that the gateway could read one and the provider another: what reaches the provider is what
//! was judged, and what cannot be told is refused (FEATURES B1, E5).

use serde_json::{Value, json};

use crate::access::{agent, role};
use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::scene::{Scene, Why, says};
use crate::tenant::{allow, chat_body};

pub(crate) fn cases() -> Vec<Case> {
    cases!["disguises":
        disguised_models,
    ]
}

const CHAT: &str = "/v1/chat/completions";
const HEARD: &str = "/v1/audio/transcriptions";

/// A form whose first part is the model that may be used; the further one is as it is given.
fn form(content_type: &str, part: &str) -> Call {
    let body = format!(
        "--mark\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--mark\r\n{part}\r\n--mark--\r\n"
    );
    Call::post(HEARD)
        .header("content-type", content_type)
        .bytes(body.into_bytes())
}

fn disguised_models(env: &Env) {
    let scene = Scene::new(env.gateway());
    let mut some = allow(&["openai/*"]);
    some["conditions"] = json!([{"model_in": ["gpt-4o-mini", "whisper-1"]}]);
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        role("some", &[some]),
        role("anything", &[allow(&["*"])]),
    ]);
    let keys = scene.agents(&[agent("some", &["some"]), agent("free", &["anything"])]);
    let send = |call: Call| -> Reply {
        scene.mock.clear();
        call.bearer(&keys[0]).run(scene.gateway.url())
    };
    let sent = || scene.mock.requests().pop().expect("a request").body;
    let refused = |call: Call, what: &str, words: &[&str]| {
        let reply = send(call);
        assert_eq!(reply.status, 400, "{what}: {}", reply.text());
        says(&reply.refusal(400, "invalid_request"), words);
        assert!(scene.mock.requests().is_empty(), "{what}: it was sent");
    };

    // The path's word is judged, and it is what the provider reads.
    let mini = "/openai/deployments/gpt-4o-mini/chat/completions";
    let judged = send(Call::post(mini).json(&chat_body("o1-pro", false)));
    assert_eq!(judged.status, 200, "{}", judged.text());
    let body: Value = serde_json::from_slice(&sent()).unwrap();
    assert_eq!(body["model"], "gpt-4o-mini");
    let other = "/openai/deployments/o1-pro/chat/completions";
    Why::Denied.told(&send(
        Call::post(other).json(&chat_body("gpt-4o-mini", false)),
    ));

    // Fields that some providers would read as `model`, and lists of models in any letter case.
    for alike in ["Model", "MODEL"] {
        let mut body = chat_body("gpt-4o-mini", false);
        body[alike] = json!("o1-pro");
        refused(Call::post(CHAT).json(&body), alike, &[alike]);
    }
    for alike in ["Models", "model\u{17f}"] {
        let mut body = chat_body("gpt-4o-mini", false);
        body[alike] = json!(["o1-pro"]);
        Why::Denied.told(&send(Call::post(CHAT).json(&body)));
        assert!(scene.mock.requests().is_empty(), "{alike}");
    }

    // Names beyond all that there are.
    let long = "m".repeat(257);
    let call = Call::post(CHAT).json(&chat_body(&long, false));
    refused(call, "a long model", &["256"]);
    for header in ["lockgate-route", "lockgate-provider"] {
        let call = Call::post(CHAT).json(&chat_body("gpt-4o-mini", false));
        refused(call.header(header, &long), header, &[header, "256"]);
    }

    // Forms: one boundary, plain parts.
    let plain = "multipart/form-data; boundary=mark";
    let file = "content-disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\nsound";
    let heard = send(form(plain, file));
    assert_eq!(heard.status, 200, "{}", heard.text());
    assert!(String::from_utf8_lossy(&sent()).contains("\r\n\r\nwhisper-1\r\n"));
    for content_type in [
        "multipart/form-data; boundary=mark; boundary=other",
        "multipart/form-data; boundary=mark; boundary*=utf-8''other",
        "multipart/form-data; x=\"; boundary=other; \"; boundary=mark",
        &format!("multipart/form-data; boundary={}", "m".repeat(71)),
    ] {
        refused(form(content_type, file), content_type, &["content-type"]);
    }
    // Of two headers the provider gets the one that was read; an engine that joins them sees what is no boundary.
    let twice = form(plain, file).header("content-type", "multipart/form-data; boundary=other");
    let twice = send(twice);
    if twice.status == 200 {
        let sent = scene.mock.requests().pop().expect("a request").headers;
        let kinds = sent.iter().filter(|(name, _)| name == "content-type");
        assert_eq!(kinds.map(|(_, kind)| kind).collect::<Vec<_>>(), [plain]);
    } else {
        twice.refusal(400, "invalid_request");
        assert!(scene.mock.requests().is_empty());
    }
    let head = "content-disposition: form-data;";
    for part in [
        format!("{head} name=\"model\"\r\n\r\ngpt-4o-transcribe"),
        format!("{head} name=\"Model\"\r\n\r\ngpt-4o-transcribe"),
        format!("{head} name*=utf-8''model\r\n\r\ngpt-4o-transcribe"),
        format!("{head}\r\n name=\"model\"\r\n\r\ngpt-4o-transcribe"),
        format!("{head} x=\"--mark\"; name=\"model\"\r\n\r\ngpt-4o-transcribe"),
    ] {
        refused(form(plain, &part), &part, &["form"]);
    }

    // A form that names no model is a call that names none: whoever may use any may send it, if a header says where to.
    let bare = |key: &str| {
        scene.mock.clear();
        Call::post(HEARD)
            .bearer(key)
            .header("content-type", plain)
            .header("lockgate-provider", "openai")
            .bytes(format!("--mark\r\n{file}\r\n--mark--\r\n").into_bytes())
            .run(scene.gateway.url())
    };
    assert_eq!(scene.went_out(&bare(&keys[1]).expect(200)), "main");
    Why::Denied.told(&bare(&keys[0]));
    assert!(scene.mock.requests().is_empty());
}

//! Tags on the four kinds of resources that have them, with every limit, and resources that documents manage
//! (FEATURES B1, B6).

use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::scene::{Scene, at_once, says, text};
use crate::tenant::allow;

pub(crate) fn cases() -> Vec<Case> {
    cases!["tags":
        limits,
        reserved_keys,
        repeated_keys,
        replacing,
        managed_by_documents,
        declared_by_a_configuration,
    ]
}

const KINDS: [&str; 4] = ["provider-keys", "agents", "gateways", "configurations"];

/// A body that makes one of a kind.
fn body(scene: &Scene<'_>, kind: &str, name: &str) -> Value {
    match kind {
        "provider-keys" => scene.key("openai", name, &json!({})),
        "configurations" => {
            json!({"name": name, "document": "gateway: { direct_models: allow }\n"})
        }
        _ => json!({ "name": name }),
    }
}

/// A workspace with one of each kind, named `one`.
fn furnished<'a>(env: &'a Env) -> Scene<'a> {
    let scene = Scene::new(env.gateway());
    let bodies = KINDS.map(|kind| (kind, body(&scene, kind, "one")));
    scene.make(&bodies);
    scene
}

/// The three ways in which tags are sent: with a new resource, in a patch, and alone. The text of the tags is sent as it is.
fn ways(scene: &Scene<'_>, kind: &str, tags: &str) -> Vec<Reply> {
    let name = crate::gateway::unique("tagged");
    let mut new = body(scene, kind, &name).to_string();
    new.truncate(new.len() - 1);
    let calls = [
        ("POST", String::new(), format!("{new},\"tags\":{tags}}}")),
        ("PATCH", "/one".to_owned(), format!("{{\"tags\":{tags}}}")),
        ("PUT", "/one/tags".to_owned(), tags.to_owned()),
    ];
    at_once(&calls, |(method, path, body)| {
        scene.api(Call::new(method, &format!("/api/{kind}{path}")).text(body))
    })
}

/// Asserts that these tags are refused wherever they are sent, with this code and words.
fn refused(scene: &Scene<'_>, tags: &str, code: &str, words: &[&str]) {
    at_once(&KINDS, |kind| {
        for reply in ways(scene, kind, tags) {
            let error = reply.refusal(400, code);
            says(&error["message"], words);
        }
    });
}

fn taken(scene: &Scene<'_>, tags: &Value) {
    at_once(&KINDS, |kind| {
        for (reply, status) in ways(scene, kind, &tags.to_string())
            .into_iter()
            .zip([201, 200, 200])
        {
            let made = reply.expect(status).json();
            assert_eq!(&made["tags"], tags, "{kind}");
        }
        let one = scene.get(&format!("{kind}/one"));
        assert_eq!(&one["tags"], tags, "{kind}");
    });
}

fn limits(env: &Env) {
    let scene = furnished(env);
    let many = |count: usize| -> Value {
        let pairs = (0..count).map(|number| (format!("k{number}"), json!("")));
        Value::Object(pairs.collect())
    };
    // One, two, three and four bytes a character.
    let key = |character: &str, length: usize| json!({ (character.repeat(length)): "v" });
    let value = |character: &str, length: usize| json!({"k": character.repeat(length)});
    taken(&scene, &many(50));
    taken(&scene, &key("k", 128));
    taken(&scene, &key("𝄞", 128));
    taken(&scene, &value("€", 256));
    taken(&scene, &value("𝄞", 256));
    let before = at_once(&KINDS, |kind| scene.get(&format!("{kind}/one")));
    refused(
        &scene,
        &many(51).to_string(),
        "tag_limit_exceeded",
        &["50", "51"],
    );
    refused(&scene, r#"{"":"v"}"#, "tag_key_empty", &["128"]);
    for character in ["k", "é", "€", "𝄞"] {
        let long = key(character, 129).to_string();
        refused(&scene, &long, "tag_key_too_long", &["129", "128"]);
        let long = value(character, 257).to_string();
        refused(&scene, &long, "tag_value_too_long", &["257", "256"]);
    }
    for odd in ["null", "7", "true", "[]", "{}", "[\"v\"]", "1.5"] {
        let tags = format!("{{\"stage\":{odd}}}");
        refused(&scene, &tags, "tag_value_invalid", &["stage"]);
    }
    // What was refused changed nothing.
    let after = at_once(&KINDS, |kind| scene.get(&format!("{kind}/one")));
    assert_eq!(before, after);
}

fn reserved_keys(env: &Env) {
    let scene = furnished(env);
    for key in [
        "lockgate:",
        "lockgate:plan",
        "LockGate:plan",
        "LOCKGATE:PLAN",
        " lockgate:plan",
        "\tlockgate:plan",
        "lock gate:plan",
        "lockgate :plan",
        "\u{a0}lockgate:plan",
        "\u{2003}lockgate:plan",
        "\u{3000}lockgate:plan",
        "lock\u{200b}gate:plan",
        "\u{feff}lockgate:plan",
        "lockgate\u{ff1a}plan",
        "lockgate\u{2236}plan",
        "\u{ff4c}ockgate:plan",
        "l\u{43e}ckgate:plan",
        "lo\u{301}ckgate:plan",
    ] {
        let tags = json!({ key: "v" }).to_string();
        refused(&scene, &tags, "tag_key_reserved", &["lockgate:"]);
    }
    taken(
        &scene,
        &json!({"lockgate": "v", "lockgates:plan": "v", "my-lockgate:plan": "v", "l0ckgate:plan": "v"}),
    );
}

fn repeated_keys(env: &Env) {
    let scene = furnished(env);
    for tags in [
        r#"{"stage":"a","stage":"a"}"#,
        r#"{"stage":"a","other":"b","stage":"c"}"#,
        r#"{"stage":"a","st\u0061ge":"b"}"#,
        r#"{"\u0073tage":"a","stage":null}"#,
    ] {
        at_once(&KINDS, |kind| {
            for reply in ways(&scene, kind, tags) {
                assert_eq!(reply.status, 400, "{tags}: {}", reply.text());
                let code = reply.json()["error"]["code"].clone();
                assert!(
                    code == "tag_key_repeated" || code == "tag_value_invalid",
                    "{tags}: {code}"
                );
                assert!(
                    code == "tag_key_repeated" || tags.contains("null"),
                    "{tags}: {code}"
                );
            }
        });
    }
    // In another letter case it is another key.
    taken(&scene, &json!({"stage": "a", "Stage": "b"}));
}

fn replacing(env: &Env) {
    let scene = furnished(env);
    at_once(&KINDS, |kind| {
        let tags = format!("{kind}/one/tags");
        let put = |body: &Value| scene.put(&tags, body).expect(200).json()["tags"].clone();
        assert_eq!(
            put(&json!({"a": "1", "b": "2"})),
            json!({"a": "1", "b": "2"})
        );
        assert_eq!(
            put(&json!({"b": "3"})),
            json!({"b": "3"}),
            "whole, not merged"
        );
        let kept = scene.patch(&format!("{kind}/one"), &json!({"name": "two"}));
        assert_eq!(kept.expect(200).json()["tags"], json!({"b": "3"}));
        let tags = format!("/api/{kind}/two/tags");
        let stale = Call::new("PUT", &tags)
            .header("if-match", "\"1\"")
            .json(&json!({"c": "4"}));
        scene.api(stale).refusal(412, "stale_etag");
        for odd in ["[]", "null", "\"a\"", "7"] {
            let reply = scene.api(Call::new("PUT", &tags).text(odd));
            assert_eq!(reply.status, 400, "{odd}: {}", reply.text());
        }
        let two = scene.get(&format!("{kind}/two"));
        assert_eq!(two["tags"], json!({"b": "3"}));
        let cleared = scene.put(&format!("{kind}/two/tags"), &json!({}));
        assert_eq!(cleared.expect(200).json()["tags"], json!({}));
        scene
            .put(&format!("{kind}/nobody/tags"), &json!({}))
            .refusal(404, "not_found");
    });
}

/// Asserts that every live edit of it is refused with a way to the document.
fn held(scene: &Scene<'_>, path: &str, more: &Value) {
    for reply in [
        scene.patch(path, &json!({"name": "renamed"})),
        scene.patch(path, more),
        scene.put(&format!("{path}/tags"), &json!({"a": "b"})),
    ] {
        let error = reply.refusal(409, "managed_declaratively");
        let name = path.split('/').next_back().unwrap();
        says(&error["message"], &[name]);
        says(&error, &["draft", "apply"]);
    }
}

fn managed_by_documents(env: &Env) {
    let scene = Scene::new(env.gateway());
    let kinds = ["agents", "gateways", "configurations", "provider-keys"];
    at_once(&kinds, |kind| {
        let mut body = body(&scene, kind, "one");
        body["managed_by"] = json!("declarative");
        body["tags"] = json!({"stage": "live"});
        let made = scene.create(kind, &body);
        assert_eq!(made["managed_by"], "declarative", "{made}");
        let path = format!("{kind}/one");
        held(&scene, &path, &json!({"tags": {"stage": "testing"}}));
        let after = scene.get(&path);
        assert_eq!(after["tags"], made["tags"]);
        assert_eq!(after["name"], "one");
        body["name"] = json!("two");
        body["managed_by"] = json!("nobody");
        scene.post(kind, &body).refusal(400, "invalid_request");
        // No document can remove a configuration, so people do.
        if *kind == "configurations" {
            scene.delete(&path).expect(204);
        } else {
            scene.delete(&path).refusal(409, "managed_declaratively");
        }
    });
    // A secret is in no document, so it is replaced as ever.
    let secret = json!({"secret": crate::tenant::secret("fresh")});
    let rotated = scene.put("provider-keys/one/secret", &secret).expect(200);
    assert_eq!(rotated.json()["version"], 2);
    // What no configuration declares is handed back to people, and then is theirs.
    at_once(&["agents", "gateways", "provider-keys"], |kind| {
        let path = format!("{kind}/one");
        let both = json!({"managed_by": "manual", "name": "two"});
        scene
            .patch(&path, &both)
            .refusal(409, "managed_declaratively");
        let back = scene.patch(&path, &json!({"managed_by": "manual"}));
        assert_eq!(back.expect(200).json()["managed_by"], "manual");
        scene.patch(&path, &json!({"name": "two"})).expect(200);
        scene.delete(&format!("{kind}/two")).expect(204);
    });
}

fn declared_by_a_configuration(env: &Env) {
    let scene = Scene::new(env.gateway());
    let document = |value: &str, agents: &str| {
        format!(
            "resources:\n  roles:\n    - {{ name: writers, statements: [{}] }}\n  gateways:\n    - {{ name: edge, tags: {{ stage: {value} }} }}\n{agents}",
            allow(&["openai/*"])
        )
    };
    let with_agent = "  agents:\n    - { name: writer, tags: { team: red }, roles: [writers] }\n";
    let first = document("live", with_agent);
    scene.make(&[
        ("provider-keys", scene.key("openai", "main", &json!({}))),
        ("configurations", json!({"name": "c", "document": first})),
    ]);
    let apply = |version: u64| {
        scene
            .post(
                "configurations/c/apply",
                &json!({ "expected_version": version }),
            )
            .expect(200)
            .json()
    };
    apply(0);
    let agent = scene.get("agents/writer");
    assert_eq!(agent["managed_by"], "declarative", "{agent}");
    assert_eq!(agent["tags"], json!({"team": "red"}));
    let role = scene.get("roles/writers");
    assert_eq!(role["managed_by"], "declarative", "{role}");
    assert_eq!(agent["roles"], json!([role["id"]]));
    assert_eq!(scene.get("gateways/edge")["tags"], json!({"stage": "live"}));
    let key = scene.gateway_key("writer", &json!({"gateway": "edge"}));
    assert_eq!(scene.served(&key, "gpt-4o"), "main");
    held(&scene, "agents/writer", &json!({"roles": []}));
    held(&scene, "gateways/edge", &json!({"tags": {}}));
    for reply in [
        scene.patch("agents/writer", &json!({"managed_by": "manual"})),
        scene.delete("agents/writer"),
        scene.delete("gateways/edge"),
        scene.patch("roles/writers", &json!({"statements": []})),
        scene.delete("roles/writers"),
    ] {
        reply.refusal(409, "managed_declaratively");
    }
    // The next version changes them; what it no longer names is people's again.
    let second = document("testing", "");
    scene
        .put("configurations/c/draft", &json!({ "document": second }))
        .expect(200);
    apply(1);
    assert_eq!(
        scene.get("gateways/edge")["tags"],
        json!({"stage": "testing"})
    );
    assert_eq!(scene.get("agents/writer")["managed_by"], "manual");
    assert_eq!(scene.get("agents/writer")["id"], text(&agent["id"]));
    scene
        .patch("agents/writer", &json!({"tags": {}}))
        .expect(200);
    assert_eq!(scene.served(&key, "gpt-4o"), "main");
}

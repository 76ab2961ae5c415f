//! How Simulate goes along a course, on small open workspaces.
#![allow(clippy::unwrap_used)]

use lockgate_workspace::plan::{
    Cause, CredentialKind, Fallback, Plan, PlanTarget, Route, RouteTarget,
};
use lockgate_workspace::resource::{Access, Price};
use lockgate_workspace::snapshot::{Identity, Live, SealedPointer};

use super::*;

fn key(provider: &str, name: &str) -> KeyPointer {
    KeyPointer {
        id: format!("pk_{name}"),
        provider: provider.into(),
        name: name.into(),
        enabled: true,
        default: false,
        base_url: None,
        options: Default::default(),
        tags: Default::default(),
        health: Health::Ok,
        sealed: Some(SealedPointer {
            version: 1,
            entry: String::new(),
            wrapped: String::new(),
            kek: "kek_1".into(),
        }),
    }
}

/// An open workspace with these keys.
fn snapshot(keys: &[KeyPointer]) -> Snapshot {
    Snapshot {
        prices: Vec::new(),
        version: 1,
        workspace: "ws_1".into(),
        name: "acme".into(),
        access: Access::Open,
        keys: keys.iter().cloned().map(Into::into).collect(),
        roles: Vec::new(),
        seeded: Vec::new(),
        configurations: Vec::new(),
        default_configuration: Some("cfg_1".into()),
    }
}

/// A route to OpenAI, then in equal parts to Groq and Anthropic, whose share is greater; the last is managed.
fn caller(keys: &[KeyPointer], on: &[Cause]) -> Caller {
    let target = |(provider, credential): (&str, CredentialKind)| PlanTarget {
        id: format!("to-{provider}"),
        provider: provider.into(),
        model: Some("m".into()),
        credential,
        provider_key: None,
    };
    let place = |(target, priority, weight)| RouteTarget {
        target,
        priority,
        weight,
    };
    let plan = Plan {
        targets: [
            ("openai", CredentialKind::Byok),
            ("groq", CredentialKind::Byok),
            ("anthropic", CredentialKind::Managed),
        ]
        .map(target)
        .into(),
        routes: vec![Route {
            name: "chat".into(),
            models: vec!["chat".into()],
            task: None,
            allow_providers: None,
            fallback: Fallback {
                on: on.to_vec(),
                ..Fallback::default()
            },
            targets: [(0, 0, 1), (1, 1, 1), (2, 1, 2)].map(place).into(),
        }],
        direct_models: false,
        unenforced: Vec::new(),
    };
    let mut snapshot = snapshot(keys);
    snapshot.configurations.push(
        Live {
            id: "cfg_1".into(),
            name: "support".into(),
            tags: Default::default(),
            plan: Some(plan),
        }
        .into(),
    );
    let identity = Identity {
        budget: None,
        limits: Default::default(),
        gateway_key: String::new(),
        name: String::new(),
        agent: "reviewer".into(),
        agent_id: "agent_1".into(),
        agent_tags: Default::default(),
        roles: Vec::new(),
        pins: Vec::new(),
        gateway: None,
        gateway_tags: None,
        configuration: None,
        team: None,
    };
    Caller::new(identity, Rc::new(snapshot))
}

fn said(caller: &Caller, platform: &Snapshot) -> Value {
    let wanted = Wanted {
        model: Some("chat"),
        route: None,
        provider: None,
        names: Names::Always,
        surface: None,
    };
    let course = course(caller, &wanted).unwrap();
    answered(caller, &course, Some(platform)).unwrap()
}

/// Decision, provider, credential and code.
fn short(answer: &Value) -> [Value; 4] {
    ["decision", "provider", "credential", "code"].map(|field| answer[field].clone())
}

fn priced() -> Snapshot {
    let mut platform = snapshot(&[key("anthropic", "main")]);
    platform.prices.push(Price {
        provider: "anthropic".into(),
        model: "m".into(),
        input: 1,
        cached_input: None,
        output: 1,
    });
    platform
}

#[test]
fn the_course_is_gone_along_as_a_request_would() {
    let on = [Cause::KeyMissing];
    let none = snapshot(&[]);
    let missing = |provider: &str| {
        [
            json!("missing_provider_key"),
            json!(provider),
            json!(null),
            json!("provider_not_ready"),
        ]
    };
    let ready = |provider: &str, credential: &str| {
        [
            json!("ready"),
            json!(provider),
            json!(credential),
            json!(null),
        ]
    };
    // What is missing at the first target is told, unless the route leaves it for that.
    assert_eq!(
        short(&said(&caller(&[], &[]), &priced())),
        missing("openai")
    );
    assert_eq!(
        short(&said(&caller(&[], &[Cause::Timeout]), &priced())),
        missing("openai")
    );
    assert_eq!(
        short(&said(&caller(&[], &on), &priced())),
        ready("anthropic", "managed")
    );
    let groq = [key("groq", "g")];
    assert_eq!(
        short(&said(&caller(&groq, &on), &none)),
        ready("groq", "byok")
    );
    assert_eq!(short(&said(&caller(&[], &on), &none)), missing("groq"));
    let openai = [key("openai", "o")];
    assert_eq!(
        short(&said(&caller(&openai, &on), &none)),
        ready("openai", "byok")
    );
    // A price that is missing ends it, as it does there.
    let mut unpriced = priced();
    unpriced.prices.clear();
    assert_eq!(
        short(&said(&caller(&groq, &on), &unpriced)),
        [
            json!("price_unknown"),
            json!("anthropic"),
            json!(null),
            json!("price_unknown")
        ]
    );
}

#[test]
fn all_targets_of_the_course_are_listed() {
    let caller = caller(&[key("groq", "g")], &[Cause::KeyMissing]);
    let answer = said(&caller, &priced());
    let listed = |target: &str, priority: u32, weight: u32, decision: &str, paid: [Value; 2]| {
        let [provider_key, credential] = paid;
        json!({
            "target": format!("to-{target}"), "priority": priority, "weight": weight, "provider": target, "model": "m",
            "provider_key": provider_key, "credential": credential, "decision": decision,
        })
    };
    assert_eq!(
        answer["targets"],
        json!([
            listed(
                "openai",
                0,
                1,
                "missing_provider_key",
                [json!(null), json!(null)]
            ),
            listed(
                "anthropic",
                1,
                2,
                "ready",
                [json!("main"), json!("managed")]
            ),
            listed("groq", 1, 1, "ready", [json!("g"), json!("byok")]),
        ])
    );
    assert_eq!(answer["allowed"], json!(true));
    assert_eq!(answer["status"], json!(200));
    assert_eq!(answer["provider_key"], json!("main"));
    // The platform's keys have names here, and no ids.
    assert_eq!(answer["provider_key_id"], json!(null));
    assert!(
        answer["explanation"]
            .as_str()
            .unwrap()
            .contains("the wallet pays")
    );
}

//! Explanations: that they say what was decided, and in which words.

use lockgate_access::{
    Circumstances, Effect, Explanation, Judgement, KeyFacts, Role, Tags, explain, judge,
    judge_absent, read,
};
use serde_json::{Value, json};

use crate::world::{Dice, PROVIDERS, World, model, pool};

fn fits(explained: &Explanation, judgement: Judgement, of_key: bool) {
    let applied: Vec<_> = explained
        .statements
        .iter()
        .filter(|note| note.applied)
        .map(|note| note.effect)
        .collect();
    let first = explained
        .statements
        .first()
        .map(|note| (note.effect, note.applied));
    let disagreeing = explained.tags.iter().any(|row| !row.agree);
    match judgement {
        Judgement::Denied => assert_eq!(first, Some((Effect::Deny, true))),
        Judgement::Allowed => {
            assert_eq!(first, Some((Effect::Allow, true)));
            assert!(!applied.contains(&Effect::Deny));
        }
        Judgement::TagMismatch => {
            assert_eq!(first, Some((Effect::Allow, false)));
            assert!(applied.is_empty());
            assert!(disagreeing);
        }
        Judgement::NoStatement => {
            assert!(applied.is_empty());
            assert!(!disagreeing);
        }
    }
    assert!(explained.statements.len() <= 20);
    assert!(explained.tags.is_sorted_by(|a, b| a.key < b.key));
    assert!(
        explained
            .statements
            .iter()
            .all(|note| !note.because.is_empty())
    );
    assert!(of_key || explained.tags.iter().all(|row| row.provider_key.is_none()));
}

#[test]
fn says_what_was_judged() {
    let mut dice = Dice(8);
    let statements = pool(&mut dice, 5_000, 4);
    for _ in 0..20_000 {
        let world = World::random(&mut dice, &statements);
        let circumstances = world.circumstances();
        let model = model(&mut dice);
        for key in &world.keys {
            let key = key.facts();
            let explained = explain(
                &world.roles,
                &circumstances,
                model,
                key.provider,
                Some(&key),
            );
            fits(
                &explained,
                judge(&world.roles, &circumstances, model, &key),
                true,
            );
            for row in &explained.tags {
                assert_eq!(row.agent.as_ref(), world.agent.get(&row.key));
                assert_eq!(
                    row.gateway.as_ref(),
                    world.gateway.as_ref().and_then(|tags| tags.get(&row.key))
                );
                assert_eq!(row.provider_key.as_ref(), key.tags.get(&row.key));
            }
        }
        let provider = dice.pick(&PROVIDERS);
        let explained = explain(&world.roles, &circumstances, model, provider, None);
        fits(
            &explained,
            judge_absent(&world.roles, &circumstances, model, provider),
            false,
        );
    }
}

fn tags(json: &Value) -> Tags {
    serde_json::from_value(json.clone()).unwrap()
}

fn roles(statements: &[Value]) -> Vec<Role> {
    let role = |(at, statement): (usize, &Value)| Role {
        id: format!("role_{at}"),
        name: format!("role-{at}"),
        statements: read(&json!([statement]).to_string()).unwrap(),
    };
    statements.iter().enumerate().map(role).collect()
}

fn statement(effect: &str, conditions: &Value) -> Value {
    json!({ "effect": effect, "actions": ["*"], "resources": ["openai/*"], "conditions": conditions })
}

/// What is said of one statement with these conditions: for a key, and where there is none.
fn said(effect: &str, conditions: &Value, model: Option<&str>) -> [String; 2] {
    let roles = roles(&[statement(effect, conditions)]);
    let agent = tags(&json!({ "environment": "production", "team": "pay ments" }));
    let gateway = tags(&json!({ "environment": "production", "team": "x".repeat(256) }));
    let key_tags = tags(&json!({ "environment": "staging", "region": "" }));
    let circumstances = Circumstances {
        agent: &agent,
        gateway: Some(&gateway),
        configuration: None,
    };
    let key = KeyFacts {
        id: "pk_a",
        provider: "openai",
        name: "prod-us",
        tags: &key_tags,
    };
    [Some(&key), None].map(|key| {
        let explained = explain(&roles, &circumstances, model, "openai", key);
        explained.statements[0].because.clone()
    })
}

#[test]
fn words() {
    let many: Vec<_> = (0..9).map(|number| format!("m{number}")).collect();
    for (effect, conditions, of_key, of_none) in [
        (
            "allow",
            json!([]),
            "allows openai/prod-us",
            "would allow a key of openai",
        ),
        (
            "deny",
            json!([]),
            "forbids openai/prod-us",
            "forbids every key of openai",
        ),
        (
            "allow",
            json!([{ "tags_match": ["environment"] }]),
            "tag environment is production on the agent, production on the gateway and staging on the provider key",
            "would allow a key of openai, one whose tag environment is production",
        ),
        (
            "allow",
            json!([{ "tags_match": ["region"] }]),
            "tag region is missing on the agent, missing on the gateway and \"\" on the provider key",
            "tag region is missing on the agent and missing on the gateway",
        ),
        (
            "allow",
            json!([{ "not": { "tag_in": { "environment": ["staging", "test"], "region": [""] } } }]),
            "tag environment is staging on the provider key and tag region is \"\" on the provider key, which is excluded",
            "would allow a key of openai, but not one whose tag environment is one of staging, test and whose tag region is \"\"",
        ),
        (
            "allow",
            json!([{ "tag_equals": { "environment": "production" } }, { "tag_like": { "team": ["pay*", "ops"] } }]),
            "tag environment is staging on the provider key, and has to be production; tag team is missing on the provider key, and has to be like pay*, ops",
            "would allow a key of openai, one whose tag environment is production, one whose tag team is like pay*, ops",
        ),
        (
            "deny",
            json!([{ "tag_equals": { "environment": "production" } }]),
            "tag environment is staging on the provider key, and would have to be production",
            "would forbid a key of openai, one whose tag environment is production",
        ),
        (
            "allow",
            json!([{ "tag_equals": { "team": "payments" }, "of": "agent" }]),
            "tag team is \"pay ments\" on the agent, and has to be payments",
            "tag team is \"pay ments\" on the agent, and has to be payments",
        ),
        (
            "allow",
            json!([{ "tag_equals": { "team": "payments" }, "of": "configuration" }]),
            "tag team is missing, as no configuration is in play, and has to be payments",
            "tag team is missing, as no configuration is in play, and has to be payments",
        ),
        (
            "allow",
            json!([{ "tag_equals": { "team": "a" }, "of": "gateway" }]),
            "tag team is \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"… on the gateway, and has to be a",
            "tag team is \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"… on the gateway, and has to be a",
        ),
        (
            "allow",
            json!([{ "model_in": ["gpt-3.5-turbo"] }]),
            "the model gpt-4o is not among gpt-3.5-turbo",
            "the model gpt-4o is not among gpt-3.5-turbo",
        ),
        (
            "allow",
            json!([{ "model_like": many }, { "not": { "model_like": "gpt-*" } }]),
            "the model gpt-4o is not like m0, m1, m2, m3, m4 and 4 more; the model gpt-4o is like gpt-*, which is excluded",
            "the model gpt-4o is not like m0, m1, m2, m3, m4 and 4 more; the model gpt-4o is like gpt-*, which is excluded",
        ),
        (
            "allow",
            json!([{ "model_in": "a" }, { "model_in": "b" }, { "model_in": "c" }, { "model_in": "d" }, { "model_in": "e" }]),
            "the model gpt-4o is not among a; the model gpt-4o is not among b; the model gpt-4o is not among c; and 2 more",
            "the model gpt-4o is not among a; the model gpt-4o is not among b; the model gpt-4o is not among c; and 2 more",
        ),
    ] {
        assert_eq!(
            said(effect, &conditions, Some("gpt-4o")),
            [of_key, of_none],
            "{conditions}"
        );
    }
}

#[test]
fn words_for_a_call_without_a_model() {
    let on_model = json!([{ "not": { "model_in": ["gpt-4o"] } }]);
    for (effect, of_key, of_none) in [
        (
            "allow",
            "the request names no model",
            "the request names no model",
        ),
        (
            "deny",
            "forbids openai/prod-us, as the request names no model",
            "forbids every key of openai, as the request names no model",
        ),
    ] {
        assert_eq!(said(effect, &on_model, None), [of_key, of_none]);
    }
}

#[test]
fn shows_first_what_decided_and_not_too_much() {
    let mut statements: Vec<_> = (0..60)
        .map(|number| {
            statement(
                "allow",
                &json!([{ "tag_equals": { (format!("t{number}")): "a" } }]),
            )
        })
        .collect();
    statements.push(statement(
        "allow",
        &json!([{ "tag_equals": { "zone": "a" } }]),
    ));
    statements.push(statement(
        "deny",
        &json!([{ "tag_equals": { "zone": "a" } }]),
    ));
    let roles = roles(&statements);
    let agent = Tags::new();
    let key_tags = tags(&json!({ "zone": "a" }));
    let circumstances = Circumstances {
        agent: &agent,
        gateway: None,
        configuration: None,
    };
    let key = KeyFacts {
        id: "pk_a",
        provider: "openai",
        name: "prod-us",
        tags: &key_tags,
    };
    let explained = explain(&roles, &circumstances, None, "openai", Some(&key));
    assert_eq!(explained.statements.len(), 20);
    assert_eq!(
        serde_json::to_value(&explained.statements[0]).unwrap(),
        json!({
            "role": "role-61",
            "role_id": "role_61",
            "statement": 0,
            "effect": "deny",
            "actions": ["*"],
            "resources": ["openai/*"],
            "applied": true,
            "because": "forbids openai/prod-us",
        })
    );
    assert_eq!(explained.statements[1].role, "role-60");
    assert_eq!(explained.tags.len(), 50);
    assert!(explained.tags.iter().all(|row| !row.agree));
}

/// What has no part in the decision is shown, but not as what stands in the way.
#[test]
fn only_what_stands_in_the_way_disagrees() {
    let statements = [
        statement(
            "deny",
            &json!([{ "not": { "tags_match": ["environment"] } }]),
        ),
        statement(
            "allow",
            &json!([{ "tag_equals": { "region": "eu" } }, { "model_in": ["other"] }]),
        ),
        statement(
            "allow",
            &json!([{ "tag_equals": { "environment": "production", "team": "a" } }]),
        ),
    ];
    let agent = tags(&json!({ "environment": "production" }));
    let key_tags = agent.clone();
    let circumstances = Circumstances {
        agent: &agent,
        gateway: None,
        configuration: None,
    };
    let key = KeyFacts {
        id: "pk_a",
        provider: "openai",
        name: "prod-us",
        tags: &key_tags,
    };
    let explained = explain(
        &roles(&statements),
        &circumstances,
        Some("gpt-4o"),
        "openai",
        Some(&key),
    );
    let rows: Vec<_> = explained
        .tags
        .iter()
        .map(|row| (row.key.as_str(), row.agree))
        .collect();
    assert_eq!(
        rows,
        [("environment", true), ("region", true), ("team", false)]
    );
}

//! Statements in JSON: every limit on both sides, every wrong kind, and what comes back.

use lockgate_access::{Bearer, Condition, Effect, Role, Statement, Test, read};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{Dice, pool};

/// A statement with these conditions.
fn with(conditions: &Value) -> Value {
    json!([{ "effect": "allow", "actions": ["*"], "resources": ["*"], "conditions": conditions }])
}

fn one(condition: Value) -> Result<Condition, String> {
    let statements =
        read(&with(&json!([condition])).to_string()).map_err(|invalid| invalid.to_string())?;
    Ok(statements[0].conditions[0].clone())
}

/// Why `value` is refused.
fn refused(value: &Value) -> String {
    read(&value.to_string()).unwrap_err().to_string()
}

fn strings(from: &[&str]) -> Vec<String> {
    from.iter().map(|text| (*text).to_owned()).collect()
}

fn ones(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[test]
fn reads_what_the_api_documents() {
    let statements = read(
        r#"[{"effect":"allow","actions":["provider-key:use"],"resources":["openai/*"],"conditions":[{"tags_match":["environment"]}]},
            {"effect":"deny","actions":["*"],"resources":["pk_a"]}]"#,
    );
    let allow = Statement {
        effect: Effect::Allow,
        actions: strings(&["provider-key:use"]),
        resources: strings(&["openai/*"]),
        conditions: vec![Condition {
            negated: false,
            test: Test::TagsMatch(strings(&["environment"])),
        }],
    };
    let deny = Statement {
        effect: Effect::Deny,
        actions: strings(&["*"]),
        resources: strings(&["pk_a"]),
        conditions: Vec::new(),
    };
    assert_eq!(statements, Ok(vec![allow, deny]));
    assert_eq!(read("[]"), Ok(Vec::new()));
}

#[test]
fn reads_every_test() {
    let tag = |value: &str| [("team".to_owned(), value.to_owned())].into();
    let list = |values: &[&str]| [("team".to_owned(), strings(values))].into();
    for (condition, test) in [
        (
            json!({ "tag_equals": { "team": "" } }),
            Test::TagEquals(Bearer::ProviderKey, tag("")),
        ),
        (
            json!({ "of": "gateway", "tag_equals": { "team": "a" } }),
            Test::TagEquals(Bearer::Gateway, tag("a")),
        ),
        (
            json!({ "tag_in": { "team": ["a", ""] }, "of": "agent" }),
            Test::TagIn(Bearer::Agent, list(&["a", ""])),
        ),
        (
            json!({ "tag_like": { "team": "a*" }, "of": "configuration" }),
            Test::TagLike(Bearer::Configuration, list(&["a*"])),
        ),
        (
            json!({ "tag_like": { "team": ["a*", "b"] }, "of": "provider_key" }),
            Test::TagLike(Bearer::ProviderKey, list(&["a*", "b"])),
        ),
        (
            json!({ "tags_match": "team" }),
            Test::TagsMatch(strings(&["team"])),
        ),
        (
            json!({ "model_in": "gpt-4o" }),
            Test::ModelIn(strings(&["gpt-4o"])),
        ),
        (
            json!({ "model_like": ["gpt-*", "o1"] }),
            Test::ModelLike(strings(&["gpt-*", "o1"])),
        ),
    ] {
        let mut nested = condition;
        for depth in 0..=8 {
            let negated = depth % 2 == 1;
            assert_eq!(
                one(nested.clone()),
                Ok(Condition {
                    negated,
                    test: test.clone()
                }),
                "{nested}"
            );
            nested = json!({ "not": nested });
        }
        let error = one(nested).unwrap_err();
        assert!(
            error.starts_with("statements[0].conditions[0].not.not.not.not.not.not.not.not.not: "),
            "{error}"
        );
    }
}

#[test]
fn says_where_and_what_is_wrong() {
    for (value, error) in [
        (json!({}), "statements: this is an object; a list is wanted"),
        (json!(null), "statements: this is null; a list is wanted"),
        (
            json!([7]),
            "statements[0]: this is a number; an object is wanted",
        ),
        (json!([{}]), "statements[0]: the field effect is missing"),
        (
            json!([{ "effect": "allow", "actions": ["*"] }]),
            "statements[0]: the field resources is missing",
        ),
        (
            json!([{ "effect": "Allow", "actions": ["*"], "resources": ["*"] }]),
            "statements[0].effect: \"Allow\" is neither allow nor deny",
        ),
        (
            json!([{ "effect": "allow", "actions": [], "resources": ["*"] }]),
            "statements[0].actions: this is empty; at least one entry is wanted",
        ),
        (
            json!([{ "effect": "allow", "actions": "*", "resources": ["*"] }]),
            "statements[0].actions: this is a string; a list is wanted",
        ),
        (
            json!([{ "effect": "allow", "actions": ["*", "Use"], "resources": ["*"] }]),
            "statements[0].actions[1]: the action \"Use\" has the character 'U'; an action is of a-z, 0-9, `:`, `_`, `-` and `*`, such as provider-key:use",
        ),
        (
            json!([{ "effect": "allow", "actions": ["*"], "resources": [""] }]),
            "statements[0].resources[0]: this string is empty; a name or a pattern is wanted",
        ),
        (
            json!([{ "effect": "allow", "actions": ["*"], "resources": ["*"], "principals": [] }]),
            "statements[0]: there is no field \"principals\"; the fields are effect, actions, resources, conditions",
        ),
        (
            with(&json!(null)),
            "statements[0].conditions: this is null; a list is wanted",
        ),
        (
            with(&json!([{}])),
            "statements[0].conditions[0]: there are 0 tests; a condition is exactly one of tag_equals, tag_in, tag_like, tags_match, model_in, model_like, not",
        ),
        (
            with(&json!([{ "model_in": ["a"], "model_like": ["b"] }])),
            "statements[0].conditions[0]: there are 2 tests; a condition is exactly one of tag_equals, tag_in, tag_like, tags_match, model_in, model_like, not",
        ),
        (
            with(&json!([{ "tag_in": { "environment": [] } }])),
            "statements[0].conditions[0].tag_in.environment: this is empty; at least one entry is wanted",
        ),
        (
            with(&json!([{ "tag_in": { "environment": "production" } }])),
            "statements[0].conditions[0].tag_in.environment: this is a string; a list is wanted",
        ),
        (
            with(&json!([{ "tag_in": { "environment": ["production", 7] } }])),
            "statements[0].conditions[0].tag_in.environment[1]: this is a number; a string is wanted",
        ),
        (
            with(&json!([{ "tag_like": { "a.b": true } }])),
            "statements[0].conditions[0].tag_like[\"a.b\"]: this is a boolean; a string or a list of strings is wanted",
        ),
        (
            with(&json!([{ "tag_equals": {} }])),
            "statements[0].conditions[0].tag_equals: this is empty; at least one entry is wanted",
        ),
        (
            with(&json!([{ "tag_equals": { "": "a" } }])),
            "statements[0].conditions[0].tag_equals[\"\"]: this string is empty; a name or a pattern is wanted",
        ),
        (
            with(&json!([{ "tags_match": ["a"], "of": "agent" }])),
            "statements[0].conditions[0].of: this does not go with tags_match; leave it out",
        ),
        (
            with(&json!([{ "tag_equals": { "a": "b" }, "of": "key" }])),
            "statements[0].conditions[0].of: \"key\" is none of provider_key, agent, gateway, configuration",
        ),
        (
            with(&json!([{ "not": [{ "model_in": "a" }] }])),
            "statements[0].conditions[0].not: this is a list; an object is wanted",
        ),
        (
            with(&json!([{ "not": { "not": { "model_in": [""] } } }])),
            "statements[0].conditions[0].not.not.model_in[0]: this string is empty; a name or a pattern is wanted",
        ),
    ] {
        assert_eq!(refused(&value), error);
    }
}

#[test]
fn refuses_what_serde_would_let_pass() {
    for (text, error) in [
        (
            r#"[{"effect":"allow","effect":"deny","actions":["*"],"resources":["*"]}]"#,
            "statements[0]: the key \"effect\" stands twice; keep one",
        ),
        (
            r#"[{"effect":"allow","actions":["*"],"resources":["*"],"conditions":[{"tag_equals":{"a":"b","\u0061":"b"}}]}]"#,
            "statements[0].conditions[0].tag_equals: the key \"a\" stands twice; keep one",
        ),
        (
            r#"[{"effect":"allow","actions":["*"],"resources":["*"],"conditions":[{"not":{"model_in":"a"},"not":{"model_in":"a"}}]}]"#,
            "statements[0].conditions[0]: the key \"not\" stands twice; keep one",
        ),
        (
            "",
            "statements: this is not JSON: EOF while parsing a value at line 1 column 0",
        ),
        (
            "[] []",
            "statements: this is not JSON: trailing characters at line 1 column 4",
        ),
        (
            "[1e999]",
            "statements: this is not JSON: number out of range at line 1 column 6",
        ),
    ] {
        assert_eq!(read(text).unwrap_err().to_string(), error);
    }
}

#[test]
fn limits_count_characters_and_entries() {
    let statement = |actions: &[String], resources: &[String]| {
        json!([{ "effect": "deny", "actions": actions, "resources": resources }]).to_string()
    };
    let star = strings(&["*"]);
    let many = |count: usize| Value::from(vec![with(&json!([]))[0].clone(); count]).to_string();
    let conditions =
        |count: usize| with(&Value::from(vec![json!({ "model_in": "a" }); count])).to_string();
    let tag = |key: usize, value: usize| {
        with(&json!([{ "tag_equals": { ("ü".repeat(key)): "é".repeat(value) } }])).to_string()
    };
    let tags = |count: usize| {
        let tags: serde_json::Map<_, _> = ones(count)
            .into_iter()
            .map(|key| (key, json!("a")))
            .collect();
        with(&json!([{ "tag_equals": tags }])).to_string()
    };
    let list = |name: &str, count: usize| with(&json!([{ name: ones(count) }])).to_string();
    for (most, beyond) in [
        (
            statement(&star, &["ü".repeat(256)]),
            statement(&star, &["ü".repeat(257)]),
        ),
        (
            statement(&["a".repeat(256)], &star),
            statement(&["a".repeat(257)], &star),
        ),
        (statement(&star, &ones(50)), statement(&star, &ones(51))),
        (statement(&ones(50), &star), statement(&ones(51), &star)),
        (many(100), many(101)),
        (conditions(50), conditions(51)),
        (tag(128, 1), tag(129, 1)),
        (tag(1, 256), tag(1, 257)),
        (tags(50), tags(51)),
        (list("tags_match", 50), list("tags_match", 51)),
        (list("model_in", 50), list("model_in", 51)),
        (list("model_like", 50), list("model_like", 51)),
    ] {
        assert!(read(&most).is_ok(), "{most}");
        let error = read(&beyond).unwrap_err().to_string();
        assert!(error.contains("at most"), "{error}");
    }
    let key = with(&json!([{ "tags_match": "ü".repeat(129) }]));
    assert!(refused(&key).ends_with("has 129 characters; at most 128 are taken"));
}

#[test]
fn hostile_nesting_is_refused() {
    for (open, close) in [("[", "]"), (r#"{"not":"#, "}")] {
        for depth in [100, 127, 128, 1_000, 1_000_000] {
            let nested = format!("{}{}", open.repeat(depth), close.repeat(depth));
            assert!(read(&nested).is_err());
            let inside = format!(
                r#"[{{"effect":"allow","actions":["*"],"resources":["*"],"conditions":[{nested}]}}]"#
            );
            assert!(read(&inside).is_err());
        }
    }
    let long = with(&json!([{ "x\n".repeat(100_000): 1 }]));
    assert!(refused(&long).len() < 400);
    let long = with(&json!([{ "tag_equals": { "x\u{1b}".repeat(100_000): 1 } }]));
    assert!(refused(&long).len() < 400);
}

#[test]
fn what_is_written_is_read_again() {
    let mut dice = Dice(6);
    for statements in pool(&mut dice, 20_000, 4).chunks(5) {
        let mut statements = statements.to_vec();
        for statement in &mut statements {
            // The worlds have models without a name, which no condition can name.
            for condition in &mut statement.conditions {
                if let Test::ModelIn(models) = &mut condition.test {
                    models.retain(|model| !model.is_empty());
                    models.push("a".to_owned());
                }
            }
        }
        let json = serde_json::to_string(&statements).unwrap();
        assert_eq!(read(&json).unwrap(), statements);
        assert_eq!(
            serde_json::from_str::<Vec<Statement>>(&json).unwrap(),
            statements
        );
        let role = Role {
            id: "role_a".to_owned(),
            name: "a".to_owned(),
            statements,
        };
        let value = serde_json::to_value(&role).unwrap();
        assert_eq!(serde_json::from_value::<Role>(value).unwrap(), role);
    }
}

#[test]
fn lists_are_written_as_lists_and_the_usual_bearer_is_not() {
    let condition = one(json!({ "not": { "of": "agent", "tag_like": { "a": "b" } } })).unwrap();
    assert_eq!(
        serde_json::to_value(&condition).unwrap(),
        json!({ "not": { "tag_like": { "a": ["b"] }, "of": "agent" } })
    );
    let condition = one(json!({ "of": "provider_key", "tag_equals": { "a": "b" } })).unwrap();
    assert_eq!(
        serde_json::to_value(&condition).unwrap(),
        json!({ "tag_equals": { "a": "b" } })
    );
}

#[test]
fn what_is_stored_is_checked_too() {
    let stored = r#"{"id":"role_a","name":"a","statements":[{"effect":"allow","actions":["*"],"resources":[]}]}"#;
    let error = serde_json::from_str::<Role>(stored)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("statement.resources: this is empty"),
        "{error}"
    );
}

/// JSON with the words of statements in all the wrong places.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "effect",
        "allow",
        "deny",
        "actions",
        "resources",
        "conditions",
        "not",
        "of",
        "agent",
        "tag_equals",
        "tag_in",
        "tag_like",
        "tags_match",
        "model_in",
        "model_like",
        "*",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        "\\PC{0,300}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..8).prop_map(|pairs| pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_json_makes_it_panic(value in any_json()) {
        let _ = read(&value.to_string());
        let inside = json!([{ "effect": "allow", "actions": ["*"], "resources": ["*"], "conditions": [value] }]);
        // What is taken can be written, and is taken again.
        if let Ok(statements) = read(&inside.to_string()) {
            let written = serde_json::to_string(&statements).unwrap();
            prop_assert_eq!(read(&written), Ok(statements));
        }
    }

    #[test]
    fn no_text_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
        let _ = read(&String::from_utf8_lossy(&bytes));
        let whole = with(&json!([{ "not": { "tag_in": { "a": ["b", "c"] }, "of": "agent" } }])).to_string();
        let cut = cut.min(whole.len());
        if cut < whole.len() {
            prop_assert!(read(&whole[..cut]).is_err());
        }
        let mut broken = whole.into_bytes();
        broken.splice(cut.., bytes);
        let _ = read(&String::from_utf8_lossy(&broken));
    }
}

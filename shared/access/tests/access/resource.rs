//! Resource patterns against a glob over the text put together.

use lockgate_access::{Circumstances, Effect, Judgement, KeyFacts, Role, Statement, Tags, judge};
use lockgate_glob::glob;
use proptest::prelude::*;

/// Whether a statement over `pattern` is about the key, by judging.
fn judged(pattern: &str, provider: &str, name: &str, id: &str) -> bool {
    let role = Role {
        id: "role_a".to_owned(),
        name: "a".to_owned(),
        statements: vec![Statement {
            effect: Effect::Allow,
            actions: vec!["*".to_owned()],
            resources: vec![pattern.to_owned()],
            conditions: Vec::new(),
        }],
    };
    let tags = Tags::new();
    let circumstances = Circumstances {
        agent: &tags,
        gateway: None,
        configuration: None,
    };
    let key = KeyFacts {
        id,
        provider,
        name,
        tags: &tags,
    };
    judge([&role], &circumstances, None, &key) == Judgement::Allowed
}

/// By definition.
fn defined(pattern: &str, provider: &str, name: &str, id: &str) -> bool {
    if pattern.contains('/') {
        glob(pattern, &format!("{provider}/{name}")) || glob(pattern, &format!("{provider}/{id}"))
    } else {
        glob(pattern, provider) || glob(pattern, id)
    }
}

#[test]
fn cases() {
    for (pattern, provider, name, covers) in [
        ("openai/*", "openai", "prod/us", true),
        ("openai/*", "azure-openai", "prod", false),
        ("openai*", "openai-eu", "prod", true),
        ("openai/*us", "openai", "prod/us", true),
        ("*open*/us", "openai", "prod/us", true),
        ("*/us", "openai", "prod/us", true),
        ("open*us/", "openai", "us/", true),
        ("openai/", "openai", "prod", false),
        ("openai//", "openai", "/", true),
    ] {
        assert_eq!(
            judged(pattern, provider, name, "pk_a"),
            covers,
            "{pattern} on {provider}/{name}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50_000))]

    #[test]
    fn covers_what_the_glob_over_the_whole_matches(
        pattern in "[ab*/]{0,7}",
        provider in "[ab]{1,3}",
        name in "[ab/*]{1,4}",
        id in "[ab]{1,3}",
    ) {
        prop_assert_eq!(judged(&pattern, &provider, &name, &id), defined(&pattern, &provider, &name, &id));
    }
}

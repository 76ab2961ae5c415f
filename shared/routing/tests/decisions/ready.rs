//! Which key pays, or why none does: the order of reasons, and pins.

use lockgate_routing::Reason;
use lockgate_workspace::plan::CredentialKind;
use lockgate_workspace::resource::{Access, Health, PinMode};
use lockgate_workspace::snapshot::KeyPointer;
use serde_json::{Value, json};

use crate::world::{World, asks, key, planned, ready, route, seeded, tags, targeted};

/// The key that pays for a model, or the reason.
fn pays(world: &World, model: &str) -> String {
    let caller = world.clone().caller();
    let target = targeted(&caller, &asks(model));
    match ready(&caller, &target) {
        Ok(ready) => match ready.passed_over {
            Some(over) => format!(
                "{} for {}: {}",
                ready.key.name,
                over.pin.name,
                over.reason.word()
            ),
            None => ready.key.name.clone(),
        },
        Err(not_ready) => not_ready.reason.word().to_owned(),
    }
}

fn allow(resource: &str) -> Value {
    json!([{"effect": "allow", "actions": ["provider-key:use"], "resources": [resource]}])
}

fn deny(resource: &str) -> Value {
    json!([{"effect": "deny", "actions": ["*"], "resources": [resource]}])
}

fn allow_matching(resource: &str) -> Value {
    json!([{"effect": "allow", "actions": ["provider-key:use"], "resources": [resource],
            "conditions": [{"tags_match": ["environment"]}]}])
}

fn disabled(mut key: KeyPointer) -> KeyPointer {
    key.enabled = false;
    key
}

#[test]
fn the_reasons_come_in_their_order() {
    let tagged = || {
        let mut key = key("openai", "main");
        key.tags = tags(&[("environment", "staging")]);
        let mut world = World::empty().key(key);
        world.identity.agent_tags = tags(&[("environment", "production")]);
        world
    };
    let off = World::empty().key(disabled(key("openai", "main")));
    let some = World::empty().key(key("openai", "main"));
    let none = World::empty();
    let all = allow("openai/*");
    for (world, reason) in [
        (off.clone(), "inactive"),
        (off.clone().role("no", &deny("*")), "inactive"),
        (seeded(off.clone().role("yes", &all)), "inactive"),
        (some.clone(), "no_role_attached"),
        (seeded(none.clone()), "no_role_attached"),
        (none.clone(), "no_role_attached"),
        (
            some.clone().role("other", &allow("anthropic/*")),
            "denied_by_policy",
        ),
        (
            some.clone().role("yes", &all).role("no", &deny("openai")),
            "denied_by_policy",
        ),
        (
            tagged()
                .role("match", &allow_matching("openai/*"))
                .role("no", &deny("openai")),
            "denied_by_policy",
        ),
        (
            seeded(none.clone().role("other", &allow("anthropic/*"))),
            "denied_by_policy",
        ),
        (
            none.clone().role("yes", &all).role("no", &deny("openai")),
            "denied_by_policy",
        ),
        (
            tagged().role("match", &allow_matching("openai/*")),
            "tag_mismatch",
        ),
        (
            seeded(none.clone().role("match", &allow_matching("openai/*"))),
            "tag_mismatch",
        ),
        (seeded(none.clone().role("yes", &all)), "seeded"),
        (none.clone().role("yes", &all), "missing_provider_key"),
        (some.role("yes", &all), "main"),
    ] {
        assert_eq!(pays(&world, "gpt-4o"), reason, "{world:?}");
    }
}

#[test]
fn the_words_are_those_of_the_contract() {
    let words = Reason::ALL.map(Reason::word);
    assert_eq!(
        words,
        [
            "inactive",
            "no_role_attached",
            "denied_by_policy",
            "tag_mismatch",
            "seeded",
            "missing_provider_key"
        ]
    );
    let denying: Vec<&str> = Reason::ALL
        .into_iter()
        .filter(|r| r.denies())
        .map(Reason::word)
        .collect();
    assert_eq!(
        denying,
        ["no_role_attached", "denied_by_policy", "tag_mismatch"]
    );
}

#[test]
fn where_access_is_open_roles_are_not_looked_at() {
    let mut world = World::empty().role("no", &deny("*"));
    world.snapshot.access = Access::Open;
    assert_eq!(pays(&world, "gpt-4o"), "missing_provider_key");
    assert_eq!(pays(&seeded(world.clone()), "gpt-4o"), "seeded");
    assert_eq!(
        pays(&world.clone().key(key("openai", "main")), "gpt-4o"),
        "main"
    );
    assert_eq!(
        pays(&world.key(disabled(key("openai", "main"))), "gpt-4o"),
        "inactive"
    );
}

#[test]
fn a_key_without_the_secret_that_it_needs_counts_as_not_there() {
    let mut bare = key("openai", "bare");
    bare.sealed = None;
    let world = seeded(World::empty().key(bare)).role("yes", &allow("*"));
    assert_eq!(pays(&world, "gpt-4o"), "missing_provider_key");
    assert_eq!(
        pays(&world.clone().key(disabled(key("openai", "off"))), "gpt-4o"),
        "inactive"
    );
    // A disabled one is disabled first of all.
    let mut off = disabled(key("openai", "off"));
    off.sealed = None;
    assert_eq!(pays(&world.clone().key(off), "gpt-4o"), "inactive");
    let mut local = key("ollama", "local");
    local.sealed = None;
    assert_eq!(pays(&world.key(local), "ollama/llama3"), "local");
}

#[test]
fn a_rejected_key_is_passed_over_only_for_another_that_is_allowed() {
    use Health::{Invalid, Ok, RateLimited, Unknown, Unreachable};
    let chosen = |keys: &[(&str, Health)], resource: &str| {
        let mut world = World::empty().role("yes", &allow(resource));
        for (name, health) in keys {
            let mut key = key("openai", name);
            key.health = *health;
            world = world.key(key);
        }
        pays(&world, "gpt-4o")
    };
    assert_eq!(chosen(&[("a", Ok), ("b", Ok)], "*"), "a");
    assert_eq!(
        chosen(&[("a", Invalid), ("b", Unknown), ("c", Ok)], "*"),
        "b"
    );
    assert_eq!(chosen(&[("a", Invalid)], "*"), "a");
    assert_eq!(chosen(&[("a", Invalid), ("b", Invalid)], "*"), "a");
    assert_eq!(chosen(&[("a", Invalid), ("b", Ok)], "openai/a"), "a");
    assert_eq!(chosen(&[("a", Ok), ("b", Ok)], "openai/b"), "b");
    for passing in [RateLimited, Unreachable, Unknown] {
        assert_eq!(chosen(&[("a", passing), ("b", Ok)], "*"), "a");
    }
}

#[test]
fn a_hard_pin_holds_and_a_soft_one_gives_way_to_what_is_gone_or_disabled() {
    let two = || {
        World::empty()
            .key(key("openai", "first"))
            .key(key("openai", "other"))
    };
    let all = |world: World| world.role("yes", &allow("*"));
    for (world, expected) in [
        (all(two()).pin("openai", "other", PinMode::Hard), "other"),
        (all(two()).pin("openai", "other", PinMode::Soft), "other"),
        (all(two()).pin("anthropic", "other", PinMode::Hard), "first"),
        (
            all(two()).pin("openai", "gone", PinMode::Hard),
            "missing_provider_key",
        ),
        (
            all(two()).pin("openai", "gone", PinMode::Soft),
            "first for gone: missing_provider_key",
        ),
        (
            all(two().key(disabled(key("openai", "off")))).pin("openai", "off", PinMode::Hard),
            "inactive",
        ),
        (
            all(two().key(disabled(key("openai", "off")))).pin("openai", "off", PinMode::Soft),
            "first for off: inactive",
        ),
        // What policy denies stays denied.
        (
            two()
                .role("some", &allow("openai/first"))
                .pin("openai", "other", PinMode::Soft),
            "denied_by_policy",
        ),
        (
            two()
                .role("some", &allow("openai/first"))
                .pin("openai", "other", PinMode::Hard),
            "denied_by_policy",
        ),
        // A key of another provider is not the one that was pinned.
        (
            all(two().key(key("groq", "fast"))).pin("openai", "fast", PinMode::Hard),
            "missing_provider_key",
        ),
    ] {
        assert_eq!(pays(&world, "gpt-4o"), expected, "{world:?}");
    }
}

#[test]
fn a_pinned_key_that_is_gone_was_more_than_a_listed_provider() {
    let world = seeded(World::empty().role("yes", &allow("*")));
    assert_eq!(
        pays(
            &world.clone().pin("openai", "gone", PinMode::Hard),
            "gpt-4o"
        ),
        "missing_provider_key"
    );
    assert_eq!(
        pays(&world.pin("openai", "gone", PinMode::Soft), "gpt-4o"),
        "seeded"
    );
}

#[test]
fn a_target_that_names_its_key_is_above_a_pin() {
    let under = |credential, provider_key: Option<&str>| {
        let mut target = planned("openai", None);
        target.credential = credential;
        target.provider_key = provider_key.map(str::to_owned);
        let plan = lockgate_workspace::plan::Plan {
            targets: vec![target],
            routes: vec![route("all", &["*"], &[(0, 0, 1)])],
            ..Default::default()
        };
        let world = World::empty()
            .key(key("openai", "first"))
            .key(key("openai", "named"))
            .key(disabled(key("openai", "off")))
            .role("yes", &allow("*"))
            .pin("openai", "first", PinMode::Hard)
            .plan(plan);
        pays(&world, "x")
    };
    use CredentialKind::{Any, Byok, Managed};
    assert_eq!(under(Any, None), "first");
    assert_eq!(under(Any, Some("named")), "named");
    assert_eq!(under(Byok, Some("pk_named")), "named");
    assert_eq!(under(Any, Some("off")), "inactive");
    assert_eq!(under(Any, Some("nobody")), "missing_provider_key");
    assert_eq!(under(Managed, None), "missing_provider_key");
}

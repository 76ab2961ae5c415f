//! Targets that the platform pays for, and what tokens cost.

use lockgate_routing::{Caller, Pays, Rate, Reason, managed, pays};
use lockgate_workspace::plan::{CredentialKind, Plan};
use lockgate_workspace::resource::{Access, Health, PinMode, Price, Tokens};
use lockgate_workspace::snapshot::{KeyPointer, Snapshot};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{World, asks, key, planned, route, tags, targeted};

/// The platform's workspace with these keys.
fn platform(keys: &[KeyPointer]) -> Snapshot {
    let mut world = World::empty();
    for key in keys {
        world = world.key(key.clone());
    }
    world.snapshot
}

fn under(world: World, credential: CredentialKind, provider_key: Option<&str>) -> World {
    let mut target = planned("anthropic", Some("claude-sonnet-4-5"));
    target.credential = credential;
    target.provider_key = provider_key.map(str::to_owned);
    world.plan(Plan {
        targets: vec![target],
        routes: vec![route("policy-review", &["review"], &[(0, 0, 1)])],
        ..Default::default()
    })
}

fn with(statements: &Value) -> World {
    World::empty().role("r", statements)
}

fn statement(effect: &str, resource: &str, conditions: &Value) -> Value {
    json!({"effect": effect, "actions": ["provider-key:use"], "resources": [resource], "conditions": conditions})
}

fn allow(resource: &str) -> Value {
    json!([statement("allow", resource, &json!([]))])
}

fn off(mut key: KeyPointer) -> KeyPointer {
    key.enabled = false;
    key
}

/// `byok` or `managed` with the key's name, or the reason.
fn paid(caller: &Caller, platform: &Snapshot) -> String {
    let target = targeted(caller, &asks("review"));
    match pays(caller, Some(platform), &target, |key| {
        key.health == Health::Invalid
    }) {
        Pays::Ready(ready) if ready.managed => format!("managed {}", ready.key.name),
        Pays::Ready(ready) => format!("byok {}", ready.key.name),
        Pays::NotReady(not_ready) => not_ready.reason.word().to_owned(),
        Pays::AskPlatform => panic!("it was told"),
    }
}

#[test]
fn policy_is_that_of_a_key_called_managed_without_tags() {
    let has = platform(&[key("anthropic", "main")]);
    let condition = |condition: Value| json!([statement("allow", "*", &json!([condition]))]);
    for (statements, paid_by) in [
        (allow("anthropic/*"), "managed main"),
        (allow("anthropic"), "managed main"),
        (allow("*"), "managed main"),
        (allow("anthropic/managed"), "managed main"),
        // By the name or id that the key has in the platform's workspace nobody knows it.
        (allow("anthropic/main"), "denied_by_policy"),
        (allow("pk_main"), "denied_by_policy"),
        (allow("openai/*"), "denied_by_policy"),
        (
            json!([
                statement("allow", "*", &json!([])),
                statement("deny", "*/managed", &json!([]))
            ]),
            "denied_by_policy",
        ),
        (
            json!([
                statement("allow", "*", &json!([])),
                statement("deny", "anthropic/main", &json!([]))
            ]),
            "managed main",
        ),
        (
            condition(json!({"tags_match": ["environment"]})),
            "tag_mismatch",
        ),
        (
            condition(json!({"tag_equals": {"environment": "a"}, "of": "agent"})),
            "managed main",
        ),
        (
            condition(json!({"model_in": ["claude-sonnet-4-5"]})),
            "managed main",
        ),
        (condition(json!({"model_in": ["o3"]})), "denied_by_policy"),
    ] {
        let mut world = under(with(&statements), CredentialKind::Managed, None);
        world.identity.agent_tags = tags(&[("environment", "a")]);
        // The key's own tags are the platform's matter.
        let mut tagged = key("anthropic", "main");
        tagged.tags = tags(&[("environment", "a")]);
        assert_eq!(paid(&world.clone().caller(), &has), paid_by, "{statements}");
        assert_eq!(
            paid(&world.clone().caller(), &platform(&[tagged])),
            paid_by,
            "{statements}"
        );
        world.identity.roles.clear();
        assert_eq!(paid(&world.clone().caller(), &has), "no_role_attached");
        world.snapshot.access = Access::Open;
        assert_eq!(paid(&world.caller(), &has), "managed main");
    }
}

#[test]
fn the_platforms_own_state_decides_which_of_its_keys() {
    let caller = under(with(&allow("*")), CredentialKind::Managed, None)
        // What the workspace has is of no matter, nor is a pin to it.
        .key(key("anthropic", "own"))
        .pin("anthropic", "own", PinMode::Hard)
        .caller();
    let mut ill = key("anthropic", "ill");
    ill.health = Health::Invalid;
    let mut empty = key("anthropic", "empty");
    empty.sealed = None;
    for (keys, paid_by) in [
        (vec![], "missing_provider_key"),
        (vec![key("openai", "o")], "missing_provider_key"),
        (vec![off(key("anthropic", "a"))], "missing_provider_key"),
        (vec![empty.clone()], "missing_provider_key"),
        (vec![empty, key("anthropic", "b")], "managed b"),
        (vec![ill.clone(), key("anthropic", "b")], "managed b"),
        (vec![ill], "managed ill"),
        (
            vec![key("anthropic", "a"), key("anthropic", "b")],
            "managed a",
        ),
    ] {
        assert_eq!(paid(&caller, &platform(&keys)), paid_by, "{keys:?}");
    }
}

#[test]
fn either_means_the_platforms_only_where_a_key_is_missing() {
    let any = |world: World| under(world, CredentialKind::Any, None);
    let all = || with(&allow("*"));
    let own = || key("anthropic", "own");
    let mut listed = any(all());
    listed.snapshot.seeded.push("anthropic".into());
    let narrow = || with(&allow("anthropic/own"));
    let denied = json!([
        statement("allow", "*", &json!([])),
        statement("deny", "anthropic/own", &json!([]))
    ]);
    let mut mismatch = own();
    mismatch.tags = tags(&[("environment", "b")]);
    let matching = json!([statement(
        "allow",
        "*",
        &json!([{"tag_equals": {"environment": "a"}}])
    )]);
    for (world, paid_by) in [
        (any(all()), "managed main"),
        (listed, "managed main"),
        (any(all().key(key("openai", "o"))), "managed main"),
        (any(all().key(own())), "byok own"),
        // What is there and may not be used is not missing.
        (any(all().key(off(own()))), "inactive"),
        (any(World::empty()), "no_role_attached"),
        (any(with(&allow("openai/*"))), "denied_by_policy"),
        (any(with(&denied).key(own())), "denied_by_policy"),
        (any(with(&matching).key(mismatch)), "tag_mismatch"),
        // The agent may use a key that is not there, and not the platform's: the missing one is what is told.
        (any(narrow()), "missing_provider_key"),
        // Who asks for one key means that key.
        (
            any(all().pin("anthropic", "gone", PinMode::Hard)),
            "missing_provider_key",
        ),
        (
            under(all(), CredentialKind::Any, Some("prod")),
            "missing_provider_key",
        ),
        (
            any(all().pin("anthropic", "gone", PinMode::Soft)),
            "managed main",
        ),
        (
            under(all(), CredentialKind::Byok, None),
            "missing_provider_key",
        ),
    ] {
        let has = platform(&[key("anthropic", "main")]);
        let caller = world.clone().caller();
        assert_eq!(paid(&caller, &has), paid_by, "{:?}", world.identity);
        // Only where it comes down to the platform is it asked.
        let target = targeted(&caller, &asks("review"));
        let asked = matches!(pays(&caller, None, &target, |_| false), Pays::AskPlatform);
        let narrowed = world.identity.roles == narrow().identity.roles
            && world.snapshot.roles == narrow().snapshot.roles
            && target.credential() == CredentialKind::Any;
        assert_eq!(
            asked,
            paid_by.starts_with("managed") || narrowed,
            "{paid_by}"
        );
    }
}

#[test]
fn what_no_configuration_decides_is_never_managed() {
    let caller = with(&allow("*")).caller();
    let target = targeted(&caller, &asks("claude-sonnet-4-5"));
    assert_eq!(target.credential(), CredentialKind::Byok);
    let has = platform(&[key("anthropic", "main")]);
    assert!(matches!(
        pays(&caller, Some(&has), &target, |_| false),
        Pays::NotReady(no) if no.reason == Reason::MissingProviderKey
    ));
}

#[test]
fn what_is_missing_on_the_managed_path_is_said_with_two_ways_out() {
    let told = |world: World, platform: &Snapshot| {
        let caller = world.caller();
        let target = targeted(&caller, &asks("review"));
        let not_ready = managed(&caller, platform, &target, |_| false).unwrap_err();
        let refusal = lockgate_routing::refusal(&caller, &target, &not_ready);
        assert_eq!(refusal.route.as_deref(), Some("policy-review"));
        assert_eq!(refusal.provider.as_deref(), Some("anthropic"));
        assert_eq!(refusal.reason, Some(not_ready.reason.word()));
        (
            refusal.code.text,
            format!("{} {}", refusal.message, refusal.remedy),
        )
    };
    let under = |statements: &Value| under(with(statements), CredentialKind::Managed, None);
    let (none, has) = (platform(&[]), platform(&[key("anthropic", "main")]));
    assert_eq!(
        told(under(&allow("*")), &none),
        (
            "provider_not_ready",
            "Route `policy-review` uses Anthropic, but its target is to be paid for by the platform, which has no Anthropic \
             key that agent `reviewer` may use. Set `credential: byok` on the target and add your own key under Provider \
             keys, or point the route at another provider."
                .to_owned()
        )
    );
    assert_eq!(
        told(under(&allow("anthropic/main")), &has),
        (
            "access_denied",
            "Route `policy-review` uses Anthropic, but no role of agent `reviewer` lets it use the platform's Anthropic key \
             (`anthropic/managed`) for this model. Add a statement that allows `anthropic/managed` to a role of the agent, \
             or point the route at another provider."
                .to_owned()
        )
    );
    let denied = json!([
        statement("allow", "*", &json!([])),
        statement("deny", "*/managed", &json!([]))
    ]);
    let (code, words) = told(under(&denied), &has);
    assert_eq!(code, "access_denied");
    assert!(
        words.contains(
            "`statements[1]` of role `r` denies agent `reviewer` the platform's Anthropic key (`anthropic/managed`)."
        ),
        "{words}"
    );
    let matching = json!([statement(
        "allow",
        "*",
        &json!([{"tags_match": ["environment"]}])
    )]);
    let mut world = under(&matching);
    world.identity.agent_tags = tags(&[("environment", "a")]);
    let (_, words) = told(world, &has);
    assert!(
        words.contains(
            "`environment`: agent `a`, configuration without it, the platform's key without it."
        ),
        "{words}"
    );
    assert!(
        words.contains("Allow `anthropic/managed` without conditions on its tags"),
        "{words}"
    );
    let mut world = under(&allow("*"));
    world.identity.roles.clear();
    let (_, words) = told(world, &has);
    assert!(
        words.contains("Attach one to it that allows `anthropic/managed`, or"),
        "{words}"
    );
}

#[test]
fn what_is_ready_on_the_managed_path_says_who_pays() {
    let caller = under(with(&allow("*")), CredentialKind::Managed, None).caller();
    let has = platform(&[key("anthropic", "main")]);
    let target = targeted(&caller, &asks("review"));
    let ready = managed(&caller, &has, &target, |_| false).unwrap();
    let (sentence, next_step) = lockgate_routing::readiness(&caller, &target, &ready);
    assert_eq!(
        sentence,
        "Route `policy-review` uses Anthropic with the platform's key `main`, for which the wallet pays and which a role lets \
         agent `reviewer` use."
    );
    assert!(next_step.contains("wallet"), "{next_step}");
    let explanation = ready.explain(&caller, &target);
    assert!(explanation.statements[0].applied);
    let refusal = lockgate_routing::unpriced(&target);
    assert_eq!(refusal.code.text, "price_unknown");
    assert!(refusal.message.contains("`claude-sonnet-4-5` of Anthropic"));
    assert_eq!(refusal.route.as_deref(), Some("policy-review"));
}

#[test]
fn a_workspaces_own_price_goes_before_the_manifests() {
    let openai = lockgate_providers::find("openai").unwrap();
    let own = |provider: &str, model: &str, cached_input| Price {
        provider: provider.into(),
        model: model.into(),
        input: 7,
        cached_input,
        output: 9,
    };
    let rate = |prices: &[Price], model| Rate::of(prices, openai, model);
    let seven = Rate {
        input: 7,
        cached_input: 7,
        output: 9,
    };
    assert_eq!(
        rate(&[own("openai", "gpt-4o", None)], "gpt-4o"),
        Some(seven)
    );
    let cached = Rate {
        cached_input: 0,
        ..seven
    };
    assert_eq!(
        rate(&[own("openai", "gpt-4o", Some(0))], "gpt-4o"),
        Some(cached)
    );
    for other in [
        own("azure-openai", "gpt-4o", None),
        own("openai", "gpt-4", None),
    ] {
        assert_eq!(rate(&[other], "gpt-4o"), rate(&[], "gpt-4o"));
    }
    assert_eq!(rate(&[], "never-heard-of"), None);
    assert_eq!(rate(&[], ""), None);
    // Whatever a manifest knows of a model's price, a chat model's has its output in it.
    for manifest in lockgate_providers::all() {
        for model in manifest.models {
            let known = Rate::of(&[], manifest, model.id);
            let Some(input) = model.input_microusd_per_mtok else {
                assert_eq!(known, None);
                continue;
            };
            if let Some(rate) = known {
                assert_eq!(rate.input, input);
                let silent = matches!(
                    model.kind,
                    lockgate_providers::ModelKind::Embedding
                        | lockgate_providers::ModelKind::Moderation
                );
                assert!(silent || model.output_microusd_per_mtok.is_some());
            }
        }
    }
}

#[test]
fn a_cost_is_rounded_up_once() {
    let rate = Rate {
        input: 2_500_000,
        cached_input: 1_250_000,
        output: 10_000_000,
    };
    let tokens = |input, cached_input, output| Tokens {
        input,
        cached_input,
        output,
        ..Tokens::default()
    };
    for (used, cost) in [
        (tokens(0, None, 0), 0),
        (tokens(1, None, 0), 3),
        (tokens(1, Some(1), 0), 2),
        (tokens(1, Some(1), 1), 12),
        (tokens(1_000, Some(400), 100), 1_500 + 500 + 1_000),
        // More cached than there was is not more than all.
        (tokens(10, Some(99), 0), 13),
    ] {
        assert_eq!(rate.cost(&used), cost, "{used:?}");
    }
    let most = Rate {
        input: u64::MAX,
        cached_input: u64::MAX,
        output: u64::MAX,
    };
    assert_eq!(most.cost(&tokens(u64::MAX, None, u64::MAX)), u64::MAX);
}

proptest! {
    #[test]
    fn a_cost_is_never_less_than_what_was_used_nor_a_whole_unit_more(
        input in 0..10_000_000_u64, cached in proptest::option::of(0..20_000_000_u64), output in 0..1_000_000_u64,
        prices in proptest::array::uniform3(0..100_000_000_u64),
    ) {
        let rate = Rate { input: prices[0], cached_input: prices[1], output: prices[2] };
        let tokens = Tokens { input, cached_input: cached, output, ..Tokens::default() };
        let from_cache = cached.unwrap_or(0).min(input);
        let exact = u128::from(input - from_cache) * u128::from(prices[0])
            + u128::from(from_cache) * u128::from(prices[1])
            + u128::from(output) * u128::from(prices[2]);
        let cost = u128::from(rate.cost(&tokens)) * 1_000_000;
        prop_assert!(cost >= exact && cost < exact + 1_000_000);
    }
}

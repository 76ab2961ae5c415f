//! What people are told.

use lockgate_access::Explanation;
use lockgate_refusal::Refusal;
use lockgate_routing::{Names, Wanted};
use lockgate_workspace::plan::{CredentialKind, Plan};
use lockgate_workspace::resource::PinMode;
use serde_json::json;

use crate::world::{World, asks, key, planned, ready, route, tags, targeted};

fn refused(world: &World, wanted: &Wanted<'_>) -> Refusal {
    let caller = world.clone().caller();
    let target = targeted(&caller, wanted);
    let not_ready = ready(&caller, &target).unwrap_err();
    lockgate_routing::refusal(&caller, &target, &not_ready)
}

/// Code, reason, message and remedy.
fn told(world: &World, wanted: &Wanted<'_>) -> (&'static str, &'static str, String) {
    let refusal = refused(world, wanted);
    assert_eq!(refusal.provider.as_deref(), Some("anthropic"));
    assert!(refusal.details.contains(&("agent", json!("reviewer"))));
    let words = format!("{} {}", refusal.message, refusal.remedy);
    (refusal.code.text, refusal.reason.unwrap(), words)
}

fn all() -> World {
    let allow = json!([{"effect": "allow", "actions": ["provider-key:use"], "resources": ["*"]}]);
    World::empty().role("everything", &allow)
}

fn under(world: World, credential: CredentialKind, provider_key: Option<&str>) -> World {
    let mut target = planned("anthropic", Some("claude-sonnet-4-5"));
    target.credential = credential;
    target.provider_key = provider_key.map(str::to_owned);
    world.plan(Plan {
        targets: vec![target],
        routes: vec![route("policy-review", &["review"], &[(0, 0, 1)])],
        unenforced: vec!["policies".into(), "fallback".into()],
        ..Default::default()
    })
}

#[test]
fn what_is_missing_is_said_with_two_ways_out() {
    let routed = under(all(), CredentialKind::Any, None);
    let refusal = refused(&routed, &asks("review"));
    assert_eq!(refusal.route.as_deref(), Some("policy-review"));
    assert_eq!(
        told(&routed, &asks("review")),
        (
            "provider_not_ready",
            "missing_provider_key",
            "Route `policy-review` uses Anthropic, but this workspace has no Anthropic key that agent `reviewer` may use. \
             Add one under Provider keys, or point the route at another provider."
                .into()
        )
    );
    let (.., words) = told(&all(), &asks("claude-9"));
    assert_eq!(
        words,
        "Model `claude-9` uses Anthropic, but this workspace has no Anthropic key that agent `reviewer` may use. \
         Add one under Provider keys, or name a model of another provider."
    );
    let unnamed = Wanted {
        model: None,
        provider: Some("anthropic"),
        names: Names::Never,
        ..asks("")
    };
    let (.., words) = told(&all(), &unnamed);
    assert_eq!(
        words,
        "The call uses Anthropic, but this workspace has no Anthropic key that agent `reviewer` may use. \
         Add one under Provider keys, or name another provider in the header `lockgate-provider`."
    );
    let mut listed = all();
    listed.snapshot.seeded.push("anthropic".into());
    let (code, reason, words) = told(&listed, &asks("claude-9"));
    assert_eq!((code, reason), ("provider_not_ready", "seeded"));
    assert!(
        words.contains("it has no Anthropic key yet that agent `reviewer` may use. Add one under Provider keys, or"),
        "{words}"
    );
}

#[test]
fn a_key_that_is_named_or_pinned_is_named_again() {
    let named = under(all(), CredentialKind::Byok, Some("prod-us"));
    let (code, reason, words) = told(&named, &asks("review"));
    assert_eq!(
        (code, reason),
        ("provider_not_ready", "missing_provider_key")
    );
    assert!(
        words.contains("lets agent `reviewer` use Anthropic key `prod-us` only"),
        "{words}"
    );

    let pinned = all().pin("anthropic", "main", PinMode::Hard);
    let (code, reason, words) = told(&pinned, &asks("claude-9"));
    assert_eq!(
        (code, reason),
        ("provider_key_pinned_missing", "missing_provider_key")
    );
    assert!(
        words.contains("agent `reviewer` is pinned to Anthropic key `main`, which is gone"),
        "{words}"
    );
    assert!(words.contains("make the pin soft"), "{words}");

    let mut off = key("anthropic", "main");
    off.enabled = false;
    for (world, said) in [
        (
            all(),
            "every Anthropic key of this workspace is disabled, `main` among them, so that agent `reviewer` has none",
        ),
        (
            all().pin("anthropic", "main", PinMode::Hard),
            "pinned to provider key `main`, which is disabled",
        ),
        (
            under(all(), CredentialKind::Any, Some("main")),
            "lets agent `reviewer` use provider key `main` only, which is disabled",
        ),
    ] {
        let model = if world.identity.configuration.is_some() {
            "review"
        } else {
            "claude-9"
        };
        let (code, reason, words) = told(&world.key(off.clone()), &asks(model));
        assert_eq!((code, reason), ("provider_not_ready", "inactive"));
        assert!(words.contains(said), "{words}");
    }
}

#[test]
fn what_policy_says_is_repeated() {
    let with_key = |world: World| world.key(key("anthropic", "main"));
    let (code, reason, words) = told(&with_key(World::empty()), &asks("claude-9"));
    assert_eq!((code, reason), ("access_denied", "no_role_attached"));
    assert!(words.contains("agent `reviewer` has no role"), "{words}");
    assert!(
        words.contains("Attach one to it that allows `anthropic/*`, or"),
        "{words}"
    );

    let deny = json!([{"effect": "deny", "actions": ["*"], "resources": ["anthropic/main"]}]);
    let (code, reason, words) = told(&with_key(all().role("not-main", &deny)), &asks("claude-9"));
    assert_eq!((code, reason), ("access_denied", "denied_by_policy"));
    assert!(
        words.contains(
            "`statements[0]` of role `not-main` denies agent `reviewer` provider key `main`"
        ),
        "{words}"
    );

    let allow = json!([{"effect": "allow", "actions": ["*"], "resources": ["openai"]}]);
    let other = with_key(World::empty().role("other", &allow));
    let (code, reason, words) = told(&other, &asks("claude-9"));
    assert_eq!((code, reason), ("access_denied", "denied_by_policy"));
    assert!(
        words.contains("no role of agent `reviewer` lets it use any Anthropic key for this model"),
        "{words}"
    );
}

#[test]
fn tags_that_differ_stand_side_by_side() {
    let matching = json!([{"effect": "allow", "actions": ["provider-key:use"], "resources": ["anthropic/*"],
                           "conditions": [{"tags_match": ["environment"]}]}]);
    let mut main = key("anthropic", "main");
    main.tags = tags(&[("environment", "staging")]);
    let mut world = World::empty().role("match", &matching).key(main);
    world.identity.agent_tags = tags(&[("environment", "production")]);
    world.identity.gateway_tags = Some(tags(&[("environment", "production")]));
    let (code, reason, words) = told(&world, &asks("claude-9"));
    assert_eq!((code, reason), ("access_denied", "tag_mismatch"));
    assert!(
        words.contains("`environment`: agent `production`, gateway `production`, provider key `main` `staging`. Make the tags agree, or"),
        "{words}"
    );
    let refusal = refused(&world, &asks("claude-9"));
    let detail = |name| {
        refusal
            .details
            .iter()
            .find(|(own, _)| *own == name)
            .unwrap()
            .1
            .clone()
    };
    assert_eq!(detail("statements")[0]["role"], "match");
    assert!(detail("statements")[0]["because"].is_string());
    assert_eq!(
        detail("tags"),
        json!([{"key": "environment", "agent": "production", "gateway": "production", "configuration": null,
                "provider_key": "staging", "agree": false}])
    );
}

#[test]
fn what_is_ready_says_with_which_key_and_warns_of_what_was_asked_in_vain() {
    let world = under(all(), CredentialKind::Any, None)
        .key(key("anthropic", "spare"))
        .pin("anthropic", "main", PinMode::Soft);
    let caller = world.caller();
    let target = targeted(&caller, &asks("review"));
    let ready = ready(&caller, &target).unwrap();
    let (sentence, _) = lockgate_routing::readiness(&caller, &target, &ready);
    assert_eq!(
        sentence,
        "Route `policy-review` uses Anthropic with provider key `spare`, which a role lets agent `reviewer` use."
    );
    assert_eq!(
        lockgate_routing::warnings(&caller, &ready),
        [
            "agent `reviewer` is pinned to anthropic key `main`, which is gone: `spare` is used",
            "configuration `support` asks for what this version does not do: policies, fallback",
        ]
    );
}

#[test]
fn where_access_is_open_there_is_nothing_to_explain() {
    let mut world = all().key(key("anthropic", "main"));
    world.snapshot.access = lockgate_workspace::resource::Access::Open;
    let caller = world.caller();
    let Explanation { statements, tags } = caller.explain(Some("claude-9"), "anthropic", None);
    assert!(statements.is_empty() && tags.is_empty());
    let target = targeted(&caller, &asks("claude-9"));
    let (sentence, _) =
        lockgate_routing::readiness(&caller, &target, &ready(&caller, &target).unwrap());
    assert!(
        sentence.contains("access to this workspace's keys is open"),
        "{sentence}"
    );
}

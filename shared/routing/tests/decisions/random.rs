//! Random worlds, each decided as a plain restatement of the rules decides it.

use std::cmp::Reverse;

use lockgate_access::{Circumstances, Judgement, KeyFacts, judge, judge_absent};
use lockgate_routing::{Caller, Reason, Target};
use lockgate_workspace::resource::{Access, Health, PinMode};
use lockgate_workspace::snapshot::KeyPointer;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{World, asks, key, planned, ready, route, seeded, tags, targeted};

/// The rules of `docs/access.md` again, without order of evaluation and without the compiled policy.
fn restated(caller: &Caller, target: &Target<'_>, named: Option<&str>) -> Result<String, Reason> {
    let (identity, snapshot, slug) = (&caller.identity, &caller.snapshot, target.manifest.slug);
    let there: Vec<&KeyPointer> = snapshot
        .keys
        .iter()
        .map(|key| &**key)
        .filter(|key| key.provider == slug && (!key.enabled || key.sealed.is_some()))
        .collect();
    let pin = identity.pins.iter().find(|pin| pin.provider == slug);
    let pinned = pin.and_then(|pin| there.iter().find(|key| key.id == pin.provider_key));
    let candidates: Vec<&KeyPointer> = match (named, pin, pinned) {
        (Some(name), ..) => there
            .iter()
            .copied()
            .filter(|key| key.name == name)
            .collect(),
        (None, None, _) => there.clone(),
        (None, Some(_), Some(key)) if key.enabled => vec![key],
        (None, Some(pin), _) if pin.mode == PinMode::Soft => there.clone(),
        (None, Some(_), key) => key.copied().into_iter().collect(),
    };
    let configuration = identity
        .configuration
        .as_ref()
        .or(snapshot.default_configuration.as_ref());
    let configuration =
        configuration.and_then(|id| snapshot.configurations.iter().find(|live| live.id == *id));
    let circumstances = Circumstances {
        agent: &identity.agent_tags,
        gateway: identity.gateway_tags.as_ref(),
        configuration: configuration.map(|live| &live.tags),
    };
    let roles = || {
        let attached =
            |role: &&std::sync::Arc<lockgate_access::Role>| identity.roles.contains(&role.id);
        snapshot.roles.iter().filter(attached).map(|role| &**role)
    };
    let model = Some(target.model).filter(|model| !model.is_empty());
    let open = snapshot.access == Access::Open;
    let judged = |key: &KeyPointer| {
        let facts = KeyFacts {
            id: &key.id,
            provider: &key.provider,
            name: &key.name,
            tags: &key.tags,
        };
        if open {
            Judgement::Allowed
        } else {
            judge(roles(), &circumstances, model, &facts)
        }
    };
    let enabled: Vec<&KeyPointer> = candidates
        .iter()
        .copied()
        .filter(|key| key.enabled)
        .collect();
    let allowed = enabled
        .iter()
        .copied()
        .filter(|key| judged(key) == Judgement::Allowed);
    let best = allowed.min_by_key(|key| {
        (
            key.health == Health::Invalid,
            Reverse(key.default),
            &key.name,
        )
    });
    if let Some(key) = best {
        return Ok(key.name.clone());
    }
    let absent = judge_absent(roles(), &circumstances, model, slug);
    let any = |wanted| match enabled.is_empty() {
        true => absent == wanted,
        false => enabled.iter().any(|key| judged(key) == wanted),
    };
    Err(if !candidates.is_empty() && enabled.is_empty() {
        Reason::Inactive
    } else if !open && roles().next().is_none() {
        Reason::NoRoleAttached
    } else if !open && any(Judgement::Denied) {
        Reason::DeniedByPolicy
    } else if !open && any(Judgement::TagMismatch) {
        Reason::TagMismatch
    } else if !(open || enabled.is_empty() && absent == Judgement::Allowed) {
        Reason::DeniedByPolicy
    } else if snapshot.seeded.iter().any(|seeded| seeded == slug)
        && !snapshot.keys.iter().any(|key| key.provider == slug)
        && (named.is_some() || pin.is_none_or(|pin| pin.mode == PinMode::Soft))
    {
        Reason::Seeded
    } else {
        Reason::MissingProviderKey
    })
}

fn statements() -> impl Strategy<Value = Value> {
    let condition = prop::sample::select(vec![
        json!({"tags_match": ["environment"]}),
        json!({"tag_equals": {"environment": "a"}}),
        json!({"tag_equals": {"environment": "b"}, "of": "agent"}),
        json!({"not": {"tag_equals": {"environment": "b"}}}),
        json!({"model_in": ["gpt-4o"]}),
        json!({"model_like": ["gpt-*"]}),
        json!({"not": {"model_in": ["gpt-4o"]}}),
    ]);
    let resource = prop::sample::select(vec![
        "*",
        "openai",
        "openai/*",
        "openai/k0",
        "pk_k1",
        "openai/k*",
        "groq/*",
    ]);
    let effect = prop_oneof![4 => Just("allow"), 1 => Just("deny")];
    let statement = (effect, resource, prop::collection::vec(condition, 0..3)).prop_map(
        |(effect, resource, conditions)| {
            json!({"effect": effect, "actions": ["provider-key:*"], "resources": [resource], "conditions": conditions})
        },
    );
    prop::collection::vec(statement, 1..4).prop_map(Value::from)
}

fn environment() -> impl Strategy<Value = lockgate_access::Tags> {
    prop::sample::select(vec![
        tags(&[]),
        tags(&[("environment", "a")]),
        tags(&[("environment", "b")]),
    ])
}

fn worlds() -> impl Strategy<Value = World> {
    let one = (
        environment(),
        0..8_u8,
        any::<bool>(),
        prop::sample::select(vec!["openai", "openai", "openai", "groq"]),
    );
    let keys = prop::collection::vec(one, 0..5);
    let roles = prop::collection::vec((statements(), prop::bool::weighted(0.8)), 0..4);
    let pin = prop::option::weighted(0.4, (0..6_u8, any::<bool>()));
    let around = (
        environment(),
        prop::option::of(environment()),
        any::<bool>(),
        prop::bool::weighted(0.1),
    );
    (keys, roles, pin, around).prop_map(|(keys, roles, pin, (agent, gateway, listed, open))| {
        let mut world = World::empty();
        // As the authority orders them: the default first, then by name.
        for (n, (tags, state, default, provider)) in keys.into_iter().enumerate() {
            let mut key = key(provider, &format!("k{n}"));
            key.tags = tags;
            key.enabled = !matches!(state, 0 | 3);
            key.health = if state == 1 {
                Health::Invalid
            } else {
                Health::Ok
            };
            if matches!(state, 2 | 3) {
                key.sealed = None;
            }
            key.default = default && n == 0;
            world = world.key(key);
        }
        for (n, (statements, attached)) in roles.into_iter().enumerate() {
            world = world.role(&format!("r{n}"), &statements);
            if !attached {
                world.identity.roles.pop();
            }
        }
        if let Some((n, hard)) = pin {
            let mode = if hard { PinMode::Hard } else { PinMode::Soft };
            world = world.pin("openai", &format!("k{n}"), mode);
        }
        world.identity.agent_tags = agent;
        world.identity.gateway_tags = gateway;
        if listed {
            world = seeded(world);
        }
        if open {
            world.snapshot.access = Access::Open;
        }
        world
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn random_worlds_are_decided_as_the_rules_say(
        world in worlds(),
        model in prop::sample::select(vec!["openai/gpt-4o", "openai/o3", ""]),
        named in prop::option::weighted(0.2, 0..6_u8),
    ) {
        let named = named.map(|n| format!("k{n}"));
        let mut world = world;
        if let Some(named) = &named {
            let mut target = planned("openai", None);
            target.provider_key = Some(named.clone());
            world = world.plan(lockgate_workspace::plan::Plan {
                targets: vec![target],
                routes: vec![route("all", &["*"], &[(0, 0, 1)])],
                ..Default::default()
            });
        }
        let caller = world.clone().caller();
        let mut wanted = asks(model);
        if model.is_empty() {
            wanted.names = lockgate_routing::Names::Never;
            wanted.provider = Some("openai");
            wanted.route = named.as_ref().map(|_| "all");
        }
        let target = targeted(&caller, &wanted);
        prop_assert_eq!(target.manifest.slug, "openai");
        let decided = ready(&caller, &target).map(|ready| ready.key.name.clone()).map_err(|no| no.reason);
        prop_assert_eq!(lockgate_routing::can_use(&caller, &target), decided.is_ok());
        prop_assert_eq!(decided, restated(&caller, &target, named.as_deref()));
    }
}

//! The compiled policy against the words of the roles.

use lockgate_access::{
    Circumstances, Effect, Judgement, Policy, Role, Statement, Tags, Test, judge,
};

use crate::world::{Dice, MODELS, World, pool};

fn agrees(world: &World, models: &[Option<&str>]) {
    let keys: Vec<_> = world.keys.iter().map(|key| key.facts()).collect();
    let policy = Policy::new(&world.roles, &world.circumstances(), &keys);
    for model in models {
        let mut ask = policy.ask(*model);
        // Twice, since the second time it remembers.
        for (at, key) in keys.iter().enumerate().chain(keys.iter().enumerate()) {
            let judged = judge(&world.roles, &world.circumstances(), *model, key);
            let context = (model, key);
            assert_eq!(
                ask.allows(at),
                judged == Judgement::Allowed,
                "{context:?}: {world:#?}"
            );
        }
        assert!(!ask.allows(keys.len()));
        assert!(!ask.allows(usize::MAX));
    }
}

fn all_models() -> Vec<Option<&'static str>> {
    MODELS
        .iter()
        .map(|model| Some(*model))
        .chain([None])
        .collect()
}

#[test]
fn allows_what_is_judged_allowed() {
    let mut dice = Dice(1);
    let statements = pool(&mut dice, 5_000, 4);
    for _ in 0..20_000 {
        agrees(&World::random(&mut dice, &statements), &all_models());
    }
}

/// More keys than a word has bits, and more conditions on models than an [`Ask`](lockgate_access::Ask) remembers.
#[test]
fn large_worlds_are_no_different() {
    let mut dice = Dice(2);
    let mut statements = pool(&mut dice, 2_000, 4);
    for (number, statement) in statements.iter_mut().enumerate() {
        for condition in &mut statement.conditions {
            if let Test::ModelIn(models) | Test::ModelLike(models) = &mut condition.test {
                models.push(format!("model-{number}*"));
            }
        }
    }
    for _ in 0..5 {
        let mut world = World::random(&mut dice, &statements);
        world.keys = (0..40)
            .flat_map(|_| World::random(&mut dice, &statements).keys)
            .collect();
        for at in (0..statements.len()).step_by(100) {
            world.roles.push(Role {
                id: format!("role_{at}"),
                name: at.to_string(),
                statements: statements[at..at + 100]
                    .iter()
                    .filter(|_| dice.percent(70))
                    .cloned()
                    .collect(),
            });
        }
        assert!(world.keys.len() > 64);
        agrees(&world, &all_models());
        agrees(&world, &[Some("model-7"), Some("model-1999")]);
        // Denies rule in so large a world; without them the allows show.
        for role in &mut world.roles {
            role.statements.retain(|one| one.effect == Effect::Allow);
        }
        agrees(&world, &all_models());
    }
}

#[test]
fn an_open_policy_allows_every_key() {
    let policy = Policy::open(3);
    assert!(!policy.has_roles());
    let mut ask = policy.ask(Some("gpt-4o"));
    assert_eq!(
        [0, 1, 2, 3].map(|key| ask.allows(key)),
        [true, true, true, false]
    );
    assert!(policy.ask(None).allows(2));
}

#[test]
fn a_role_without_statements_is_a_role() {
    let empty = Tags::new();
    let circumstances = Circumstances {
        agent: &empty,
        gateway: None,
        configuration: None,
    };
    assert!(!Policy::new([], &circumstances, &[]).has_roles());
    let role = Role {
        id: "role_a".to_owned(),
        name: "a".to_owned(),
        statements: Vec::<Statement>::new(),
    };
    assert!(Policy::new([&role], &circumstances, &[]).has_roles());
}

//! What is said of a key that is not there, against every key that could be.

use lockgate_access::{Effect, Judgement, Role, Statement, Tags, judge, judge_absent};

use crate::world::{Dice, Key, PROVIDERS, TAGS, VALUES, World, model, pool};

/// Keys with every combination of tags, under names and ids that meet the patterns of the worlds and some that do not.
fn candidates(provider: &str) -> Vec<Key> {
    let mut tagged = vec![Tags::new()];
    for key in TAGS {
        let without = tagged.clone();
        for value in VALUES.into_iter().chain(["none of these"]) {
            tagged.extend(without.iter().cloned().map(|mut tags| {
                tags.insert(key.to_owned(), value.to_owned());
                tags
            }));
        }
    }
    let called = [
        ("prod-us", "pk_new"),
        ("prod", "pk_new"),
        ("b", "pk_prod"),
        ("pk_b", "pk_new"),
        ("openai/", "pk_new"),
        ("-openai/us", "pk_new"),
        ("x", "pk_new"),
    ];
    called
        .into_iter()
        .flat_map(|(name, id)| {
            tagged.iter().map(move |tags| Key {
                id: id.to_owned(),
                provider: provider.to_owned(),
                name: name.to_owned(),
                tags: tags.clone(),
            })
        })
        .collect()
}

fn role(statements: &[Statement]) -> Role {
    Role {
        id: "role_a".to_owned(),
        name: "a".to_owned(),
        statements: statements.to_vec(),
    }
}

/// What a statement is to all keys that could be, found by trying them.
fn tried(statement: &Statement, world: &World, model: Option<&str>, keys: &[Key]) -> Judgement {
    let role = role(std::slice::from_ref(statement));
    let mut judged = keys
        .iter()
        .map(|key| judge([&role], &world.circumstances(), model, &key.facts()));
    match statement.effect {
        Effect::Deny if judged.all(|one| one == Judgement::Denied) => Judgement::Denied,
        Effect::Deny => Judgement::NoStatement,
        // A mismatch of one key's tags counts only where no key's tags would do.
        Effect::Allow => judged.fold(Judgement::NoStatement, |best, one| match (best, one) {
            (Judgement::Allowed, _) | (_, Judgement::NoStatement) => best,
            _ => one,
        }),
    }
}

/// With one condition a statement, trying every key is exact.
#[test]
fn says_what_trying_every_key_says() {
    let mut dice = Dice(3);
    let statements = pool(&mut dice, 3_000, 1);
    let mut counts = [0; 4];
    for number in 0..400 {
        let provider = dice.pick(&PROVIDERS);
        let keys = candidates(provider);
        let world = World::random(&mut dice, &statements);
        let model = model(&mut dice);
        let tried: Vec<_> = world
            .roles
            .iter()
            .flat_map(|role| &role.statements)
            .map(|statement| tried(statement, &world, model, &keys))
            .collect();
        let expected = [
            Judgement::Denied,
            Judgement::Allowed,
            Judgement::TagMismatch,
        ]
        .into_iter()
        .find(|judgement| tried.contains(judgement))
        .unwrap_or(Judgement::NoStatement);
        let said = judge_absent(&world.roles, &world.circumstances(), model, provider);
        assert_eq!(
            said, expected,
            "world {number}, {provider}, {model:?}: {world:#?}"
        );
        counts[said as usize] += 1;
    }
    assert!(counts.iter().all(|count| *count >= 5), "{counts:?}");
}

/// However many conditions there are: where one key would do, the answer is not that none would.
#[test]
fn never_rules_out_a_key_that_would_do() {
    let mut dice = Dice(5);
    let statements = pool(&mut dice, 3_000, 4);
    for number in 0..200 {
        let provider = dice.pick(&PROVIDERS);
        let world = World::random(&mut dice, &statements);
        let model = model(&mut dice);
        let said = judge_absent(&world.roles, &world.circumstances(), model, provider);
        for key in candidates(provider) {
            let judged = judge(&world.roles, &world.circumstances(), model, &key.facts());
            let sound = match judged {
                Judgement::Allowed => said == Judgement::Allowed,
                Judgement::Denied => true,
                Judgement::TagMismatch | Judgement::NoStatement => said != Judgement::Denied,
            };
            assert!(
                sound,
                "world {number}, {model:?}, {key:?} is {judged:?}, said {said:?}: {world:#?}"
            );
        }
    }
}

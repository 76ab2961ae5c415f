//! Ours against Cedar's: each statement is translated to a Cedar policy, and every judgement has to be the same.

use std::cell::LazyCell;
use std::collections::HashMap;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy,
    PolicyId, PolicySet, Request, RestrictedExpression,
};
use lockgate_access::{
    Bearer, Condition, Effect, Judgement, Statement, Tags, Test, USE_PROVIDER_KEY, judge,
};
use serde_json::{Value, json};

use crate::world::{Dice, MOST_KEYS, World, model, pool};

const WORLDS: usize = 100_000;
/// Translating costs more than judging, so the worlds draw their statements from so many.
const STATEMENTS: usize = 6_000;

fn var(name: &str) -> Value {
    json!({ "Var": name })
}

fn attr(of: Value, name: &str) -> Value {
    json!({ ".": { "left": of, "attr": name } })
}

fn has(of: Value, name: &str) -> Value {
    json!({ "has": { "left": of, "attr": name } })
}

fn not(value: Value) -> Value {
    json!({ "!": { "arg": value } })
}

fn binary(operator: &str, left: Value, right: Value) -> Value {
    json!({ operator: { "left": left, "right": right } })
}

fn all(values: impl IntoIterator<Item = Value>) -> Value {
    let both = |left, right| binary("&&", left, right);
    values
        .into_iter()
        .reduce(both)
        .unwrap_or(json!({ "Value": true }))
}

fn any(values: impl IntoIterator<Item = Value>) -> Value {
    let either = |left, right| binary("||", left, right);
    values
        .into_iter()
        .reduce(either)
        .unwrap_or(json!({ "Value": false }))
}

/// Cedar's `like`, whose pattern has wildcards and literals apart, so that no character of ours needs an escape.
fn like(text: Value, glob: &str) -> Value {
    let mut pattern = Vec::new();
    for (at, literal) in glob.split('*').enumerate() {
        if at > 0 {
            pattern.push(json!("Wildcard"));
        }
        if !literal.is_empty() {
            pattern.push(json!({ "Literal": literal }));
        }
    }
    json!({ "like": { "left": text, "pattern": pattern } })
}

fn one_of(text: Value, values: &[String]) -> Value {
    let set: Vec<_> = values
        .iter()
        .map(|value| json!({ "Value": value }))
        .collect();
    binary("contains", json!({ "Set": set }), text)
}

fn like_any(text: &Value, globs: &[String]) -> Value {
    any(globs.iter().map(|glob| like(text.clone(), glob)))
}

/// The record of a bearer's tags, and whether it is there at all.
fn tags(bearer: Bearer) -> (Value, Value) {
    let always = json!({ "Value": true });
    match bearer {
        Bearer::ProviderKey => (always, attr(var("resource"), "tags")),
        Bearer::Agent => (always, attr(var("principal"), "tags")),
        Bearer::Gateway | Bearer::Configuration => {
            let name = bearer.name();
            (has(var("context"), name), attr(var("context"), name))
        }
    }
}

fn tag_test<'a, T: 'a>(
    bearer: Bearer,
    wanted: impl IntoIterator<Item = (&'a String, &'a T)>,
    fits: impl Fn(Value, &T) -> Value,
) -> Value {
    let (there, record) = tags(bearer);
    let each = wanted.into_iter().map(|(key, wanted)| {
        all([
            has(record.clone(), key),
            fits(attr(record.clone(), key), wanted),
        ])
    });
    all([there].into_iter().chain(each))
}

fn tags_match(key: &str) -> Value {
    let (_, agent) = tags(Bearer::Agent);
    let agrees = |bearer| {
        let (there, record) = tags(bearer);
        let equal = binary("==", attr(record.clone(), key), attr(agent.clone(), key));
        any([not(there), all([has(record, key), equal])])
    };
    all([
        has(agent.clone(), key),
        agrees(Bearer::ProviderKey),
        agrees(Bearer::Gateway),
        agrees(Bearer::Configuration),
    ])
}

fn is_on_model(test: &Test) -> bool {
    matches!(test, Test::ModelIn(_) | Test::ModelLike(_))
}

fn condition(condition: &Condition, effect: Effect) -> Value {
    let text = attr(var("context"), "model");
    let test = match &condition.test {
        Test::TagEquals(bearer, wanted) => tag_test(*bearer, wanted, |text, value| {
            binary("==", text, json!({ "Value": value }))
        }),
        Test::TagIn(bearer, wanted) => {
            tag_test(*bearer, wanted, |text, values| one_of(text, values))
        }
        Test::TagLike(bearer, wanted) => {
            tag_test(*bearer, wanted, |text, globs| like_any(&text, globs))
        }
        Test::TagsMatch(keys) => all(keys.iter().map(|key| tags_match(key))),
        Test::ModelIn(models) => one_of(text, models),
        Test::ModelLike(globs) => like_any(&text, globs),
    };
    let test = if condition.negated { not(test) } else { test };
    let named = has(var("context"), "model");
    match effect {
        _ if !is_on_model(&condition.test) => test,
        Effect::Allow => all([named, test]),
        Effect::Deny => any([not(named), test]),
    }
}

fn resource(pattern: &str) -> Value {
    let names = if pattern.contains('/') {
        ["path_of_name", "path_of_id"]
    } else {
        ["provider", "id"]
    };
    any(names.map(|name| like(attr(var("resource"), name), pattern)))
}

/// The policy that says what `statement` does by those of its conditions that `count`.
fn policy(statement: &Statement, count: impl Fn(&Test) -> bool) -> Policy {
    let action = attr(var("context"), "action");
    let conditions = statement.conditions.iter().filter(|one| count(&one.test));
    let body = all([
        like_any(&action, &statement.actions),
        any(statement.resources.iter().map(|pattern| resource(pattern))),
        all(conditions.map(|one| condition(one, statement.effect))),
    ]);
    let policy = json!({
        "effect": match statement.effect { Effect::Allow => "permit", Effect::Deny => "forbid" },
        "principal": { "op": "All" },
        "action": { "op": "All" },
        "resource": { "op": "All" },
        "conditions": [{ "kind": "when", "body": body }],
    });
    Policy::from_json(None, policy).unwrap()
}

/// The policies at these places of `pool`.
fn policies<'p>(pool: &'p [Policy], places: impl IntoIterator<Item = &'p usize>) -> PolicySet {
    let policies = places.into_iter().enumerate();
    PolicySet::from_policies(
        policies.map(|(id, at)| pool[*at].new_id(PolicyId::new(id.to_string()))),
    )
    .unwrap()
}

fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn record(tags: &Tags) -> RestrictedExpression {
    RestrictedExpression::new_record(tags.iter().map(|(key, value)| (key.clone(), string(value))))
        .unwrap()
}

/// Names of entities, read once.
struct Names {
    agent: EntityUid,
    action: EntityUid,
    keys: Vec<EntityUid>,
}

impl Names {
    fn new() -> Self {
        let name = |kind: &str, id: usize| {
            let kind: EntityTypeName = kind.parse().unwrap();
            EntityUid::from_type_name_and_id(kind, EntityId::new(id.to_string()))
        };
        Self {
            agent: name("Agent", 0),
            action: name("Action", 0),
            keys: (0..MOST_KEYS).map(|key| name("ProviderKey", key)).collect(),
        }
    }
}

/// The agent and the keys, whose ids are their places as two keys of a world may look quite the same.
fn entities(world: &World, names: &Names) -> Entities {
    let entity = |uid, attributes: HashMap<String, RestrictedExpression>| {
        Entity::new(uid, attributes, [].into()).unwrap()
    };
    let agent = HashMap::from([("tags".to_owned(), record(&world.agent))]);
    let keys = world.keys.iter().enumerate().map(|(at, key)| {
        let attributes = [
            ("tags", record(&key.tags)),
            ("id", string(&key.id)),
            ("provider", string(&key.provider)),
            (
                "path_of_name",
                string(&format!("{}/{}", key.provider, key.name)),
            ),
            (
                "path_of_id",
                string(&format!("{}/{}", key.provider, key.id)),
            ),
        ];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
        entity(names.keys[at].clone(), attributes.into())
    });
    let entities = keys.chain([entity(names.agent.clone(), agent)]);
    Entities::from_entities(entities, None).unwrap()
}

fn request(world: &World, names: &Names, key: usize, model: Option<&str>) -> Request {
    let action = [("action".to_owned(), string(USE_PROVIDER_KEY))];
    let model = model.map(|model| ("model".to_owned(), string(model)));
    let tags = [
        ("gateway", &world.gateway),
        ("configuration", &world.configuration),
    ]
    .into_iter()
    .filter_map(|(name, tags)| Some((name.to_owned(), record(tags.as_ref()?))));
    Request::new(
        names.agent.clone(),
        names.action.clone(),
        names.keys[key].clone(),
        Context::from_pairs(action.into_iter().chain(model).chain(tags)).unwrap(),
        None,
    )
    .unwrap()
}

#[test]
fn judges_as_cedar_does() {
    let authorizer = Authorizer::new();
    let names = Names::new();
    let mut dice = Dice(4);
    let statements = pool(&mut dice, STATEMENTS, 3);
    let full: Vec<_> = statements.iter().map(|one| policy(one, |_| true)).collect();
    let untagged: Vec<_> = statements
        .iter()
        .map(|one| policy(one, is_on_model))
        .collect();
    let mut counts = HashMap::new();
    let mut asked = 0;
    for number in 0..WORLDS {
        let world = World::random(&mut dice, &statements);
        let entities = entities(&world, &names);
        let full = policies(&full, &world.drawn);
        let allows = |at: &&usize| statements[**at].effect == Effect::Allow;
        let untagged = LazyCell::new(|| policies(&untagged, world.drawn.iter().filter(allows)));
        for (at, key) in world.keys.iter().enumerate() {
            let model = model(&mut dice);
            let request = request(&world, &names, at, model);
            let answer = authorizer.is_authorized(&request, &full, &entities);
            assert_eq!(
                answer.diagnostics().errors().count(),
                0,
                "world {number}: {world:#?}"
            );
            let theirs = if answer.decision() == Decision::Allow {
                Judgement::Allowed
            } else if answer.diagnostics().reason().next().is_some() {
                Judgement::Denied
            } else {
                match authorizer
                    .is_authorized(&request, &untagged, &entities)
                    .decision()
                {
                    Decision::Allow => Judgement::TagMismatch,
                    Decision::Deny => Judgement::NoStatement,
                }
            };
            let ours = judge(&world.roles, &world.circumstances(), model, &key.facts());
            assert_eq!(
                ours, theirs,
                "world {number}, key {at}, model {model:?}: {world:#?}"
            );
            *counts.entry(format!("{theirs:?}")).or_insert(0) += 1;
            asked += 1;
        }
    }
    println!("{WORLDS} worlds, {asked} requests: {counts:?}");
    for (judgement, percent) in [
        ("Allowed", 10),
        ("Denied", 10),
        ("NoStatement", 10),
        ("TagMismatch", 5),
    ] {
        assert!(
            counts[judgement] * 100 >= asked * percent,
            "{judgement} is too rare: {counts:?}"
        );
    }
}

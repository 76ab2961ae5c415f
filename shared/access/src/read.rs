//! Statements in the JSON of `/api/roles` (FEATURES B2, B3): reading with every limit, and writing. What is stored is read
//! the same way, so nothing gets in by another door.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json::{Echo, Node, Place};
use crate::{Bearer, Condition, Effect, Invalid, Statement, Test, USE_PROVIDER_KEY};

/// Statements of one role.
const MAX_STATEMENTS: usize = 100;
/// Conditions of one statement.
const MAX_CONDITIONS: usize = 50;
/// Entries of any other list, and tags of one test.
const MAX_ENTRIES: usize = 50;
/// Characters of a string.
const MAX_CHARS: usize = 256;
/// Characters of a tag's key.
const MAX_KEY_CHARS: usize = 128;
/// How deep `not` may stand in `not`.
const MAX_NOT: usize = 8;

/// Reads and checks the JSON text of a list of statements.
///
/// # Errors
/// The first [`Invalid`] found.
pub fn read(json: &str) -> Result<Vec<Statement>, Invalid> {
    let place = Place::Root("statements");
    let node: Node<'_> = serde_json::from_str(json)
        .map_err(|error| place.wrong(format!("this is not JSON: {error}")))?;
    node.items(MAX_STATEMENTS, &place)?
        .iter()
        .enumerate()
        .map(|(at, node)| statement(node, &Place::Item(&place, at)))
        .collect()
}

impl<'de> Deserialize<'de> for Statement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        statement(&node, &Place::Root("statement")).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Condition {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        condition(&node, 0, &Place::Root("condition")).map_err(D::Error::custom)
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.negated {
            return Plain(&self.test).serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("not", &Plain(&self.test))?;
        map.end()
    }
}

/// A condition without its `not`.
struct Plain<'a>(&'a Test);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let of = match self.0 {
            Test::TagEquals(of, tags) => map.serialize_entry("tag_equals", tags).map(|()| *of),
            Test::TagIn(of, tags) => map.serialize_entry("tag_in", tags).map(|()| *of),
            Test::TagLike(of, tags) => map.serialize_entry("tag_like", tags).map(|()| *of),
            Test::TagsMatch(keys) => map
                .serialize_entry("tags_match", keys)
                .map(|()| Bearer::default()),
            Test::ModelIn(models) => map
                .serialize_entry("model_in", models)
                .map(|()| Bearer::default()),
            Test::ModelLike(globs) => map
                .serialize_entry("model_like", globs)
                .map(|()| Bearer::default()),
        }?;
        if of != Bearer::default() {
            map.serialize_entry("of", &of)?;
        }
        map.end()
    }
}

fn statement(node: &Node<'_>, place: &Place<'_>) -> Result<Statement, Invalid> {
    let [effect, actions, resources, conditions] =
        node.fields(["effect", "actions", "resources", "conditions"], place)?;
    let missing = |name| place.wrong(format!("the field {name} is missing"));
    let effect = effect.ok_or_else(|| missing("effect"))?;
    let actions = actions.ok_or_else(|| missing("actions"))?;
    let resources = resources.ok_or_else(|| missing("resources"))?;
    let inner = Place::Field(place, "effect");
    let effect = match effect.text(&inner)? {
        "allow" => Effect::Allow,
        "deny" => Effect::Deny,
        other => return Err(inner.wrong(format!("{} is neither allow nor deny", Echo(other)))),
    };
    let inner = Place::Field(place, "conditions");
    let conditions = conditions
        .map_or(Ok([].as_slice()), |node| node.items(MAX_CONDITIONS, &inner))?
        .iter()
        .enumerate()
        .map(|(at, node)| condition(node, 0, &Place::Item(&inner, at)))
        .collect::<Result<_, _>>()?;
    Ok(Statement {
        effect,
        actions: list(actions, &Place::Field(place, "actions"), action)?,
        resources: list(resources, &Place::Field(place, "resources"), string)?,
        conditions,
    })
}

/// What a condition is made of: whose tags, and then the tests, of which it is one.
const FIELDS: [&str; 8] = [
    "of",
    "tag_equals",
    "tag_in",
    "tag_like",
    "tags_match",
    "model_in",
    "model_like",
    "not",
];

fn condition(node: &Node<'_>, depth: usize, place: &Place<'_>) -> Result<Condition, Invalid> {
    let [of, tests @ ..] = node.fields(FIELDS, place)?;
    let [_, names @ ..] = FIELDS;
    let mut found = names
        .into_iter()
        .zip(tests)
        .filter_map(|(name, test)| Some((name, test?)));
    let (Some((name, test)), None) = (found.next(), found.next()) else {
        let found = tests.iter().flatten().count();
        let names = names.join(", ");
        return Err(place.wrong(format!(
            "there are {found} tests; a condition is exactly one of {names}"
        )));
    };
    let bearer = match of {
        None => Bearer::default(),
        Some(of) if matches!(name, "tag_equals" | "tag_in" | "tag_like") => {
            bearer(of, &Place::Field(place, "of"))?
        }
        Some(_) => {
            return Err(Place::Field(place, "of")
                .wrong(format!("this does not go with {name}; leave it out")));
        }
    };
    let place = &Place::Field(place, name);
    let test = match name {
        "tag_equals" => Test::TagEquals(bearer, tags(test, place, value)?),
        "tag_in" => Test::TagIn(
            bearer,
            tags(test, place, |node, place| list(node, place, value))?,
        ),
        "tag_like" => Test::TagLike(
            bearer,
            tags(test, place, |node, place| one_or_list(node, place, value))?,
        ),
        "tags_match" => Test::TagsMatch(one_or_list(test, place, key)?),
        "model_in" => Test::ModelIn(one_or_list(test, place, string)?),
        "model_like" => Test::ModelLike(one_or_list(test, place, string)?),
        _ if depth == MAX_NOT => {
            return Err(place.wrong(format!(
                "this stands in {MAX_NOT} others already; leave two out, as they cancel out"
            )));
        }
        _ => {
            let inner = condition(test, depth + 1, place)?;
            return Ok(Condition {
                negated: !inner.negated,
                test: inner.test,
            });
        }
    };
    Ok(Condition {
        negated: false,
        test,
    })
}

fn bearer(node: &Node<'_>, place: &Place<'_>) -> Result<Bearer, Invalid> {
    let name = node.text(place)?;
    Bearer::ALL
        .into_iter()
        .find(|bearer| bearer.name() == name)
        .ok_or_else(|| {
            let names = Bearer::ALL.map(Bearer::name).join(", ");
            place.wrong(format!("{} is none of {names}", Echo(name)))
        })
}

/// An object of tags, whose values `read` reads.
fn tags<T>(
    node: &Node<'_>,
    place: &Place<'_>,
    read: impl Fn(&Node<'_>, &Place<'_>) -> Result<T, Invalid>,
) -> Result<BTreeMap<String, T>, Invalid> {
    let mut tags = BTreeMap::new();
    for (name, node) in filled(node.entries(MAX_ENTRIES, place)?, place)? {
        let inner = Place::Field(place, name);
        within(name, 1, MAX_KEY_CHARS, &inner)?;
        if tags
            .insert(name.clone().into_owned(), read(node, &inner)?)
            .is_some()
        {
            return Err(place.repeated(name));
        }
    }
    Ok(tags)
}

/// A list of strings, which `read` reads.
fn list(
    node: &Node<'_>,
    place: &Place<'_>,
    read: impl Fn(&Node<'_>, &Place<'_>) -> Result<String, Invalid>,
) -> Result<Vec<String>, Invalid> {
    filled(node.items(MAX_ENTRIES, place)?, place)?
        .iter()
        .enumerate()
        .map(|(at, node)| read(node, &Place::Item(place, at)))
        .collect()
}

/// The same, where a single string may stand for a list of it.
fn one_or_list(
    node: &Node<'_>,
    place: &Place<'_>,
    read: impl Fn(&Node<'_>, &Place<'_>) -> Result<String, Invalid>,
) -> Result<Vec<String>, Invalid> {
    match node {
        Node::Text(_) => read(node, place).map(|text| vec![text]),
        Node::List(_) => list(node, place, read),
        _ => Err(node.is_not("a string or a list of strings", place)),
    }
}

/// A tag's value or a glob over it: any string that is not too long.
fn value(node: &Node<'_>, place: &Place<'_>) -> Result<String, Invalid> {
    bounded(node, 0, MAX_CHARS, place)
}

/// A resource or a model, or a glob over them.
fn string(node: &Node<'_>, place: &Place<'_>) -> Result<String, Invalid> {
    bounded(node, 1, MAX_CHARS, place)
}

/// A tag's key.
fn key(node: &Node<'_>, place: &Place<'_>) -> Result<String, Invalid> {
    bounded(node, 1, MAX_KEY_CHARS, place)
}

/// A glob over actions.
fn action(node: &Node<'_>, place: &Place<'_>) -> Result<String, Invalid> {
    let text = string(node, place)?;
    let strange = |c: &char| !matches!(c, 'a'..='z' | '0'..='9' | ':' | '*' | '_' | '-');
    if let Some(c) = text.chars().find(strange) {
        return Err(place.wrong(format!(
            "the action {} has the character {c:?}; an action is of a-z, 0-9, `:`, `_`, `-` and `*`, such as {USE_PROVIDER_KEY}",
            Echo(&text)
        )));
    }
    Ok(text)
}

fn bounded(
    node: &Node<'_>,
    least: usize,
    most: usize,
    place: &Place<'_>,
) -> Result<String, Invalid> {
    let text = node.text(place)?;
    within(text, least, most, place)?;
    Ok(text.to_owned())
}

/// Refuses a string with fewer or more characters.
fn within(text: &str, least: usize, most: usize, place: &Place<'_>) -> Result<(), Invalid> {
    let count = text.chars().count();
    if count < least {
        return Err(place.wrong("this string is empty; a name or a pattern is wanted"));
    }
    if count > most {
        return Err(place.wrong(format!(
            "{} has {count} characters; at most {most} are taken",
            Echo(text)
        )));
    }
    Ok(())
}

/// Refuses what has no entries.
fn filled<'n, T>(entries: &'n [T], place: &Place<'_>) -> Result<&'n [T], Invalid> {
    if entries.is_empty() {
        return Err(place.wrong("this is empty; at least one entry is wanted"));
    }
    Ok(entries)
}

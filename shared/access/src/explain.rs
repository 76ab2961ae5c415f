//! Saying why a key may or may not be used: the statements that decided or nearly did, and the tags side by side.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::because::because;
use crate::hold::{Truth, wanted};
use crate::judge::{Bearing, Case, Subject};
use crate::{Bearer, Circumstances, Effect, KeyFacts, Role, Statement};

/// So many statements are shown at most.
const MAX_NOTES: usize = 20;
/// So many tags are.
const MAX_ROWS: usize = 50;

/// Why, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The statements that decided or nearly did, at most 20, those that decided first.
    pub statements: Vec<Note>,
    /// The tags that those about the key looked at, side by side, by their keys; at most 50.
    pub tags: Vec<TagRow>,
}

/// What one statement did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The role's name.
    pub role: String,
    /// `role_…`
    pub role_id: String,
    /// Its place in the role, from 0.
    pub statement: usize,
    /// Its effect.
    pub effect: Effect,
    /// Its globs over actions.
    pub actions: Vec<String>,
    /// Its patterns over keys.
    pub resources: Vec<String>,
    /// Whether it applied.
    pub applied: bool,
    /// What it did, or why it did not apply, in a sentence.
    pub because: String,
}

/// One tag, side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagRow {
    /// The tag's key.
    pub key: String,
    /// On the agent.
    pub agent: Option<String>,
    /// On the gateway in play.
    pub gateway: Option<String>,
    /// On the configuration in play.
    pub configuration: Option<String>,
    /// On the provider key.
    pub provider_key: Option<String>,
    /// Whether nothing on it stands in the way: no condition of an allow that does not hold but for tags, none of a deny
    /// that applies. What depends on a key that is not there stands in no way.
    pub agree: bool,
}

/// Why `key` may or may not be used for `model`; without a key, why one of `provider` could or could not be.
#[must_use]
pub fn explain<'r>(
    roles: impl IntoIterator<Item = &'r Role>,
    circumstances: &Circumstances<'_>,
    model: Option<&str>,
    provider: &str,
    key: Option<&KeyFacts<'_>>,
) -> Explanation {
    let subject = key.map_or(Subject::AnyOf(provider), |key| Subject::Key(*key));
    let case = Case::new(circumstances, model, subject);
    let mut about = Vec::new();
    let mut agree = BTreeMap::new();
    for role in roles {
        for (place, statement) in role.statements.iter().enumerate() {
            let bearing = case.bearing(statement);
            if bearing != Bearing::Elsewhere {
                about.push((role, place, statement, bearing));
                look_at(statement, bearing, &case, &mut agree);
            }
        }
    }
    about.sort_by_key(|(_, _, statement, bearing)| rank(statement.effect, *bearing));
    about.truncate(MAX_NOTES);
    let note = |(role, place, statement, bearing): (&Role, usize, &Statement, Bearing)| Note {
        role: role.name.clone(),
        role_id: role.id.clone(),
        statement: place,
        effect: statement.effect,
        actions: statement.actions.clone(),
        resources: statement.resources.clone(),
        applied: bearing == Bearing::Applies,
        because: because(&case, statement, bearing),
    };
    Explanation {
        statements: about.into_iter().map(note).collect(),
        tags: rows(agree, &case),
    }
}

/// The order in which statements are shown.
fn rank(effect: Effect, bearing: Bearing) -> usize {
    match (effect, bearing) {
        (Effect::Deny, Bearing::Applies) => 0,
        (Effect::Allow, Bearing::Applies) => 1,
        (Effect::Allow, Bearing::TagsDiffer) => 2,
        (Effect::Allow, _) => 3,
        (Effect::Deny, _) => 4,
    }
}

/// Notes in `agree` the tags that `statement` looks at, and whether they stand in the way.
fn look_at<'a>(
    statement: &'a Statement,
    bearing: Bearing,
    case: &Case<'_>,
    agree: &mut BTreeMap<&'a str, bool>,
) {
    for condition in &statement.conditions {
        let whole = case.scene.holds(condition);
        for (key, wanted) in wanted(&condition.test) {
            // All tags of a test have to be as it wants, so each counts by itself; under a `not` they count together.
            let holds = if condition.negated {
                whole
            } else {
                case.scene.tag(key, &wanted)
            };
            let in_the_way = match (statement.effect, bearing) {
                (Effect::Allow, Bearing::TagsDiffer) => holds == Truth::No,
                (Effect::Deny, Bearing::Applies) => true,
                _ => false,
            };
            *agree.entry(key).or_insert(true) &= !in_the_way;
        }
    }
}

/// The rows, of which those that stand in the way are shown before others.
fn rows(agree: BTreeMap<&str, bool>, case: &Case<'_>) -> Vec<TagRow> {
    let mut agree: Vec<_> = agree.into_iter().collect();
    agree.sort_by_key(|(_, agree)| *agree);
    agree.truncate(MAX_ROWS);
    agree.sort_unstable();
    let row = |(key, agree): (&str, bool)| {
        let on = |bearer| case.scene.tags(bearer)?.get(key).cloned();
        TagRow {
            key: key.to_owned(),
            agent: on(Bearer::Agent),
            gateway: on(Bearer::Gateway),
            configuration: on(Bearer::Configuration),
            provider_key: on(Bearer::ProviderKey),
            agree,
        }
    };
    agree.into_iter().map(row).collect()
}

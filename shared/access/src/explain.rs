//! Saying why a key may or may not be used: the statements that decided or nearly did, and the tags side by side.

use serde::Serialize;

use crate::judge::{Bearing, Case, Subject};
use crate::{Circumstances, Effect, KeyFacts, Role};

/// So many statements are shown at most.
const MAX_NOTES: usize = 20;

/// Why, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The statements that decided or nearly did.
    pub statements: Vec<Note>,
    /// The tags that conditions looked at, side by side.
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
    /// Whether the conditions that look at it hold.
    pub agree: bool,
}

/// Why `key` may or may not be used for `model`; without a key, why one of `provider` could or could not.
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
    let mut statements = Vec::new();
    for role in roles {
        for (at, statement) in role.statements.iter().enumerate() {
            let bearing = case.bearing(statement);
            if bearing == Bearing::Elsewhere {
                continue;
            }
            statements.push(Note {
                role: role.name.clone(),
                role_id: role.id.clone(),
                statement: at,
                effect: statement.effect,
                actions: statement.actions.clone(),
                resources: statement.resources.clone(),
                applied: bearing == Bearing::Applies,
                because: match bearing {
                    Bearing::Applies => "it applies".to_owned(),
                    _ => "its conditions do not hold".to_owned(),
                },
            });
        }
    }
    statements.sort_by_key(|note| !note.applied);
    statements.truncate(MAX_NOTES);
    Explanation {
        statements,
        tags: Vec::new(),
    }
}

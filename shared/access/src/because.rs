//! What a statement did, or why it did nothing, in a sentence without its full stop.

use std::fmt::{self, Write as _};

use crate::hold::{Truth, Values, Wanted, about_model, shared, wanted};
use crate::json::Echo;
use crate::judge::{Bearing, Case, Subject};
use crate::{Bearer, Condition, Effect, Statement, Test};

/// So many reasons are given for one statement.
const MAX_REASONS: usize = 3;
/// So many values of a list are named.
const MAX_VALUES: usize = 5;

/// What `statement`, which is about the key of this case, does.
pub(crate) fn because(case: &Case<'_>, statement: &Statement, bearing: Bearing) -> String {
    let mut reasons = Vec::new();
    let mut clauses = String::new();
    let mut nameless = false;
    for condition in &statement.conditions {
        let on_model = about_model(&condition.test);
        match case.scene.holds(condition) {
            Truth::Yes => {}
            Truth::No if on_model => reasons.push(model_differs(case, condition)),
            Truth::No => tags_differ(case, condition, statement.effect, &mut reasons),
            Truth::Unknown if on_model => nameless = true,
            Truth::Unknown => clauses.push_str(&clause(case, condition)),
        }
    }
    if nameless && statement.effect == Effect::Allow {
        reasons.push("the request names no model".to_owned());
    }
    if !reasons.is_empty() {
        let more = reasons.len().saturating_sub(MAX_REASONS);
        reasons.truncate(MAX_REASONS);
        if more > 0 {
            reasons.push(format!("and {more} more"));
        }
        return reasons.join("; ");
    }
    let does = match (case.subject, statement.effect) {
        (Subject::Key(key), Effect::Allow) => {
            format!("allows {}/{}", Word(key.provider), Word(key.name))
        }
        (Subject::Key(key), Effect::Deny) => {
            format!("forbids {}/{}", Word(key.provider), Word(key.name))
        }
        (Subject::AnyOf(provider), Effect::Allow) => {
            format!("would allow a key of {}", Word(provider))
        }
        (Subject::AnyOf(provider), Effect::Deny) if bearing == Bearing::Applies => {
            format!("forbids every key of {}", Word(provider))
        }
        (Subject::AnyOf(provider), Effect::Deny) => {
            format!("would forbid a key of {}", Word(provider))
        }
    };
    let nameless = if nameless {
        ", as the request names no model"
    } else {
        ""
    };
    format!("{does}{clauses}{nameless}")
}

/// Why a condition on the model does not hold.
fn model_differs(case: &Case<'_>, condition: &Condition) -> String {
    let model = Word(case.scene.model.unwrap_or_default());
    let (is, list) = match &condition.test {
        Test::ModelIn(models) => ("among", models.as_slice()),
        Test::ModelLike(globs) => ("like", globs.as_slice()),
        _ => ("", [].as_slice()),
    };
    let list = Words(list);
    if condition.negated {
        format!("the model {model} is {is} {list}, which is excluded")
    } else {
        format!("the model {model} is not {is} {list}")
    }
}

/// Why a condition on tags does not hold.
fn tags_differ(case: &Case<'_>, condition: &Condition, effect: Effect, reasons: &mut Vec<String>) {
    let tags = wanted(&condition.test);
    if condition.negated {
        let tags: Vec<_> = tags
            .map(|(key, wanted)| found(case, key, &wanted))
            .collect();
        reasons.push(format!("{}, which is excluded", tags.join(" and ")));
        return;
    }
    let has_to = match effect {
        Effect::Allow => "has to",
        Effect::Deny => "would have to",
    };
    for (key, wanted) in tags {
        if case.scene.tag(key, &wanted) != Truth::No {
            continue;
        }
        let found = found(case, key, &wanted);
        reasons.push(match wanted {
            Wanted::Value(_, values) => format!("{found}, and {has_to} be {values}"),
            Wanted::Same => found,
        });
    }
}

/// What a tag is where a test looks at it.
fn found(case: &Case<'_>, key: &str, wanted: &Wanted<'_>) -> String {
    let mut found = format!("tag {} is", Word(key));
    let only = match wanted {
        Wanted::Value(bearer, _) => Some(*bearer),
        Wanted::Same => None,
    };
    let looked_at = [
        Bearer::Agent,
        Bearer::Gateway,
        Bearer::Configuration,
        Bearer::ProviderKey,
    ]
    .into_iter()
    .filter(|bearer| only.map_or_else(|| in_play(case, *bearer), |only| only == *bearer));
    let mut sides = looked_at.peekable();
    let mut first = true;
    while let Some(bearer) = sides.next() {
        let before = match (first, sides.peek()) {
            (true, _) => "",
            (false, Some(_)) => ",",
            (false, None) => " and",
        };
        first = false;
        let tags = case.scene.tags(bearer);
        let on = words(bearer);
        // Writing to a string cannot fail.
        let _ = match tags.and_then(|tags| tags.get(key)) {
            Some(value) => write!(found, "{before} {} on the {on}", Word(value)),
            None if in_play(case, bearer) => write!(found, "{before} missing on the {on}"),
            None => write!(found, "{before} missing, as no {on} is in play"),
        };
    }
    found
}

/// Of which keys, of those that are not there, a condition is.
fn clause(case: &Case<'_>, condition: &Condition) -> String {
    let tags = wanted(&condition.test).map(|(key, wanted)| {
        let key = Word(key);
        match wanted {
            Wanted::Value(_, values) => format!("whose tag {key} is {values}"),
            Wanted::Same => {
                let same = shared(&case.scene.circumstances, key.0).unwrap_or_default();
                format!("whose tag {key} is {}", Word(same))
            }
        }
    });
    let tags = tags.collect::<Vec<_>>().join(" and ");
    if condition.negated {
        format!(", but not one {tags}")
    } else {
        format!(", one {tags}")
    }
}

/// Whether `bearer` is there to have tags.
fn in_play(case: &Case<'_>, bearer: Bearer) -> bool {
    match bearer {
        Bearer::ProviderKey => case.scene.key.is_some(),
        Bearer::Agent => true,
        Bearer::Gateway => case.scene.circumstances.gateway.is_some(),
        Bearer::Configuration => case.scene.circumstances.configuration.is_some(),
    }
}

/// What a sentence calls it.
fn words(bearer: Bearer) -> &'static str {
    match bearer {
        Bearer::ProviderKey => "provider key",
        other => other.name(),
    }
}

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(value) => write!(f, "{}", Word(value)),
            Self::In([value]) => write!(f, "{}", Word(value)),
            Self::In(values) => write!(f, "one of {}", Words(values)),
            Self::Like(globs) => write!(f, "like {}", Words(globs)),
        }
    }
}

/// A name or a value in a sentence: as it is if it cannot be mistaken for something else, else in quotation marks.
struct Word<'a>(&'a str);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_alphanumeric() || "-_.:/*@+".contains(c);
        let echo = Echo(self.0);
        if !self.0.is_empty() && echo.is_whole() && self.0.chars().all(plain) {
            f.write_str(self.0)
        } else {
            write!(f, "{echo}")
        }
    }
}

/// Some of these, and how many more there are.
struct Words<'a>(&'a [String]);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, word) in self.0.iter().take(MAX_VALUES).enumerate() {
            let before = if at > 0 { ", " } else { "" };
            write!(f, "{before}{}", Word(word))?;
        }
        match self.0.len().saturating_sub(MAX_VALUES) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

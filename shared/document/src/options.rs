//! What all sections share: limits, names, and what is read but not done yet.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

pub(crate) use lockgate_workspace::name::MAX as MAX_NAME;
use lockgate_workspace::name::check;
use lockgate_workspace::question::Kind;

use crate::fields::Spot;
use crate::problem::{Problems, echo};

/// Items of a list.
pub(crate) const MAX_LIST: usize = 200;
/// Characters of a model or a glob over models.
pub(crate) const MAX_MODEL: usize = 256;

/// A name as resources have it; one of a resource that is declared must not look like an id of its kind.
pub(crate) fn name<'a>(
    spot: &Spot<'a>,
    problems: &mut Problems,
    kind: Option<Kind>,
) -> Option<&'a str> {
    let text = spot.string(problems)?;
    let Err(problem) = check(text, kind.map(Kind::prefix)) else {
        return Some(text);
    };
    spot.error(
        problems,
        format!("“{}” cannot be a name: {problem}", echo(text)),
    );
    None
}

/// What the document asks for and this version does not do.
#[derive(Default)]
pub(crate) struct Unenforced(pub(crate) Vec<String>);

impl Unenforced {
    /// Notes it, and warns where it stands.
    pub(crate) fn warn(
        &mut self,
        spot: &Spot<'_>,
        problems: &mut Problems,
        what: &str,
        message: &str,
    ) {
        if !self.0.iter().any(|noted| noted == what) {
            self.0.push(what.to_owned());
        }
        spot.warning(problems, message);
    }
}

/// Names that stand once, with the lines of the first.
#[derive(Default)]
pub(crate) struct Seen(HashMap<String, usize>);

impl Seen {
    /// The line of the first of this name, where this is another.
    pub(crate) fn before(&mut self, spot: &Spot<'_>, name: &str) -> Option<usize> {
        match self.0.entry(name.to_owned()) {
            Entry::Occupied(first) => Some(*first.get()),
            Entry::Vacant(free) => {
                free.insert(spot.at().line);
                None
            }
        }
    }

    /// Whether this is the first of its name; another is reported.
    pub(crate) fn first(
        &mut self,
        spot: &Spot<'_>,
        name: &str,
        kind: &str,
        problems: &mut Problems,
    ) -> bool {
        let Some(line) = self.before(spot, name) else {
            return true;
        };
        let message = format!("there is a {kind} “{}” already, in line {line}", echo(name));
        spot.error(problems, message);
        false
    }
}

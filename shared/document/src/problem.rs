//! What is wrong with a document, where, and what was probably meant.

use serde::Serialize;

/// Problems that are told of.
pub const MAX_PROBLEMS: usize = 100;
/// Problems that are looked for; the first by line among them are told of.
const MAX_FOUND: usize = 1_000;
/// Characters of a word for which a likely one is looked up.
const MAX_WORD: usize = 64;
/// Characters of what was written that a message repeats.
const ECHO_CHARS: usize = 60;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document cannot be applied.
    Error,
    /// It can, and does not do all that it says.
    Warning,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Such as `routes[1].targets[0].target`; empty for the document as a whole.
    pub path: String,
    /// In a sentence or two.
    pub message: String,
    /// How bad it is.
    pub severity: Severity,
}

/// A place in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Problem>,
    errors: usize,
}

impl Problems {
    pub(crate) fn error(&mut self, at: Position, path: String, message: impl Into<String>) {
        self.errors += 1;
        self.push(at, path, message.into(), Severity::Error);
    }

    pub(crate) fn warning(&mut self, at: Position, path: String, message: impl Into<String>) {
        self.push(at, path, message.into(), Severity::Warning);
    }

    fn push(&mut self, at: Position, path: String, message: String, severity: Severity) {
        if self.found.len() < MAX_FOUND {
            self.found.push(Problem {
                line: at.line,
                column: at.column,
                path,
                message,
                severity,
            });
        }
    }

    /// Whether there is an error.
    pub(crate) fn failed(&self) -> bool {
        self.errors > 0
    }

    /// How many errors there are so far.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    /// What was probably meant by a word: “; did you mean `…`?”, or nothing. Once there are more problems than are told of
    /// nobody would read it, and looking costs time.
    pub(crate) fn meant<'a>(&self, word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
        let length = word.chars().count();
        if length > MAX_WORD || self.found.len() > MAX_PROBLEMS {
            return String::new();
        }
        let far = (length / 3).max(1);
        let nearest = known
            .into_iter()
            .map(|other| (strsim::osa_distance(word, other), other))
            .filter(|(distance, _)| *distance <= far)
            .min_by_key(|(distance, _)| *distance);
        nearest.map_or_else(String::new, |(_, other)| {
            format!("; did you mean `{other}`?")
        })
    }

    /// Whether nothing is an error, and what to tell of, by line. Where that is too much, errors go first.
    pub(crate) fn finish(self) -> (bool, Vec<Problem>) {
        let mut told = self.found;
        if told.len() > MAX_PROBLEMS {
            told.sort_by_key(|problem| (problem.severity, problem.line, problem.column));
            told.truncate(MAX_PROBLEMS);
        }
        told.sort_by_key(|problem| (problem.line, problem.column));
        (self.errors == 0, told)
    }
}

/// A piece of the document, made fit to stand in a message.
pub(crate) fn echo(text: &str) -> String {
    let mut shown: String = text.chars().take(ECHO_CHARS).flat_map(visible).collect();
    if text.chars().nth(ECHO_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// A character, escaped where it would not be seen.
fn visible(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control() || (c.is_whitespace() && c != ' ');
    let plain = (!escaped).then_some(c);
    let escape = escaped.then(|| c.escape_default());
    plain.into_iter().chain(escape.into_iter().flatten())
}

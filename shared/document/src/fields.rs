//! Reading values of the tree: what is of another kind, missing or unknown is reported where it stands, and reading goes
//! on beside it.

use std::fmt::Write;
use std::ops::RangeInclusive;

use serde_json::{Map, Number};

use crate::problem::{Position, Problems, echo};
use crate::tree::{Key, Node, Place, Value};

/// A value, the key it stands under and the way to it.
#[derive(Clone, Copy)]
pub(crate) struct Spot<'a> {
    node: &'a Node<'a>,
    key: Option<&'a Key<'a>>,
    pub(crate) place: Place<'a>,
}

impl<'a> Spot<'a> {
    pub(crate) fn root(node: &'a Node<'a>) -> Self {
        Self {
            node,
            key: None,
            place: Place::Root,
        }
    }

    /// Where it begins; where nothing was written, its key.
    pub(crate) fn at(&self) -> Position {
        match (&self.node.value, self.key) {
            (Value::Null, Some(key)) => key.at,
            _ => self.node.at,
        }
    }

    /// Where its key begins.
    pub(crate) fn key_at(&self) -> Position {
        self.key.map_or(self.node.at, |key| key.at)
    }

    pub(crate) fn error(&self, problems: &mut Problems, message: impl Into<String>) {
        problems.error(self.at(), self.place.to_string(), message);
    }

    pub(crate) fn warning(&self, problems: &mut Problems, message: impl Into<String>) {
        problems.warning(self.key_at(), self.place.to_string(), message);
    }

    fn is_not(&self, problems: &mut Problems, wanted: &str) {
        let found = match &self.node.value {
            Value::Refused => return,
            Value::Null => "nothing stands here".into(),
            Value::Flag(flag) => format!("{flag} is not a string, list or mapping"),
            Value::Number(number) => format!("{} is a number", echo(number)),
            Value::Text(text) => format!("“{}” is a string", echo(text)),
            Value::List(_) => "this is a list".into(),
            Value::Map(_) => "this is a mapping".into(),
        };
        let hint = match &self.node.value {
            Value::Number(_) | Value::Flag(_) if wanted == "a string" => "; put it in quotes",
            Value::Null if self.key.is_some() => ", or leave the key out",
            _ => "",
        };
        self.error(problems, format!("{found}; {wanted} is wanted{hint}"));
    }

    /// The fields of a mapping, in the order of `names`; what is not among them is reported.
    pub(crate) fn fields<'s, const N: usize>(
        &'s self,
        problems: &mut Problems,
        names: [&'static str; N],
    ) -> [Option<Spot<'s>>; N] {
        let mut fields = [None; N];
        for field in self.entries(problems) {
            let Some((name, key)) = field.name() else {
                continue;
            };
            let known = names
                .iter()
                .zip(&mut fields)
                .find(|(known, _)| **known == name);
            match known {
                Some((_, found)) => *found = Some(field),
                None => {
                    let message = format!(
                        "there is no field `{}` here{} (fields: {})",
                        echo(name),
                        problems.meant(name, names),
                        names.join(", ")
                    );
                    problems.error(key.at, field.place.to_string(), message);
                }
            }
        }
        fields
    }

    /// The entries of a mapping, whatever their keys; nothing where it is none, which is reported.
    pub(crate) fn entries<'s>(&'s self, problems: &mut Problems) -> Vec<Spot<'s>> {
        let Value::Map(entries) = &self.node.value else {
            self.is_not(problems, "a mapping");
            return Vec::new();
        };
        let spot = |(key, node): &'s (Key<'a>, Node<'a>)| Spot {
            node,
            key: Some(key),
            place: Place::Field(&self.place, &key.text),
        };
        entries.iter().map(spot).collect()
    }

    /// The name of an entry of a mapping.
    fn name(&self) -> Option<(&'a str, &'a Key<'a>)> {
        self.key.map(|key| (&*key.text, key))
    }

    /// The key it stands under, in a mapping.
    pub(crate) fn key_text(&self) -> &'a str {
        self.key.map_or("", |key| &key.text)
    }

    /// The items of a list, at most `most`; nothing where it is none, which is reported.
    pub(crate) fn items<'s>(&'s self, problems: &mut Problems, most: usize) -> Vec<Spot<'s>> {
        let Value::List(items) = &self.node.value else {
            self.is_not(problems, "a list");
            return Vec::new();
        };
        let spot = |(at, node): (usize, &'s Node<'a>)| Spot {
            node,
            key: None,
            place: Place::Item(&self.place, at),
        };
        if let Some(beyond) = items.get(most) {
            let place = Place::Item(&self.place, most).to_string();
            let message = format!(
                "the list has {} items; at most {most} are read",
                items.len()
            );
            problems.error(beyond.at, place, message);
        }
        items.iter().take(most).enumerate().map(spot).collect()
    }

    /// The same, where an empty list says nothing.
    pub(crate) fn some_items<'s>(&'s self, problems: &mut Problems, most: usize) -> Vec<Spot<'s>> {
        if matches!(&self.node.value, Value::List(items) if items.is_empty()) {
            self.error(problems, "the list is empty; at least one item is wanted");
        }
        self.items(problems, most)
    }

    /// A string, whatever is in it.
    pub(crate) fn string(&self, problems: &mut Problems) -> Option<&'a str> {
        let Value::Text(text) = &self.node.value else {
            self.is_not(problems, "a string");
            return None;
        };
        Some(text)
    }

    /// A string of 1 to `most` characters.
    pub(crate) fn text(&self, problems: &mut Problems, most: usize) -> Option<&'a str> {
        let text = self.string(problems)?;
        self.bounded(problems, text, most)
    }

    /// The same, where a number is its own text: a version.
    pub(crate) fn label(&self, problems: &mut Problems, most: usize) -> Option<&'a str> {
        match &self.node.value {
            Value::Number(text) => self.bounded(problems, text, most),
            _ => self.text(problems, most),
        }
    }

    fn bounded(&self, problems: &mut Problems, text: &'a str, most: usize) -> Option<&'a str> {
        let length = text.chars().count();
        let problem = if length == 0 {
            "the string is empty".into()
        } else if length > most {
            format!("“{}” has {length} characters; at most {most}", echo(text))
        } else if text.chars().any(char::is_control) {
            format!("“{}” has a control character", echo(text))
        } else {
            return Some(text);
        };
        self.error(problems, problem);
        None
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &self,
        problems: &mut Problems,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let Value::Text(text) = &self.node.value else {
            self.is_not(problems, &one_of(words));
            return None;
        };
        let found = words.iter().find(|(word, _)| word == text);
        if found.is_none() {
            let meant = problems.meant(text, words.iter().map(|(word, _)| *word));
            let message = format!("“{}” is not {}{meant}", echo(text), one_of(words));
            self.error(problems, message);
        }
        found.map(|(_, value)| *value)
    }

    /// A whole number.
    pub(crate) fn number(
        &self,
        problems: &mut Problems,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        let (least, most) = (range.start(), range.end());
        let wanted = format!("a whole number from {least} to {most}");
        let Value::Number(number) = &self.node.value else {
            self.is_not(problems, &wanted);
            return None;
        };
        let found = number.parse().ok().filter(|n| range.contains(n));
        if found.is_none() {
            self.error(problems, format!("{} is not {wanted}", echo(number)));
        }
        found
    }

    pub(crate) fn flag(&self, problems: &mut Problems) -> Option<bool> {
        match self.node.value {
            Value::Flag(flag) => Some(flag),
            _ => {
                self.is_not(problems, "true or false");
                None
            }
        }
    }

    /// A required field of this mapping; its absence is reported.
    pub(crate) fn required<'s>(
        &self,
        problems: &mut Problems,
        field: Option<Spot<'s>>,
        name: &str,
    ) -> Option<Spot<'s>> {
        if field.is_none() && matches!(self.node.value, Value::Map(_)) {
            self.error(problems, format!("the field `{name}` is missing"));
        }
        field
    }

    /// As JSON, for those who read JSON; numbers that JSON cannot write are 0.
    pub(crate) fn json(&self) -> serde_json::Value {
        json(self.node)
    }

    /// Where a path such as `[0].conditions[1]` below this value leads, as far as it can be followed.
    pub(crate) fn follow(&self, path: &str) -> Position {
        let mut node = self.node;
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match (&node.value, step.strip_suffix(']')) {
                (Value::List(items), Some(at)) => {
                    at.parse().ok().and_then(|at: usize| items.get(at))
                }
                (Value::Map(entries), None) => {
                    let named = entries.iter().find(|(key, _)| key.text == step);
                    named.map(|(_, node)| node)
                }
                _ => None,
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.at
    }
}

fn one_of<T>(words: &[(&'static str, T)]) -> String {
    let mut text = String::new();
    for (at, (word, _)) in words.iter().enumerate() {
        let between = match at {
            0 => "",
            _ if at + 1 == words.len() => " or ",
            _ => ", ",
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "{between}`{word}`");
    }
    text
}

/// The tree is no deeper than its limit, so this is not either.
fn json(node: &Node<'_>) -> serde_json::Value {
    match &node.value {
        Value::Null | Value::Refused => serde_json::Value::Null,
        Value::Flag(flag) => (*flag).into(),
        Value::Number(number) => {
            let number = number.parse::<Number>();
            serde_json::Value::Number(number.unwrap_or_else(|_| 0.into()))
        }
        Value::Text(text) => text.as_ref().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            let entry = |(key, node): &(Key<'_>, Node<'_>)| (key.text.to_string(), json(node));
            serde_json::Value::Object(entries.iter().map(entry).collect::<Map<_, _>>())
        }
    }
}

//! The text as a tree whose every key and value knows its place. Plain scalars are of the kinds of YAML 1.2's core
//! schema (10.3); anchors may stand, aliases and tags are refused, so that a small text is a small tree.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput};

use crate::MAX_BYTES;
use crate::problem::{Position, Problems, echo};

/// How deep lists and mappings may stand in each other.
const MAX_DEPTH: usize = 32;
/// Values that a document may have.
const MAX_NODES: usize = 50_000;
/// Characters of a key that a path shows.
const PATH_CHARS: usize = 40;

/// A value and where it begins.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) at: Position,
    pub(crate) value: Value<'a>,
}

/// What a value is.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    Null,
    /// What has been told of already.
    Refused,
    Flag(bool),
    /// As it was written.
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    /// Each key once.
    Map(Vec<(Key<'a>, Node<'a>)>),
}

/// A key and where it begins.
#[derive(Debug)]
pub(crate) struct Key<'a> {
    pub(crate) at: Position,
    pub(crate) text: Cow<'a, str>,
}

/// The way to a value. It lives on the stack of those who read, and becomes text only in a problem.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Root => Ok(()),
            Self::Item(outer, at) => write!(f, "{outer}[{at}]"),
            Self::Field(outer, name) => {
                let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
                if name.is_empty() || name.len() > PATH_CHARS || !name.chars().all(plain) {
                    let shown: String = name.chars().take(PATH_CHARS).collect();
                    write!(f, "{outer}[{shown:?}]")
                } else if matches!(outer, Self::Root) {
                    f.write_str(name)
                } else {
                    write!(f, "{outer}.{name}")
                }
            }
        }
    }
}

/// Reads the one document of a text. What stops it is reported, and then there is no tree.
pub(crate) fn parse<'a>(text: &'a str, problems: &mut Problems) -> Option<Node<'a>> {
    const START: Position = Position { line: 1, column: 1 };
    if text.len() > MAX_BYTES {
        problems.error(
            START,
            String::new(),
            format!(
                "the document has {} bytes; at most {MAX_BYTES} are read",
                text.len()
            ),
        );
        return None;
    }
    let mut events = Events {
        parser: Parser::new_from_str(text),
        problems,
        nodes: 0,
    };
    let mut root = None;
    loop {
        let (event, span) = events.next(&Place::Root)?;
        match event {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            _ if root.is_some() => {
                let message = "a second document begins here; a text is one document";
                events.refuse(&span, &Place::Root, message);
                return None;
            }
            event => root = Some(events.node(event, &span, 0, &Place::Root)?),
        }
    }
    if root.is_none() {
        let message = "the document is empty; {} is a document without routes";
        events.problems.error(START, String::new(), message);
    }
    root
}

struct Events<'a, 'p> {
    parser: Parser<'a, StrInput<'a>>,
    problems: &'p mut Problems,
    nodes: usize,
}

impl<'a> Events<'a, '_> {
    /// The next event; `None` where the text cannot be read on, which is then reported.
    fn next(&mut self, place: &Place<'_>) -> Option<(Event<'a>, Span)> {
        match self.parser.next_event()? {
            Ok(next) => Some(next),
            Err(error) => {
                let at = position(error.marker());
                let message = format!("this cannot be read as YAML or JSON: {}", error.kind());
                self.problems.error(at, place.to_string(), message);
                None
            }
        }
    }

    fn refuse(&mut self, span: &Span, place: &Place<'_>, message: impl Into<String>) {
        self.problems
            .error(position(&span.start), place.to_string(), message);
    }

    /// The value that begins with `event`.
    fn node(
        &mut self,
        event: Event<'a>,
        span: &Span,
        depth: usize,
        place: &Place<'_>,
    ) -> Option<Node<'a>> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            self.refuse(
                span,
                place,
                format!("the document has more than {MAX_NODES} values"),
            );
            return None;
        }
        if depth > MAX_DEPTH {
            let message =
                format!("lists and mappings stand in each other more than {MAX_DEPTH} deep");
            self.refuse(span, place, message);
            return None;
        }
        if event.tag().is_some() {
            let message = "tags such as `!x` are not read here; for a string use quotes";
            self.refuse(span, place, message);
        }
        let at = position(&span.start);
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => plain(text, span),
            Event::Scalar(text, ..) => Value::Text(text),
            Event::SequenceStart(..) => Value::List(self.list(depth, place)?),
            Event::MappingStart(..) => Value::Map(self.map(depth, place)?),
            _ => {
                let message = "aliases (`*name`) are not read here; write the value out";
                self.refuse(span, place, message);
                Value::Refused
            }
        };
        Some(Node { at, value })
    }

    fn list(&mut self, depth: usize, place: &Place<'_>) -> Option<Vec<Node<'a>>> {
        let mut items = Vec::new();
        loop {
            let place = Place::Item(place, items.len());
            match self.next(&place)? {
                (Event::SequenceEnd, _) => return Some(items),
                (event, span) => items.push(self.node(event, &span, depth + 1, &place)?),
            }
        }
    }

    fn map(&mut self, depth: usize, place: &Place<'_>) -> Option<Vec<(Key<'a>, Node<'a>)>> {
        let mut entries: Vec<(Key<'a>, Node<'a>)> = Vec::new();
        let mut lines: HashMap<Cow<'a, str>, usize> = HashMap::new();
        loop {
            let key = match self.next(place)? {
                (Event::MappingEnd, _) => return Some(entries),
                (Event::Scalar(text, ..), span) => Key {
                    at: position(&span.start),
                    text,
                },
                (_, span) => {
                    self.refuse(&span, place, "a key is a string");
                    return None;
                }
            };
            let inner = Place::Field(place, &key.text);
            let (event, span) = self.next(&inner)?;
            let node = self.node(event, &span, depth + 1, &inner)?;
            match lines.get(&key.text) {
                Some(line) => {
                    let message = format!(
                        "the key `{}` stands twice; the first is in line {line}",
                        echo(&key.text)
                    );
                    self.problems.error(key.at, inner.to_string(), message);
                }
                None => {
                    lines.insert(key.text.clone(), key.at.line);
                    entries.push((key, node));
                }
            }
        }
    }
}

fn position(marker: &Marker) -> Position {
    Position {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

/// A scalar without quotes.
fn plain<'a>(text: Cow<'a, str>, span: &Span) -> Value<'a> {
    if span.start == span.end {
        return Value::Null;
    }
    match &*text {
        "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Flag(true),
        "false" | "False" | "FALSE" => Value::Flag(false),
        number if is_number(number) => Value::Number(text),
        _ => Value::Text(text),
    }
}

fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal) && !octal.contains(['8', '9']);
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    }
    if matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let exponent = exponent.is_none_or(|e| digits(e.strip_prefix(['-', '+']).unwrap_or(e)));
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => digits(fraction),
        Some((whole, fraction)) => digits(whole) && (fraction.is_empty() || digits(fraction)),
        None => digits(mantissa),
    };
    mantissa && exponent
}

#[cfg(test)]
mod tests {
    use super::is_number;

    #[test]
    fn numbers_are_those_of_the_core_schema() {
        for number in [
            "0", "-19", "+3", "0o17", "0x3A", "1.", "-.5", "1.2", "12e03", "-2E+05", ".inf",
            "-.INF", ".nan",
        ] {
            assert!(is_number(number), "{number}");
        }
        for text in [
            "1.2.0", "", "-", "+", ".", "e5", "1e", "0o8", "0x", "0xg", "1_000", "-.nan", "1e5.0",
            "0b1", "v1",
        ] {
            assert!(!is_number(text), "{text}");
        }
    }
}

//! JSON as it was sent, repeated keys included, and the way to a value in it. Strings are borrowed where they can be.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::Invalid;

/// At most so many characters of what was sent are repeated in an error.
const ECHO_CHARS: usize = 40;

/// A JSON value.
#[derive(Debug)]
pub(crate) enum Node<'a> {
    Null,
    Boolean,
    Number,
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Nodes)
    }
}

/// A key of an object; `Cow` by itself would always copy.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

struct Nodes;

impl<'de> Visitor<'de> for Nodes {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node<'de>, E> {
        Ok(Node::Boolean)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node<'de>, E> {
        Ok(Node::Number)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some((Key(key), value)) = map.next_entry()? {
            entries.push((key, value));
        }
        Ok(Node::Object(entries))
    }
}

/// Where a value is. It lives on the stack of those who read, and becomes text only in an error.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// The outermost value.
    Root(&'a str),
    /// A value of an object.
    Field(&'a Place<'a>, &'a str),
    /// An item of a list.
    Item(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Root(name) => f.write_str(name),
            Self::Item(outer, at) => write!(f, "{outer}[{at}]"),
            Self::Field(outer, name) => {
                let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
                if name.is_empty() || name.len() > ECHO_CHARS || !name.chars().all(plain) {
                    write!(f, "{outer}[{}]", Echo(name))
                } else {
                    write!(f, "{outer}.{name}")
                }
            }
        }
    }
}

/// A piece of what was sent, made fit to be shown.
pub(crate) struct Echo<'a>(pub(crate) &'a str);

impl Echo<'_> {
    /// Whether it is shown to its end.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.chars().nth(ECHO_CHARS).is_none()
    }
}

impl fmt::Display for Echo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(ECHO_CHARS) {
            Some((end, _)) => write!(f, "{:?}…", self.0.get(..end).unwrap_or_default()),
            None => write!(f, "{:?}", self.0),
        }
    }
}

impl<'n> Node<'n> {
    /// What a sentence calls it.
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// That it is not what is `wanted`.
    pub(crate) fn is_not(&self, wanted: &str, place: &Place<'_>) -> Invalid {
        place.wrong(format!("this is {}; {wanted} is wanted", self.kind()))
    }

    /// Its text.
    pub(crate) fn text(&self, place: &Place<'_>) -> Result<&str, Invalid> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(self.is_not("a string", place)),
        }
    }

    /// Its items, of which there are no more than `most`.
    pub(crate) fn items(&self, most: usize, place: &Place<'_>) -> Result<&[Node<'n>], Invalid> {
        match self {
            Self::List(items) => place.at_most(items.len(), most).map(|()| &**items),
            _ => Err(self.is_not("a list", place)),
        }
    }

    /// Its entries, of which there are no more than `most`.
    pub(crate) fn entries(
        &self,
        most: usize,
        place: &Place<'_>,
    ) -> Result<&[(Cow<'n, str>, Node<'n>)], Invalid> {
        match self {
            Self::Object(entries) => place.at_most(entries.len(), most).map(|()| &**entries),
            _ => Err(self.is_not("an object", place)),
        }
    }

    /// The values of its fields in the order of `names`, beside which there are none.
    pub(crate) fn fields<const N: usize>(
        &self,
        names: [&str; N],
        place: &Place<'_>,
    ) -> Result<[Option<&Node<'n>>; N], Invalid> {
        let mut values = [None; N];
        for (name, value) in self.entries(usize::MAX, place)? {
            let slot = names
                .iter()
                .zip(&mut values)
                .find(|(known, _)| *known == name);
            let Some((_, slot)) = slot else {
                let known = names.join(", ");
                return Err(place.wrong(format!(
                    "there is no field {}; the fields are {known}",
                    Echo(name)
                )));
            };
            if slot.replace(value).is_some() {
                return Err(place.repeated(name));
            }
        }
        Ok(values)
    }
}

impl Place<'_> {
    /// The error that `problem` is here.
    pub(crate) fn wrong(&self, problem: impl Into<String>) -> Invalid {
        Invalid {
            path: self.to_string(),
            problem: problem.into(),
        }
    }

    /// The error that a key stands here twice.
    pub(crate) fn repeated(&self, key: &str) -> Invalid {
        self.wrong(format!("the key {} stands twice; keep one", Echo(key)))
    }

    fn at_most(&self, found: usize, most: usize) -> Result<(), Invalid> {
        if found > most {
            return Err(self.wrong(format!(
                "there are {found} entries; at most {most} are taken"
            )));
        }
        Ok(())
    }
}

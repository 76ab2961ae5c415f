//! JSON that is passed on as the text it came as, objects read field by field, and a writer.
//!
//! Fields are *taken* out of an [`Object`]; what nobody took is known at the end, so that nothing is lost unseen.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use thiserror::Error;

/// One JSON value as it stood in its document.
pub type Raw<'a> = &'a RawValue;

/// The text of one valid JSON value, without white space around it. Equal where the text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<'a>(Cow<'a, str>);

impl<'a> Json<'a> {
    /// Takes a text that is to be one JSON value; `None` where it is not.
    #[must_use]
    pub fn parse(text: Cow<'a, str>) -> Option<Self> {
        serde_json::from_str::<&RawValue>(&text).ok()?;
        Some(Self(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_ascii()),
            Cow::Owned(text) if text.trim_ascii().len() == text.len() => Cow::Owned(text),
            Cow::Owned(text) => Cow::Owned(text.trim_ascii().to_owned()),
        }))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.0.starts_with('{')
    }

    /// The same, independent of the document it came from.
    #[must_use]
    pub fn into_owned(self) -> Json<'static> {
        Json(Cow::Owned(self.0.into_owned()))
    }
}

impl<'a> From<Raw<'a>> for Json<'a> {
    fn from(raw: Raw<'a>) -> Self {
        Self(Cow::Borrowed(raw.get()))
    }
}

impl From<u64> for Json<'_> {
    fn from(number: u64) -> Self {
        Self(Cow::Owned(number.to_string()))
    }
}

impl From<&serde_json::Value> for Json<'_> {
    fn from(value: &serde_json::Value) -> Self {
        Self(Cow::Owned(value.to_string()))
    }
}

/// Fields of an object that is read field by field, and elements of an array: far more than any API has, and few enough that
/// a hostile body costs neither time nor memory.
const MOST_FIELDS: usize = 256;
const MOST_ELEMENTS: usize = 65_536;
/// Begins as [`unreadable`] knows our own words.
const TOO_MANY: &str = "repeats itself: it has more fields than are read";

/// What is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}{}", .path.as_str(), what(.path, .message))]
pub struct Problem {
    /// Such as `messages[2].content`; empty for the document itself.
    pub path: String,
    /// What it must be, as the end of a sentence: `must be text`.
    pub message: Cow<'static, str>,
}

fn what(path: &str, message: &str) -> String {
    if path.is_empty() {
        format!("The body {message}")
    } else {
        format!(" {message}")
    }
}

impl Problem {
    /// A problem with the value itself; callers add where it stands with [`Problem::at`].
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            path: String::new(),
            message: message.into(),
        }
    }

    /// The same problem, inside the field `name`.
    #[must_use]
    pub fn at(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{name}{dot}{}", self.path);
        self
    }

    /// The same problem, inside element `index`.
    #[must_use]
    pub fn at_index(self, index: usize) -> Self {
        self.at(&format!("[{index}]"))
    }
}

/// An object whose fields are taken one by one. A field that is `null` counts as absent.
#[derive(Debug)]
pub struct Object<'a> {
    fields: Vec<(Cow<'a, str>, Raw<'a>)>,
}

impl<'a> Object<'a> {
    /// Reads a document that is to be an object.
    ///
    /// # Errors
    /// It is no JSON, no object, or repeats a field.
    pub fn parse(document: &'a str) -> Result<Self, Problem> {
        let mut reader = serde_json::Deserializer::from_str(document);
        let object = reader
            .deserialize_map(Fields)
            .map_err(|error| Problem::new(unreadable(&error)))?;
        reader
            .end()
            .map_err(|_| Problem::new("must be one JSON object"))?;
        Ok(object)
    }

    /// Reads a value that is to be an object.
    ///
    /// # Errors
    /// It is none, or repeats a field.
    pub fn of(raw: Raw<'a>) -> Result<Self, Problem> {
        Self::parse(raw.get())
    }

    /// Takes a field out; `None` where it is absent or `null`.
    pub fn take(&mut self, name: &str) -> Option<Raw<'a>> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        let (_, raw) = self.fields.remove(at);
        (raw.get() != "null").then_some(raw)
    }

    /// Takes a field that is opaque here.
    pub fn json(&mut self, name: &str) -> Option<Json<'a>> {
        self.take(name).map(Json::from)
    }

    /// Takes a text.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, Problem> {
        self.take(name)
            .map(|raw| text(raw).map_err(|problem| problem.at(name)))
            .transpose()
    }

    /// Takes a text that must be there.
    ///
    /// # Errors
    /// It is absent or something else.
    pub fn required_text(&mut self, name: &str) -> Result<Cow<'a, str>, Problem> {
        self.text(name)?
            .ok_or_else(|| Problem::new("is missing").at(name))
    }

    /// Takes a whole number that is not negative.
    ///
    /// # Errors
    /// It is something else.
    pub fn integer(&mut self, name: &str) -> Result<Option<u64>, Problem> {
        self.take(name)
            .map(|raw| integer(raw).map_err(|problem| problem.at(name)))
            .transpose()
    }

    /// Takes a number, as its digits.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(&mut self, name: &str) -> Result<Option<Json<'a>>, Problem> {
        match self.take(name) {
            Some(raw)
                if raw
                    .get()
                    .starts_with(|c: char| c == '-' || c.is_ascii_digit()) =>
            {
                Ok(Some(raw.into()))
            }
            Some(_) => Err(Problem::new("must be a number").at(name)),
            None => Ok(None),
        }
    }

    /// Takes `true` or `false`.
    ///
    /// # Errors
    /// It is something else.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, Problem> {
        match self.take(name).map(RawValue::get) {
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Problem::new("must be true or false").at(name)),
            None => Ok(None),
        }
    }

    /// Takes an array, element by element.
    ///
    /// # Errors
    /// It is something else.
    pub fn array(&mut self, name: &str) -> Result<Option<Vec<Raw<'a>>>, Problem> {
        self.take(name)
            .map(|raw| elements(raw).map_err(|problem| problem.at(name)))
            .transpose()
    }

    /// Takes an object.
    ///
    /// # Errors
    /// It is something else.
    pub fn object(&mut self, name: &str) -> Result<Option<Self>, Problem> {
        self.take(name)
            .map(|raw| Self::of(raw).map_err(|problem| problem.at(name)))
            .transpose()
    }

    /// What nobody took, in its order, without what is `null`.
    pub fn rest(self) -> impl Iterator<Item = (Cow<'a, str>, Raw<'a>)> {
        self.fields
            .into_iter()
            .filter(|(_, raw)| raw.get() != "null")
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Object<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
        let mut fields: Vec<(Cow<'de, str>, Raw<'de>)> = Vec::with_capacity(8);
        while let Some(Name(name)) = map.next_key()? {
            let value = map.next_value()?;
            if fields.len() == MOST_FIELDS {
                return Err(serde::de::Error::custom(TOO_MANY));
            }
            if fields.iter().any(|(field, _)| *field == name) {
                return Err(serde::de::Error::custom(format_args!("repeats `{name}`")));
            }
            fields.push((name, value));
        }
        Ok(Object { fields })
    }
}

/// A field's name, borrowed where it has no escapes (`Cow` by itself never is).
struct Name<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// In words; what `serde_json` quotes of a document (a name that is repeated) is shortened.
fn unreadable(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((repeated, _)) if repeated.starts_with("repeats ") => {
            repeated.chars().take(120).collect()
        }
        _ if error.is_data() => "must be an object".to_owned(),
        _ => format!("cannot be read as JSON (column {})", error.column()),
    }
}

/// The text that a value is.
///
/// # Errors
/// It is no text.
pub fn text(raw: Raw<'_>) -> Result<Cow<'_, str>, Problem> {
    let quoted = raw.get();
    let inner = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or(Problem::new("must be text"))?;
    if !inner.contains('\\') {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str(quoted)
        .map(Cow::Owned)
        .map_err(|_| Problem::new("must be text in well-formed Unicode"))
}

/// The whole number, not negative, that a value is. `5.0` is one too, since some libraries write floats.
///
/// # Errors
/// It is none.
pub fn integer(raw: Raw<'_>) -> Result<u64, Problem> {
    let digits = raw.get();
    digits
        .split_once('.')
        .filter(|(_, fraction)| !fraction.is_empty() && fraction.bytes().all(|b| b == b'0'))
        .map_or(digits, |(whole, _)| whole)
        .parse()
        .map_err(|_| Problem::new("must be a whole number that is not negative"))
}

/// The elements of a value that is to be an array.
///
/// # Errors
/// It is none.
pub fn elements(raw: Raw<'_>) -> Result<Vec<Raw<'_>>, Problem> {
    serde_json::Deserializer::from_str(raw.get())
        .deserialize_seq(Elements)
        .map_err(|error| {
            Problem::new(if error.to_string().starts_with(TOO_LONG) {
                TOO_LONG
            } else {
                "must be an array"
            })
        })
}

const TOO_LONG: &str = "has more elements than are read";

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<Raw<'de>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = array.next_element()? {
            if elements.len() == MOST_ELEMENTS {
                return Err(serde::de::Error::custom(TOO_LONG));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

/// The text as a JSON object, as dialects want it that take a tool call's arguments as an object; an empty text, which
/// some providers send for no arguments, is `{}`.
#[must_use]
pub fn object_text(text: &str) -> Option<Json<'_>> {
    if text.trim_ascii().is_empty() {
        return Some(Json(Cow::Borrowed("{}")));
    }
    Json::parse(Cow::Borrowed(text)).filter(Json::is_object)
}

/// Writes JSON to the end of a buffer. Commas come by themselves; whoever uses it closes what he opens.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Writer<'o> {
    /// A writer at the end of `out`, which must be empty or end in white space, or inside an open value.
    pub fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
    }

    fn separate(&mut self) {
        if !matches!(
            self.out.last(),
            None | Some(b'{' | b'[' | b':' | b' ' | b'\n')
        ) {
            self.out.push(b',');
        }
    }

    /// Opens an object.
    pub fn open(&mut self) -> &mut Self {
        self.separate();
        self.out.push(b'{');
        self
    }

    /// Closes it.
    pub fn close(&mut self) -> &mut Self {
        self.out.push(b'}');
        self
    }

    /// Opens an array.
    pub fn open_array(&mut self) -> &mut Self {
        self.separate();
        self.out.push(b'[');
        self
    }

    /// Closes it.
    pub fn close_array(&mut self) -> &mut Self {
        self.out.push(b']');
        self
    }

    /// A field's name; its value follows.
    pub fn key(&mut self, name: &str) -> &mut Self {
        self.separate();
        self.quoted(name);
        self.out.push(b':');
        self
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.separate();
        self.quoted(text);
        self
    }

    /// A value as its text.
    pub fn raw(&mut self, json: &Json<'_>) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(json.as_str().as_bytes());
        self
    }

    /// A whole number.
    pub fn integer(&mut self, number: u64) -> &mut Self {
        self.separate();
        // Writing to a vector cannot fail, here and below.
        let _ = serde_json::to_writer(&mut *self.out, &number);
        self
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, truth: bool) -> &mut Self {
        self.separate();
        self.out
            .extend_from_slice(if truth { b"true" } else { b"false" });
        self
    }

    /// `null`.
    pub fn null(&mut self) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(b"null");
        self
    }

    /// A field that is a text.
    pub fn text_field(&mut self, name: &str, text: &str) -> &mut Self {
        self.key(name).text(text)
    }

    /// A field that is a text, where there is one.
    pub fn text_field_if(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            self.text_field(name, text);
        }
        self
    }

    /// A field that is written as it came, where there is one.
    pub fn raw_field_if(&mut self, name: &str, json: Option<&Json<'_>>) -> &mut Self {
        if let Some(json) = json {
            self.key(name).raw(json);
        }
        self
    }

    /// A field that is a whole number, where there is one.
    pub fn integer_field_if(&mut self, name: &str, number: Option<u64>) -> &mut Self {
        if let Some(number) = number {
            self.key(name).integer(number);
        }
        self
    }

    /// A field that is `true` or `false`, where there is one.
    pub fn boolean_field_if(&mut self, name: &str, truth: Option<bool>) -> &mut Self {
        if let Some(truth) = truth {
            self.key(name).boolean(truth);
        }
        self
    }

    fn quoted(&mut self, text: &str) {
        let _ = serde_json::to_writer(&mut *self.out, text);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn hostile_documents_cost_little() {
        let object = |n: usize| {
            let fields: Vec<String> = (0..n).map(|at| format!("\"f{at}\":1")).collect();
            format!("{{{}}}", fields.join(","))
        };
        assert!(Object::parse(&object(MOST_FIELDS)).is_ok());
        let problem = Object::parse(&object(1_000_000)).unwrap_err();
        assert_eq!(problem.message, TOO_MANY);
        let problem = Object::parse("{\"a\":1,\"\\u0061\":2}").unwrap_err();
        assert_eq!(problem.message, "repeats `a`");
        let array = |n: usize| format!("[{}]", vec!["0"; n].join(","));
        let read = |text: &str| elements(serde_json::from_str(text).unwrap()).map(|all| all.len());
        assert_eq!(read(&array(MOST_ELEMENTS)), Ok(MOST_ELEMENTS));
        assert_eq!(
            read(&array(MOST_ELEMENTS + 1)).unwrap_err().message,
            TOO_LONG
        );
        assert_eq!(read("{}").unwrap_err().message, "must be an array");
    }
}

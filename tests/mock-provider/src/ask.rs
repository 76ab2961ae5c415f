//! A request as the dialects see it, and how one is refused.

use data_encoding::BASE64;
use hyper::header::HeaderMap;
use serde_json::{Map, Value};

/// A JSON object.
pub(crate) type Object = Map<String, Value>;

/// A request that has arrived whole.
pub(crate) struct Ask<'r> {
    pub(crate) method: &'r str,
    pub(crate) path: &'r str,
    pub(crate) query: &'r str,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) secret: Option<&'r str>,
    pub(crate) body: &'r [u8],
}

impl Ask<'_> {
    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value of a query parameter, as it stands.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let pairs = self
            .query
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .into_iter()
            .find_map(|(known, value)| (known == name).then_some(value))
    }
}

/// Why a provider refuses a request. Each dialect has its own object for it.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) message: String,
    /// The provider's word for it, where it is not the usual one of the status.
    pub(crate) kind: Option<&'static str>,
    /// OpenAI's `code`.
    pub(crate) code: Option<&'static str>,
    /// OpenAI's `param`, Google's `field`.
    pub(crate) param: Option<String>,
}

impl Refusal {
    /// A refusal with this status.
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            ..Self::default()
        }
    }

    /// A 400.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    pub(crate) fn kind(mut self, kind: &'static str) -> Self {
        self.kind = Some(kind);
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }
}

/// What a validator comes to.
pub(crate) type Verdict = Result<(), Refusal>;

/// The first field that is none of the known ones.
pub(crate) fn unknown<'o>(object: &'o Object, known: &[&str]) -> Option<&'o str> {
    let mut names = object.keys().map(String::as_str);
    names.find(|name| !known.contains(name))
}

/// Whether a name has only ASCII letters, digits and these characters, and between 1 and `longest` of them.
pub(crate) fn is_name(name: &str, more: &[char], longest: usize) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(&c);
    (1..=longest).contains(&name.len()) && name.chars().all(fits)
}

/// The bytes of standard base64.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}

/// The media type that the first bytes of an image tell.
pub(crate) fn image_type(bytes: &[u8]) -> Option<&'static str> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    if starts(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if starts(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if starts(b"GIF8") {
        Some("image/gif")
    } else if starts(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some("image/webp")
    } else {
        None
    }
}

/// The media type and the data of a `data:` URL in base64.
pub(crate) fn data_url(url: &str) -> Option<(&str, &str)> {
    url.strip_prefix("data:")?.split_once(";base64,")
}

/// The items of an array; none of anything else.
pub(crate) fn items(value: Option<&Value>) -> &[Value] {
    value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// The texts in an array.
pub(crate) fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    items(value).iter().filter_map(Value::as_str)
}

/// A field's text; empty if it has none.
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a field is `true`.
pub(crate) fn flag(value: &Value, name: &str) -> bool {
    value.get(name) == Some(&Value::Bool(true))
}

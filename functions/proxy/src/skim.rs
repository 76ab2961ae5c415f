//! Reads the fields that routing and policy need from a request body, in one pass, without building anything.
//!
//! The body goes on to the provider byte for byte (FEATURES E5), so this only has to find `model`, `models` and `stream`, where
//! the value of `model` stands, and what could not be a JSON object at all: cut off, nested too deeply, brackets that
//! do not match. What is left (a number spelled wrongly, a missing comma deep inside) the provider refuses in its own
//! words. Strings, nearly all of a prompt, are skipped by `memchr`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use memchr::memchr2;

/// Containers within containers that are read; as much as `serde_json` takes.
pub(crate) const MAX_DEPTH: u32 = 127;
/// Characters of a model's name.
pub(crate) const MAX_MODEL: usize = 256;
/// Bytes of the longest way to write a character in JSON: two escapes, `\ud83d\ude00`.
const LONGEST: usize = 12;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skimmed<'a> {
    /// The value of `model`, if it is a string.
    pub(crate) model: Option<Cow<'a, str>>,
    /// Where the value of `model` stands in the body, quotes included.
    pub(crate) model_at: Range<usize>,
    /// Whether there is a field `models`.
    pub(crate) models: bool,
    /// Whether `stream` is `true`.
    pub(crate) stream: bool,
}

/// Why a body cannot be read, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SkimError {
    Empty,
    NotUtf8(usize),
    NotAnObject,
    CutOff(usize),
    Unexpected(usize),
    TooDeep(usize),
    Repeated(&'static str),
    /// A key that only some readers take for `model`.
    Alike(String),
    TooLong,
    NotText(&'static str),
}

impl fmt::Display for SkimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::NotUtf8(at) => write!(f, "it is not UTF-8 at byte {at}"),
            Self::NotAnObject => f.write_str("it is not a JSON object"),
            Self::CutOff(at) => write!(f, "it ends at byte {at}, inside a value"),
            Self::Unexpected(at) => write!(f, "it is not JSON at byte {at}"),
            Self::TooDeep(at) => {
                write!(
                    f,
                    "it is nested more than {MAX_DEPTH} levels deep at byte {at}"
                )
            }
            Self::Repeated(name) => write!(f, "the field `{name}` stands twice"),
            Self::Alike(name) => write!(
                f,
                "the field `{name}` would be read as `model` by some providers"
            ),
            Self::TooLong => write!(f, "`model` has more than {MAX_MODEL} characters"),
            Self::NotText(name) => write!(f, "the field `{name}` is not a string"),
        }
    }
}

/// Skims a request body.
pub(crate) fn skim(body: &[u8]) -> Result<Skimmed<'_>, SkimError> {
    let text = std::str::from_utf8(body).map_err(|e| SkimError::NotUtf8(e.valid_up_to()))?;
    let mut scan = Scan {
        text,
        bytes: body,
        at: 0,
    };
    let mut found = Skimmed {
        model: None,
        model_at: 0..0,
        models: false,
        stream: false,
    };
    let (mut saw_model, mut saw_stream) = (false, false);
    match scan.next_token() {
        None => return Err(SkimError::Empty),
        Some(b'{') => scan.at += 1,
        Some(_) => return Err(SkimError::NotAnObject),
    }
    let mut first = true;
    loop {
        match scan.token()? {
            b'}' if first => break,
            b'"' => {}
            _ => return Err(SkimError::Unexpected(scan.at)),
        }
        first = false;
        let key = scan.string()?;
        if scan.token()? != b':' {
            return Err(SkimError::Unexpected(scan.at));
        }
        scan.at += 1;
        scan.token()?;
        let start = scan.at;
        scan.value()?;
        let key_at = key.start;
        let key = unescaped(text, key).ok_or(SkimError::Unexpected(key_at))?;
        match &*key {
            "model" => {
                if std::mem::replace(&mut saw_model, true) {
                    return Err(SkimError::Repeated("model"));
                }
                if body.get(start) != Some(&b'"') {
                    return Err(SkimError::NotText("model"));
                }
                let inner = start + 1..scan.at - 1;
                if inner.len() > MAX_MODEL * LONGEST {
                    return Err(SkimError::TooLong);
                }
                found.model = Some(unescaped(text, inner).ok_or(SkimError::Unexpected(start))?);
                found.model_at = start..scan.at;
            }
            "stream" => {
                if std::mem::replace(&mut saw_stream, true) {
                    return Err(SkimError::Repeated("stream"));
                }
                found.stream = body.get(start..scan.at) == Some(b"true");
            }
            _ if reads_as(&key, "model") => return Err(SkimError::Alike(key.into_owned())),
            // Whoever does not read it so has one model to take, which policy is then stricter about than it has to be.
            _ if reads_as(&key, "models") => found.models = true,
            _ => {}
        }
        match scan.token()? {
            b',' => scan.at += 1,
            b'}' => break,
            _ => return Err(SkimError::Unexpected(scan.at)),
        }
    }
    scan.at += 1;
    match scan.next_token() {
        None => Ok(found),
        Some(_) => Err(SkimError::Unexpected(scan.at)),
    }
}

/// Whether a reader that makes nothing of letter case, as Go's and Jackson's can be, takes `name` for `wanted`, which is
/// lower case. U+017F and U+212A are the two that fold to letters of ASCII.
pub(crate) fn reads_as(name: &str, wanted: &str) -> bool {
    let fold = |c: char| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(wanted.chars())
}

/// The text of a string without its quotes; escapes are rare and then decoded by `serde_json`. `None` where they are
/// wrong: each reader makes something else of them.
fn unescaped(text: &str, inner: Range<usize>) -> Option<Cow<'_, str>> {
    let raw = text.get(inner.clone())?;
    if !raw.contains('\\') {
        return Some(Cow::Borrowed(raw));
    }
    let quoted = text.get(inner.start - 1..inner.end + 1)?;
    serde_json::from_str(quoted).ok().map(Cow::Owned)
}

struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    /// Skips white space and looks at the next byte.
    fn next_token(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn token(&mut self) -> Result<u8, SkimError> {
        self.next_token().ok_or(SkimError::CutOff(self.bytes.len()))
    }

    /// Skips a string, whose opening quote is next; returns where its inside stands.
    fn string(&mut self) -> Result<Range<usize>, SkimError> {
        let start = self.at + 1;
        let mut at = start;
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            match memchr2(b'"', b'\\', rest) {
                None => return Err(SkimError::CutOff(self.text.len())),
                Some(n) if rest.get(n) == Some(&b'"') => {
                    self.at = at + n + 1;
                    return Ok(start..at + n);
                }
                Some(n) => at += n + 2,
            }
        }
    }

    /// Skips a value, whose first byte is next.
    fn value(&mut self) -> Result<(), SkimError> {
        match self.bytes.get(self.at) {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{' | b'[') => self.container(),
            _ => self.scalar(),
        }
    }

    fn scalar(&mut self) -> Result<(), SkimError> {
        let start = self.at;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'0'..=b'9' | b'-' | b'+' | b'.' | b'a'..=b'z' | b'E' => self.at += 1,
                b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' => break,
                _ => return Err(SkimError::Unexpected(self.at)),
            }
        }
        if self.at == start {
            return Err(SkimError::Unexpected(self.at));
        }
        Ok(())
    }

    /// Skips an object or array with all that is in it; the brackets in `open` are one bit each, 1 for an object.
    fn container(&mut self) -> Result<(), SkimError> {
        let mut open: u128 = 0;
        let mut depth: u32 = 0;
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => {
                    depth += 1;
                    if depth >= MAX_DEPTH {
                        return Err(SkimError::TooDeep(self.at));
                    }
                    open = (open << 1) | u128::from(*byte == b'{');
                }
                b'}' | b']' => {
                    if (open & 1 == 1) != (*byte == b'}') {
                        return Err(SkimError::Unexpected(self.at));
                    }
                    open >>= 1;
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return Ok(());
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
        Err(SkimError::CutOff(self.bytes.len()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((".*", inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_serde_json_writes_is_read(
            fields in prop::collection::vec((".*", json()), 0..6),
            model in prop::option::of(".*"),
            stream in prop::option::of(any::<bool>()),
            pretty: bool,
        ) {
            let mut object: Map<String, Value> = fields.into_iter().collect();
            object.retain(|key, _| !reads_as(key, "model"));
            object.remove("stream");
            if let Some(model) = &model {
                object.insert("model".into(), model.clone().into());
            }
            if let Some(stream) = stream {
                object.insert("stream".into(), stream.into());
            }
            let text = if pretty {
                serde_json::to_string_pretty(&object).unwrap()
            } else {
                serde_json::to_string(&object).unwrap()
            };
            let found = skim(text.as_bytes()).unwrap();
            prop_assert_eq!(found.model.as_deref(), model.as_deref());
            prop_assert_eq!(found.stream, stream == Some(true));
            if let Some(model) = model {
                let at: String = serde_json::from_str(&text[found.model_at]).unwrap();
                prop_assert_eq!(at, model);
            }
            for cut in (0..text.len()).filter(|n| text.is_char_boundary(*n)) {
                prop_assert!(skim(&text.as_bytes()[..cut]).is_err());
            }
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>, text in "[{}\\[\\]\",:a1 \\\\]*") {
            let _ = skim(&bytes);
            let _ = skim(text.as_bytes());
            let _ = skim(format!("{{{text}").as_bytes());
        }
    }

    #[test]
    fn further_models_are_seen_at_the_top_only() {
        let models = |text: &str| skim(text.as_bytes()).unwrap().models;
        assert!(models(r#"{"model":"a","models":["b"]}"#));
        assert!(models(r#"{"mod\u0065ls":[],"model":"a"}"#));
        for alike in ["Models", "MODELS", "modelſ", r"model\u017f"] {
            assert!(
                models(&format!(r#"{{"model":"a","{alike}":["b"]}}"#)),
                "{alike}"
            );
        }
        assert!(!models(
            r#"{"model":"models","a":{"models":["b"]},"b":"models"}"#
        ));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let error = |text: &str| skim(text.as_bytes()).unwrap_err();
        assert_eq!(error(""), SkimError::Empty);
        assert_eq!(error("[]"), SkimError::NotAnObject);
        assert_eq!(
            error("{\"model\":\"a\",\"messages\":["),
            SkimError::CutOff(25)
        );
        assert_eq!(
            error("{\"model\":\"a\",\"model\":\"b\"}"),
            SkimError::Repeated("model")
        );
        assert_eq!(
            error("{\"model\":\"a\",\"mod\\u0065l\":\"b\"}"),
            SkimError::Repeated("model")
        );
        for (written, read) in [
            ("Model", "Model"),
            ("MODEL", "MODEL"),
            (r"\u004dodel", "Model"),
        ] {
            let alike = SkimError::Alike(read.to_owned());
            assert_eq!(error(&format!(r#"{{"model":"a","{written}":"b"}}"#)), alike);
            assert_eq!(error(&format!(r#"{{"{written}":1,"model":"a"}}"#)), alike);
        }
        assert_eq!(error(r#"{"mod\el":"b"}"#), SkimError::Unexpected(2));
        assert_eq!(error(r#"{"model":"\ud800"}"#), SkimError::Unexpected(9));
        let long = "m".repeat(MAX_MODEL * LONGEST + 1);
        assert_eq!(
            error(&format!(r#"{{"model":"{long}"}}"#)),
            SkimError::TooLong
        );
        assert_eq!(error("{\"model\":1}"), SkimError::NotText("model"));
        assert_eq!(error("{\"a\":[}]}"), SkimError::Unexpected(6));
        assert_eq!(error("{} x"), SkimError::Unexpected(3));
        assert_eq!(error("{\"a\":1,}"), SkimError::Unexpected(7));
        assert_eq!(skim(b"{\"a\":\"\xff\"}"), Err(SkimError::NotUtf8(6)));
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(error(&deep), SkimError::TooDeep(_)));
    }
}

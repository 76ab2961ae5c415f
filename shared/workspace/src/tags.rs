//! Tags (FEATURES B1): at most 50 a resource, keys 1–128 and values up to 256 characters, `lockgate:` reserved.
//! Characters are Unicode scalar values. A JSON object that repeats a key is refused, not merged.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

pub use lockgate_access::Tags;

/// User tags a resource may have.
pub const MAX_TAGS: usize = 50;
/// Characters a tag's key may have.
pub const MAX_KEY: usize = 128;
/// Characters a tag's value may have.
pub const MAX_VALUE: usize = 256;

/// What is wrong with a set of tags.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TagError {
    /// More than [`MAX_TAGS`].
    #[error("{0} tags; a resource has at most {MAX_TAGS}")]
    LimitExceeded(usize),
    /// An empty key.
    #[error("a tag key is empty; it has 1 to {MAX_KEY} characters")]
    KeyEmpty,
    /// A key longer than [`MAX_KEY`].
    #[error("the tag key “{0}…” has {1} characters; at most {MAX_KEY}")]
    KeyTooLong(String, usize),
    /// A value longer than [`MAX_VALUE`].
    #[error("the value of tag “{0}” has {1} characters; at most {MAX_VALUE}")]
    ValueTooLong(String, usize),
    /// A key in the system's own name space.
    #[error("the tag key “{0}” begins with “lockgate:”, which is reserved for the system")]
    KeyReserved(String),
    /// The same key twice.
    #[error("the tag key “{0}” stands twice")]
    KeyRepeated(String),
    /// A value that is not text.
    #[error("the value of tag “{0}” is not a string")]
    ValueInvalid(String),
}

impl TagError {
    /// The stable code of API.md.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::LimitExceeded(_) => "tag_limit_exceeded",
            Self::KeyEmpty => "tag_key_empty",
            Self::KeyTooLong(..) => "tag_key_too_long",
            Self::ValueTooLong(..) => "tag_value_too_long",
            Self::KeyReserved(_) => "tag_key_reserved",
            Self::KeyRepeated(_) => "tag_key_repeated",
            Self::ValueInvalid(_) => "tag_value_invalid",
        }
    }
}

/// Tags as they were sent, in order and with repetitions; [`RawTags::check`] makes [`Tags`] of them.
#[derive(Debug, Clone, Default)]
pub struct RawTags(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for RawTags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = RawTags;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tags")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawTags, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(RawTags(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

impl RawTags {
    /// Checks every limit.
    ///
    /// # Errors
    /// The first [`TagError`] in the order the tags were sent.
    pub fn check(self) -> Result<Tags, TagError> {
        if self.0.len() > MAX_TAGS {
            return Err(TagError::LimitExceeded(self.0.len()));
        }
        let mut tags = Tags::new();
        for (key, value) in self.0 {
            let length = key.chars().count();
            if length == 0 {
                return Err(TagError::KeyEmpty);
            }
            if length > MAX_KEY {
                return Err(TagError::KeyTooLong(key.chars().take(32).collect(), length));
            }
            if reserved(&key) {
                return Err(TagError::KeyReserved(key));
            }
            let serde_json::Value::String(value) = value else {
                return Err(TagError::ValueInvalid(key));
            };
            let length = value.chars().count();
            if length > MAX_VALUE {
                return Err(TagError::ValueTooLong(key, length));
            }
            if tags.contains_key(&key) {
                return Err(TagError::KeyRepeated(key));
            }
            tags.insert(key, value);
        }
        Ok(tags)
    }
}

/// Whether a key lies in the system's name space, also in other letter case or behind white space of any kind.
fn reserved(key: &str) -> bool {
    let mut rest = key
        .chars()
        .filter(|c| {
            !c.is_whitespace()
                && !c.is_control()
                && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
        })
        .flat_map(char::to_lowercase)
        .map(|c| if c == '\u{ff1a}' { ':' } else { c });
    "lockgate:".chars().all(|c| rest.next() == Some(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<Tags, &'static str> {
        serde_json::from_str::<RawTags>(json)
            .map_err(|_| "json")?
            .check()
            .map_err(|e| e.code())
    }

    #[test]
    fn limits_count_characters() {
        let key = |n: usize| format!("{{\"{}\":\"v\"}}", "ü".repeat(n));
        assert!(check(&key(128)).is_ok());
        assert_eq!(check(&key(129)), Err("tag_key_too_long"));
        let value = |n: usize| format!("{{\"k\":\"{}\"}}", "é".repeat(n));
        assert!(check(&value(256)).is_ok());
        assert_eq!(check(&value(257)), Err("tag_value_too_long"));
        let many = |n: usize| {
            let pairs: Vec<_> = (0..n).map(|i| format!("\"k{i}\":\"\"")).collect();
            format!("{{{}}}", pairs.join(","))
        };
        assert!(check(&many(50)).is_ok());
        assert_eq!(check(&many(51)), Err("tag_limit_exceeded"));
    }

    #[test]
    fn each_breach_has_its_code() {
        assert_eq!(check(r#"{"":"v"}"#), Err("tag_key_empty"));
        assert_eq!(check(r#"{"k":null}"#), Err("tag_value_invalid"));
        assert_eq!(check(r#"{"k":1}"#), Err("tag_value_invalid"));
        assert_eq!(check(r#"{"k":"1","k":"1"}"#), Err("tag_key_repeated"));
        for reserved in [
            "lockgate:x",
            "LockGate:x",
            " lockgate:x",
            "lock\u{a0}gate:x",
            "\u{200b}lockgate:",
            "lockgate\u{ff1a}x",
        ] {
            let json = serde_json::json!({ reserved: "v" }).to_string();
            assert_eq!(check(&json), Err("tag_key_reserved"), "{reserved:?}");
        }
        assert!(check(r#"{"lockgates":"v","team":"a"}"#).is_ok());
    }
}

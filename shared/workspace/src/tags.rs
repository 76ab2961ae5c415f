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
    #[error(
        "the tag key “{0}” begins with “lockgate:” or looks as if it did; that is reserved for the system"
    )]
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

/// What the system's own keys begin with.
const RESERVED: &str = "lockgate:";

/// Whether a key lies in the system's name space, or looks to people as if it did.
///
/// Policies compare tags byte for byte, so a look-alike is never taken for a system tag by the gateway. It could be
/// by whoever reads a list of tags: letters in another case, of full width, or of Greek and Cyrillic that look alike,
/// white space, marks and what cannot be seen in between, and other colons are all read as what they look like. Digits
/// for letters (`l0ckgate`) are not: they are keys of their own. Unicode's whole table of compatible letters would be
/// a tenth of the gateway's wasm, for disguises that nobody takes for plain letters.
fn reserved(key: &str) -> bool {
    let mut seen = key
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control() && !hidden(*c))
        .map(latin)
        .flat_map(char::to_lowercase)
        .map(latin);
    RESERVED.chars().all(|c| seen.next() == Some(c))
}

/// The letter of `lockgate:` that a character looks like, after Unicode's `confusables.txt`.
fn latin(c: char) -> char {
    match c {
        // Full-width forms stand in the order of ASCII.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xff01 + 0x21).unwrap_or(c),
        '\u{04cf}' | '\u{04c0}' | '\u{0142}' => 'l',
        '\u{03bf}' | '\u{043e}' | '\u{00f8}' => 'o',
        '\u{03f2}' | '\u{0441}' => 'c',
        '\u{03ba}' | '\u{043a}' => 'k',
        '\u{0261}' => 'g',
        '\u{03b1}' | '\u{0430}' | '\u{0251}' => 'a',
        '\u{03c4}' | '\u{0442}' => 't',
        '\u{03b5}' | '\u{0435}' => 'e',
        '\u{02d0}' | '\u{0589}' | '\u{05c3}' | '\u{0703}' | '\u{0903}' | '\u{2236}'
        | '\u{a789}' | '\u{fe13}' | '\u{fe30}' | '\u{fe55}' => ':',
        other => other,
    }
}

/// Characters that take no room or show nothing: marks, Unicode's `Default_Ignorable_Code_Point`, and a blank that is a
/// sign.
fn hidden(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{0300}'..='\u{036f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}'
        | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{20d0}'..='\u{20ff}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
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
        assert_eq!(check(r#"{"k":{"a":"1"}}"#), Err("tag_value_invalid"));
        assert_eq!(check(r#"{"k":["1"]}"#), Err("tag_value_invalid"));
        assert_eq!(check(r#"{"k":true}"#), Err("tag_value_invalid"));
        for not_an_object in ["null", "[]", "\"k\"", "7", "[[\"k\",\"v\"]]"] {
            assert_eq!(check(not_an_object), Err("json"), "{not_an_object}");
        }
    }

    #[test]
    fn a_repeated_key_is_seen_however_it_is_written() {
        for twice in [
            r#"{"a":"1","b":"2","a":"1"}"#,
            r#"{"a":"1","\u0061":"2"}"#,
            r#"{"\u0061":"1","\u0061":"2"}"#,
            r#"{"ä":"1","\u00e4":"2"}"#,
            r#"{"\ud83d\ude00":"1","😀":"2"}"#,
            r#"{"a\/b":"1","a/b":"2"}"#,
        ] {
            assert_eq!(check(twice), Err("tag_key_repeated"), "{twice}");
        }
        // Keys are compared as they are: composed and decomposed letters are two keys.
        assert!(check(r#"{"\u00e4":"1","a\u0308":"2"}"#).is_ok());
        assert!(check(r#"{"a":"1","A":"2","a ":"3"}"#).is_ok());
        assert_eq!(check(r#"{"\ud83d":"1"}"#), Err("json"), "half a character");
    }

    #[test]
    fn limits_count_scalar_values_of_any_width() {
        for c in ["a", "é", "語", "😀", "e\u{301}"] {
            let units = c.chars().count();
            let repeated = |n: usize| c.repeat(n / units) + &"x".repeat(n % units);
            let of = |key: usize, value: usize| {
                check(&serde_json::json!({ repeated(key): repeated(value) }).to_string())
            };
            assert!(of(128, 256).is_ok(), "{c}");
            assert_eq!(of(129, 256), Err("tag_key_too_long"), "{c}");
            assert_eq!(of(128, 257), Err("tag_value_too_long"), "{c}");
        }
    }

    #[test]
    fn the_reserved_prefix_is_known_in_any_disguise() {
        for reserved in [
            "lockgate:",
            "lockgate:x",
            "LockGate:x",
            "LOCKGATE:x",
            " lockgate:x",
            "lock gate:x",
            "lockgate :x",
            "\tlockgate:x",
            "\u{0}lockgate:x",
            // White space and what cannot be seen.
            "lock\u{a0}gate:x",
            "\u{2003}lockgate:x",
            "\u{3000}lockgate:x",
            "\u{1680}lockgate:x",
            "\u{2028}lockgate:x",
            "\u{85}lockgate:x",
            "\u{200b}lockgate:",
            "lock\u{ad}gate:x",
            "l\u{2060}ockgate:x",
            "\u{feff}lockgate:x",
            "\u{2800}lockgate:x",
            "\u{3164}lockgate:x",
            "\u{180e}lockgate:x",
            "\u{202e}lockgate:x",
            "l\u{fe0f}ockgate:x",
            "\u{e0001}lockgate:x",
            // Letters of full width, and the sign of the kelvin.
            "ｌｏｃｋｇａｔｅ：x",
            "ＬＯＣＫＧＡＴＥ:x",
            "loc\u{212a}gate:x",
            // Marks on letters.
            "l\u{301}ockgate:x",
            "lockgate\u{20dd}:x",
            // Letters of other alphabets.
            "lосkgаtе:x",
            "lοckgαte:x",
            "LΟCΚGΑΤΕ:x",
            "łøckgate:x",
            // Other colons.
            "lockgate\u{ff1a}x",
            "lockgate\u{fe55}x",
            "lockgate\u{fe13}x",
            "lockgate\u{a789}x",
            "lockgate\u{2236}x",
            "lockgate\u{2d0}x",
            "lockgate\u{5c3}x",
            "lockgate\u{903}x",
        ] {
            let json = serde_json::json!({ reserved: "v" }).to_string();
            assert_eq!(check(&json), Err("tag_key_reserved"), "{reserved:?}");
        }
        for free in [
            "lockgates",
            "lockgate",
            "lockgate.x",
            "lockgate-x",
            "lockgate;x",
            "xlockgate:x",
            "my lockgate:x",
            "lock:gate",
            "lockgatе",
            "l0ckgate:x",
            "замок:x",
            "門番:x",
            "цена:lockgate:",
        ] {
            let json = serde_json::json!({ free: "v" }).to_string();
            assert!(check(&json).is_ok(), "{free:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_key_panics_and_ascii_is_reserved_by_its_prefix_alone(key in "\\PC{1,40}", tail in "[ -~]{0,20}") {
            let ascii: String = key.chars().filter(char::is_ascii).collect();
            let plain = ascii.replace(' ', "").to_ascii_lowercase().starts_with(RESERVED);
            proptest::prop_assert_eq!(reserved(&ascii), plain);
            let prefixed = format!("{RESERVED}{tail}");
            proptest::prop_assert!(reserved(&prefixed));
            let _ = reserved(&key);
        }
    }
}

//! Request bodies of `/api`: unknown fields are refused by name, and no value is ever repeated in an error.

use std::ops::RangeInclusive;

use lockgate_refusal::{Code, Refusal};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use lockgate_host::Secret;
use lockgate_workspace::question::Change;

/// A body that has been read, wiped when the call is over, since it may hold a secret.
pub(crate) struct Body(Secret);

impl Body {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(Secret::new(bytes.to_vec()))
    }

    /// The body as a `T`, which denies unknown fields.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(self.0.expose()).map_err(|error| explain(&error))
    }

    /// Whether nothing was sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// That there is nothing in it: no bytes, or an empty object.
    pub(crate) fn nothing(&self) -> Result<(), Refusal> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        if self.0.is_empty() {
            return Ok(());
        }
        self.read::<Nothing>().map(|Nothing {}| ())
    }
}

fn explain(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let at = format!("line {} column {}", error.line(), error.column());
    if error.is_syntax() || error.is_eof() || error.is_io() {
        let what = if text.starts_with("EOF") {
            "it ends too early"
        } else {
            "it is not JSON"
        };
        return Refusal::new(
            Code::INVALID_JSON,
            format!("The request body cannot be read: {what} at {at}."),
        );
    }
    let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
    if text.starts_with("unknown field") {
        let name = quoted(&text);
        let known: Vec<&str> = text.split('`').skip(3).step_by(2).collect();
        let refusal = Refusal::new(
            Code::UNKNOWN_FIELD,
            format!("There is no field `{name}` here (at {at})."),
        )
        .param(name);
        return if known.is_empty() {
            refusal.remedy("This call has no fields.")
        } else {
            refusal.remedy(format!("Known fields: {}.", known.join(", ")))
        };
    }
    if text.starts_with("missing field") {
        let name = quoted(&text);
        return Refusal::new(
            Code::INVALID_REQUEST,
            format!("The field `{name}` is missing."),
        )
        .param(name);
    }
    if text.starts_with("duplicate field") {
        let name = quoted(&text);
        return Refusal::new(
            Code::INVALID_REQUEST,
            format!("The field `{name}` stands twice."),
        )
        .param(name);
    }
    // serde's words repeat the value, which may be a secret in the wrong place: only what was expected is shown.
    let expected = text
        .rsplit_once(", expected ")
        .map(|(_, expected)| expected.split(" at line").next().unwrap_or(expected));
    Refusal::new(
        Code::INVALID_REQUEST,
        match expected {
            Some(expected) => {
                format!("The value that ends at {at} is of another kind: expected {expected}.")
            }
            None => format!("The value that ends at {at} cannot be used."),
        },
    )
}

/// A secret in a body.
pub(crate) struct SecretField(pub(crate) Secret);

impl<'de> Deserialize<'de> for SecretField {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::from(text)))
    }
}

/// A field that may be left out, be `null`, which clears what it names, or have a value.
pub(crate) fn change<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Change<T>, D::Error> {
    let given = Option::<T>::deserialize(deserializer)?;
    Ok(given.map_or(Change::Clear, Change::Set))
}

/// A whole number within bounds.
pub(crate) fn whole(
    field: &str,
    value: &Value,
    bounds: RangeInclusive<u64>,
) -> Result<u64, Refusal> {
    let number = value.as_u64().filter(|number| bounds.contains(number));
    number.ok_or_else(|| {
        let (least, most) = bounds.into_inner();
        let found = match value {
            Value::Number(number) => format!(", not {}", shortened(&number.to_string())),
            _ => String::new(),
        };
        let message = format!("`{field}` is a whole number from {least} to {most}{found}.");
        Refusal::new(Code::INVALID_REQUEST, message).param(field)
    })
}

/// What was sent, short enough for a message.
pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Checks the name of a resource whose ids have this prefix.
pub(crate) fn name(name: &str, prefix: &str) -> Result<(), Refusal> {
    lockgate_workspace::name::check(name, Some(prefix)).map_err(|problem| {
        Refusal::new(
            Code::INVALID_REQUEST,
            format!("The name cannot be used: {problem}."),
        )
        .param("name")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Example {
        name: String,
        #[serde(default)]
        size: Option<u32>,
    }

    fn refusal(body: &str) -> Refusal {
        Body::new(body.as_bytes()).read::<Example>().unwrap_err()
    }

    #[test]
    fn errors_name_the_field_and_not_the_value() {
        assert_eq!(
            refusal("{\"nome\":\"sk-secret\"}").code,
            Code::UNKNOWN_FIELD
        );
        assert_eq!(refusal("{\"nome\":\"x\"}").param.as_deref(), Some("nome"));
        assert_eq!(
            refusal("{\"nome\":\"x\"}").remedy,
            "Known fields: name, size."
        );
        assert_eq!(refusal("{}").param.as_deref(), Some("name"));
        assert_eq!(refusal("{").code, Code::INVALID_JSON);
        let wrong = refusal("{\"name\":\"a\",\"size\":\"sk-secret\"}");
        assert!(!wrong.message.contains("sk-secret"), "{}", wrong.message);
        assert!(wrong.message.contains("u32"), "{}", wrong.message);
    }

    #[test]
    fn nothing_is_nothing() {
        let nothing = |text: &str| Body::new(text.as_bytes()).nothing();
        assert!(nothing("").is_ok() && nothing(" {} ").is_ok());
        let refusal = nothing("{\"force\":true}").unwrap_err();
        assert_eq!(refusal.code, Code::UNKNOWN_FIELD);
        assert_eq!(refusal.remedy, "This call has no fields.");
        assert_eq!(nothing("x").unwrap_err().code, Code::INVALID_JSON);
        assert!(nothing("[1]").is_err());
    }

    #[test]
    fn names_are_checked() {
        assert!(name("a", "pk").is_ok());
        for bad in ["", "a/b", "pk_aaaaaaaaaaaaaaaa"] {
            let refusal = name(bad, "pk").unwrap_err();
            assert_eq!(refusal.code, Code::INVALID_REQUEST, "{bad:?}");
            assert_eq!(refusal.param.as_deref(), Some("name"));
        }
        let refusal = name("a/b", "pk").unwrap_err();
        assert_eq!(
            refusal.message,
            "The name cannot be used: it has a slash, which separates a provider from a name."
        );
    }
}

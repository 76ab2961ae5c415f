//! Errors that a person can act on (FEATURES D1–D3): one place that maps what went wrong to HTTP.
//!
//! A [`Refusal`] says in words what is missing and the way out, has a stable [`Code`] for programs, and takes the shape
//! of the surface that was called, so that each SDK raises its own typed exception.
#![forbid(unsafe_code)]

mod code;
mod from;

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use lockgate_host::{Answer, AnswerBody, Fetch};
use serde_json::{Map, Value, json};

pub use code::Code;

/// Characters of somebody's text that a message repeats.
const SHOWN: usize = 100;

/// Somebody's text for a message: no longer than a line, and without control characters.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut plain = text.chars().filter(|c| !c.is_control());
    let mut short: String = plain.by_ref().take(SHOWN).collect();
    if plain.next().is_some() {
        short.push('…');
    }
    short
}

/// Whose error object a client of this path expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// OpenAI's, and that of `/api`.
    OpenAi,
    /// Anthropic's, under `/v1/messages`.
    Anthropic,
}

impl Shape {
    /// The shape for a path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        if path.starts_with("/v1/messages") {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }
}

/// A request that is not served, and why. It never holds a secret. One word wide, since every `Result` carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(Box<Details>);

/// What a [`Refusal`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// For programs.
    pub code: Code,
    /// For people: what happened.
    pub message: String,
    /// For people: the way out.
    pub remedy: Cow<'static, str>,
    /// The field of the request that is to blame.
    pub param: Option<String>,
    /// The route that decided.
    pub route: Option<String>,
    /// The provider's slug.
    pub provider: Option<String>,
    /// Why access or readiness was refused, a word of FEATURES B4.
    pub reason: Option<&'static str>,
    /// Seconds after which to try again.
    pub retry_after: Option<u64>,
    /// The provider's own code, where it gave one.
    pub provider_code: Option<String>,
    /// Further members of the error's `lockgate` object.
    pub details: Vec<(&'static str, Value)>,
    /// Further headers of the answer.
    pub headers: Vec<(&'static str, Cow<'static, str>)>,
}

impl Deref for Refusal {
    type Target = Details;
    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for Refusal {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl Refusal {
    /// A refusal with a message and the code's own remedy.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Details {
            code,
            message: message.into(),
            remedy: Cow::Borrowed(code.remedy()),
            param: None,
            route: None,
            provider: None,
            reason: None,
            retry_after: None,
            provider_code: None,
            details: Vec::new(),
            headers: Vec::new(),
        }))
    }

    /// Says the way out.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// Names the field.
    #[must_use]
    pub fn param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Names the route.
    #[must_use]
    pub fn route(mut self, name: &str) -> Self {
        self.route = Some(name.to_owned());
        self
    }

    /// Names the provider.
    #[must_use]
    pub fn provider(mut self, slug: &str) -> Self {
        self.provider = Some(slug.to_owned());
        self
    }

    /// Says why access or readiness was refused.
    #[must_use]
    pub fn reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Adds a member to the error's `lockgate` object.
    #[must_use]
    pub fn detail(mut self, name: &'static str, value: Value) -> Self {
        self.details.push((name, value));
        self
    }

    /// The error object, in the shape of the surface.
    #[must_use]
    pub fn object(&self, shape: Shape, request_id: &str) -> Value {
        let mut lockgate = Map::new();
        let mut put = |name: &str, value: Option<&str>| {
            lockgate.insert(name.into(), value.map_or(Value::Null, Value::from));
        };
        put("request_id", Some(request_id));
        put("route", self.route.as_deref());
        put("provider", self.provider.as_deref());
        put("remedy", Some(&self.remedy));
        put("docs", Some(&format!("docs/errors.md#{}", self.code.text)));
        if let Some(reason) = self.reason {
            put("reason", Some(reason));
        }
        if let Some(code) = &self.provider_code {
            put("provider_code", Some(code));
        }
        for (name, value) in &self.details {
            lockgate.insert((*name).into(), value.clone());
        }
        let message = format!("{} {}", self.message, self.remedy);
        match shape {
            Shape::OpenAi => json!({"error": {
                "message": message,
                "type": self.code.openai_type(),
                "code": self.code.text,
                "param": self.param,
                "lockgate": lockgate,
            }}),
            Shape::Anthropic => json!({
                "type": "error",
                "error": {
                    "type": self.code.anthropic_type(),
                    "message": message,
                    "code": self.code.text,
                    "lockgate": lockgate,
                },
                "request_id": request_id,
            }),
        }
    }

    /// The whole answer.
    #[must_use]
    pub fn answer<F: Fetch>(&self, shape: Shape, request_id: &str) -> Answer<F> {
        let mut set = vec![
            ("content-type", "application/json".into()),
            ("lockgate-request-id", request_id.to_owned().into()),
        ];
        if let Some(seconds) = self.retry_after {
            set.push(("retry-after", seconds.to_string().into()));
        }
        if let Some(provider) = &self.provider {
            set.push(("lockgate-provider", provider.clone().into()));
        }
        set.extend(self.headers.iter().cloned());
        Answer {
            status: self.code.status,
            from: None,
            set,
            body: AnswerBody::Bytes(self.object(shape, request_id).to_string().into_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn what_is_repeated_fits_on_a_line() {
        assert_eq!(shown("gpt-4o"), "gpt-4o");
        assert_eq!(shown("a\r\n\u{1b}b"), "ab");
        assert_eq!(shown(&"é".repeat(100)), "é".repeat(100));
        assert_eq!(shown(&"é".repeat(101)), format!("{}…", "é".repeat(100)));
    }
}

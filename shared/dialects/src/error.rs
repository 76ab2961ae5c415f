//! What providers say when they fail, in an answer or in the middle of a stream.
//!
//! Shapes: OpenAI and its like `{"error":{"message","type","code","param"}}`, Anthropic `{"type":"error","error":{"type","message"}}`,
//! Google `{"error":{"code","message","status"}}` (also as the only element of an array), Cohere `{"message"}`, AWS `{"message"}` or
//! `{"Message"}` with the type outside, FastAPI `{"detail"}`.

use serde_json::Value;

/// Why a provider failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What it said.
    pub said: Said,
}

/// Kinds of failure, each with a counterpart in every dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The request was wrong.
    Invalid,
    /// The provider's key was.
    Key,
    /// No such model.
    NotFound,
    /// Too much at once.
    TooLarge,
    /// Too many requests.
    RateLimited,
    /// No credit left.
    Quota,
    /// Too much to do.
    Overloaded,
    /// It took too long.
    Timeout,
    /// Anything else on its side.
    Provider,
}

/// A provider's own words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// For people.
    pub message: Option<String>,
    /// Its code or type.
    pub code: Option<String>,
    /// The field to blame.
    pub param: Option<String>,
}

impl Said {
    /// What an error's body says, as far as it can be understood.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        match serde_json::from_slice(body) {
            Ok(value) => Self::of(value),
            Err(_) => Self::default(),
        }
    }

    /// What an error object says.
    #[must_use]
    pub fn of(value: Value) -> Self {
        match value {
            Value::Array(list) => list.into_iter().next().map(Self::of).unwrap_or_default(),
            Value::Object(mut outer) => match outer.remove("error") {
                Some(Value::String(message)) => Self {
                    message: Some(message),
                    ..Self::default()
                },
                Some(Value::Object(inner)) => Self::fields(inner),
                _ => Self::fields(outer),
            },
            _ => Self::default(),
        }
    }

    fn fields(mut object: serde_json::Map<String, Value>) -> Self {
        let mut word = |names: &[&str]| {
            names.iter().find_map(|name| match object.remove(*name)? {
                Value::String(text) if !text.is_empty() => Some(text),
                Value::String(_) | Value::Null => None,
                other => Some(other.to_string()),
            })
        };
        Self {
            message: word(&["message", "Message", "detail"]),
            // Google's `code` is the HTTP status again; its `status` is the word.
            code: word(&["status", "code", "type", "__type"]),
            param: word(&["param"]),
        }
    }

    /// What kind of failure the code names; [`FailureKind::Provider`] where it names none.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        let code = self.code.as_deref().unwrap_or_default();
        // AWS: `com.amazon.coral.service#ThrottlingException:http://…`
        let code = code.rsplit('#').next().unwrap_or(code);
        let code = code.split(':').next().unwrap_or(code);
        match code {
            "invalid_request_error"
            | "INVALID_ARGUMENT"
            | "FAILED_PRECONDITION"
            | "ValidationException"
            | "validationException"
            | "invalid_prompt"
            | "400" => FailureKind::Invalid,
            "authentication_error"
            | "permission_error"
            | "invalid_api_key"
            | "UNAUTHENTICATED"
            | "PERMISSION_DENIED"
            | "AccessDeniedException"
            | "401"
            | "403" => FailureKind::Key,
            "not_found_error"
            | "model_not_found"
            | "NOT_FOUND"
            | "ResourceNotFoundException"
            | "404" => FailureKind::NotFound,
            "request_too_large" | "413" => FailureKind::TooLarge,
            "rate_limit_error"
            | "rate_limit_exceeded"
            | "ThrottlingException"
            | "throttlingException"
            | "RESOURCE_EXHAUSTED"
            | "429" => FailureKind::RateLimited,
            "insufficient_quota"
            | "billing_error"
            | "quota_exceeded"
            | "billing_hard_limit_reached"
            | "ServiceQuotaExceededException"
            | "402" => FailureKind::Quota,
            "overloaded_error"
            | "UNAVAILABLE"
            | "ServiceUnavailableException"
            | "serviceUnavailableException"
            | "503"
            | "529" => FailureKind::Overloaded,
            "timeout_error"
            | "DEADLINE_EXCEEDED"
            | "ModelTimeoutException"
            | "modelTimeoutException"
            | "504" => FailureKind::Timeout,
            _ => FailureKind::Provider,
        }
    }
}

impl From<Said> for Failure {
    fn from(said: Said) -> Self {
        Self {
            kind: said.kind(),
            said,
        }
    }
}

impl Failure {
    /// A failure in our words.
    pub fn provider(message: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Provider,
            said: Said {
                message: Some(message.into()),
                ..Said::default()
            },
        }
    }
}

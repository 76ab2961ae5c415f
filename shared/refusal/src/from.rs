//! What the authority, the settings and the engine say, as refusals.

use lockgate_host::ReadError;
use lockgate_workspace::question::Denial;
use lockgate_workspace::tags::TagError;
use lockgate_workspace::{AskError, Misconfigured};

use crate::{Code, Refusal};

impl From<Misconfigured> for Refusal {
    fn from(error: Misconfigured) -> Self {
        Self::new(
            Code::MISCONFIGURED,
            format!("The gateway is not configured: {error}."),
        )
        .remedy(format!(
            "Whoever runs this gateway has to correct {}.",
            error.setting
        ))
        .param(error.setting)
    }
}

impl From<AskError> for Refusal {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Denied(denial) => denial.into(),
            AskError::Unreachable(_) | AskError::Mismatch => Self::new(
                Code::STORE_UNAVAILABLE,
                format!("{}.", capital(&error.to_string())),
            )
            .remedy(
                "Try again; if it stays so, whoever runs this gateway has to look at its database.",
            ),
        }
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        let code = match &denial {
            Denial::NotFound { .. } => Code::NOT_FOUND,
            Denial::AlreadyExists { .. } => Code::ALREADY_EXISTS,
            Denial::Stale { .. } => Code::STALE_ETAG,
            Denial::VersionMoved(_) | Denial::InUse(_) => Code::IN_USE,
            Denial::Declarative { .. } => Code::MANAGED_DECLARATIVELY,
            Denial::WrongKek => {
                return Self::from(Misconfigured {
                    setting: "LOCKGATE_KEK",
                    problem: denial.to_string(),
                });
            }
            Denial::Store(_) => Code::STORE_UNAVAILABLE,
        };
        let refusal = Self::new(code, format!("{}.", capital(&denial.to_string())));
        match denial {
            Denial::AlreadyExists { .. } => refusal.param("name"),
            Denial::Stale { .. } => {
                refusal.remedy("Read it again and repeat the change on what it is now.")
            }
            Denial::VersionMoved(_) => refusal.remedy("Repeat the rotation."),
            _ => refusal,
        }
    }
}

impl From<TagError> for Refusal {
    fn from(error: TagError) -> Self {
        let code = Code {
            text: error.code(),
            status: 400,
        };
        Self::new(code, format!("{}.", capital(&error.to_string()))).param("tags")
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::TooLarge { limit } => Self::new(
                Code::REQUEST_TOO_LARGE,
                format!("The request body is larger than {limit} bytes."),
            )
            .remedy("Send less at once; under /v1 the limit is LOCKGATE_MAX_BODY_BYTES."),
            ReadError::Broken(_) | ReadError::Idle => Self::new(
                Code::INVALID_REQUEST,
                "The request body broke off before its end.",
            ),
        }
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

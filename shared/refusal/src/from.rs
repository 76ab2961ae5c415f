//! What the authority, the settings and the engine say, as refusals.

use lockgate_host::ReadError;
use lockgate_workspace::question::Denial;
use lockgate_workspace::tags::TagError;
use lockgate_workspace::{AskError, Misconfigured, SealFailure, UnsealError, VaultError};

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
            Denial::KekNeeded { kek, .. } => {
                return Self::from(Misconfigured {
                    setting: if kek.contains(':') {
                        "LOCKGATE_VAULT_PREVIOUS"
                    } else {
                        "LOCKGATE_KEK_PREVIOUS"
                    },
                    problem: denial.to_string(),
                });
            }
            Denial::StoreNeeded { .. } => {
                return Self::from(Misconfigured {
                    setting: "LOCKGATE_VAULT_PREVIOUS",
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

impl From<UnsealError> for Refusal {
    fn from(error: UnsealError) -> Self {
        let text = error.to_string();
        match error {
            UnsealError::Ask(error) => error.into(),
            UnsealError::Moved => Self::new(Code::IN_USE, format!("{}.", capital(&text))),
            UnsealError::Vault {
                provider, error, ..
            } => unavailable(text, &error).provider(&provider),
            UnsealError::Closed { provider, .. } => Self::new(Code::VAULT_UNAVAILABLE, text)
                .remedy("Save the key again (rotate it).")
                .provider(&provider),
        }
    }
}

impl From<SealFailure> for Refusal {
    fn from(failure: SealFailure) -> Self {
        match failure {
            SealFailure::Ask(error) => error.into(),
            SealFailure::Vault(VaultError::Seal(error)) => Self::new(
                Code::INVALID_REQUEST,
                format!("The secret cannot be sealed: {error}."),
            )
            .param("secret"),
            SealFailure::Vault(error) => error.into(),
        }
    }
}

impl From<VaultError> for Refusal {
    fn from(error: VaultError) -> Self {
        unavailable(format!("{}.", capital(&error.to_string())), &error)
    }
}

fn unavailable(text: String, error: &VaultError) -> Refusal {
    let (code, remedy) = match error {
        VaultError::Unavailable { .. } => (
            Code::VAULT_UNAVAILABLE,
            "Try again; if it stays so, whoever runs this gateway has to look at its vault.",
        ),
        VaultError::Refused { .. } => (
            Code::VAULT_UNAVAILABLE,
            "Whoever runs this gateway has to look at what its credentials may do in the vault, and whether the key there is \
             enabled.",
        ),
        VaultError::NotHeld { .. } => (
            Code::VAULT_UNAVAILABLE,
            "Whoever runs this gateway has to put it back: a local KEK into LOCKGATE_KEK_PREVIOUS, another vault into \
             LOCKGATE_VAULT_PREVIOUS.",
        ),
        VaultError::Open(_) | VaultError::Seal(_) => {
            (Code::VAULT_UNAVAILABLE, "Save the key again (rotate it).")
        }
        VaultError::Unsupported { .. } => (Code::INVALID_REQUEST, "Do it in the vault itself."),
    };
    Refusal::new(code, text).remedy(remedy)
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

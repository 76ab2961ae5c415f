//! What KMS says where it does not do what it was asked:
//! <https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html>, and what each operation lists.

use lockgate_host::Host;
use serde::Deserialize;

use crate::line::{Line, Reply};
use crate::{OpenError, VaultError};

#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(alias = "Message", default)]
    message: Option<String>,
}

impl Problem {
    fn read(reply: &Reply) -> Option<Self> {
        reply.json()
    }

    /// The error's name, which may come with a namespace before it and an address behind it.
    fn name(&self) -> &str {
        let name = self.kind.rsplit_once('#');
        let name = name.map_or(self.kind.as_str(), |(_, name)| name);
        name.split_once(':').map_or(name, |(name, _)| name)
    }
}

/// “Not now”, in words that come with a status which says something else.
pub(super) fn busy(reply: &Reply) -> bool {
    !reply.ok()
        && Problem::read(reply).is_some_and(|problem| {
            matches!(
                problem.name(),
                "ThrottlingException"
                    | "Throttling"
                    | "TooManyRequestsException"
                    | "RequestLimitExceeded"
                    | "KMSInternalException"
                    | "InternalFailure"
                    | "ServiceUnavailable"
                    | "ServiceUnavailableException"
                    | "DependencyTimeoutException"
                    | "KeyUnavailableException"
            )
        })
}

/// What to make of a no. `sent` is what must not be shown again.
pub(super) fn failure<H: Host>(
    line: &Line<'_, H>,
    operation: &'static str,
    reply: &Reply,
    sent: &[Option<&str>],
) -> VaultError {
    let Some(problem) = Problem::read(reply) else {
        // Only what is said in KMS's own way is its word on a key; a 401 or 403 of something on the way there is a no, too.
        return match reply.status {
            401 | 403 => line.refused(format!(
                "{operation}: status {}; check LOCKGATE_VAULT_AWS_ACCESS_KEY_ID, its secret, and what is on the way to AWS. It says: {}",
                reply.status,
                without(&String::from_utf8_lossy(&reply.body), sent)
            )),
            _ => line.nonsense(operation),
        };
    };
    let name = problem.name();
    if matches!(name, "InvalidCiphertextException" | "IncorrectKeyException") {
        return OpenError::WrongKekOrBinding.into();
    }
    let message = problem.message.as_deref().unwrap_or_default();
    let hint = hint(name, operation);
    // The way out comes first: what AWS says may be long, the whole request after a wrong signature, and is cut.
    line.refused(format!(
        "{operation}: {}; {hint}. AWS says: {}",
        without(name, sent),
        without(message, sent)
    ))
}

fn hint(name: &str, operation: &str) -> String {
    match name {
        "AccessDeniedException" => {
            return format!("allow kms:{operation} on the key, in the policy of these credentials or of the key");
        }
        "NotFoundException" | "InvalidArnException" => {
            "check LOCKGATE_VAULT_AWS_KEY and the region"
        }
        "DisabledException" => "enable the key again",
        "KMSInvalidStateException" => {
            "see the state of the key in AWS; a deletion that is pending can be cancelled"
        }
        "InvalidKeyUsageException" | "UnsupportedOperationException" => {
            "the key has to be a symmetric encryption key whose kind allows this"
        }
        "InvalidSignatureException" | "SignatureDoesNotMatch" | "RequestExpired" => {
            "check LOCKGATE_VAULT_AWS_SECRET_ACCESS_KEY, the region and the clock"
        }
        "ExpiredTokenException" | "ExpiredToken" => {
            "the temporary credentials have ended: set new ones"
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException" => {
            "check LOCKGATE_VAULT_AWS_ACCESS_KEY_ID and, for temporary credentials, LOCKGATE_VAULT_AWS_SESSION_TOKEN"
        }
        "LimitExceededException" => {
            "the key was rotated on demand as often as AWS allows: set LOCKGATE_VAULT_AWS_KEY to a new one and rewrap"
        }
        "ConflictException" => "a rotation is under way: try again later",
        _ => "see the reference of AWS KMS",
    }
    .to_owned()
}

/// The text without what was sent with the request in confidence.
fn without(text: &str, sent: &[Option<&str>]) -> String {
    let mut text = text.to_owned();
    for secret in sent.iter().flatten().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "…");
    }
    text
}

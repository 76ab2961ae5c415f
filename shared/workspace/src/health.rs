//! What a provider's refusal says of the key it was sent (FEATURES A6; DESIGN.md, “Health is a label”).

/// How the few providers begin their message that do not answer 401 to a key that is wrong, with the status that they do answer:
/// Google (<https://firebase.google.com/docs/ai-logic/error-codes>), xAI (its “Incorrect API key provided”, seen in
/// <https://github.com/continuedev/continue/issues/10778>) and AWS, which says so of keys that it does not know and of
/// tokens that have expired (<https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html>).
const WRONG_KEY: &[(u16, &str)] = &[
    (400, "API key not valid"),
    (400, "API key expired"),
    (400, "Incorrect API key provided"),
    (403, "The security token included in the request is"),
];

/// Whether a provider that answers `status` means its key. Other 403s are about a model, a region or a permission. The message
/// has to begin in the provider's own words: what a client wrote can be repeated further on.
///
/// ```
/// use lockgate_workspace::health::rejects_key;
///
/// assert!(rejects_key(401, None));
/// assert!(rejects_key(400, Some("API key not valid. Please pass a valid API key.")));
/// assert!(!rejects_key(400, Some("`model` is wrong: API key not valid")));
/// assert!(!rejects_key(403, Some("You do not have access to this model.")));
/// ```
#[must_use]
pub fn rejects_key(status: u16, message: Option<&str>) -> bool {
    let said = |words: &str| message.is_some_and(|message| message.starts_with(words));
    status == 401
        || WRONG_KEY
            .iter()
            .any(|(refused_with, words)| *refused_with == status && said(words))
}

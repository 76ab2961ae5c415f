//! The way to a HashiCorp Vault or an OpenBao server: its settings, its errors, and asking it with a token that lives.
//! What is asked is in [`transit`](crate::transit) and [`kv`](crate::kv), how a token is got and kept in [`token`].
//!
//! Reference: <https://developer.hashicorp.com/vault/api-docs>, <https://openbao.org/api-docs/>.

mod token;

use std::cell::RefCell;

use lockgate_host::{Credential, Host, Method, Misconfigured, Secret};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::VaultError;
use crate::config::{self, Places};
use crate::line::{Call, Line, Reply};
use token::{Login, Token};

const ADDR: &str = "LOCKGATE_VAULT_ADDR";
const NAMESPACE: &str = "LOCKGATE_VAULT_NAMESPACE";
const TOKEN: &str = "LOCKGATE_VAULT_TOKEN";
const ROLE_ID: &str = "LOCKGATE_VAULT_ROLE_ID";
const SECRET_ID: &str = "LOCKGATE_VAULT_SECRET_ID";
const APPROLE_MOUNT: &str = "LOCKGATE_VAULT_APPROLE_MOUNT";
/// How much of a secret must stand in a text before the text is not shown: also one that was cut short gives away so much.
const TELLING_BYTES: usize = 8;

/// A server, and how one logs in to it.
pub(crate) struct Connection {
    address: String,
    namespace: Option<String>,
    login: Login,
    token: RefCell<Option<Token>>,
}

/// What the server is asked.
pub(crate) struct Question<'a> {
    pub(crate) method: Method,
    /// What follows `/v1/`.
    pub(crate) path: String,
    /// JSON, or nothing.
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// What the token's policy has to allow on this path.
    pub(crate) capability: &'static str,
    /// What was sent and must not come back in an error.
    pub(crate) hidden: &'a [&'a [u8]],
}

impl Connection {
    pub(crate) async fn read<H: Host>(host: &H, places: &Places) -> Result<Self, Misconfigured> {
        let address = config::required(host, ADDR, "the server's address").await?;
        let address = places.check(ADDR, &address)?;
        let namespace = match config::optional(host, NAMESPACE).await? {
            None => None,
            Some(text) => Some(path(NAMESPACE, &text)?),
        };
        let token = config::optional(host, TOKEN).await?.map(Secret::from);
        let role_id = config::optional(host, ROLE_ID).await?.map(Secret::from);
        let secret_id = config::optional(host, SECRET_ID).await?.map(Secret::from);
        let problem = |setting, problem: &str| {
            Err(Misconfigured {
                setting,
                problem: problem.into(),
            })
        };
        let login = match (token, role_id, secret_id) {
            (Some(token), None, None) if token.expose().iter().all(u8::is_ascii_graphic) => {
                Login::Static(token.into())
            }
            (Some(_), None, None) => {
                return problem(
                    TOKEN,
                    "it has a character that no token has; it is one word, such as hvs.…",
                );
            }
            (None, Some(role_id), Some(secret_id)) => Login::AppRole {
                mount: mount(host, APPROLE_MOUNT, "approle").await?,
                role_id,
                secret_id,
            },
            (None, Some(_), None) => {
                return problem(
                    SECRET_ID,
                    "it is not set, and LOCKGATE_VAULT_ROLE_ID needs it",
                );
            }
            (None, None, Some(_)) => {
                return problem(
                    ROLE_ID,
                    "it is not set, and LOCKGATE_VAULT_SECRET_ID needs it",
                );
            }
            (None, None, None) => {
                return problem(
                    TOKEN,
                    "it is not set, and neither are LOCKGATE_VAULT_ROLE_ID and LOCKGATE_VAULT_SECRET_ID; LOCKGATE_VAULT needs one of both",
                );
            }
            (Some(_), _, _) => {
                return problem(
                    TOKEN,
                    "it is set beside LOCKGATE_VAULT_ROLE_ID or LOCKGATE_VAULT_SECRET_ID; set a token or an AppRole, not both",
                );
            }
        };
        Ok(Self {
            address,
            namespace,
            login,
            token: RefCell::default(),
        })
    }

    /// Asks with a token. What comes back may be a refusal, but not of a token that has ended and can be had anew.
    pub(crate) async fn ask<H: Host>(
        &self,
        line: &Line<'_, H>,
        question: &Question<'_>,
    ) -> Result<Reply, VaultError> {
        let token = self.token(line).await?;
        let reply = self.send(line, question, Some(&token)).await?;
        // A 403 says either that the token is none any more or that its policy does not allow this; the token itself tells.
        if reply.status != 403 || self.lives(line, &token).await? {
            return Ok(reply);
        }
        match self.replace(line, &token).await? {
            Some(token) => self.send(line, question, Some(&token)).await,
            None => Ok(reply),
        }
    }

    /// Whether the server knows our token, which nothing that is between us and it does.
    pub(crate) async fn knows_us<H: Host>(&self, line: &Line<'_, H>) -> Result<bool, VaultError> {
        let token = self.token(line).await?;
        self.lives(line, &token).await
    }

    async fn send<H: Host>(
        &self,
        line: &Line<'_, H>,
        question: &Question<'_>,
        token: Option<&Secret>,
    ) -> Result<Reply, VaultError> {
        // Listeners of Vault's agent and proxy can demand the first one.
        let mut headers = vec![("x-vault-request", "true".into())];
        if let Some(namespace) = &self.namespace {
            headers.push(("x-vault-namespace", namespace.into()));
        }
        if !question.body.is_empty() {
            headers.push(("content-type", "application/json".into()));
        }
        let call = Call {
            method: question.method.clone(),
            url: format!("{}/v1/{}", self.address, question.path),
            headers,
            credential: token.map(|secret| Credential {
                header: "x-vault-token",
                prefix: "",
                secret,
            }),
            body: question.body.clone(),
            busy,
        };
        match line.call(&call).await {
            Err(VaultError::Unavailable { detail, .. })
                if self.repeats(&detail, question.hidden) =>
            {
                Err(line.unavailable("its error repeats a secret and is not shown".into()))
            }
            other => other,
        }
    }

    /// Why the server did not do it, for a status that says so.
    pub(crate) fn refusal<H: Host>(
        &self,
        line: &Line<'_, H>,
        question: &Question<'_>,
        reply: &Reply,
    ) -> VaultError {
        let path = question.path.split('?').next().unwrap_or_default();
        let Some(words) = self.words(reply, question.hidden) else {
            return line.nonsense(path);
        };
        let hint = match (reply.status, &self.login) {
            (403, Login::Static(_)) => format!(
                "LOCKGATE_VAULT_TOKEN has ended, or its policy lacks `{}` on `{path}`",
                question.capability
            ),
            (403, Login::AppRole { .. }) => {
                format!(
                    "the role's policy lacks `{}` on `{path}`",
                    question.capability
                )
            }
            _ => format!("`{path}` answers {}", reply.status),
        };
        line.refused(format!("{hint}: {words}"))
    }

    /// An error's words, to be shown. `None` where it is no error of this API.
    pub(crate) fn words(&self, reply: &Reply, hidden: &[&[u8]]) -> Option<String> {
        let words = words(reply)?;
        Some(if words.is_empty() {
            "no reason given".into()
        } else if self.repeats(&words, hidden) {
            "its reason repeats a secret and is not shown".into()
        } else {
            words
        })
    }

    /// Whether a text has a part of a secret in it, of these or of the login's own.
    fn repeats(&self, text: &str, hidden: &[&[u8]]) -> bool {
        let token = self.token.borrow();
        let token = token.as_ref().map(Token::expose);
        repeats(text, hidden)
            || repeats(text, token.as_slice())
            || repeats(text, &self.login.secrets())
    }
}

/// What says “not now” beside 5xx: a standby that leads elsewhere, a replica that is behind, and a KV store that is being
/// turned into version 2.
fn busy(reply: &Reply) -> bool {
    match reply.status {
        307 | 412 => true,
        400 => words(reply).is_some_and(|words| words.starts_with("Upgrading from non-versioned")),
        _ => false,
    }
}

/// An error's words, to be compared: `{"errors": […]}`, and `{"error": "…"}` as RustyVault has it. `None` where it is no error
/// of this API.
pub(crate) fn words(reply: &Reply) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        errors: Option<Vec<String>>,
        error: Option<String>,
    }
    if reply.body.is_empty() {
        return Some(String::new());
    }
    let said: Said = reply.json()?;
    let all: Vec<String> = said
        .errors
        .into_iter()
        .flatten()
        .chain(said.error)
        .collect();
    Some(all.join("; "))
}

/// Whether a text has a part of any of these in it that is long enough to tell something.
fn repeats(text: &str, hidden: &[&[u8]]) -> bool {
    hidden.iter().any(|secret| {
        let start = secret.get(..TELLING_BYTES).unwrap_or(secret);
        !start.is_empty() && text.as_bytes().windows(start.len()).any(|w| w == start)
    })
}

/// The mount of an engine, without slashes around it.
pub(crate) async fn mount<H: Host>(
    host: &H,
    setting: &'static str,
    default: &str,
) -> Result<String, Misconfigured> {
    let text = config::optional(host, setting).await?;
    path(setting, text.as_deref().unwrap_or(default))
}

/// Checks a path of a setting, and takes away the slashes around it.
pub(crate) fn path(setting: &'static str, text: &str) -> Result<String, Misconfigured> {
    let bare = text.trim_matches('/');
    if is_path(bare) {
        return Ok(bare.to_owned());
    }
    Err(Misconfigured {
        setting,
        problem: format!(
            "“{}” is no path of letters, digits, `_`, `-` and `.` with `/` between them",
            text.chars().take(40).collect::<String>()
        ),
    })
}

/// Whether this can stand in an address as it is and leads nowhere else.
pub(crate) fn is_path(text: &str) -> bool {
    text.split('/').all(is_name)
}

/// Whether this is one part of a path.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !matches!(text, "" | "." | "..") && text.chars().all(plain)
}

/// Fields as a JSON object, in a buffer that never grows: growing would leave copies of secrets in freed memory.
pub(crate) fn object(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    // A character becomes six at most.
    let longest = |(name, text): &(&str, &str)| name.len() + 6 * text.len() + 6;
    let room = fields.iter().map(longest).sum::<usize>() + 2;
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    body.push(b'{');
    for (at, (name, text)) in fields.iter().enumerate() {
        body.extend_from_slice(if at == 0 { b"\"" } else { b",\"" });
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(b"\":");
        // Writing text to memory cannot fail.
        let _ = serde_json::to_writer(&mut *body, text);
    }
    body.push(b'}');
    body
}

/// A text in an answer that is secret.
pub(crate) fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
    String::deserialize(from).map(Secret::from)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{is_path, object, repeats};

    #[test]
    fn paths_lead_nowhere_else() {
        for fine in ["transit", "team/kv", "a.b-c_d/1"] {
            assert!(is_path(fine), "{fine}");
        }
        for wrong in [
            "", "/", "a//b", "a/../b", ".", "a?b", "a#b", "a%2fb", "a b", "ä",
        ] {
            assert!(!is_path(wrong), "{wrong}");
        }
    }

    #[test]
    fn objects_are_json_and_fit_their_buffer() {
        let text = "\u{1}\"\\é\u{1f600}".repeat(100);
        let body = object(&[("a", &text), ("b", "")]);
        let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(read, serde_json::json!({"a": text, "b": ""}));
        assert!(body.len() <= "ab".len() + 6 * text.len() + 14);
        assert_eq!(&**object(&[("a", "1")]), br#"{"a":"1"}"#);
        assert_eq!(&**object(&[]), b"{}");
    }

    #[test]
    fn a_secret_is_found_where_it_is_cut_short() {
        let secret: &[&[u8]] = &[b"", b"sk-live-0123456789"];
        assert!(repeats("said sk-live-01", secret));
        assert!(!repeats("said sk-l", secret));
        assert!(repeats("said abc", &[b"abc"]));
    }
}

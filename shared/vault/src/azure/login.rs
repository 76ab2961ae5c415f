//! Tokens from Microsoft Entra ID for an application that has a client secret
//! (<https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>).

use std::borrow::Cow;

use form_urlencoded::byte_serialize;
use lockgate_host::{Host, Method, Misconfigured, Secret};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::VaultError;
use crate::bearer::Token;
use crate::config::{self, Places};
use crate::line::{Call, Line, Reply};

const TENANT: &str = "LOCKGATE_VAULT_AZURE_TENANT_ID";
pub(super) const CLIENT_ID: &str = "LOCKGATE_VAULT_AZURE_CLIENT_ID";
const SECRET: &str = "LOCKGATE_VAULT_AZURE_CLIENT_SECRET";
const LOGIN: &str = "LOCKGATE_VAULT_AZURE_LOGIN";

/// An application and where it logs in.
pub(super) struct Login {
    url: String,
    client_id: String,
    secret: Secret,
    scope: String,
}

#[derive(Deserialize)]
struct Given {
    token_type: String,
    expires_in: u64,
    access_token: Zeroizing<String>,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Login {
    pub(super) async fn read<H: Host>(
        host: &H,
        places: &Places,
        login: &str,
        scope: &str,
    ) -> Result<Self, Misconfigured> {
        let tenant = id(host, TENANT, "the directory (tenant) id").await?;
        let client_id = id(host, CLIENT_ID, "the application (client) id").await?;
        let hint = "the value of a client secret of the application";
        let secret = config::required_secret(host, SECRET, hint).await?;
        let login = match config::optional(host, LOGIN).await? {
            Some(login) => places.check(LOGIN, &login)?,
            None => login.to_owned(),
        };
        Ok(Self {
            url: format!("{login}/{tenant}/oauth2/v2.0/token"),
            client_id,
            secret,
            scope: scope.to_owned(),
        })
    }

    /// Logs in.
    pub(super) async fn token<H: Host>(&self, line: &Line<'_, H>) -> Result<Token, VaultError> {
        let now = line.host.now_ms();
        let call = Call {
            method: Method::POST,
            url: self.url.clone(),
            headers: vec![
                ("accept", Cow::Borrowed("application/json")),
                (
                    "content-type",
                    Cow::Borrowed("application/x-www-form-urlencoded"),
                ),
            ],
            credential: None,
            body: self.form(),
            busy,
        };
        let reply = line.call(&call).await?;
        let nonsense = || line.nonsense("the login");
        if reply.ok() {
            let given: Given = reply.json().ok_or_else(nonsense)?;
            if !given.token_type.eq_ignore_ascii_case("bearer") {
                return Err(nonsense());
            }
            let secret = Secret::new(given.access_token.as_bytes().to_vec());
            return Ok(Token::new(secret, now, given.expires_in));
        }
        let failure: Failure = reply.json().ok_or_else(nonsense)?;
        let said = failure.error_description.as_str();
        let repeats = self.secret.expose_str().is_none_or(|s| said.contains(s));
        let said = if repeats { "" } else { said };
        Err(line.refused(format!(
            "the login is {} (check {TENANT}, {CLIENT_ID} and {SECRET}, which ends at a date): {said}",
            failure.error
        )))
    }

    fn form(&self) -> Zeroizing<Vec<u8>> {
        let fields: [(&str, &[u8]); 4] = [
            ("grant_type", b"client_credentials"),
            ("client_id", self.client_id.as_bytes()),
            ("scope", self.scope.as_bytes()),
            ("client_secret", self.secret.expose()),
        ];
        // Room for all of it, each byte encoded, from the start: growing would leave a copy of the secret in freed memory.
        let most = fields
            .iter()
            .map(|(name, value)| name.len() + 3 * value.len() + 2);
        let mut form = Vec::with_capacity(most.sum());
        for (name, value) in fields {
            if !form.is_empty() {
                form.push(b'&');
            }
            form.extend_from_slice(name.as_bytes());
            form.push(b'=');
            for piece in byte_serialize(value) {
                form.extend_from_slice(piece.as_bytes());
            }
        }
        Zeroizing::new(form)
    }
}

/// Whether Entra ID wants the same call again.
fn busy(reply: &Reply) -> bool {
    let failure: Option<Failure> = reply.json().filter(|_| !reply.ok());
    failure.is_some_and(|failure| failure.error == "temporarily_unavailable")
}

/// An id, which is a part of the address.
async fn id<H: Host>(host: &H, setting: &'static str, hint: &str) -> Result<String, Misconfigured> {
    let text = config::required(host, setting, hint).await?;
    let mut bytes = text.bytes();
    let plain = bytes.all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    if plain && text.bytes().any(|b| b.is_ascii_alphanumeric()) {
        return Ok(text);
    }
    // What it is is not shown: it may be the secret, in the wrong place.
    Err(Misconfigured {
        setting,
        problem: format!(
            "it has characters that no id has; it is {hint}, such as 00000000-0000-0000-0000-000000000000"
        ),
    })
}

//! Google Cloud KMS: data keys are wrapped by a symmetric key (purpose `ENCRYPT_DECRYPT`) that never leaves the service.
//!
//! The [`Binding`] goes along as additional authenticated data, so the service itself refuses a wrapped data key that was moved
//! elsewhere. Plain text, ciphertext and authenticated data go with their CRC-32C both ways, as Google asks of its clients
//! (<https://cloud.google.com/kms/docs/data-integrity-guidelines>).
//!
//! The name of a version that comes out of the database is never part of a request: `decrypt` goes to the configured key, which
//! finds the version in the ciphertext. A version of another key is refused without asking.
//!
//! `encrypt` names the version that is primary by the key's own record. Left to the service, it may be the one before for a
//! minute, at times for hours (<https://cloud.google.com/kms/docs/consistency>), and a rewrap would move nothing.
//!
//! References (v1): [encrypt](https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/encrypt),
//! [decrypt](https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/decrypt),
//! [get](https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/get),
//! [cryptoKeyVersions.create](https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys.cryptoKeyVersions/create),
//! [updatePrimaryVersion](https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/updatePrimaryVersion),
//! errors ([google.rpc.Status](https://cloud.google.com/apis/design/errors)).

mod account;
mod crc32c;

use data_encoding::BASE64;
use lockgate_host::{Host, Method, Misconfigured};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::adapter::{Adapter, Wrapped};
use crate::bearer::{Ask, Bearer, Token};
use crate::config::{self, Places};
use crate::envelope::Dek;
use crate::line::{Line, Reply};
use crate::{Binding, OpenError, VaultError};
use account::Account;
use crc32c::crc32c;

const KEY: &str = "LOCKGATE_VAULT_GCP_KEY";
const CREDENTIALS: &str = "LOCKGATE_VAULT_GCP_CREDENTIALS";
const ENDPOINT: &str = "LOCKGATE_VAULT_GCP_ENDPOINT";
const DEFAULT_ENDPOINT: &str = "https://cloudkms.googleapis.com";
const KEY_FORM: &str =
    "projects/<project>/locations/<location>/keyRings/<ring>/cryptoKeys/<key>, without a version";
const VERSIONS: &str = "/cryptoKeyVersions/";
const PURPOSE: &str = "lockgate/gcp-kms-dek/v1";

/// A key of Google Cloud KMS.
pub(crate) struct GcpKms {
    endpoint: String,
    /// The key's resource name.
    key: String,
    account: Account,
    bearer: Bearer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Encrypted {
    name: String,
    ciphertext: String,
    ciphertext_crc32c: String,
    #[serde(default)]
    verified_plaintext_crc32c: bool,
    #[serde(default)]
    verified_additional_authenticated_data_crc32c: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decrypted {
    plaintext: Zeroizing<String>,
    plaintext_crc32c: String,
}

#[derive(Deserialize)]
struct CryptoKey {
    purpose: String,
    primary: Option<Version>,
}

#[derive(Deserialize)]
struct Version {
    name: String,
    state: String,
}

#[derive(Deserialize)]
struct Failure {
    error: Status,
}

#[derive(Deserialize)]
struct Status {
    status: String,
    #[serde(default)]
    message: String,
}

impl GcpKms {
    pub(crate) async fn read<H: Host>(host: &H, places: &Places) -> Result<Self, Misconfigured> {
        let key = config::required(host, KEY, &format!("it is {KEY_FORM}")).await?;
        if !is_key(&key) {
            // Only what can be no secret in the wrong place is shown.
            let begins = key.starts_with("projects/");
            let shown: String = key.chars().take(200).collect();
            let found = if begins { &shown } else { "what it says" };
            return Err(Misconfigured {
                setting: KEY,
                problem: format!("{found} is no name of a key; it is {KEY_FORM}"),
            });
        }
        let endpoint = match config::optional(host, ENDPOINT).await? {
            Some(endpoint) => places.check(ENDPOINT, &endpoint)?,
            None => DEFAULT_ENDPOINT.to_owned(),
        };
        let hint = "the content of a service account's JSON key file";
        let file = config::required_secret(host, CREDENTIALS, hint).await?;
        Ok(Self {
            endpoint,
            key,
            account: Account::read(&file).map_err(|problem| Misconfigured {
                setting: CREDENTIALS,
                problem,
            })?,
            bearer: Bearer::default(),
        })
    }

    /// Asks the service about the key, or below it.
    async fn ask<H: Host>(
        &self,
        line: &Line<'_, H>,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> Result<Reply, VaultError> {
        let ask = Ask {
            method,
            url: &format!("{}/v1/{}{path}", self.endpoint, self.key),
            body,
            busy,
        };
        let login = async || {
            let now = line.host.now_ms();
            let random = &mut |buffer: &mut [u8]| line.host.random(buffer);
            let token = self.account.token(now / 1_000, random).ok_or_else(|| {
                line.refused(format!(
                    "the key in {CREDENTIALS} cannot sign: its numbers do not fit together; make a new key file"
                ))
            })?;
            Ok(Token::new(token, now, account::LIFE))
        };
        self.bearer.ask(line, login, &ask).await
    }

    /// The number of a version that the service has named, where it is one of this key. The service may call a project by its
    /// number where the setting has its name.
    fn number<'n>(&self, name: &'n str) -> Option<&'n str> {
        let (key, number) = name.split_once(VERSIONS)?;
        let (_, ours) = self.key.split_once("/locations/")?;
        let (_, theirs) = key.split_once("/locations/")?;
        (ours == theirs && is_number(number)).then_some(number)
    }

    /// How the names of its versions begin, as they are stored: all that it opens.
    pub(crate) fn versions(&self) -> String {
        format!("{}{VERSIONS}", self.key)
    }

    /// The name of a version, as it is stored.
    fn named(&self, number: &str) -> String {
        self.versions() + number
    }

    /// The number of the primary version, where it may be used.
    async fn primary<H: Host>(&self, line: &Line<'_, H>) -> Result<String, VaultError> {
        let reply = self.ask(line, Method::GET, "", b"").await?;
        if !reply.ok() {
            return Err(self.refused(line, &reply, "get", ""));
        }
        let nonsense = || line.nonsense("get");
        let key: CryptoKey = reply.json().ok_or_else(nonsense)?;
        if key.purpose != "ENCRYPT_DECRYPT" {
            return Err(line.refused(format!(
                "the key in {KEY} has the purpose {}; make one for symmetric encryption",
                key.purpose
            )));
        }
        let primary = key.primary.ok_or_else(|| {
            line.refused(format!(
                "the key in {KEY} has no primary version; make one primary"
            ))
        })?;
        let number = self.number(&primary.name).ok_or_else(nonsense)?;
        if primary.state != "ENABLED" {
            return Err(line.refused(format!(
                "the primary version {number} of the key in {KEY} is {}; enable it, or make another one primary",
                primary.state
            )));
        }
        Ok(number.to_owned())
    }

    /// Why the service says no, and what to mend.
    fn refused<H: Host>(
        &self,
        line: &Line<'_, H>,
        reply: &Reply,
        what: &str,
        secret: &str,
    ) -> VaultError {
        let Some(Failure { error }) = reply.json() else {
            return line.nonsense(what);
        };
        let email = self.account.email();
        let hint = match error.status.as_str() {
            "UNAUTHENTICATED" => format!(
                " (is the key of {email} in {CREDENTIALS} still there and enabled, and is the clock right?)"
            ),
            "PERMISSION_DENIED" => format!(
                " ({email} needs a role on the key in {KEY}, see docs/vault/gcp-kms.md, and its project the Cloud KMS API)"
            ),
            "NOT_FOUND" => format!(" (is {KEY} right?)"),
            "FAILED_PRECONDITION" => {
                " (enable the key's version, or make another one primary)".to_owned()
            }
            _ => String::new(),
        };
        let said = self.bearer.words(&error.message, &[secret]);
        // The hint comes first: what is too long is cut at its end.
        line.refused(format!("{what}: {}{hint}: {said}", error.status))
    }
}

impl Adapter for GcpKms {
    async fn wrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
        dek: &Dek,
    ) -> Result<Wrapped, VaultError> {
        // Named, since `encrypt` with the key goes on using the version that was primary before for a while.
        let number = self.primary(line).await?;
        let aad = binding.authenticated_data(PURPOSE);
        let mut plain = Zeroizing::new(String::with_capacity(64));
        BASE64.encode_append(dek.expose(), &mut plain);
        let body = body("plaintext", &plain, crc32c(dek.expose()), &aad);
        let path = format!("{VERSIONS}{number}:encrypt");
        let reply = self.ask(line, Method::POST, &path, &body).await?;
        if !reply.ok() {
            return Err(self.refused(line, &reply, "encrypt", &plain));
        }
        let nonsense = || line.nonsense("encrypt");
        let sealed: Encrypted = reply.json().ok_or_else(nonsense)?;
        let blob = BASE64.decode(sealed.ciphertext.as_bytes());
        let blob = blob.map_err(|_| nonsense())?;
        let arrived = sealed.verified_plaintext_crc32c
            && sealed.verified_additional_authenticated_data_crc32c
            && sealed.ciphertext_crc32c.parse() == Ok(crc32c(&blob));
        if !arrived {
            return Err(altered(line, "encrypt"));
        }
        if self.number(&sealed.name) != Some(&number) {
            return Err(nonsense());
        }
        Ok(Wrapped {
            blob,
            kek: self.named(&number),
        })
    }

    async fn unwrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
        kek: &str,
        blob: &[u8],
    ) -> Result<Dek, VaultError> {
        let number = kek.strip_prefix(&self.versions());
        if !number.is_some_and(is_number) {
            return Err(VaultError::NotHeld {
                kek: format!("{}:{kek}", line.adapter),
            });
        }
        if blob.is_empty() {
            return Err(OpenError::Truncated.into());
        }
        let aad = binding.authenticated_data(PURPOSE);
        let body = body("ciphertext", &BASE64.encode(blob), crc32c(blob), &aad);
        let reply = self.ask(line, Method::POST, ":decrypt", &body).await?;
        if !reply.ok() {
            let failure: Option<Failure> = reply.json();
            // So it says when the ciphertext or the authenticated data is another one.
            return Err(match failure {
                Some(failure) if failure.error.status == "INVALID_ARGUMENT" => {
                    OpenError::WrongKekOrBinding.into()
                }
                _ => self.refused(line, &reply, "decrypt", ""),
            });
        }
        let nonsense = || line.nonsense("decrypt");
        let opened: Decrypted = reply.json().ok_or_else(nonsense)?;
        let plain = BASE64.decode(opened.plaintext.as_bytes());
        let plain = Zeroizing::new(plain.map_err(|_| nonsense())?);
        if opened.plaintext_crc32c.parse() != Ok(crc32c(&plain)) {
            return Err(altered(line, "decrypt"));
        }
        Ok(Dek::read(&plain).ok_or(OpenError::WrongKekOrBinding)?)
    }

    async fn current<H: Host>(&self, line: &Line<'_, H>) -> Result<String, VaultError> {
        Ok(self.named(&self.primary(line).await?))
    }

    async fn rotate<H: Host>(&self, line: &Line<'_, H>) -> Result<(), VaultError> {
        let create = "cryptoKeyVersions.create";
        let reply = self
            .ask(line, Method::POST, "/cryptoKeyVersions", b"{}")
            .await?;
        if !reply.ok() {
            return Err(self.refused(line, &reply, create, ""));
        }
        let made: Option<Version> = reply.json();
        let made = made.ok_or_else(|| line.nonsense(create))?;
        let number = self.number(&made.name);
        let number = number.ok_or_else(|| line.nonsense(create))?;
        if made.state != "ENABLED" {
            return Err(line.unavailable(format!(
                "the new version {number} is {} so far; make it primary once it is ENABLED",
                made.state
            )));
        }
        let body = serde_json::json!({"cryptoKeyVersionId": number}).to_string();
        let path = ":updatePrimaryVersion";
        let reply = self.ask(line, Method::POST, path, body.as_bytes()).await?;
        if !reply.ok() {
            return Err(self.refused(line, &reply, "updatePrimaryVersion", ""));
        }
        Ok(())
    }
}

/// The body of `encrypt` or `decrypt`. `text` is base64, of what has the checksum `sum`.
fn body(field: &str, text: &str, sum: u32, aad: &[u8]) -> Zeroizing<Vec<u8>> {
    let rest = format!(
        r#"","{field}Crc32c":"{sum}","additionalAuthenticatedData":"{}","additionalAuthenticatedDataCrc32c":"{}"}}"#,
        BASE64.encode(aad),
        crc32c(aad)
    );
    let start = format!(r#"{{"{field}":""#);
    let parts = [start.as_str(), text, &rest];
    // Room for all of it from the start: growing would leave a copy of the data key in freed memory.
    let mut body = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        body.extend_from_slice(part.as_bytes());
    }
    Zeroizing::new(body)
}

/// Whether the service wants the same call again: a checksum did not fit when the request arrived, or somebody else was
/// changing the key.
fn busy(reply: &Reply) -> bool {
    let failure: Option<Failure> = reply.json().filter(|_| !reply.ok());
    failure.is_some_and(|Failure { error }| match error.status.as_str() {
        "ABORTED" => true,
        "INVALID_ARGUMENT" => {
            let message = error.message.to_ascii_lowercase();
            message.contains("crc32c") || message.contains("checksum")
        }
        _ => false,
    })
}

fn altered<H: Host>(line: &Line<'_, H>, what: &str) -> VaultError {
    line.unavailable(format!(
        "what was sent for {what}, or what came back, was altered on the way (CRC-32C)"
    ))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it is the resource name of a key, with nothing in it that an address could take for something else.
fn is_key(name: &str) -> bool {
    let kinds = ["projects", "locations", "keyRings", "cryptoKeys"];
    let parts: Vec<&str> = name.split('/').collect();
    let (pairs, rest) = parts.as_chunks::<2>();
    rest.is_empty()
        && pairs.len() == kinds.len()
        && pairs.iter().zip(kinds).all(|([kind, id], wanted)| {
            *kind == wanted
                && id.bytes().any(|byte| byte.is_ascii_alphanumeric())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
        })
}

//! Azure Key Vault and Azure managed HSMs: data keys are wrapped by an RSA key (`RSA-OAEP-256`) whose private half never leaves
//! the service.
//!
//! Wrapping with RSA has no authenticated data, so nothing in a wrapped data key says whose it is; what binds it is the secret's
//! ciphertext, which opens with its own data key and [`Binding`] only. And wrapping needs but the public key: whoever has that
//! and may write the database can put a secret of their own in another's place. They cannot read one.
//!
//! Before it wraps, the gateway asks which version is the newest and whether it may be used: the service itself wraps under a
//! disabled key as well, and refuses only to unwrap (<https://github.com/Azure/azure-sdk-for-python/issues/45342>).
//!
//! A version's identifier that comes out of the database is a URL. It is never called: only its version is taken, and only where
//! all before that is the configured key; the request goes to the configured address.
//!
//! References (2025-07-01): [get key](https://learn.microsoft.com/rest/api/keyvault/keys/get-key/get-key),
//! [wrap key](https://learn.microsoft.com/rest/api/keyvault/keys/wrap-key/wrap-key),
//! [unwrap key](https://learn.microsoft.com/rest/api/keyvault/keys/unwrap-key/unwrap-key),
//! [rotate key](https://learn.microsoft.com/rest/api/keyvault/keys/rotate-key/rotate-key),
//! [attributes](https://learn.microsoft.com/azure/key-vault/keys/about-keys-details),
//! [errors](https://learn.microsoft.com/azure/key-vault/general/rest-error-codes).

mod address;
mod login;

use data_encoding::BASE64URL_NOPAD;
use lockgate_host::{Host, Method, Misconfigured};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::adapter::{Adapter, Wrapped};
use crate::bearer::{Ask, Bearer};
use crate::config::{self, Places};
use crate::envelope::Dek;
use crate::line::{Line, Reply};
use crate::{Binding, OpenError, VaultError};
use address::Address;
use login::{CLIENT_ID, Login};

const KEY: &str = "LOCKGATE_VAULT_AZURE_KEY";
const API: &str = "api-version=2025-07-01";

/// A key of Azure Key Vault or a managed HSM.
pub(crate) struct AzureKeyVault {
    address: Address,
    login: Login,
    bearer: Bearer,
}

#[derive(Deserialize)]
struct KeyBundle {
    key: Jwk,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Jwk {
    kid: String,
    kty: String,
    key_ops: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
struct Attributes {
    enabled: Option<bool>,
    /// Seconds since 1970, as the next one.
    nbf: Option<u64>,
    exp: Option<u64>,
}

#[derive(Deserialize)]
struct Outcome {
    kid: String,
    value: Zeroizing<String>,
}

#[derive(Deserialize)]
struct Failure {
    error: Detail,
}

#[derive(Deserialize)]
struct Detail {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(alias = "innerError")]
    innererror: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(default)]
    code: String,
}

impl AzureKeyVault {
    pub(crate) async fn read<H: Host>(host: &H, places: &Places) -> Result<Self, Misconfigured> {
        let hint = "the key's identifier, https://<vault>.vault.azure.net/keys/<name>";
        let key = config::required(host, KEY, hint).await?;
        let address = Address::read(places, &key)?;
        Ok(Self {
            login: Login::read(host, places, address.login, &address.scope).await?,
            address,
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
            url: &format!("{}{path}?{API}", self.address.key),
            body,
            busy: |_| false,
        };
        let login = async || self.login.token(line).await;
        self.bearer.ask(line, login, &ask).await
    }

    /// The version that data keys are wrapped under now, where it may be used.
    async fn newest<H: Host>(&self, line: &Line<'_, H>) -> Result<String, VaultError> {
        let path = self.address.version.as_deref();
        let path = path.map_or_else(String::new, |version| format!("/{version}"));
        let reply = self.ask(line, Method::GET, &path, b"").await?;
        if !reply.ok() {
            return Err(self.refused(line, &reply, "get key", ""));
        }
        let nonsense = || line.nonsense("get key");
        let KeyBundle { key, attributes } = reply.json().ok_or_else(nonsense)?;
        let version = self.address.version_of(&key.kid).ok_or_else(nonsense)?;
        let now = line.host.now_ms() / 1_000;
        let ops = key.key_ops.as_deref();
        let does = |op: &str| ops.is_none_or(|ops| ops.iter().any(|one| one == op));
        let wrong = if attributes.enabled == Some(false) {
            "is disabled; enable it, or make a new version"
        } else if attributes.exp.is_some_and(|exp| exp <= now) {
            "has expired; make a new version"
        } else if attributes.nbf.is_some_and(|nbf| now < nbf) {
            "is not yet valid; wait, or set its activation date back"
        } else if !matches!(key.kty.as_str(), "RSA" | "RSA-HSM") {
            "is no RSA key; make one"
        } else if !does("wrapKey") || !does("unwrapKey") {
            "may not wrap and unwrap keys; allow it both operations"
        } else {
            return Ok(version.to_owned());
        };
        Err(line.refused(format!("version {version} of the key in {KEY} {wrong}")))
    }

    /// How the names of its versions begin, as they are stored: all that it opens.
    pub(crate) fn versions(&self) -> String {
        format!("{}/", self.address.key)
    }

    /// The name of a version, as it is stored.
    fn named(&self, version: &str) -> String {
        self.versions() + version
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
        let inner = error.innererror.as_ref().map(|inner| inner.code.as_str());
        let hint = match (reply.status, inner) {
            (401, _) => {
                format!(
                    " (is the tenant in the settings the vault's, and {CLIENT_ID} known there?)"
                )
            }
            (_, Some("KeyDisabled")) => " (enable the version again)".to_owned(),
            (403, _) => format!(
                " (the client in {CLIENT_ID} needs a role on the key, see docs/vault/azure-key-vault.md, and the vault's firewall has to let it in)"
            ),
            (404, _) => format!(" (is {KEY} right? a deleted key can be recovered for a while)"),
            _ => String::new(),
        };
        let said = self.bearer.words(&error.message, &[secret]);
        let inner = inner.map(|inner| format!("/{inner}")).unwrap_or_default();
        // The hint comes first: what is too long is cut at its end.
        line.refused(format!("{what}: {}{inner}{hint}: {said}", error.code))
    }
}

impl Adapter for AzureKeyVault {
    async fn wrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        _binding: &Binding<'_>,
        dek: &Dek,
    ) -> Result<Wrapped, VaultError> {
        let version = self.newest(line).await?;
        let mut plain = Zeroizing::new(String::with_capacity(64));
        BASE64URL_NOPAD.encode_append(dek.expose(), &mut plain);
        let path = format!("/{version}/wrapkey");
        let reply = self.ask(line, Method::POST, &path, &body(&plain)).await?;
        if !reply.ok() {
            return Err(self.refused(line, &reply, "wrap key", &plain));
        }
        let nonsense = || line.nonsense("wrap key");
        let done: Outcome = reply.json().ok_or_else(nonsense)?;
        let used = self.address.version_of(&done.kid);
        let blob = BASE64URL_NOPAD.decode(done.value.as_bytes());
        match blob {
            Ok(blob) if used == Some(&version) => Ok(Wrapped {
                blob,
                kek: self.named(&version),
            }),
            _ => Err(nonsense()),
        }
    }

    async fn unwrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        _binding: &Binding<'_>,
        kek: &str,
        blob: &[u8],
    ) -> Result<Dek, VaultError> {
        let Some(version) = self.address.stored_version(kek) else {
            return Err(VaultError::NotHeld {
                kek: format!("{}:{kek}", line.adapter),
            });
        };
        if blob.is_empty() {
            return Err(OpenError::Truncated.into());
        }
        let path = format!("/{version}/unwrapkey");
        let body = body(&BASE64URL_NOPAD.encode(blob));
        let reply = self.ask(line, Method::POST, &path, &body).await?;
        if !reply.ok() {
            let failure: Option<Failure> = reply.json();
            // So it says when the blob is not what this version has wrapped.
            return Err(match failure {
                Some(failure) if reply.status == 400 && failure.error.code == "BadParameter" => {
                    OpenError::WrongKekOrBinding.into()
                }
                _ => self.refused(line, &reply, "unwrap key", ""),
            });
        }
        let nonsense = || line.nonsense("unwrap key");
        let done: Outcome = reply.json().ok_or_else(nonsense)?;
        let plain = BASE64URL_NOPAD.decode(done.value.as_bytes());
        let plain = Zeroizing::new(plain.map_err(|_| nonsense())?);
        if self.address.version_of(&done.kid) != Some(version) {
            return Err(nonsense());
        }
        Ok(Dek::read(&plain).ok_or(OpenError::WrongKekOrBinding)?)
    }

    async fn current<H: Host>(&self, line: &Line<'_, H>) -> Result<String, VaultError> {
        Ok(self.named(&self.newest(line).await?))
    }

    async fn rotate<H: Host>(&self, line: &Line<'_, H>) -> Result<(), VaultError> {
        if self.address.version.is_some() {
            return Err(VaultError::Unsupported {
                adapter: line.adapter,
                detail: format!("{KEY} names a version; leave it out there and start again"),
            });
        }
        let reply = self.ask(line, Method::POST, "/rotate", b"").await?;
        if !reply.ok() {
            return Err(self.refused(line, &reply, "rotate key", ""));
        }
        let made: Option<KeyBundle> = reply.json();
        let ours = made.is_some_and(|made| self.address.version_of(&made.key.kid).is_some());
        ours.then_some(())
            .ok_or_else(|| line.nonsense("rotate key"))
    }
}

/// The body of a wrap or an unwrap of `value`, which is base64url.
fn body(value: &str) -> Zeroizing<Vec<u8>> {
    let parts = [r#"{"alg":"RSA-OAEP-256","value":""#, value, r#""}"#];
    // Room for all of it from the start: growing would leave a copy of the data key in freed memory.
    let mut body = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        body.extend_from_slice(part.as_bytes());
    }
    Zeroizing::new(body)
}

//! The Transit engine of HashiCorp Vault and OpenBao: a data key is encrypted under a key that stays in the server.
//!
//! The binding goes along as `associated_data`, which Vault has since 1.13 and OpenBao from the start. A server that does
//! not know it leaves it out without a word, so the first wrap is tried with another binding before anything is stored.
//! The engine's own `rewrap` takes none, so a rewrap is a `decrypt` and an `encrypt`.
//!
//! Reference: <https://developer.hashicorp.com/vault/api-docs/secret/transit>,
//! <https://openbao.org/api-docs/secret/transit/>; `rewrap`: <https://github.com/hashicorp/vault/issues/31791>.

use std::cell::Cell;

use data_encoding::BASE64;
use lockgate_host::{Host, Method, Misconfigured, Secret};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::adapter::{Adapter, Wrapped};
use crate::config::{self, Places};
use crate::envelope::{Dek, OpenError};
use crate::hashicorp::{self, Connection, Question};
use crate::line::{Line, Reply};
use crate::{Binding, VaultError};

const MOUNT: &str = "LOCKGATE_VAULT_TRANSIT_MOUNT";
const KEY: &str = "LOCKGATE_VAULT_TRANSIT_KEY";
const PURPOSE: &str = "lockgate/vault-transit/v1";
/// What nothing is ever wrapped for.
const PURPOSE_OTHER: &str = "lockgate/vault-transit/other";

/// The Transit engine, with one key of it.
pub(crate) struct Transit {
    server: Connection,
    mount: String,
    key: String,
    /// Whether the server is known to bind.
    binds: Cell<bool>,
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    #[serde(deserialize_with = "hashicorp::secret")]
    plaintext: Secret,
}

#[derive(Deserialize)]
struct Key {
    latest_version: u64,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    derived: bool,
    supports_encryption: bool,
}

impl Transit {
    pub(crate) async fn read<H: Host>(host: &H, places: &Places) -> Result<Self, Misconfigured> {
        let key = config::required(host, KEY, "the name of a key of the Transit engine").await?;
        if !hashicorp::is_name(&key) {
            return Err(Misconfigured {
                setting: KEY,
                problem: format!(
                    "“{}” is no key's name: letters, digits, `_`, `-` and `.`",
                    key.chars().take(40).collect::<String>()
                ),
            });
        }
        Ok(Self {
            server: Connection::read(host, places).await?,
            mount: hashicorp::mount(host, MOUNT, "transit").await?,
            key,
            binds: Cell::new(false),
        })
    }

    fn named(&self, version: u64) -> String {
        format!("{}/{}:v{version}", self.mount, self.key)
    }

    async fn decrypt<H: Host>(
        &self,
        line: &Line<'_, H>,
        (mount, key): (&str, &str),
        authenticated_data: &[u8],
        ciphertext: &str,
    ) -> Result<Dek, VaultError> {
        let question = Question {
            method: Method::POST,
            path: format!("{mount}/decrypt/{key}"),
            body: hashicorp::object(&[
                ("ciphertext", ciphertext),
                ("associated_data", &BASE64.encode(authenticated_data)),
            ]),
            capability: "update",
            hidden: &[],
        };
        let reply = self.server.ask(line, &question).await?;
        if !reply.ok() {
            return Err(self.not_opened(line, &question, &reply));
        }
        let data: Option<Data<Decrypted>> = reply.json();
        let data = data.ok_or_else(|| line.nonsense("decrypt"))?;
        let plain = BASE64.decode(data.data.plaintext.expose());
        let plain = Zeroizing::new(plain.map_err(|_| line.nonsense("decrypt"))?);
        Ok(Dek::read(&plain).ok_or(OpenError::WrongKekOrBinding)?)
    }

    fn not_opened<H: Host>(
        &self,
        line: &Line<'_, H>,
        question: &Question<'_>,
        reply: &Reply,
    ) -> VaultError {
        let words = hashicorp::words(reply).unwrap_or_default();
        if reply.status == 400 && words.contains("too old") {
            return line.refused(
                "the key's min_decryption_version is above the version that this is wrapped under; lower it, and rewrap before it is raised",
            );
        }
        let altered = ["message authentication failed", "invalid ciphertext"];
        if reply.status == 400 && altered.iter().any(|said| words.contains(said)) {
            return OpenError::WrongKekOrBinding.into();
        }
        self.server.refusal(line, question, reply)
    }

    /// Finds out once whether a wrap can be opened with another binding, and whether it can be opened at all by this
    /// token.
    async fn check<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
        ciphertext: &str,
    ) -> Result<(), VaultError> {
        if self.binds.get() {
            return Ok(());
        }
        let other = binding.authenticated_data(PURPOSE_OTHER);
        let opened = self.decrypt(line, (&self.mount, &self.key), &other, ciphertext);
        match opened.await {
            Err(VaultError::Open(_)) => {
                self.binds.set(true);
                Ok(())
            }
            Err(other) => Err(other),
            Ok(_) => Err(line.refused(
                "the server does not heed associated_data, so nothing would bind a secret to its place; Vault 1.13 or later or OpenBao is needed",
            )),
        }
    }
}

impl Adapter for Transit {
    async fn wrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
        dek: &Dek,
    ) -> Result<Wrapped, VaultError> {
        let plain = Zeroizing::new(BASE64.encode(dek.expose()));
        let bound = BASE64.encode(&binding.authenticated_data(PURPOSE));
        let question = Question {
            method: Method::POST,
            path: format!("{}/encrypt/{}", self.mount, self.key),
            body: hashicorp::object(&[("plaintext", &plain), ("associated_data", &bound)]),
            capability: "update",
            hidden: &[plain.as_bytes()],
        };
        let reply = self.server.ask(line, &question).await?;
        if !reply.ok() {
            return Err(self.server.refusal(line, &question, &reply));
        }
        let data: Option<Data<Encrypted>> = reply.json();
        let data = data.filter(|data| version(&data.data.ciphertext).is_some());
        let ciphertext = data
            .ok_or_else(|| line.nonsense("encrypt"))?
            .data
            .ciphertext;
        self.check(line, binding, &ciphertext).await?;
        Ok(Wrapped {
            kek: self.named(version(&ciphertext).unwrap_or_default()),
            blob: ciphertext.into_bytes(),
        })
    }

    async fn unwrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
        kek: &str,
        blob: &[u8],
    ) -> Result<Dek, VaultError> {
        let ciphertext = std::str::from_utf8(blob).map_err(|_| OpenError::WrongKekOrBinding)?;
        let (mount, key, wanted) = parts(kek).ok_or(OpenError::WrongKekOrBinding)?;
        if version(ciphertext) != Some(wanted) {
            return Err(OpenError::WrongKekOrBinding.into());
        }
        let bound = binding.authenticated_data(PURPOSE);
        self.decrypt(line, (mount, key), &bound, ciphertext).await
    }

    async fn current<H: Host>(&self, line: &Line<'_, H>) -> Result<String, VaultError> {
        let question = Question {
            method: Method::GET,
            path: format!("{}/keys/{}", self.mount, self.key),
            body: Zeroizing::default(),
            capability: "read",
            hidden: &[],
        };
        let reply = self.server.ask(line, &question).await?;
        if !reply.ok() {
            return Err(self.server.refusal(line, &question, &reply));
        }
        let key: Option<Data<Key>> = reply.json();
        let key = key.ok_or_else(|| line.nonsense("keys"))?.data;
        if !key.supports_encryption || key.kind.starts_with("rsa-") {
            return Err(line.refused(format!(
                "the key `{}` is of type {}, which takes no associated_data; an aes256-gcm96 key is needed",
                self.key,
                key.kind.chars().take(40).collect::<String>()
            )));
        }
        if key.derived {
            return Err(line.refused(format!(
                "the key `{}` was made with derived=true, which asks for a context; a key without derivation is needed",
                self.key
            )));
        }
        Ok(self.named(key.latest_version))
    }

    async fn rotate<H: Host>(&self, line: &Line<'_, H>) -> Result<(), VaultError> {
        let question = Question {
            method: Method::POST,
            path: format!("{}/keys/{}/rotate", self.mount, self.key),
            body: hashicorp::object(&[]),
            capability: "update",
            hidden: &[],
        };
        let reply = self.server.ask(line, &question).await?;
        if !reply.ok() {
            return Err(self.server.refusal(line, &question, &reply));
        }
        Ok(())
    }
}

/// The key's version in `vault:v3:…`.
fn version(ciphertext: &str) -> Option<u64> {
    let (version, sealed) = ciphertext.strip_prefix("vault:v")?.split_once(':')?;
    let plain = !sealed.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
    version.parse().ok().filter(|_| plain)
}

/// Mount, key and version of `transit/lockgate:v3`.
fn parts(kek: &str) -> Option<(&str, &str, u64)> {
    let (path, version) = kek.rsplit_once(":v")?;
    let (mount, key) = path.rsplit_once('/')?;
    let known = hashicorp::is_path(mount) && hashicorp::is_name(key);
    version
        .parse()
        .ok()
        .filter(|_| known)
        .map(|version| (mount, key, version))
}

#[cfg(test)]
mod tests {
    use super::{parts, version};

    #[test]
    fn names_are_taken_apart() {
        assert_eq!(version("vault:v12:abc="), Some(12));
        for wrong in [
            "",
            "vault:v",
            "vault:v1",
            "vault:v1:",
            "vault:v+1:a",
            "vault:vx:a",
            "bao:v1:a",
        ] {
            assert_eq!(version(wrong), None, "{wrong}");
        }
        assert_eq!(parts("team/transit/k:v3"), Some(("team/transit", "k", 3)));
        for wrong in [
            "",
            "k:v3",
            "t/k",
            "t/k:v",
            "t/../k:v1",
            "t/k?x:v1",
            "../k:v1",
            "t/..:v1",
        ] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }
}

//! The KV engine of HashiCorp Vault and OpenBao, as the store of the secrets themselves.
//!
//! An entry is written once and never changed. It says what it belongs to, so that one that is copied elsewhere does not
//! open; but unlike a sealed secret it proves nothing: whoever may write there can put another secret in.
//!
//! Reference: <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>,
//! <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v1>, <https://openbao.org/api-docs/secret/kv/>.

use data_encoding::BASE64;
use lockgate_host::{Host, Method, Misconfigured, Secret};
use serde::Deserialize;
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::config::{self, Places};
use crate::envelope::OpenError;
use crate::hashicorp::{self, Connection, Question};
use crate::line::{Line, Reply};
use crate::{Binding, VaultError};

const MOUNT: &str = "LOCKGATE_VAULT_KV_MOUNT";
const PREFIX: &str = "LOCKGATE_VAULT_KV_PREFIX";
const VERSION: &str = "LOCKGATE_VAULT_KV_VERSION";
/// The marker of a secret that is not UTF-8.
const BASE64_CODED: &str = "base64";
/// An entry that is never written, to find out whether entries can be read.
const PROBE: &str = "probe";

/// Vault's KV store.
pub(crate) struct Kv {
    server: Connection,
    mount: String,
    prefix: String,
    version: Version,
}

/// Which of the engine's two APIs a mount has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A part of a server where entries are: `<mount>@<version>/<prefix>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Store<'a> {
    mount: &'a str,
    version: Version,
    prefix: &'a str,
}

impl<'a> Store<'a> {
    /// The store of a name from the database, where it is one.
    fn read(name: &'a str) -> Option<Self> {
        let (mount, rest) = name.split_once('@')?;
        let (version, prefix) = rest.split_once('/')?;
        let version = Version::read(version)?;
        let known = hashicorp::is_path(mount) && hashicorp::is_path(prefix);
        known.then_some(Self {
            mount,
            version,
            prefix,
        })
    }

    fn data(&self, entry: &str) -> String {
        let Self { mount, prefix, .. } = self;
        match self.version {
            Version::One => format!("{mount}/{prefix}/{entry}"),
            Version::Two => format!("{mount}/data/{prefix}/{entry}"),
        }
    }

    /// Where all of an entry is removed.
    fn whole(&self, entry: &str) -> String {
        let Self { mount, prefix, .. } = self;
        match self.version {
            Version::One => self.data(entry),
            Version::Two => format!("{mount}/metadata/{prefix}/{entry}"),
        }
    }
}

impl Version {
    fn read(text: &str) -> Option<Self> {
        match text {
            "1" => Some(Self::One),
            "2" => Some(Self::Two),
            _ => None,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

#[derive(Deserialize)]
struct Data<T> {
    data: T,
}

/// What is written.
#[derive(Deserialize)]
struct Entry {
    #[serde(deserialize_with = "hashicorp::secret")]
    secret: Secret,
    encoding: Option<String>,
    workspace: String,
    provider: String,
    key: String,
    version: String,
}

/// What version 2 says of a write.
#[derive(Deserialize)]
struct Written {
    #[serde(rename = "version")]
    _version: u64,
}

impl Kv {
    pub(crate) async fn read<H: Host>(host: &H, places: &Places) -> Result<Self, Misconfigured> {
        let version = config::optional(host, VERSION).await?;
        let version = version.as_deref().unwrap_or("2");
        Ok(Self {
            server: Connection::read(host, places).await?,
            mount: hashicorp::mount(host, MOUNT, "secret").await?,
            prefix: hashicorp::mount(host, PREFIX, "lockgate").await?,
            version: Version::read(version).ok_or_else(|| Misconfigured {
                setting: VERSION,
                problem: format!(
                    "it is `1` or `2`, not `{}`",
                    version.chars().take(40).collect::<String>()
                ),
            })?,
        })
    }

    /// The store's name: mount, the engine's version and prefix.
    pub(crate) fn name(&self) -> String {
        let number = self.version.number();
        format!("{}@{number}/{}", self.mount, self.prefix)
    }

    fn store(&self) -> Store<'_> {
        Store {
            mount: &self.mount,
            version: self.version,
            prefix: &self.prefix,
        }
    }

    /// Stores a secret under `entry`, which was never used before.
    pub(crate) async fn put<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
        entry: &str,
        secret: &Secret,
    ) -> Result<(), VaultError> {
        let store = self.store();
        let question = Question {
            method: Method::POST,
            path: store.data(entry),
            body: match self.version {
                Version::One => fields(binding, secret),
                Version::Two => created(&fields(binding, secret)),
            },
            capability: "create",
            hidden: &[secret.expose()],
        };
        let reply = self.server.ask(line, &question).await?;
        if !reply.ok() {
            // A write is repeated when its answer was lost, and then finds itself there.
            let there = self.get(line, binding, &self.name(), entry).await;
            return match there {
                Ok(found) if found.expose() == secret.expose() => Ok(()),
                _ => Err(self.refusal(line, &question, &reply)),
            };
        }
        if self.version == Version::Two && reply.json::<Data<Written>>().is_none() {
            if !reply.body.is_empty() {
                return Err(line.nonsense("a write"));
            }
            // Version 1 takes anything at any path, and says nothing.
            self.remove(line, store.data(entry)).await?;
            return Err(line.refused(format!(
                "`{}` is not a KV engine of version 2; set LOCKGATE_VAULT_KV_VERSION to 1",
                self.mount
            )));
        }
        Ok(())
    }

    /// What was stored under `entry` for this binding, in the store of this name, which may be an earlier setting's.
    pub(crate) async fn get<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
        name: &str,
        entry: &str,
    ) -> Result<Secret, VaultError> {
        let store = store(name, entry)?;
        let question = read(&store, entry);
        let reply = self.server.ask(line, &question).await?;
        if self.is_absent(line, store.version, &reply).await? {
            return Err(line.refused(format!(
                "`{}` is not there, or was deleted; restore it there, or rotate the provider key",
                question.path
            )));
        }
        if !reply.ok() {
            return Err(self.refusal(line, &question, &reply));
        }
        let found = match store.version {
            Version::One => reply.json::<Data<Entry>>().map(|found| found.data),
            Version::Two => reply
                .json::<Data<Data<Entry>>>()
                .map(|found| found.data.data),
        };
        if found.is_none() && reply.json::<Data<IgnoredAny>>().is_none() {
            return Err(line.nonsense("a read"));
        }
        opened(found.ok_or(OpenError::Altered)?, binding).ok_or(OpenError::Altered.into())
    }

    /// Removes an entry with all that the store keeps of it. No error where there is none.
    pub(crate) async fn delete<H: Host>(
        &self,
        line: &Line<'_, H>,
        name: &str,
        entry: &str,
    ) -> Result<(), VaultError> {
        let path = store(name, entry)?.whole(entry);
        self.remove(line, path).await
    }

    async fn remove<H: Host>(&self, line: &Line<'_, H>, path: String) -> Result<(), VaultError> {
        let question = Question {
            method: Method::DELETE,
            path,
            body: Zeroizing::default(),
            capability: "delete",
            hidden: &[],
        };
        let reply = self.server.ask(line, &question).await?;
        if reply.ok() || absent(&reply) {
            return Ok(());
        }
        Err(self.refusal(line, &question, &reply))
    }

    /// Whether entries can be read. Whether they can be written is seen when one is.
    pub(crate) async fn probe<H: Host>(&self, line: &Line<'_, H>) -> Result<(), VaultError> {
        let question = read(&self.store(), PROBE);
        let reply = self.server.ask(line, &question).await?;
        // That there is nothing, and no word why, is what a store says that can be used.
        if self.is_absent(line, self.version, &reply).await? {
            return Ok(());
        }
        Err(self.refusal(line, &question, &reply))
    }

    /// Whether the server itself says that there is nothing. RustyVault, whose engine is of version 1, leaves the answer empty
    /// then, as something in between might; so it has to know the token.
    async fn is_absent<H: Host>(
        &self,
        line: &Line<'_, H>,
        version: Version,
        reply: &Reply,
    ) -> Result<bool, VaultError> {
        let silent = reply.status == 404 && reply.body.is_empty() && version == Version::One;
        Ok(absent(reply) || (silent && self.server.knows_us(line).await?))
    }

    fn refusal<H: Host>(
        &self,
        line: &Line<'_, H>,
        question: &Question<'_>,
        reply: &Reply,
    ) -> VaultError {
        match wrong_place(reply) {
            // It says nothing that this API would say.
            None if reply.status == 404 && hashicorp::words(reply).as_deref() == Some("") => {
                line.nonsense(&question.path)
            }
            Some(Wrong::Version) => line.refused(format!(
                "`{}` is a KV engine of version 2; set LOCKGATE_VAULT_KV_VERSION to 2",
                self.mount
            )),
            Some(Wrong::Mount) => line.refused(format!(
                "there is no engine at `{}`; set LOCKGATE_VAULT_KV_MOUNT to where a KV engine is",
                self.mount
            )),
            None => self.server.refusal(line, question, reply),
        }
    }
}

/// Whether an answer is this API's own that there is nothing, or that it was deleted.
fn absent(reply: &Reply) -> bool {
    #[derive(Deserialize)]
    struct Nothing {
        errors: Option<Vec<String>>,
        data: Option<IgnoredAny>,
    }
    let said: Option<Nothing> = reply.json();
    let nothing = said.is_some_and(|said| match said.errors {
        Some(errors) => errors.is_empty(),
        None => said.data.is_some(),
    });
    reply.status == 404 && nothing && wrong_place(reply).is_none()
}

/// Why nothing is there.
enum Wrong {
    Version,
    Mount,
}

fn wrong_place(reply: &Reply) -> Option<Wrong> {
    #[derive(Deserialize)]
    struct Warned {
        #[serde(default)]
        warnings: Option<Vec<String>>,
    }
    if reply.status != 404 {
        return None;
    }
    let warned: Option<Warned> = reply.json();
    let warnings = warned
        .and_then(|warned| warned.warnings)
        .unwrap_or_default();
    if warnings.iter().any(|w| w.contains("versioned K/V")) {
        return Some(Wrong::Version);
    }
    let words = hashicorp::words(reply).unwrap_or_default();
    words
        .contains("no handler for route")
        .then_some(Wrong::Mount)
}

/// The store of this name; an entry's own name comes from the database and leads nowhere else.
fn store<'a>(name: &'a str, entry: &str) -> Result<Store<'a>, OpenError> {
    let store = Store::read(name).filter(|_| hashicorp::is_path(entry));
    store.ok_or(OpenError::WrongKekOrBinding)
}

fn read(store: &Store<'_>, entry: &str) -> Question<'static> {
    let path = store.data(entry);
    Question {
        method: Method::GET,
        path: match store.version {
            Version::One => path,
            // The one that was written; what somebody wrote over it later is not looked at.
            Version::Two => format!("{path}?version=1"),
        },
        body: Zeroizing::default(),
        capability: "read",
        hidden: &[],
    }
}

fn fields(binding: &Binding<'_>, secret: &Secret) -> Zeroizing<Vec<u8>> {
    let version = binding.version.to_string();
    let bound = [
        ("workspace", binding.workspace),
        ("provider", binding.provider),
        ("key", binding.key_id),
        ("version", version.as_str()),
    ];
    let [workspace, provider, key, version] = bound;
    match secret.expose_str() {
        Some(text) => hashicorp::object(&[("secret", text), workspace, provider, key, version]),
        None => {
            let text = Zeroizing::new(BASE64.encode(secret.expose()));
            let coded = ("encoding", BASE64_CODED);
            hashicorp::object(&[("secret", &text), coded, workspace, provider, key, version])
        }
    }
}

/// A write of version 2 that overwrites nothing.
fn created(fields: &[u8]) -> Zeroizing<Vec<u8>> {
    let parts: [&[u8]; 3] = [br#"{"options":{"cas":0},"data":"#, fields, b"}"];
    Zeroizing::new(parts.concat())
}

/// The secret of an entry that is of this binding.
fn opened(entry: Entry, binding: &Binding<'_>) -> Option<Secret> {
    let is_its = entry.workspace == binding.workspace
        && entry.provider == binding.provider
        && entry.key == binding.key_id
        && entry.version == binding.version.to_string();
    let secret = match entry.encoding.as_deref() {
        _ if !is_its => return None,
        None => entry.secret,
        Some(BASE64_CODED) => Secret::new(BASE64.decode(entry.secret.expose()).ok()?),
        Some(_) => return None,
    };
    (!secret.is_empty()).then_some(secret)
}

#[cfg(test)]
mod tests {
    use super::{Store, Version};

    #[test]
    fn names_are_taken_apart() {
        let store = Store {
            mount: "team/kv",
            version: Version::Two,
            prefix: "gate/a",
        };
        assert_eq!(Store::read("team/kv@2/gate/a"), Some(store));
        assert_eq!(store.data("e/1"), "team/kv/data/gate/a/e/1");
        assert_eq!(store.whole("e/1"), "team/kv/metadata/gate/a/e/1");
        for wrong in [
            "",
            "kv",
            "kv@2",
            "kv@3/p",
            "kv@2/",
            "@2/p",
            "kv@2/../p",
            "kv@2/p?x",
        ] {
            assert_eq!(Store::read(wrong), None, "{wrong}");
        }
    }
}

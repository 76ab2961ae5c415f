//! HashiCorp Vault and OpenBao: tokens, AppRole, policies, namespaces, the Transit engine and both versions of the KV
//! engine.
//!
//! ```ignore
//! let vault = Hashicorp::new()
//!     .key("transit", "lockgate")
//!     .store("secret", 2)
//!     .policy("lockgate", r#"path "transit/*" { capabilities = ["read", "update"] }"#)
//!     .token("hvs.some-token", &["lockgate"]);
//! let server = MockVault::start(vault.clone());
//! vault.rotate("transit", "lockgate");
//! ```
//!
//! A clone is the same server, so that a test can go on changing what it has given away. Time does not pass here: a token
//! lives until it is revoked, whatever lifetime it was given.
//!
//! Where the real server takes more than its reference has, such as fields that it does not know, this one refuses with 400
//! and words that begin with `mock:`.
//!
//! Reference: <https://developer.hashicorp.com/vault/api-docs> (status codes and the form of errors),
//! <https://developer.hashicorp.com/vault/docs/concepts/policies>,
//! <https://developer.hashicorp.com/vault/docs/enterprise/namespaces>, <https://openbao.org/api-docs/>.

mod auth;
mod kv;
mod transit;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};

use crate::{Answer, Ask, Service};
use auth::{Policy, Role, Token};
use kv::Store;
use transit::Key;

/// A server. See the head of this file.
#[derive(Clone, Default)]
pub struct Hashicorp(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    namespace: Option<String>,
    sealed: bool,
    tokens: HashMap<String, Token>,
    policies: HashMap<String, Policy>,
    /// By mount.
    roles: BTreeMap<String, Vec<Role>>,
    /// By mount, then name.
    keys: BTreeMap<String, BTreeMap<String, Key>>,
    /// By mount.
    stores: BTreeMap<String, Store>,
    heeds_associated_data: bool,
    logins: usize,
}

/// What happens to a request that is not just done.
type Outcome = Result<Answer, Answer>;

impl Hashicorp {
    /// A server with nothing in it.
    #[must_use]
    pub fn new() -> Self {
        let server = Self::default();
        server.held().heeds_associated_data = true;
        server
    }

    fn held(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.held());
        self
    }

    /// Everything is in this namespace.
    #[must_use]
    pub fn namespace(self, name: &str) -> Self {
        self.with(|state| state.namespace = Some(name.to_owned()))
    }

    /// A Transit key of type aes256-gcm96, version 1. The mount is made with it.
    #[must_use]
    pub fn key(self, mount: &str, name: &str) -> Self {
        self.key_of_type(mount, name, "aes256-gcm96", false)
    }

    /// A Transit key of a type, derived or not.
    #[must_use]
    pub fn key_of_type(self, mount: &str, name: &str, kind: &str, derived: bool) -> Self {
        self.with(|state| {
            let keys = state.keys.entry(mount.to_owned()).or_default();
            keys.insert(name.to_owned(), Key::new(kind, derived));
        })
    }

    /// As servers were before Vault 1.13: what is bound to a ciphertext is left out, without a word.
    #[must_use]
    pub fn before_associated_data(self) -> Self {
        self.with(|state| state.heeds_associated_data = false)
    }

    /// A KV engine of version 1 or 2.
    #[must_use]
    pub fn store(self, mount: &str, version: u8) -> Self {
        self.with(|state| {
            state.stores.insert(mount.to_owned(), Store::new(version));
        })
    }

    /// A policy, in HCL: `path "…" { capabilities = ["…"] }`, one after the other.
    #[must_use]
    pub fn policy(self, name: &str, hcl: &str) -> Self {
        self.with(|state| {
            state.policies.insert(name.to_owned(), Policy::read(hcl));
        })
    }

    /// A token that does not end. The policy `root` allows everything, `default` what it does on a real server.
    #[must_use]
    pub fn token(self, text: &str, policies: &[&str]) -> Self {
        self.with(|state| {
            let token = Token::new(policies, 0, 0);
            state.tokens.insert(text.to_owned(), token);
        })
    }

    /// A periodic token: each renewal gives it `period` seconds; `left` are left of them.
    #[must_use]
    pub fn periodic(self, text: &str, policies: &[&str], period: u64, left: u64) -> Self {
        self.with(|state| {
            let mut token = Token::new(policies, period, period);
            token.left = left;
            state.tokens.insert(text.to_owned(), token);
        })
    }

    /// A role whose tokens have these policies and, with each renewal, `ttl` seconds.
    #[must_use]
    pub fn role(
        self,
        mount: &str,
        role_id: &str,
        secret_id: &str,
        policies: &[&str],
        ttl: u64,
    ) -> Self {
        self.with(|state| {
            let roles = state.roles.entry(mount.to_owned()).or_default();
            roles.push(Role::new(role_id, secret_id, policies, ttl));
        })
    }

    /// Renewals from now on give this many seconds, or are refused.
    pub fn renewals_give(&self, seconds: Option<u64>) {
        for token in self.held().tokens.values_mut() {
            token.renewal = seconds;
        }
    }

    /// Every token is none any more.
    pub fn revoke_tokens(&self) {
        self.held().tokens.clear();
    }

    /// No role has this secret any more.
    pub fn drop_secret_id(&self, secret_id: &str) {
        for role in self.held().roles.values_mut().flatten() {
            role.forget(secret_id);
        }
    }

    /// The tokens there are.
    #[must_use]
    pub fn tokens(&self) -> Vec<String> {
        self.held().tokens.keys().cloned().collect()
    }

    /// How many logins have succeeded.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.held().logins
    }

    /// Puts another policy in place of one.
    pub fn change_policy(&self, name: &str, hcl: &str) {
        let mut state = self.held();
        state.policies.insert(name.to_owned(), Policy::read(hcl));
    }

    /// It answers nothing until it is unsealed.
    pub fn seal(&self, sealed: bool) {
        self.held().sealed = sealed;
    }

    /// Makes a new version of a Transit key.
    pub fn rotate(&self, mount: &str, name: &str) {
        if let Some(key) = self.held().find_key(mount, name) {
            key.rotate();
        }
    }

    /// Ciphertexts of older versions are decrypted no more.
    pub fn set_min_decryption_version(&self, mount: &str, name: &str, version: usize) {
        if let Some(key) = self.held().find_key(mount, name) {
            key.min_decryption_version = version;
        }
    }

    /// Removes a Transit key.
    pub fn drop_key(&self, mount: &str, name: &str) {
        if let Some(keys) = self.held().keys.get_mut(mount) {
            keys.remove(name);
        }
    }

    /// What a KV engine holds: path and content, the newest of version 2.
    #[must_use]
    pub fn entries(&self, mount: &str) -> Vec<(String, Value)> {
        let state = self.held();
        state.stores.get(mount).map(Store::all).unwrap_or_default()
    }

    /// Writes an entry of a KV engine, as an operator would.
    pub fn write(&self, mount: &str, path: &str, content: Value) {
        if let Some(store) = self.held().stores.get_mut(mount) {
            store.write(path, content);
        }
    }

    /// Deletes the newest version of an entry of version 2, so that it can be brought back.
    pub fn soft_delete(&self, mount: &str, path: &str) {
        if let Some(store) = self.held().stores.get_mut(mount) {
            store.soft_delete(path);
        }
    }
}

impl Service for Hashicorp {
    fn answer(&mut self, ask: &Ask) -> Answer {
        self.held().answer(ask).unwrap_or_else(|refusal| refusal)
    }
}

impl State {
    fn find_key(&mut self, mount: &str, name: &str) -> Option<&mut Key> {
        self.keys.get_mut(mount)?.get_mut(name)
    }

    fn answer(&mut self, ask: &Ask) -> Outcome {
        let Some(path) = ask.path.strip_prefix("/v1/") else {
            return Err(Answer::new(404, json!("404 page not found")));
        };
        if self.sealed {
            return Err(refuse(503, "Vault is sealed"));
        }
        if ask.header("x-vault-request") != Some("true") {
            return Err(refuse(412, "missing 'X-Vault-Request' header"));
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        if path.contains('%') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(refuse(400, "mock: a path that is encoded or climbs"));
        }
        let known = ["GET", "POST", "DELETE"];
        if !known.contains(&ask.method.as_str()) {
            return Err(refuse(405, "unsupported operation"));
        }
        let body = body(ask)?;
        let elsewhere = ask.header("x-vault-namespace") != self.namespace.as_deref();
        if let Some(mount) = path
            .strip_prefix("auth/")
            .and_then(|path| path.strip_suffix("/login"))
        {
            if ask.method != "POST" {
                return Err(refuse(405, "unsupported operation"));
            }
            return match self.roles.contains_key(mount) && !elsewhere {
                true => self.login(mount, &body),
                false => Err(no_route(path)),
            };
        }
        let token = ask.header("x-vault-token");
        let token = token.ok_or_else(|| refuse(400, "missing client token"))?;
        if elsewhere || !self.tokens.contains_key(token) {
            return Err(refuse(
                403,
                "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n",
            ));
        }
        let token = token.to_owned();
        self.permit(&token, &ask.method, path)?;
        if let Some(own) = path.strip_prefix("auth/token/") {
            return self.token_itself(&token, own, &ask.method, &body);
        }
        let is_under = |mount: &&String| {
            let rest = path.strip_prefix(mount.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let rest = |mount: &str| path.get(mount.len() + 1..).unwrap_or_default().to_owned();
        if let Some(mount) = self.keys.keys().find(is_under).cloned() {
            return self.transit(&mount, &rest(&mount), &ask.method, &body);
        }
        if let Some(mount) = self.stores.keys().find(is_under).cloned() {
            let rest = rest(&mount);
            let store = self.stores.get_mut(&mount);
            return store.map_or_else(
                || Err(no_route(path)),
                |store| store.answer(&rest, query, &ask.method, &body),
            );
        }
        Err(no_route(path))
    }
}

/// The body as an object; empty where there is none.
fn body(ask: &Ask) -> Result<Map<String, Value>, Answer> {
    if ask.body.is_empty() {
        return Ok(Map::new());
    }
    if ask.method != "POST" {
        return Err(refuse(400, "mock: a body where none is looked at"));
    }
    if ask.header("content-type") != Some("application/json") {
        return Err(refuse(400, "mock: a body that is not application/json"));
    }
    match ask.json() {
        Some(Value::Object(body)) => Ok(body),
        _ => Err(refuse(400, "failed to parse JSON input: unexpected EOF")),
    }
}

/// A body with these fields only, all of them text.
fn texts<'a, const N: usize>(
    body: &'a Map<String, Value>,
    fields: [&str; N],
) -> Result<[&'a str; N], Answer> {
    if let Some(other) = body.keys().find(|name| !fields.contains(&name.as_str())) {
        return Err(refuse(400, &format!("mock: the unknown field {other}")));
    }
    let mut found = [""; N];
    for (place, name) in found.iter_mut().zip(fields) {
        *place = match body.get(name) {
            None => "",
            Some(Value::String(text)) => text,
            Some(_) => {
                return Err(refuse(
                    400,
                    &format!("mock: the field {name} is not a text"),
                ));
            }
        };
    }
    Ok(found)
}

fn refuse(status: u16, words: &str) -> Answer {
    Answer::new(status, json!({"errors": [words]}))
}

fn no_route(path: &str) -> Answer {
    let words = format!("no handler for route \"{path}\". route entry not found.");
    refuse(404, &words)
}

/// What is said of something that is not there.
fn nothing() -> Answer {
    Answer::new(404, json!({"errors": []}))
}

/// An answer with the envelope of all answers.
fn data(data: Value) -> Answer {
    Answer::new(
        200,
        json!({
            "request_id": "11111111-2222-3333-4444-555555555555", "lease_id": "", "renewable": false,
            "lease_duration": 0, "data": data, "wrap_info": null, "warnings": null, "auth": null,
        }),
    )
}

/// Bytes that nobody foresees. Good enough for a test tool.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    for chunk in bytes.chunks_mut(8) {
        let some = RandomState::new().hash_one(0).to_ne_bytes();
        for (byte, some) in chunk.iter_mut().zip(some) {
            *byte = some;
        }
    }
    bytes
}

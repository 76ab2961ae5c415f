//! The Transit engine: keys with versions, AES-256-GCM.
//!
//! Reference: <https://developer.hashicorp.com/vault/api-docs/secret/transit>,
//! <https://openbao.org/api-docs/secret/transit/>; the words of its errors are those of the open engine.

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use data_encoding::BASE64;
use serde_json::{Map, Value, json};

use super::{Outcome, State, data, no_route, nothing, random, refuse, texts};
use crate::Answer;

const NONCE: usize = 12;

/// A key, with all its versions.
pub(super) struct Key {
    kind: String,
    derived: bool,
    versions: Vec<[u8; 32]>,
    pub(super) min_decryption_version: usize,
}

impl Key {
    pub(super) fn new(kind: &str, derived: bool) -> Self {
        Self {
            kind: kind.to_owned(),
            derived,
            versions: vec![random()],
            min_decryption_version: 1,
        }
    }

    pub(super) fn rotate(&mut self) {
        self.versions.push(random());
    }

    fn is_aead(&self) -> bool {
        self.kind == "aes256-gcm96"
    }

    fn described(&self, name: &str) -> Value {
        let versions: Map<String, Value> = (1..=self.versions.len())
            .map(|version| (version.to_string(), json!(1_442_851_412)))
            .collect();
        json!({
            "type": self.kind, "deletion_allowed": false, "derived": self.derived, "exportable": false,
            "allow_plaintext_backup": false, "keys": versions, "name": name,
            "latest_version": self.versions.len(), "min_available_version": 0,
            "min_decryption_version": self.min_decryption_version, "min_encryption_version": 0,
            "supports_encryption": self.is_aead() || self.kind.starts_with("rsa-"),
            "supports_decryption": self.is_aead() || self.kind.starts_with("rsa-"),
            "supports_derivation": self.is_aead(), "supports_signing": !self.is_aead(),
        })
    }

    /// What an operation needs of a key before anything else.
    fn ready(&self, associated_data: &str) -> Result<Vec<u8>, Answer> {
        if !self.is_aead() && !associated_data.is_empty() {
            return Err(refuse(
                400,
                &format!(
                    "'[0].associated_data' provided for non-AEAD cipher suite {}",
                    self.kind
                ),
            ));
        }
        if self.derived {
            return Err(refuse(
                400,
                "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key",
            ));
        }
        BASE64.decode(associated_data.as_bytes()).map_err(|_| {
            refuse(
                500,
                "unable to get associated_data/additional_data from factory[0]",
            )
        })
    }

    fn encrypt(&self, plain: &[u8], bound: &[u8]) -> Result<Value, Answer> {
        let version = self.versions.len();
        let key = self.versions.last();
        let key = key.ok_or_else(|| refuse(400, "no such key version"))?;
        let nonce = random::<NONCE>();
        let payload = Payload {
            msg: plain,
            aad: bound,
        };
        let sealed = Aes256Gcm::new(key.into())
            .encrypt(Nonce::from_slice(&nonce), payload)
            .map_err(|_| refuse(500, "internal error"))?;
        let sealed = BASE64.encode(&[&nonce, sealed.as_slice()].concat());
        Ok(json!({"ciphertext": format!("vault:v{version}:{sealed}"), "key_version": version}))
    }

    fn decrypt(&self, ciphertext: &str, bound: &[u8]) -> Result<Value, Answer> {
        let invalid = |words: &str| refuse(400, &format!("invalid ciphertext: {words}"));
        let rest = ciphertext.strip_prefix("vault:v");
        let rest = rest.ok_or_else(|| invalid("no prefix"))?;
        let (version, sealed) = rest
            .split_once(':')
            .ok_or_else(|| invalid("wrong number of fields"))?;
        let version: usize = version
            .parse()
            .map_err(|_| invalid("version number could not be decoded"))?;
        let version = version.max(1);
        if version > self.versions.len() {
            return Err(invalid("version is too new"));
        }
        if version < self.min_decryption_version {
            return Err(refuse(
                400,
                "ciphertext or signature version is disallowed by policy (too old)",
            ));
        }
        let sealed = BASE64
            .decode(sealed.as_bytes())
            .map_err(|_| invalid("could not decode base64"))?;
        let Some((nonce, sealed)) = sealed.split_at_checked(NONCE) else {
            return Err(refuse(400, "invalid ciphertext length"));
        };
        let key = self.versions.get(version - 1);
        let key = key.ok_or_else(|| refuse(400, "no such key version"))?;
        let payload = Payload {
            msg: sealed,
            aad: bound,
        };
        let plain = Aes256Gcm::new(key.into())
            .decrypt(Nonce::from_slice(nonce), payload)
            .map_err(|_| refuse(400, "cipher: message authentication failed"))?;
        Ok(json!({"plaintext": BASE64.encode(&plain)}))
    }
}

impl State {
    pub(super) fn transit(
        &mut self,
        mount: &str,
        path: &str,
        method: &str,
        body: &Map<String, Value>,
    ) -> Outcome {
        let heeds = self.heeds_associated_data;
        let parts: Vec<&str> = path.split('/').collect();
        let (operation, name) = match parts.as_slice() {
            [operation @ ("keys" | "encrypt" | "decrypt"), name] => (*operation, *name),
            ["keys", name, "rotate"] => ("rotate", *name),
            _ => return Err(no_route(path)),
        };
        let needed = if operation == "keys" { "GET" } else { "POST" };
        if method != needed {
            return Err(refuse(405, "unsupported operation"));
        }
        let Some(key) = self.find_key(mount, name) else {
            return Err(match operation {
                "keys" => nothing(),
                "rotate" => refuse(400, "key not found"),
                _ => refuse(400, "encryption key not found"),
            });
        };
        match operation {
            "keys" => Ok(data(key.described(name))),
            "rotate" => {
                texts(body, [])?;
                key.rotate();
                Ok(data(key.described(name)))
            }
            "encrypt" => {
                let [plain, bound] = texts(body, ["plaintext", "associated_data"])?;
                if !body.contains_key("plaintext") {
                    return Err(refuse(400, "missing plaintext to encrypt"));
                }
                let plain = BASE64
                    .decode(plain.as_bytes())
                    .map_err(|_| refuse(400, "illegal base64 data at input byte 0"))?;
                let bound = key.ready(if heeds { bound } else { "" })?;
                key.encrypt(&plain, &bound).map(data)
            }
            _ => {
                let [ciphertext, bound] = texts(body, ["ciphertext", "associated_data"])?;
                if ciphertext.is_empty() {
                    return Err(refuse(400, "missing ciphertext to decrypt"));
                }
                let bound = key.ready(if heeds { bound } else { "" })?;
                key.decrypt(ciphertext, &bound).map(data)
            }
        }
    }
}

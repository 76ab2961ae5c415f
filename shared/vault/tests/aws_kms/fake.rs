//! AWS KMS as its references describe it, strict: the signature is worked out anew, every header and field is checked, and what
//! KMS refuses is refused with its error and words.
//!
//! - Operations, fields, errors: <https://docs.aws.amazon.com/kms/latest/APIReference/API_Operations.html>
//! - What a state of a key allows: <https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html>
//! - Errors of authentication: <https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html>
//! - Signatures: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, Mac};
use mock_vault::{Answer, Ask, MockVault, Service};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

const ACCOUNT: &str = "111122223333";
/// Rotations on demand that a key has.
const ROTATIONS: usize = 25;

type Refused<T> = Result<T, Answer>;

pub(crate) struct Key {
    pub(crate) arn: String,
    /// `Enabled`, `Disabled`, `PendingDeletion`, …
    pub(crate) state: &'static str,
    pub(crate) spec: &'static str,
    /// One for each rotation; all of them go on decrypting.
    material: Vec<[u8; 32]>,
}

/// What a test may look at and change.
pub(crate) struct State {
    pub(crate) keys: Vec<Key>,
    /// `alias/…` to the number of a key.
    pub(crate) aliases: HashMap<String, usize>,
    pub(crate) token: Option<&'static str>,
    pub(crate) token_expired: bool,
    /// An operation that the policy lacks.
    pub(crate) forbidden: Option<&'static str>,
    made: u64,
}

/// The service, and the server that it runs on.
pub(crate) struct Kms {
    pub(crate) server: MockVault,
    state: Arc<Mutex<State>>,
}

impl Kms {
    /// With two keys, and `alias/lockgate` for the first of them.
    pub(crate) fn start() -> Self {
        let key = |number: u8| Key {
            arn: format!(
                "arn:aws:kms:{REGION}:{ACCOUNT}:key/{number:08}-12ab-34cd-56ef-1234567890ab"
            ),
            state: "Enabled",
            spec: "SYMMETRIC_DEFAULT",
            material: vec![[number; 32]],
        };
        let state = Arc::new(Mutex::new(State {
            keys: vec![key(1), key(2)],
            aliases: HashMap::from([("alias/lockgate".to_owned(), 0)]),
            token: None,
            token_expired: false,
            forbidden: None,
            made: 0,
        }));
        Self {
            server: MockVault::start(Handler(Arc::clone(&state))),
            state,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        held(&self.state)
    }

    pub(crate) fn arn(&self, key: usize) -> String {
        self.state().keys.get(key).unwrap().arn.clone()
    }

    /// The operations that were asked for, with their fields.
    pub(crate) fn asked(&self) -> Vec<(String, Value)> {
        let asked = self.server.asked().into_iter().map(|ask| {
            let target = ask.header("x-amz-target").unwrap_or_default();
            let operation = target.trim_start_matches("TrentService.").to_owned();
            (operation, ask.json().unwrap())
        });
        asked.collect()
    }
}

fn held(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Handler(Arc<Mutex<State>>);

impl Service for Handler {
    fn answer(&mut self, ask: &Ask) -> Answer {
        let mut state = held(&self.0);
        let answered = state.authenticate(ask).and_then(|()| state.operate(ask));
        answered.map_or_else(|refused| refused, |fields| Answer::new(200, fields))
    }
}

fn no(kind: &str, message: impl Into<String>) -> Answer {
    Answer::new(400, json!({ "__type": kind, "message": message.into() }))
}

fn ensure(holds: bool, kind: &str, message: &str) -> Refused<()> {
    if holds {
        Ok(())
    } else {
        Err(no(kind, message))
    }
}

fn mac(key: &[u8], message: &str) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl State {
    fn authenticate(&self, ask: &Ask) -> Refused<()> {
        let header = |name: &str| ask.header(name).unwrap_or_default();
        let (media_type, target) = (header("content-type"), header("x-amz-target"));
        ensure(
            ask.method == "POST" && ask.path == "/" && media_type == "application/x-amz-json-1.1",
            "UnknownOperationException",
            "",
        )?;
        let authorization = ask.header("authorization").ok_or_else(|| {
            no(
                "MissingAuthenticationTokenException",
                "Missing Authentication Token",
            )
        })?;
        let incomplete = || no("IncompleteSignatureException", authorization);
        let rest = authorization
            .strip_prefix("AWS4-HMAC-SHA256 Credential=")
            .ok_or_else(incomplete)?;
        let (credential, rest) = rest.split_once(", SignedHeaders=").ok_or_else(incomplete)?;
        let (signed, signature) = rest.split_once(", Signature=").ok_or_else(incomplete)?;
        let (id, scope) = credential.split_once('/').ok_or_else(incomplete)?;
        ensure(
            id == ACCESS_KEY_ID && ask.header("x-amz-security-token") == self.token,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        )?;
        ensure(
            !self.token_expired,
            "ExpiredTokenException",
            "The security token included in the request is expired",
        )?;
        let at = header("x-amz-date");
        let date = at.get(..8).unwrap_or_default();
        ensure(
            scope == format!("{date}/{REGION}/kms/aws4_request"),
            "InvalidSignatureException",
            "Credential should be scoped to a valid region.",
        )?;
        let hash = HEXLOWER.encode(&Sha256::digest(&ask.body));
        ensure(
            header("x-amz-content-sha256") == hash,
            "InvalidSignatureException",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )?;
        let names: Vec<&str> = signed.split(';').collect();
        let has_to_be =
            |name: &str| name.starts_with("x-amz-") || matches!(name, "host" | "content-type");
        let all = ask.headers.iter().map(|(name, _)| name.as_str());
        let unsigned = all
            .filter(|name| has_to_be(name))
            .find(|name| !names.contains(name));
        ensure(
            unsigned.is_none() && names.is_sorted(),
            "InvalidSignatureException",
            "A header has to be among the signed ones, and they are to be sorted.",
        )?;
        let lines: String = names
            .iter()
            .map(|name| format!("{name}:{}\n", header(name).trim()))
            .collect();
        let canonical = format!("POST\n/\n\n{lines}\n{signed}\n{hash}");
        let hashed = HEXLOWER.encode(&Sha256::digest(&canonical));
        let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashed}");
        let mut key = format!("AWS4{SECRET_ACCESS_KEY}").into_bytes();
        for part in scope.split('/') {
            key = mac(&key, part);
        }
        // KMS repeats the request, the session token in it.
        ensure(
            signature == HEXLOWER.encode(&mac(&key, &to_sign)),
            "InvalidSignatureException",
            &format!(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'{canonical}'\n\nThe String-to-Sign should have been\n'{to_sign}'\n"
            ),
        )?;
        let operation = target.trim_start_matches("TrentService.");
        if self.forbidden == Some(operation) {
            return Err(no(
                "AccessDeniedException",
                format!(
                    "User: arn:aws:iam::{ACCOUNT}:user/lockgate is not authorized to perform: kms:{operation} on this resource because no identity-based policy allows the kms:{operation} action"
                ),
            ));
        }
        Ok(())
    }

    fn operate(&mut self, ask: &Ask) -> Refused<Value> {
        let target = ask.header("x-amz-target").unwrap_or_default();
        let Some(Value::Object(fields)) = ask.json() else {
            return Err(no("SerializationException", ""));
        };
        let known: &[&str] = match target.strip_prefix("TrentService.") {
            Some("GenerateDataKey") => &["KeyId", "KeySpec", "EncryptionContext"],
            Some("Encrypt") => &["KeyId", "Plaintext", "EncryptionContext"],
            Some("Decrypt") => &["KeyId", "CiphertextBlob", "EncryptionContext"],
            Some("ReEncrypt") => &[
                "CiphertextBlob",
                "SourceKeyId",
                "SourceEncryptionContext",
                "DestinationKeyId",
                "DestinationEncryptionContext",
            ],
            Some("DescribeKey" | "RotateKeyOnDemand") => &["KeyId"],
            _ => return Err(no("UnknownOperationException", "")),
        };
        // All are always sent, and nothing else.
        let same =
            fields.len() == known.len() && known.iter().all(|name| fields.contains_key(*name));
        ensure(
            same,
            "ValidationException",
            "these fields are not those of the operation",
        )?;
        match target.trim_start_matches("TrentService.") {
            "DescribeKey" => self.describe(&fields),
            "RotateKeyOnDemand" => self.rotate(&fields),
            "GenerateDataKey" => {
                ensure(
                    fields.get("KeySpec") == Some(&json!("AES_256")),
                    "ValidationException",
                    "",
                )?;
                self.made += 1;
                let plain = Sha256::digest(self.made.to_be_bytes()).to_vec();
                let mut answer = self.encrypt(&fields, "KeyId", "EncryptionContext", &plain)?;
                answer.insert("Plaintext".into(), BASE64.encode(&plain).into());
                Ok(answer.into())
            }
            "Encrypt" => {
                let plain = bytes(&fields, "Plaintext", 4_096)?;
                let mut answer = self.encrypt(&fields, "KeyId", "EncryptionContext", &plain)?;
                answer.insert("EncryptionAlgorithm".into(), "SYMMETRIC_DEFAULT".into());
                Ok(answer.into())
            }
            "Decrypt" => {
                let (plain, arn) = self.decrypt(&fields, "KeyId", "EncryptionContext")?;
                Ok(
                    json!({ "KeyId": arn, "Plaintext": BASE64.encode(&plain), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT" }),
                )
            }
            _ => {
                let (plain, source) =
                    self.decrypt(&fields, "SourceKeyId", "SourceEncryptionContext")?;
                let mut answer = self.encrypt(
                    &fields,
                    "DestinationKeyId",
                    "DestinationEncryptionContext",
                    &plain,
                )?;
                answer.insert("SourceKeyId".into(), source.into());
                Ok(answer.into())
            }
        }
    }

    fn describe(&self, fields: &Map<String, Value>) -> Refused<Value> {
        let key = self.key(self.number(fields, "KeyId")?)?;
        let id = key.arn.rsplit_once('/').map(|(_, id)| id);
        Ok(json!({ "KeyMetadata": {
            "AWSAccountId": ACCOUNT, "KeyId": id, "Arn": key.arn, "CreationDate": 1.7e9, "Enabled": key.state == "Enabled",
            "KeyState": key.state, "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": key.spec, "KeyManager": "CUSTOMER", "Origin": "AWS_KMS",
        } }))
    }

    fn rotate(&mut self, fields: &Map<String, Value>) -> Refused<Value> {
        let named = text(fields, "KeyId")?;
        ensure(
            !named.contains("alias/"),
            "NotFoundException",
            "an alias is not taken here",
        )?;
        let number = self.number(fields, "KeyId")?;
        self.usable(number)?;
        let key = self.keys.get_mut(number).unwrap();
        ensure(
            key.material.len() <= ROTATIONS,
            "LimitExceededException",
            "The on-demand rotation limit has been exceeded.",
        )?;
        key.material
            .push([u8::try_from(number * 100 + key.material.len()).unwrap(); 32]);
        let id = key.arn.rsplit_once('/').map(|(_, id)| id);
        Ok(json!({ "KeyId": id }))
    }

    fn key(&self, number: usize) -> Refused<&Key> {
        let key = self.keys.get(number);
        key.ok_or_else(|| no("NotFoundException", "Key does not exist"))
    }

    /// The key that a field names.
    fn number(&self, fields: &Map<String, Value>, name: &str) -> Refused<usize> {
        let named = text(fields, name)?;
        let short = named.strip_prefix(&format!("arn:aws:kms:{REGION}:{ACCOUNT}:"));
        let short = short.unwrap_or(&named);
        let id = short.strip_prefix("key/").unwrap_or(short);
        let mut keys = self.keys.iter();
        let by_id = keys.position(|key| key.arn.ends_with(&format!("/{id}")));
        let found = self.aliases.get(short).copied().or(by_id);
        found.ok_or_else(|| {
            no(
                "NotFoundException",
                format!("Invalid keyId or alias '{named}'"),
            )
        })
    }

    fn usable(&self, number: usize) -> Refused<()> {
        let key = self.key(number)?;
        match key.state {
            "Enabled" if key.spec == "SYMMETRIC_DEFAULT" => Ok(()),
            "Enabled" => Err(no(
                "InvalidKeyUsageException",
                format!("{} has another usage.", key.arn),
            )),
            "Disabled" => Err(no("DisabledException", format!("{} is disabled.", key.arn))),
            "PendingDeletion" => Err(no(
                "KMSInvalidStateException",
                format!("{} is pending deletion.", key.arn),
            )),
            other => Err(no(
                "KMSInvalidStateException",
                format!("{} is {other}.", key.arn),
            )),
        }
    }

    /// A blob begins with the numbers of its key and of the key's material.
    fn encrypt(
        &mut self,
        fields: &Map<String, Value>,
        key: &str,
        context: &str,
        plain: &[u8],
    ) -> Refused<Map<String, Value>> {
        let number = self.number(fields, key)?;
        self.usable(number)?;
        self.made += 1;
        let aad = bound(fields, context)?;
        let key = self.key(number)?;
        let mut nonce = [0; 12];
        nonce
            .get_mut(4..)
            .unwrap()
            .copy_from_slice(&self.made.to_be_bytes());
        let cipher = Aes256Gcm::new(key.material.last().unwrap().into());
        let payload = Payload {
            msg: plain,
            aad: &aad,
        };
        let sealed = cipher.encrypt(Nonce::from_slice(&nonce), payload).unwrap();
        let version = u8::try_from(key.material.len() - 1).unwrap();
        let mut blob = vec![u8::try_from(number).unwrap(), version];
        blob.extend(nonce);
        blob.extend(sealed);
        let mut answer = Map::new();
        answer.insert("KeyId".into(), key.arn.clone().into());
        answer.insert("CiphertextBlob".into(), BASE64.encode(&blob).into());
        Ok(answer)
    }

    fn decrypt(
        &self,
        fields: &Map<String, Value>,
        key: &str,
        context: &str,
    ) -> Refused<(Vec<u8>, String)> {
        let blob = bytes(fields, "CiphertextBlob", 6_144)?;
        let named = self.number(fields, key)?;
        self.usable(named)?;
        let aad = bound(fields, context)?;
        let invalid = || no("InvalidCiphertextException", "");
        let (head, rest) = blob.split_at_checked(2).ok_or_else(invalid)?;
        let [number, version] = head else {
            return Err(invalid());
        };
        let number = usize::from(*number);
        ensure(number < self.keys.len(), "InvalidCiphertextException", "")?;
        ensure(
            number == named,
            "IncorrectKeyException",
            "The key ID in the request does not identify a CMK that can perform this operation.",
        )?;
        let key = self.key(number)?;
        let material = key
            .material
            .get(usize::from(*version))
            .ok_or_else(invalid)?;
        let (nonce, sealed) = rest.split_at_checked(12).ok_or_else(invalid)?;
        let payload = Payload {
            msg: sealed,
            aad: &aad,
        };
        let plain = Aes256Gcm::new(material.into()).decrypt(Nonce::from_slice(nonce), payload);
        Ok((plain.map_err(|_| invalid())?, key.arn.clone()))
    }
}

fn text(fields: &Map<String, Value>, name: &str) -> Refused<String> {
    let text = fields.get(name).and_then(Value::as_str);
    let text = text.filter(|text| (1..=2_048).contains(&text.len()));
    let text = text.ok_or_else(|| no("ValidationException", format!("Value at '{name}'")))?;
    Ok(text.to_owned())
}

fn bytes(fields: &Map<String, Value>, name: &str, most: usize) -> Refused<Vec<u8>> {
    let text = fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let bytes = BASE64.decode(text.as_bytes());
    let bytes = bytes.map_err(|_| no("SerializationException", name))?;
    let fits = (1..=most).contains(&bytes.len());
    ensure(fits, "ValidationException", "1 validation error detected")?;
    Ok(bytes)
}

/// The encryption context in one order, whatever the order in the request.
fn bound(fields: &Map<String, Value>, name: &str) -> Refused<Vec<u8>> {
    let context = fields.get(name).cloned().unwrap_or_default();
    let context: BTreeMap<String, String> = serde_json::from_value(context)
        .map_err(|error| no("SerializationException", error.to_string()))?;
    ensure(
        !context.is_empty(),
        "ValidationException",
        "no encryption context",
    )?;
    Ok(serde_json::to_vec(&context).unwrap())
}

//! Google Cloud KMS, for one key ring with one symmetric key.
//!
//! Written from the reference of v1:
//! [encrypt](https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/encrypt),
//! [decrypt](https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/decrypt),
//! [get](https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/get),
//! [versions](https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys.cryptoKeyVersions),
//! [updatePrimaryVersion](https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys/updatePrimaryVersion),
//! [data integrity](https://cloud.google.com/kms/docs/data-integrity-guidelines),
//! [errors](https://cloud.google.com/apis/design/errors),
//! [self-signed tokens](https://google.aip.dev/auth/4111).
//!
//! What it wraps is AES-256-GCM with the version before it. Tokens are verified: signature, header and claims, against its clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use rsa::pkcs8::DecodePrivateKey;
use rsa::{Pkcs1v15Sign, RsaPrivateKey, RsaPublicKey};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{Answer, Ask, Service};

/// The name of the one key.
pub const KEY: &str =
    "projects/test-project/locations/europe-west3/keyRings/lockgate/cryptoKeys/kek";
/// The address of the service account.
pub const EMAIL: &str = "lockgate@test-project.iam.gserviceaccount.com";
const KEY_ID: &str = "0123456789abcdef0123456789abcdef01234567";
const PRIVATE_KEY: &str = include_str!("../keys/test-1.pem");
const AUDIENCE: &str = "https://cloudkms.googleapis.com/";
const NONCE_BYTES: usize = 12;

/// The service: a handle, of which clones are the same service. A test keeps one and serves another:
///
/// ```
/// use mock_vault::{MockVault, gcp::{Gcp, KEY}};
/// let gcp = Gcp::new();
/// let server = MockVault::start(gcp.clone());
/// let settings = [
///     ("LOCKGATE_VAULT", "gcp-kms"),
///     ("LOCKGATE_VAULT_GCP_KEY", KEY),
///     ("LOCKGATE_VAULT_GCP_CREDENTIALS", &Gcp::credentials()),
///     ("LOCKGATE_VAULT_GCP_ENDPOINT", &server.base_url()),
/// ];
/// gcp.set_state(1, "DISABLED");
/// ```
#[derive(Clone)]
pub struct Gcp(Arc<Mutex<State>>);

struct State {
    /// The first version is 1.
    versions: Vec<&'static str>,
    primary: usize,
    /// What `encrypt` uses where it is given the key: the first primary version for as long as nobody waits for hours.
    used: usize,
    purpose: &'static str,
    account: RsaPublicKey,
    /// The permissions that the account has.
    allowed: Vec<&'static str>,
    /// Milliseconds that its clock is ahead.
    ahead: u64,
    unauthenticated: u32,
    altered: u32,
    numbered: bool,
    new_state: &'static str,
    nonces: u64,
}

/// Why a request is refused: status, the name of the code, words.
type Refusal = (u16, &'static str, String);

impl Default for Gcp {
    fn default() -> Self {
        Self::new()
    }
}

impl Gcp {
    /// A service with [`KEY`], which has one enabled version.
    ///
    /// # Panics
    /// If the test key does not parse.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "documented; the key is part of this crate"
    )]
    pub fn new() -> Self {
        let account = RsaPrivateKey::from_pkcs8_pem(PRIVATE_KEY).expect("a test key");
        Self(Arc::new(Mutex::new(State {
            versions: vec!["ENABLED"],
            primary: 1,
            used: 1,
            purpose: "ENCRYPT_DECRYPT",
            account: account.to_public_key(),
            allowed: vec![
                "cloudkms.cryptoKeyVersions.useToEncrypt",
                "cloudkms.cryptoKeyVersions.useToDecrypt",
                "cloudkms.cryptoKeys.get",
                "cloudkms.cryptoKeyVersions.create",
                "cloudkms.cryptoKeys.update",
            ],
            ahead: 0,
            unauthenticated: 0,
            altered: 0,
            numbered: false,
            new_state: "ENABLED",
            nonces: 0,
        })))
    }

    /// The service account's JSON key file, with a key that was made for tests.
    #[must_use]
    pub fn credentials() -> String {
        json!({
            "type": "service_account",
            "project_id": "test-project",
            "private_key_id": KEY_ID,
            "private_key": PRIVATE_KEY,
            "client_email": EMAIL,
            "client_id": "100000000000000000000",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": "https://oauth2.googleapis.com/token",
            "universe_domain": "googleapis.com",
        })
        .to_string()
    }

    /// The name of a version.
    #[must_use]
    pub fn version(number: usize) -> String {
        format!("{KEY}/cryptoKeyVersions/{number}")
    }

    /// Makes a new version and makes it primary, as somebody at the console does.
    pub fn rotate(&self) {
        let mut state = self.state();
        state.versions.push("ENABLED");
        state.primary = state.versions.len();
    }

    /// Sets the state of a version: `ENABLED`, `DISABLED`, `DESTROY_SCHEDULED`, `DESTROYED`.
    pub fn set_state(&self, number: usize, to: &'static str) {
        let mut state = self.state();
        if let Some(version) = state.versions.get_mut(number.wrapping_sub(1)) {
            *version = to;
        }
    }

    /// Takes the primary version away, or sets it.
    pub fn set_primary(&self, number: usize) {
        self.state().primary = number;
    }

    /// Sets the purpose of the key.
    pub fn set_purpose(&self, purpose: &'static str) {
        self.state().purpose = purpose;
    }

    /// Takes a permission from the account.
    pub fn deny(&self, permission: &str) {
        self.state().allowed.retain(|one| *one != permission);
    }

    /// Puts the service's clock ahead, so that tokens have expired.
    pub fn ahead(&self, milliseconds: u64) {
        self.state().ahead = milliseconds;
    }

    /// Refuses the tokens of the next so many requests.
    pub fn unauthenticated(&self, requests: u32) {
        self.state().unauthenticated = requests;
    }

    /// Alters what the next so many requests say before their checksums are looked at.
    pub fn alter(&self, requests: u32) {
        self.state().altered = requests;
    }

    /// From now on calls the project by its number.
    pub fn number_projects(&self) {
        self.state().numbered = true;
    }

    /// The state that new versions have at first.
    pub fn make_versions(&self, state: &'static str) {
        self.state().new_state = state;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service for Gcp {
    fn answer(&mut self, ask: &Ask) -> Answer {
        match self.state().answer(ask) {
            Ok(body) => Answer::new(200, body),
            Err((status, name, message)) => Answer::new(
                status,
                json!({"error": {"code": status, "message": message, "status": name}}),
            ),
        }
    }
}

impl State {
    fn answer(&mut self, ask: &Ask) -> Result<Value, Refusal> {
        if self.unauthenticated > 0 {
            self.unauthenticated -= 1;
            return Err(unauthenticated());
        }
        self.authenticate(ask)?;
        let path = ask.path.strip_prefix("/v1/").ok_or_else(not_found)?;
        let below = path.strip_prefix(KEY);
        let method = ask.method.as_str();
        match (method, below) {
            ("GET", Some("")) if ask.body.is_empty() => {
                self.allow("cloudkms.cryptoKeys.get", KEY)?;
                Ok(self.crypto_key())
            }
            ("POST", Some(":encrypt")) => self.encrypt(ask, self.used),
            ("POST", Some(below)) if below.ends_with(":encrypt") => {
                let number = below.strip_prefix("/cryptoKeyVersions/");
                let number = number.and_then(|rest| rest.strip_suffix(":encrypt"));
                let number = number.and_then(|number| number.parse().ok());
                self.encrypt(ask, number.ok_or_else(not_found)?)
            }
            ("POST", Some(":decrypt")) => {
                self.allow("cloudkms.cryptoKeyVersions.useToDecrypt", KEY)?;
                self.decrypt(ask)
            }
            ("POST", Some("/cryptoKeyVersions")) => {
                self.allow("cloudkms.cryptoKeyVersions.create", KEY)?;
                let fields = fields(ask, &["state", "externalProtectionLevelOptions"])?;
                if !fields.is_empty() {
                    return Err(invalid("this test service takes an empty version only"));
                }
                self.versions.push(self.new_state);
                Ok(self.version(self.versions.len()))
            }
            ("POST", Some(":updatePrimaryVersion")) => {
                self.allow("cloudkms.cryptoKeys.update", KEY)?;
                let fields = fields(ask, &["cryptoKeyVersionId"])?;
                let id = text(&fields, "cryptoKeyVersionId")?;
                let number: usize = id.parse().map_err(|_| invalid("no version's id"))?;
                self.usable(number)?;
                self.primary = number;
                Ok(self.crypto_key())
            }
            (_, Some(_)) => Err(not_found()),
            // Of what it does not know, the service says that it may not be used.
            (_, None) => Err(denied("cloudkms.cryptoKeyVersions.useToEncrypt", path)),
        }
    }

    fn authenticate(&self, ask: &Ask) -> Result<(), Refusal> {
        let header = ask.header("authorization").unwrap_or_default();
        let token = header.strip_prefix("Bearer ").unwrap_or_default();
        let good = || {
            let (signed, signature) = token.rsplit_once('.')?;
            let (header, claims) = signed.split_once('.')?;
            let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
            let digest = Sha256::digest(signed);
            self.account
                .verify(Pkcs1v15Sign::new::<Sha256>(), &digest, &signature)
                .ok()?;
            let [header, claims] = [header, claims].map(|part| {
                let part = BASE64URL_NOPAD.decode(part.as_bytes()).ok()?;
                serde_json::from_slice::<Value>(&part).ok()
            });
            let claims = claims?;
            let iat = claims.get("iat")?.as_u64()?;
            let wanted = json!({
                "iss": EMAIL, "sub": EMAIL, "aud": AUDIENCE, "iat": iat, "exp": iat + 3_600,
            });
            let now = self.now();
            let kept = header? == json!({"alg": "RS256", "typ": "JWT", "kid": KEY_ID});
            (kept && claims == wanted && iat <= now + 60 && now < iat + 3_600).then_some(())
        };
        good().ok_or_else(unauthenticated)
    }

    fn now(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map(|now| now.as_secs()).unwrap_or_default() + self.ahead / 1_000
    }

    fn allow(&self, permission: &str, resource: &str) -> Result<(), Refusal> {
        if self.allowed.contains(&permission) {
            return Ok(());
        }
        Err(denied(permission, resource))
    }

    fn encrypt(&mut self, ask: &Ask, number: usize) -> Result<Value, Refusal> {
        self.allow("cloudkms.cryptoKeyVersions.useToEncrypt", KEY)?;
        let (plain, aad) = self.checked(ask, "plaintext")?;
        if self.purpose != "ENCRYPT_DECRYPT" {
            return Err(invalid("the key's purpose is not ENCRYPT_DECRYPT"));
        }
        if number == 0 {
            return Err(precondition(format!("{KEY} has no primary version")));
        }
        self.usable(number)?;
        let mut blob = u32::try_from(number)
            .unwrap_or_default()
            .to_be_bytes()
            .to_vec();
        self.nonces += 1;
        let mut nonce = [0; NONCE_BYTES];
        let (_, counter) = nonce.split_at_mut(4);
        counter.copy_from_slice(&self.nonces.to_be_bytes());
        blob.extend_from_slice(&nonce);
        let payload = Payload {
            msg: &plain.0,
            aad: &aad.0,
        };
        let sealed = cipher(number).encrypt(Nonce::from_slice(&nonce), payload);
        blob.extend_from_slice(&sealed.map_err(|_| invalid("it is too long"))?);
        Ok(json!({
            "name": self.name(number),
            "ciphertext": BASE64.encode(&blob),
            "ciphertextCrc32c": crc32c(&blob).to_string(),
            "verifiedPlaintextCrc32c": plain.1,
            "verifiedAdditionalAuthenticatedDataCrc32c": aad.1,
            "protectionLevel": "SOFTWARE",
        }))
    }

    fn decrypt(&mut self, ask: &Ask) -> Result<Value, Refusal> {
        let (sealed, aad) = self.checked(ask, "ciphertext")?;
        let unknown =
            || invalid("Decryption failed: verify that 'name' refers to the correct CryptoKey.");
        let (number, rest) = sealed.0.split_first_chunk().ok_or_else(unknown)?;
        let number = usize::try_from(u32::from_be_bytes(*number)).map_err(|_| unknown())?;
        if !(1..=self.versions.len()).contains(&number) {
            return Err(unknown());
        }
        let (nonce, rest) = rest.split_at_checked(NONCE_BYTES).ok_or_else(unknown)?;
        self.usable(number)?;
        let payload = Payload {
            msg: rest,
            aad: &aad.0,
        };
        let plain = cipher(number)
            .decrypt(Nonce::from_slice(nonce), payload)
            .map_err(|_| unknown())?;
        Ok(json!({
            "plaintext": BASE64.encode(&plain),
            "plaintextCrc32c": crc32c(&plain).to_string(),
            "usedPrimary": number == self.primary,
            "protectionLevel": "SOFTWARE",
        }))
    }

    /// A field and the authenticated data, each with whether it came with its checksum.
    #[expect(clippy::type_complexity, reason = "used twice, right here")]
    fn checked(
        &mut self,
        ask: &Ask,
        field: &str,
    ) -> Result<((Vec<u8>, bool), (Vec<u8>, bool)), Refusal> {
        let sum_of = |field: &str| format!("{field}Crc32c");
        let aad = "additionalAuthenticatedData";
        let fields = fields(ask, &[field, &sum_of(field), aad, &sum_of(aad)])?;
        let altered = self.altered > 0;
        self.altered = self.altered.saturating_sub(1);
        let one = |field: &str, altered: bool| {
            let bytes = BASE64.decode(text(&fields, field)?.as_bytes());
            let mut bytes = bytes.map_err(|_| invalid("Base64 decoding failed"))?;
            if let (Some(first), true) = (bytes.first_mut(), altered) {
                *first ^= 1;
            }
            let Some(sum) = fields.get(&sum_of(field)) else {
                return Ok((bytes, false));
            };
            // 64-bit numbers are text in JSON.
            let sum = sum.as_str().and_then(|sum| sum.parse().ok());
            if sum != Some(crc32c(&bytes)) {
                return Err(invalid(&format!(
                    "The checksum in field {field}_crc32c did not match the data in field {field}."
                )));
            }
            Ok((bytes, true))
        };
        Ok((one(field, altered)?, one(aad, false)?))
    }

    fn usable(&self, number: usize) -> Result<(), Refusal> {
        match self.versions.get(number.wrapping_sub(1)) {
            Some(&"ENABLED") => Ok(()),
            Some(state) => Err(precondition(format!(
                "{} is not enabled, current state is: {state}.",
                self.name(number)
            ))),
            None => Err(not_found()),
        }
    }

    fn name(&self, number: usize) -> String {
        let name = Gcp::version(number);
        match self.numbered {
            true => name.replace("test-project", "123456789012"),
            false => name,
        }
    }

    fn version(&self, number: usize) -> Value {
        json!({
            "name": self.name(number),
            "state": self.versions.get(number.wrapping_sub(1)),
            "protectionLevel": "SOFTWARE",
            "algorithm": "GOOGLE_SYMMETRIC_ENCRYPTION",
        })
    }

    fn crypto_key(&self) -> Value {
        let mut key = json!({"name": KEY, "purpose": self.purpose});
        if self.primary > 0 {
            key["primary"] = self.version(self.primary);
        }
        key
    }
}

fn cipher(version: usize) -> Aes256Gcm {
    let key: [u8; 32] = Sha256::digest(format!("gcp test key {version}")).into();
    Aes256Gcm::new(&key.into())
}

/// The body's fields, of which none may be unknown.
fn fields(ask: &Ask, known: &[&str]) -> Result<Map<String, Value>, Refusal> {
    if ask.header("content-type") != Some("application/json") {
        return Err(invalid("the content type is not application/json"));
    }
    let Some(Value::Object(fields)) = ask.json() else {
        return Err(invalid("Invalid JSON payload received."));
    };
    match fields.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(invalid(&format!(
            "Invalid JSON payload received. Unknown name \"{name}\": Cannot find field."
        ))),
        None => Ok(fields),
    }
}

fn text<'f>(fields: &'f Map<String, Value>, name: &str) -> Result<&'f str, Refusal> {
    let value = fields.get(name).and_then(Value::as_str);
    value
        .filter(|value| !value.is_empty())
        .ok_or_else(|| invalid(&format!("the field {name} is missing")))
}

fn invalid(message: &str) -> Refusal {
    (400, "INVALID_ARGUMENT", message.to_owned())
}

fn precondition(message: String) -> Refusal {
    (400, "FAILED_PRECONDITION", message)
}

fn not_found() -> Refusal {
    let message = "The requested URL was not found on this server.";
    (404, "NOT_FOUND", message.to_owned())
}

fn denied(permission: &str, resource: &str) -> Refusal {
    let message =
        format!("Permission '{permission}' denied on resource '{resource}' (or it may not exist).");
    (403, "PERMISSION_DENIED", message)
}

fn unauthenticated() -> Refusal {
    let message = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.";
    (401, "UNAUTHENTICATED", message.to_owned())
}

/// CRC-32C by division, most significant bit first on mirrored input: another way than the gateway's.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(byte.reverse_bits()) << 24;
        for _ in 0..8 {
            let carry = sum & 0x8000_0000 != 0;
            sum <<= 1;
            if carry {
                sum ^= 0x1edc_6f41;
            }
        }
    }
    !sum.reverse_bits()
}

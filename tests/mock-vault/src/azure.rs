//! Azure Key Vault, for one vault with one RSA key, and Microsoft Entra ID, which gives the tokens for it.
//!
//! Written from the references of API version 2025-07-01:
//! [get key](https://learn.microsoft.com/rest/api/keyvault/keys/get-key/get-key),
//! [wrap key](https://learn.microsoft.com/rest/api/keyvault/keys/wrap-key/wrap-key),
//! [unwrap key](https://learn.microsoft.com/rest/api/keyvault/keys/unwrap-key/unwrap-key),
//! [rotate key](https://learn.microsoft.com/rest/api/keyvault/keys/rotate-key/rotate-key),
//! [attributes of keys](https://learn.microsoft.com/azure/key-vault/keys/about-keys-details),
//! [errors](https://learn.microsoft.com/azure/key-vault/general/rest-error-codes),
//! [client credentials](https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow).
//!
//! Wrapping is RSA-OAEP-256 with keys that were made for tests. As the service does, it wraps under a disabled version and
//! refuses to unwrap with it (<https://github.com/Azure/azure-sdk-for-python/issues/45342>), and unwraps with an expired one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::BASE64URL_NOPAD;
use rsa::pkcs8::DecodePrivateKey;
use rsa::rand_core::{CryptoRng, Error, RngCore};
use rsa::traits::PublicKeyParts;
use rsa::{Oaep, RsaPrivateKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Answer, Ask, Service};

/// The name of the one key; its identifier is the server's address, `/keys/` and this.
pub const KEY: &str = "lockgate-kek";
/// The directory that the vault is in.
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
/// The application that may use the key.
pub const CLIENT_ID: &str = "66666666-7777-8888-9999-000000000000";
/// Its secret, with characters that a form has to encode.
pub const CLIENT_SECRET: &str = "tst8Q~+&=%secret.of_the-tests/0123456789";
const SCOPE: &str = "https://vault.azure.net/.default";
const KEYS: [&str; 3] = [
    include_str!("../keys/test-1.pem"),
    include_str!("../keys/test-2.pem"),
    include_str!("../keys/test-3.pem"),
];

/// The vault and its directory: a handle, of which clones are the same service. A test keeps one and serves another:
///
/// ```
/// use mock_vault::{MockVault, azure::{Azure, CLIENT_ID, CLIENT_SECRET, TENANT}};
/// let azure = Azure::new();
/// let server = MockVault::start(azure.clone());
/// let settings = [
///     ("LOCKGATE_VAULT", "azure-key-vault"),
///     ("LOCKGATE_VAULT_AZURE_KEY", &Azure::key(&server.base_url())),
///     ("LOCKGATE_VAULT_AZURE_TENANT_ID", TENANT),
///     ("LOCKGATE_VAULT_AZURE_CLIENT_ID", CLIENT_ID),
///     ("LOCKGATE_VAULT_AZURE_CLIENT_SECRET", CLIENT_SECRET),
///     ("LOCKGATE_VAULT_AZURE_LOGIN", &server.base_url()),
/// ];
/// azure.change(1, |version| version.enabled = false);
/// ```
#[derive(Clone)]
pub struct Azure(Arc<Mutex<State>>);

/// A version of the key.
pub struct Version {
    /// Whether it may be used.
    pub enabled: bool,
    /// From when it may be used, seconds since 1970.
    pub nbf: Option<u64>,
    /// Until when.
    pub exp: Option<u64>,
    /// `RSA`, `RSA-HSM`, …
    pub kty: &'static str,
    /// What it may be used for.
    pub key_ops: Vec<&'static str>,
}

struct State {
    /// The first version is 1; the newest is the last.
    versions: Vec<Version>,
    keys: HashMap<usize, RsaPrivateKey>,
    /// What the application may do.
    allowed: Vec<&'static str>,
    /// The tokens that are good.
    tokens: Vec<String>,
    given: u64,
    expires_in: u64,
    /// Whether it is of another directory.
    foreign: bool,
    /// What the login is refused with, if it is.
    login: Option<(u16, &'static str, &'static str)>,
    blindings: u64,
}

/// Why a request is refused: status, code, inner code, words.
type Refusal = (u16, &'static str, Option<&'static str>, String);

impl Default for Azure {
    fn default() -> Self {
        Self::new()
    }
}

impl Azure {
    /// A vault with [`KEY`], which has one enabled version.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            versions: vec![Version::new()],
            keys: HashMap::new(),
            allowed: vec!["keys/get", "keys/wrapKey", "keys/unwrapKey", "keys/rotate"],
            tokens: Vec::new(),
            given: 0,
            expires_in: 3_599,
            foreign: false,
            login: None,
            blindings: 0,
        })))
    }

    /// The identifier of the key in a vault at this address.
    #[must_use]
    pub fn key(base_url: &str) -> String {
        format!("{base_url}/keys/{KEY}")
    }

    /// The identifier of a version of it.
    #[must_use]
    pub fn version(base_url: &str, number: usize) -> String {
        format!("{base_url}/keys/{KEY}/{}", id(number))
    }

    /// Makes a new version, as somebody at the portal does.
    pub fn rotate(&self) {
        self.state().versions.push(Version::new());
    }

    /// Changes a version.
    pub fn change(&self, number: usize, change: impl FnOnce(&mut Version)) {
        if let Some(version) = self.state().versions.get_mut(number.wrapping_sub(1)) {
            change(version);
        }
    }

    /// Takes a permission from the application: `keys/get`, `keys/wrapKey`, `keys/unwrapKey`, `keys/rotate`.
    pub fn deny(&self, permission: &str) {
        self.state().allowed.retain(|one| *one != permission);
    }

    /// Ends all tokens that were given.
    pub fn end_tokens(&self) {
        self.state().tokens.clear();
    }

    /// From now on tokens are good for so many seconds, by what the login says; here they are good until they are ended.
    pub fn expires_in(&self, seconds: u64) {
        self.state().expires_in = seconds;
    }

    /// From now on takes no token at all, as a vault of another directory does, or takes them again.
    pub fn refuse_tokens(&self, refuse: bool) {
        self.state().foreign = refuse;
    }

    /// From now on the login is refused with a status, an error and its description.
    pub fn refuse_login(&self, refusal: Option<(u16, &'static str, &'static str)>) {
        self.state().login = refusal;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Version {
    fn new() -> Self {
        Self {
            enabled: true,
            nbf: None,
            exp: None,
            kty: "RSA",
            key_ops: vec!["wrapKey", "unwrapKey"],
        }
    }
}

impl Service for Azure {
    fn answer(&mut self, ask: &Ask) -> Answer {
        let mut state = self.state();
        if ask.path.contains("/oauth2/") {
            return state.login(ask);
        }
        match state.answer(ask) {
            Ok(body) => Answer::new(200, body),
            Err((status, code, inner, message)) => {
                let mut error = json!({"code": code, "message": message});
                if let Some(inner) = inner {
                    error["innererror"] = json!({"code": inner});
                }
                Answer::new(status, json!({"error": error}))
            }
        }
    }
}

impl State {
    fn login(&mut self, ask: &Ask) -> Answer {
        let refused = |status: u16, error: &str, description: &str| {
            let body = json!({
                "error": error,
                "error_description": description,
                "error_codes": [7_000_215],
                "timestamp": "2026-01-01 00:00:00Z",
                "trace_id": "00000000-0000-0000-0000-000000000001",
                "correlation_id": "00000000-0000-0000-0000-000000000002",
            });
            Answer::new(status, body)
        };
        if let Some((status, error, description)) = self.login {
            return refused(status, error, description);
        }
        let form = ask.header("content-type") == Some("application/x-www-form-urlencoded");
        if ask.method != "POST" || !form {
            return refused(400, "invalid_request", "AADSTS900144: no form was posted");
        }
        let Some(tenant) = ask
            .path
            .strip_prefix('/')
            .and_then(|path| path.strip_suffix("/oauth2/v2.0/token"))
        else {
            return refused(404, "invalid_request", "AADSTS90023: no such endpoint");
        };
        if tenant != TENANT {
            return refused(400, "invalid_request", "AADSTS90002: Tenant not found.");
        }
        let mut fields: Vec<_> = form_urlencoded::parse(&ask.body).into_owned().collect();
        fields.sort();
        let field = |name: &str| {
            let found = fields.iter().find(|(field, _)| field == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        if names != ["client_id", "client_secret", "grant_type", "scope"] {
            return refused(
                400,
                "invalid_request",
                "AADSTS900144: the body lacks a field",
            );
        }
        if field("grant_type") != "client_credentials" {
            return refused(400, "unsupported_grant_type", "AADSTS70003: no such grant");
        }
        if field("client_id") != CLIENT_ID {
            let text = "AADSTS700016: Application was not found in the directory.";
            return refused(400, "unauthorized_client", text);
        }
        if field("client_secret") != CLIENT_SECRET {
            let text = "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client secret value.";
            return refused(401, "invalid_client", text);
        }
        if field("scope") != SCOPE {
            return refused(400, "invalid_scope", "AADSTS70011: The scope is not valid.");
        }
        self.given += 1;
        let token = format!("eyJ0eXAiOiJKV1QifQ.test-token-{:04}.signature", self.given);
        self.tokens.push(token.clone());
        Answer::new(
            200,
            json!({
                "token_type": "Bearer",
                "expires_in": self.expires_in,
                "ext_expires_in": self.expires_in,
                "access_token": token,
            }),
        )
    }

    fn answer(&mut self, ask: &Ask) -> Result<Value, Refusal> {
        let (path, query) = ask.path.split_once('?').unwrap_or((&ask.path, ""));
        if query != "api-version=2025-07-01" {
            return Err(bad("api-version has to be 2025-07-01 here"));
        }
        let header = ask.header("authorization").unwrap_or_default();
        let token = header.strip_prefix("Bearer ").unwrap_or_default();
        if self.foreign || !self.tokens.iter().any(|good| good == token) {
            let message = "AKV10000: Request is missing a Bearer or PoP token, or it is not valid.";
            return Err((401, "Unauthorized", None, message.to_owned()));
        }
        let below = path.strip_prefix(&format!("/keys/{KEY}"));
        let Some(below) = below.filter(|below| below.is_empty() || below.starts_with('/')) else {
            return Err(not_found(path));
        };
        let parts: Vec<&str> = below.split('/').skip(1).collect();
        match (ask.method.as_str(), parts.as_slice()) {
            ("GET", [] | [""]) if ask.body.is_empty() => {
                self.allow("keys/get")?;
                self.bundle(ask, self.versions.len())
            }
            ("GET", [version]) if ask.body.is_empty() => {
                self.allow("keys/get")?;
                self.bundle(ask, self.number(version)?)
            }
            ("POST", ["rotate"]) if ask.body.is_empty() => {
                self.allow("keys/rotate")?;
                self.versions.push(Version::new());
                self.bundle(ask, self.versions.len())
            }
            ("POST", [version, "wrapkey"]) => {
                self.allow("keys/wrapKey")?;
                let number = self.number(version)?;
                let plain = value(ask)?;
                self.usable(number, "wrapKey", true)?;
                let mut dice = Dice(self.blindings);
                let public = self.key(number).to_public_key();
                let sealed = public.encrypt(&mut dice, Oaep::new::<Sha256>(), &plain);
                self.blindings = dice.0;
                let sealed = sealed.map_err(|_| bad("The parameter is incorrect."))?;
                Ok(outcome(ask, number, &sealed))
            }
            ("POST", [version, "unwrapkey"]) => {
                self.allow("keys/unwrapKey")?;
                let number = self.number(version)?;
                let sealed = value(ask)?;
                self.usable(number, "unwrapKey", false)?;
                let plain = self.key(number).decrypt(Oaep::new::<Sha256>(), &sealed);
                let plain = plain.map_err(|_| bad("The parameter is incorrect."))?;
                Ok(outcome(ask, number, &plain))
            }
            _ => Err((
                405,
                "MethodNotAllowed",
                None,
                "there is no such operation".to_owned(),
            )),
        }
    }

    fn allow(&self, permission: &str) -> Result<(), Refusal> {
        if self.allowed.contains(&permission) {
            return Ok(());
        }
        let message = format!(
            "Caller is not authorized to perform action on resource.\r\nAction: '{permission}/action'\r\nCaller: appid={CLIENT_ID}"
        );
        Err((403, "Forbidden", Some("ForbiddenByRbac"), message))
    }

    fn number(&self, version: &str) -> Result<usize, Refusal> {
        (1..=self.versions.len())
            .find(|number| id(*number) == version)
            .ok_or_else(|| not_found(version))
    }

    /// What is wrapped with the public key goes with a disabled version too; what takes the private key goes with an
    /// expired one too.
    fn usable(&self, number: usize, operation: &str, public: bool) -> Result<(), Refusal> {
        let Some(version) = self.versions.get(number.wrapping_sub(1)) else {
            return Err(not_found(KEY));
        };
        let no =
            |inner: &'static str, message: String| Err((403, "Forbidden", Some(inner), message));
        if !version.key_ops.contains(&operation) {
            let message = format!("Operation {operation} is not permitted on this key.");
            return no("KeyOperationForbidden", message);
        }
        if !version.enabled && !public {
            let message = format!("Operation {operation} is not allowed on a disabled key.");
            return no("KeyDisabled", message);
        }
        Ok(())
    }

    fn key(&mut self, number: usize) -> &RsaPrivateKey {
        self.keys.entry(number).or_insert_with(|| key(number))
    }

    fn bundle(&mut self, ask: &Ask, number: usize) -> Result<Value, Refusal> {
        let public = self.key(number).to_public_key();
        let version = self.versions.get(number.wrapping_sub(1));
        let version = version.ok_or_else(|| not_found(KEY))?;
        let mut attributes = json!({
            "enabled": version.enabled,
            "created": 1_767_225_600,
            "updated": 1_767_225_600,
            "recoveryLevel": "Recoverable+Purgeable",
        });
        for (name, time) in [("nbf", version.nbf), ("exp", version.exp)] {
            if let Some(time) = time {
                attributes[name] = time.into();
            }
        }
        Ok(json!({
            "key": {
                "kid": kid(ask, number),
                "kty": version.kty,
                "key_ops": version.key_ops,
                "n": BASE64URL_NOPAD.encode(&public.n().to_bytes_be()),
                "e": BASE64URL_NOPAD.encode(&public.e().to_bytes_be()),
            },
            "attributes": attributes,
        }))
    }
}

/// The test keys, one after another and again.
#[expect(clippy::expect_used, reason = "the keys are part of this crate")]
fn key(number: usize) -> RsaPrivateKey {
    let pem = KEYS.iter().cycle().nth(number.wrapping_sub(1) % KEYS.len());
    RsaPrivateKey::from_pkcs8_pem(pem.expect("there are keys")).expect("a test key")
}

/// A version's name: 32 hexadecimal digits.
fn id(number: usize) -> String {
    format!("{number:02x}0af1b2c3d4e5f60718293a4b5c6d7e")
}

fn kid(ask: &Ask, number: usize) -> String {
    let host = ask.header("host").unwrap_or_default();
    Azure::version(&format!("http://{host}"), number)
}

fn outcome(ask: &Ask, number: usize, value: &[u8]) -> Value {
    json!({"kid": kid(ask, number), "value": BASE64URL_NOPAD.encode(value)})
}

/// The value of a wrap or an unwrap.
fn value(ask: &Ask) -> Result<Vec<u8>, Refusal> {
    if ask.header("content-type") != Some("application/json") {
        let message = "the content type is not application/json".to_owned();
        return Err((415, "UnsupportedMediaType", None, message));
    }
    let Some(Value::Object(mut fields)) = ask.json() else {
        return Err(bad("the body is no JSON object"));
    };
    if fields.remove("alg") != Some("RSA-OAEP-256".into()) {
        return Err(bad("alg has to be RSA-OAEP-256 here"));
    }
    let value = fields.remove("value");
    if let Some(name) = fields.keys().next() {
        return Err(bad(&format!("{name} has no meaning for RSA")));
    }
    let value = value.as_ref().and_then(Value::as_str).unwrap_or_default();
    let value = BASE64URL_NOPAD.decode(value.as_bytes());
    value
        .ok()
        .filter(|value| !value.is_empty())
        .ok_or_else(|| bad("value is not in base64url"))
}

fn bad(message: &str) -> Refusal {
    (400, "BadParameter", None, message.to_owned())
}

fn not_found(what: &str) -> Refusal {
    let message = format!(
        "A key with (name/id) {what} was not found in this key vault. If you recently deleted this key you may be able to recover it using the correct recovery command."
    );
    (404, "KeyNotFound", None, message)
}

/// Padding that differs each time; nothing here needs to be hard to guess.
struct Dice(u64);

impl RngCore for Dice {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, buffer: &mut [u8]) {
        for piece in buffer.chunks_mut(32) {
            self.0 += 1;
            let bytes = Sha256::digest(self.0.to_be_bytes());
            for (to, from) in piece.iter_mut().zip(bytes) {
                *to = from;
            }
        }
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(buffer);
        Ok(())
    }
}

impl CryptoRng for Dice {}

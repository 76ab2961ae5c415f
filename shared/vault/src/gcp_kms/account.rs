//! The service account that the gateway is at Google, and the tokens that it makes itself.
//!
//! A token is a JWT that the account's own key signs (RS256), with Cloud KMS as its audience. Google's client libraries do the
//! same with such a key (<https://google.aip.dev/auth/4111>,
//! <https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth>). The other way, exchanging a JWT for an
//! OAuth access token at the file's `token_uri` (RFC 7523), takes the same signature and then a call to one more host that can
//! be down; and what it gives is good for every service of its scope, while this JWT is good for Cloud KMS alone.
//!
//! The crate `rsa` has the advisory RUSTSEC-2023-0071: how long an operation with the private key takes depends on the key,
//! which whoever can have thousands of chosen texts decrypted and timed may use. Here the key signs a text of the gateway's own,
//! once an hour and instance, which nobody can choose or ask for, and each signature is blinded with the engine's randomness.

use data_encoding::BASE64URL_NOPAD;
use lockgate_host::Secret;
use rsa::pkcs1;
use rsa::pkcs8::{DecodePrivateKey, PrivateKeyInfo, SecretDocument};
use rsa::rand_core::{CryptoRng, Error, RngCore};
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::Random;

/// The service's name as an audience, whatever the address at which it is reached.
const AUDIENCE: &str = "https://cloudkms.googleapis.com/";
/// How long a token is good, s: what Google takes at most.
pub(super) const LIFE: u64 = 3_600;
/// The shortest modulus that is taken, in bytes.
const MIN_MODULUS: u32 = 256;

/// A service account with its key, which is wiped when dropped.
pub(super) struct Account {
    email: String,
    key_id: String,
    /// PKCS#8. The numbers in it are worked out only for signing, which most instances never do.
    key: SecretDocument,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: Option<String>,
    client_email: Option<String>,
    private_key_id: Option<String>,
    private_key: Option<Zeroizing<String>>,
    universe_domain: Option<String>,
}

impl Account {
    /// Reads the JSON file that Google gives out. The error says what is wrong with it, and repeats nothing that is secret.
    pub(super) fn read(file: &Secret) -> Result<Self, String> {
        // What serde says could repeat a piece of the key.
        let file: File = serde_json::from_slice(file.expose())
            .map_err(|_| "it is not the JSON of a service account's key file".to_owned())?;
        let kind = file.kind.unwrap_or_default();
        if kind != "service_account" {
            let kind: String = kind.chars().take(40).collect();
            return Err(format!(
                "its `type` is “{kind}”; only a key file of a service account (`service_account`) is taken"
            ));
        }
        let universe = file.universe_domain.unwrap_or_default();
        if !matches!(universe.as_str(), "" | "googleapis.com") {
            let universe: String = universe.chars().take(40).collect();
            return Err(format!(
                "its `universe_domain` is “{universe}”; only googleapis.com is taken"
            ));
        }
        let has = |field: &str, value: Option<String>| {
            let value = value.filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("it has no `{field}`"))
        };
        let pem = file.private_key.unwrap_or_default();
        Ok(Self {
            email: has("client_email", file.client_email)?,
            key_id: has("private_key_id", file.private_key_id)?,
            key: key(&pem).ok_or(
                "its `private_key` is no RSA key of 2048 bits or more in PEM (“-----BEGIN PRIVATE KEY-----”)",
            )?,
        })
    }

    pub(super) fn email(&self) -> &str {
        &self.email
    }

    /// A token that is good from `now` (seconds since 1970) for [`LIFE`]. `None` where the numbers of the key do not fit
    /// together.
    pub(super) fn token(&self, now: u64, random: Random<'_>) -> Option<Secret> {
        let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": self.key_id});
        let claims = serde_json::json!({
            "iss": self.email,
            "sub": self.email,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now.saturating_add(LIFE),
        });
        let [header, claims] =
            [header, claims].map(|part| BASE64URL_NOPAD.encode(part.to_string().as_bytes()));
        let signed = format!("{header}.{claims}");
        let key = RsaPrivateKey::from_pkcs8_der(self.key.as_bytes()).ok()?;
        let digest = Sha256::digest(&signed);
        let signature = key
            .sign_with_rng(&mut Dice(random), Pkcs1v15Sign::new::<Sha256>(), &digest)
            .ok()?;
        let signature = BASE64URL_NOPAD.encode(&signature);
        Some(Secret::from(format!("{signed}.{signature}")))
    }
}

/// The key in a PEM text, where it is an RSA key that is long enough. Its numbers are not worked out here.
fn key(pem: &str) -> Option<SecretDocument> {
    let (label, document) = SecretDocument::from_pem(pem).ok()?;
    let info: PrivateKeyInfo<'_> = document.decode_msg().ok()?;
    let rsa = label == "PRIVATE KEY" && info.algorithm.oid == pkcs1::ALGORITHM_OID;
    let numbers = pkcs1::RsaPrivateKey::try_from(info.private_key).ok()?;
    let long = u32::from(numbers.modulus.len()) >= MIN_MODULUS;
    (rsa && long).then_some(document)
}

/// The engine's randomness, as the crate `rsa` takes it.
struct Dice<'r>(Random<'r>);

impl RngCore for Dice<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        (self.0)(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        (self.0)(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, buffer: &mut [u8]) {
        (self.0)(buffer);
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        (self.0)(buffer);
        Ok(())
    }
}

impl CryptoRng for Dice<'_> {}

//! Standard Webhooks: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
//!
//! What is signed is `{webhook-id}.{webhook-timestamp}.{raw body}`: as `v1` by HMAC-SHA256 under a shared `whsec_` key,
//! as `v1a` by ed25519, of which we hold the public `whpk_` key. A signature counts only for the keys of its own scheme.

use data_encoding::BASE64_NOPAD;
use ed25519_dalek::{Signature, VerifyingKey};
use lockgate_host::Secret;

use super::{
    BadSetting, MOST_SIGNATURES, Unverified, hmac_fits, in_time, present, read_items, seconds,
};

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// The specification asks for at least so many bytes of a shared key. (It allows 64 at most, but senders give more, and
/// HMAC loses nothing by them.)
const SHORTEST_KEY: usize = 24;

/// The three headers of a delivery.
#[derive(Debug, Clone, Copy, Default)]
pub struct StandardHeaders<'a> {
    /// `webhook-id`: what makes redeliveries known as such.
    pub id: Option<&'a str>,
    /// `webhook-timestamp`: when this attempt was sent.
    pub timestamp: Option<&'a str>,
    /// `webhook-signature`: `v1,…` and `v1a,…`, space separated.
    pub signature: Option<&'a str>,
}

/// The keys that are in force, one or more of either kind.
#[derive(Debug)]
pub struct StandardKeys {
    shared: Vec<Secret>,
    public: Vec<VerifyingKey>,
}

impl StandardKeys {
    /// Reads `whsec_…` and `whpk_…`, comma separated, from the setting of that name.
    ///
    /// # Errors
    ///
    /// Names the item that is no such key.
    pub fn parse(setting: &'static str, text: &Secret) -> Result<Self, BadSetting> {
        let mut keys = Self {
            shared: Vec::new(),
            public: Vec::new(),
        };
        read_items(setting, text, |item| keys.add(item))?;
        Ok(keys)
    }

    fn add(&mut self, item: &str) -> Result<(), &'static str> {
        const NOT_BASE64: &str = "after its prefix it is not base64; copy it again from the sender";
        if let Some(text) = item.strip_prefix("whsec_") {
            let key = Secret::new(base64(text).ok_or(NOT_BASE64)?);
            if key.len() < SHORTEST_KEY {
                return Err(
                    "its key is shorter than the 24 bytes of the specification; make a new one at the sender",
                );
            }
            self.shared.push(key);
            return Ok(());
        }
        if let Some(text) = item.strip_prefix("whpk_") {
            let bytes: [u8; 32] = base64(text)
                .ok_or(NOT_BASE64)?
                .try_into()
                .map_err(|_| "it is not an ed25519 public key of 32 bytes")?;
            let key = VerifyingKey::from_bytes(&bytes)
                .ok()
                // Under a key of small order, signatures can be made that fit any message.
                .filter(|key| !key.is_weak())
                .ok_or("its 32 bytes are no ed25519 public key that proves anything")?;
            self.public.push(key);
            return Ok(());
        }
        Err(if item.starts_with("whsk_") {
            "it is the sender's secret key; only the sender may have it, so set the public one, `whpk_…`, and have the pair replaced"
        } else {
            "it begins neither with `whsec_` nor with `whpk_`; take the key as the sender shows it"
        })
    }

    /// Whether the delivery is the sender's and of now; `now` is Unix seconds.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the delivery.
    pub fn verify(
        &self,
        headers: StandardHeaders<'_>,
        body: &[u8],
        now: i64,
    ) -> Result<(), Unverified> {
        let id = present(ID, headers.id)?;
        let time = present(TIMESTAMP, headers.timestamp)?;
        let list = present(SIGNATURE, headers.signature)?;
        // With a full stop in the id, another split of the same signed bytes would be as good.
        if id.contains('.') {
            return Err(Unverified::HeaderMalformed {
                header: ID,
                problem: "it has a full stop, which the signature cannot tell from its separators",
            });
        }
        let at = seconds(TIMESTAMP, time)?;
        let signatures = Signatures::parse(list)?;
        let content = [id.as_bytes(), b".", time.as_bytes(), b".", body];
        if !self.fit(&signatures, &content)? {
            return Err(Unverified::NoneFits);
        }
        in_time(at, now)
    }

    fn fit(&self, signatures: &Signatures, content: &[&[u8]]) -> Result<bool, Unverified> {
        let shared = !self.shared.is_empty() && !signatures.v1.is_empty();
        let public = !self.public.is_empty() && !signatures.v1a.is_empty();
        if !shared && !public {
            return Err(Unverified::NoKnownScheme {
                header: SIGNATURE,
                wanted: match (self.shared.is_empty(), self.public.is_empty()) {
                    (false, true) => "v1 (of `whsec_` keys)",
                    (true, false) => "v1a (of `whpk_` keys)",
                    _ => "v1 or v1a",
                },
            });
        }
        if shared
            && self
                .shared
                .iter()
                .any(|key| hmac_fits(key.expose(), content, &signatures.v1))
        {
            return Ok(true);
        }
        if !public {
            return Ok(false);
        }
        let message = content.concat();
        Ok(signatures.v1a.iter().flatten().any(|signature| {
            self.public
                .iter()
                .any(|key| key.verify_strict(&message, signature).is_ok())
        }))
    }
}

/// The signatures of a header by scheme, decoded; those of other schemes are left out.
struct Signatures {
    v1: Vec<Vec<u8>>,
    /// `None` is one that is no signature at all.
    v1a: Vec<Option<Signature>>,
}

impl Signatures {
    fn parse(list: &str) -> Result<Self, Unverified> {
        let malformed = |problem| Unverified::HeaderMalformed {
            header: SIGNATURE,
            problem,
        };
        let mut signatures = Self {
            v1: Vec::new(),
            v1a: Vec::new(),
        };
        for (index, item) in list.split_ascii_whitespace().enumerate() {
            if index >= MOST_SIGNATURES {
                return Err(malformed("it has more than 32 signatures"));
            }
            let (scheme, value) = item
                .split_once(',')
                .ok_or(malformed("its items are not `scheme,signature`"))?;
            // What cannot be decoded is a signature that does not fit.
            let bytes = base64(value).unwrap_or_default();
            match scheme {
                "v1" => signatures.v1.push(bytes),
                "v1a" => signatures.v1a.push(Signature::from_slice(&bytes).ok()),
                _ => {}
            }
        }
        Ok(signatures)
    }
}

/// Decodes base64 with or without its padding: senders show keys either way.
fn base64(text: &str) -> Option<Vec<u8>> {
    let bare = text
        .strip_suffix("==")
        .or_else(|| text.strip_suffix('='))
        .unwrap_or(text);
    BASE64_NOPAD.decode(bare.as_bytes()).ok()
}

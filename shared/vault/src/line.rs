//! The way to a vault: HTTP with a timeout, a few tries, and the breaker that leaves a dead vault alone.

use std::borrow::Cow;
use std::cell::RefCell;
use std::time::Duration;

use lockgate_host::{Credential, FetchError, Host, Method, Outbound, OutboundBody, Secret};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::VaultError;
use crate::breaker::{Breaker, Permit};

/// Bytes of an answer that are read; the largest, a secret out of a KV store, has little more than
/// [`MAX_SECRET_BYTES`](crate::MAX_SECRET_BYTES) in JSON.
const MAX_ANSWER: usize = 256 << 10;
/// Calls that are made at most where the vault does not answer.
const TRIES: u32 = 3;
/// The pause before the second try, doubled before the third; up to as much again is added by chance.
const PAUSE_MS: u64 = 100;
/// Bytes in a row of what was sent that an answer which is shown must not have: less than a data key has in base64, more than
/// the names of fields have.
const MAX_REPEATED: usize = 32;
/// Characters of what a vault said that are shown.
const MAX_DETAIL: usize = 300;

/// A call to a vault.
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    pub(crate) url: String,
    /// Headers with nothing secret in them.
    pub(crate) headers: Vec<(&'a str, Cow<'a, str>)>,
    /// The header that is.
    pub(crate) credential: Option<Credential<'a>>,
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// Whether an answer says “not now” in this API's own way; 408, 429 and 5xx always do.
    pub(crate) busy: fn(&Reply) -> bool,
}

/// What a vault answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Reply {
    pub(crate) fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON, where it is what is wanted.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Where calls go from.
pub(crate) struct Line<'a, H: Host> {
    pub(crate) host: &'a H,
    /// The adapter's name.
    pub(crate) adapter: &'static str,
    pub(crate) breaker: &'a RefCell<Breaker>,
    pub(crate) timeout: Duration,
}

impl<H: Host> Line<'_, H> {
    /// Makes a call, again where the vault does not answer or says “not now”. It takes twice the timeout at most, and nothing
    /// at all while the vault is left alone.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Reply, VaultError> {
        let began = self.host.monotonic_ms();
        let timeout_ms = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        let permit = self.breaker.borrow_mut().permit(began, timeout_ms);
        let tries = match permit {
            Permit::Ask => TRIES,
            Permit::Probe => 1,
            Permit::Wait(ms) => {
                let failures = self.breaker.borrow().failures();
                return Err(self.unavailable(format!(
                    "{failures} calls in a row have failed; it is asked again in {} s",
                    ms.div_ceil(1_000)
                )));
            }
        };
        let mut pause = PAUSE_MS;
        let mut done = 1;
        loop {
            let outcome = self.once(call).await;
            let now = self.host.monotonic_ms();
            let failure = match outcome {
                Ok(reply) => {
                    self.breaker.borrow_mut().answered();
                    return Ok(reply);
                }
                Err(failure @ VaultError::Unavailable { .. }) => failure,
                Err(other) => return Err(other),
            };
            self.breaker.borrow_mut().failed(now);
            // Others may have found out meanwhile that it is dead.
            let shut = self.breaker.borrow().is_open(now);
            if shut || done >= tries || now.saturating_sub(began) >= timeout_ms {
                return Err(failure);
            }
            done += 1;
            let mut chance = [0];
            self.host.random(&mut chance);
            let added = pause * u64::from(chance[0]) / 256;
            self.host.sleep(Duration::from_millis(pause + added)).await;
            pause *= 2;
        }
    }

    async fn once(&self, call: &Call<'_>) -> Result<Reply, VaultError> {
        let set: Vec<(&str, &str)> = call
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
            .collect();
        let credential = call.credential.as_ref().map(|credential| Credential {
            header: credential.header,
            prefix: credential.prefix,
            secret: credential.secret,
        });
        let body = if call.body.is_empty() {
            OutboundBody::Empty
        } else {
            OutboundBody::Bytes(call.body.to_vec())
        };
        let outbound = Outbound {
            method: call.method.clone(),
            url: &call.url,
            forward: None,
            set: &set,
            credential,
            body,
            head_timeout: self.timeout,
            idle_timeout: self.timeout,
        };
        let inbound = self
            .host
            .fetch(outbound)
            .await
            .map_err(|error| match error {
                FetchError::Forbidden(_) => self.refused(error.to_string()),
                error => self.unavailable(error.to_string()),
            })?;
        let read = self.host.read(inbound.body, MAX_ANSWER).await;
        let body = read.map_err(|error| self.unavailable(error.to_string()))?;
        let reply = Reply {
            status: inbound.status,
            body: Zeroizing::new(body.as_ref().to_vec()),
        };
        if matches!(reply.status, 408 | 429 | 500..=599) || (call.busy)(&reply) {
            let mut said = String::from_utf8_lossy(&reply.body).into_owned();
            // Something that repeats what it is sent shows nobody the credential.
            let secret = call.credential.as_ref().map(|sent| sent.secret);
            if let Some(secret) = secret
                .and_then(Secret::expose_str)
                .filter(|s| !s.is_empty())
            {
                said = said.replace(secret, "…");
            }
            let mut said = shortened(&said);
            if repeats(&call.body, said.as_bytes()) {
                said = "(left out, since it repeats what was sent)".to_owned();
            }
            return Err(self.unavailable(format!("status {}: {said}", reply.status)));
        }
        Ok(reply)
    }

    /// It does not answer.
    pub(crate) fn unavailable(&self, detail: String) -> VaultError {
        VaultError::Unavailable {
            adapter: self.adapter,
            detail,
        }
    }

    /// It answered no.
    pub(crate) fn refused(&self, detail: impl Into<String>) -> VaultError {
        VaultError::Refused {
            adapter: self.adapter,
            detail: shortened(&detail.into()),
        }
    }

    /// It answered something that its API does not have.
    pub(crate) fn nonsense(&self, what: &str) -> VaultError {
        self.unavailable(format!("its answer to {what} makes no sense"))
    }
}

/// Whether an answer repeats so much of what was sent that a data key or a secret may be in it.
fn repeats(sent: &[u8], said: &[u8]) -> bool {
    let mut pieces = said.windows(MAX_REPEATED);
    pieces.any(|piece| sent.windows(MAX_REPEATED).any(|other| other == piece))
}

/// Text from outside, so long that it can be shown, on one line.
fn shortened(text: &str) -> String {
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    plain.chars().take(MAX_DETAIL).collect()
}

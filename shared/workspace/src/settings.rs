//! The settings of API.md, read once per isolate and checked before anything is served.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use lockgate_host::{Host, Misconfigured};
use lockgate_vault::{Places, TokenKeys, Vaults};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::lease::MAX_LEASE_MS;
use crate::otlp::Otlp;
use crate::question::Keyring;
use crate::token_keys::TagKeys;

const DEFAULT_LEASE_MS: u64 = 1_000;
const DEFAULT_BODY_BYTES: usize = 32 << 20;
const DEFAULT_PROVIDER_TIMEOUT_MS: u64 = 600_000;
const DEFAULT_PROVIDER_IDLE_MS: u64 = 300_000;
const DEFAULT_RESERVATION_MS: u64 = 3_600_000;
/// Characters an admin token has at least.
pub const MIN_ADMIN_TOKEN: usize = 32;

/// Settings in force.
pub struct Settings {
    admin_token: [u8; 32],
    /// The vaults: the one that new secrets are sealed in, and those that are still read.
    pub vaults: Vaults,
    /// What can be opened with them, as a store is told; not secret.
    pub keys: Arc<Keyring>,
    /// What gateway keys and admin tokens are tagged with, if the local KEK is the store's first.
    pub(crate) own_tags: TagKeys,
    /// How long an isolate may serve from its snapshot, in ms; 0 asks for each request.
    pub lease_ms: u64,
    /// The largest request body in bytes.
    pub max_body: usize,
    /// Hosts (`name` or `name:port`) that a `base_url` may reach over plain `http`, beside loopback.
    pub http_hosts: Vec<String>,
    /// Whether a stream that the provider breaks off ends with an error event.
    pub stream_check: bool,
    /// How long to wait for the head of a provider's answer.
    pub provider_timeout: Duration,
    /// How long a provider's body may be silent.
    pub provider_idle: Duration,
    /// After how long money that was set aside and never settled is given back, ms.
    pub reservation_ms: u64,
    /// Where traces go, if anywhere.
    pub otlp: Option<Otlp>,
}

thread_local! {
    static LOADED: OnceCell<Rc<Settings>> = const { OnceCell::new() };
}

impl Settings {
    /// The settings of this isolate, read on first use.
    ///
    /// # Errors
    /// [`Misconfigured`], on every call until it is mended.
    pub async fn get<H: Host>(host: &H) -> Result<Rc<Self>, Misconfigured> {
        if let Some(loaded) = LOADED.with(|cell| cell.get().cloned()) {
            return Ok(loaded);
        }
        let loaded = Rc::new(Self::load(host).await?);
        Ok(LOADED.with(|cell| cell.get_or_init(|| loaded).clone()))
    }

    /// Reads and checks every setting.
    ///
    /// # Errors
    /// The first [`Misconfigured`] found.
    pub async fn load<H: Host>(host: &H) -> Result<Self, Misconfigured> {
        let token = required(host, "LOCKGATE_ADMIN_TOKEN").await?;
        if token.trim().chars().count() < MIN_ADMIN_TOKEN {
            return Err(Misconfigured {
                setting: "LOCKGATE_ADMIN_TOKEN",
                problem: format!(
                    "it has {} characters and needs at least {MIN_ADMIN_TOKEN}; make one with `openssl rand -hex 32`",
                    token.trim().chars().count()
                ),
            });
        }
        let lease_ms = number(host, "LOCKGATE_LEASE_MS", DEFAULT_LEASE_MS).await?;
        if lease_ms > MAX_LEASE_MS {
            return Err(Misconfigured {
                setting: "LOCKGATE_LEASE_MS",
                problem: format!(
                    "{lease_ms} is more than {MAX_LEASE_MS}; every management write waits this long"
                ),
            });
        }
        let max_body = number(host, "LOCKGATE_MAX_BODY_BYTES", DEFAULT_BODY_BYTES as u64).await?;
        let stream_check = match host.variable("LOCKGATE_STREAM_CHECK").await?.as_deref() {
            None | Some("on") => true,
            Some("off") => false,
            Some(other) => {
                return Err(Misconfigured {
                    setting: "LOCKGATE_STREAM_CHECK",
                    problem: format!("it is `on` or `off`, not `{other}`"),
                });
            }
        };
        let places = Places {
            http_hosts: host
                .variable("LOCKGATE_HTTP_HOSTS")
                .await?
                .unwrap_or_default()
                .split(',')
                .map(|h| h.trim().to_ascii_lowercase())
                .filter(|h| !h.is_empty())
                .collect(),
        };
        let vaults = Vaults::read(host, &places).await?;
        let timeout = number(
            host,
            "LOCKGATE_PROVIDER_TIMEOUT_MS",
            DEFAULT_PROVIDER_TIMEOUT_MS,
        );
        let provider_timeout = Duration::from_millis(timeout.await?.max(1));
        let idle = number(host, "LOCKGATE_PROVIDER_IDLE_MS", DEFAULT_PROVIDER_IDLE_MS);
        let provider_idle = Duration::from_millis(idle.await?.max(1));
        let reservation = number(host, "LOCKGATE_RESERVATION_MS", DEFAULT_RESERVATION_MS);
        let reservation_ms = reservation.await?.max(1);
        Ok(Self {
            admin_token: Sha256::digest(token.trim().as_bytes()).into(),
            keys: Arc::new(Keyring {
                in_force: vaults.in_force(),
                readable: vaults.readable(),
            }),
            own_tags: TagKeys::new(TokenKeys::derive(vaults.kek())),
            vaults,
            lease_ms,
            max_body: usize::try_from(max_body).unwrap_or(usize::MAX),
            http_hosts: places.http_hosts,
            stream_check,
            provider_timeout,
            provider_idle,
            reservation_ms,
            otlp: Otlp::read(host).await?,
        })
    }

    /// Whether `token` is the root admin token; both sides are hashed, so length and content take the same time.
    #[must_use]
    pub fn is_admin(&self, token: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        digest.ct_eq(&self.admin_token).into()
    }
}

async fn required<H: Host>(host: &H, setting: &'static str) -> Result<String, Misconfigured> {
    let value = host.variable(setting).await?;
    value.ok_or_else(|| Misconfigured {
        setting,
        problem: "it is not set".into(),
    })
}

async fn number<H: Host>(
    host: &H,
    setting: &'static str,
    default: u64,
) -> Result<u64, Misconfigured> {
    match host.variable(setting).await? {
        None => Ok(default),
        Some(text) => text.trim().parse().map_err(|_| Misconfigured {
            setting,
            problem: format!(
                "“{}” is not a whole number",
                text.trim().chars().take(40).collect::<String>()
            ),
        }),
    }
}

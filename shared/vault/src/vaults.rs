//! All the vaults that the settings lead to: the one that new secrets are sealed in, and those that are still read
//! (FEATURES G3, G4).

use std::cell::RefCell;
use std::time::Duration;

use lockgate_host::{Host, Misconfigured, Secret};
use serde::{Deserialize, Serialize};

use crate::adapter::{Adapter, Wrapped};
use crate::aws_kms::AwsKms;
use crate::azure::AzureKeyVault;
use crate::binding::entry_name;
use crate::breaker::Breaker;
use crate::config::{self, Places};
use crate::envelope::{self, Dek};
use crate::gcp_kms::GcpKms;
use crate::kv::Kv;
use crate::line::Line;
use crate::transit::Transit;
use crate::{Binding, Kek, OpenError, VaultError};

const VAULT: &str = "LOCKGATE_VAULT";
const VAULT_PREVIOUS: &str = "LOCKGATE_VAULT_PREVIOUS";
const KEK: &str = "LOCKGATE_KEK";
const KEK_PREVIOUS: &str = "LOCKGATE_KEK_PREVIOUS";
const TIMEOUT: &str = "LOCKGATE_VAULT_TIMEOUT_MS";
const OUTAGE: &str = "LOCKGATE_VAULT_OUTAGE_MS";
const BRIDGE: &str = "LOCKGATE_VAULT_BRIDGE";
const DEFAULT_TIMEOUT_MS: u64 = 2_000;
const MAX_TIMEOUT_MS: u64 = 60_000;
/// What is added to the time of the calls themselves.
const TURN_MARGIN_MS: u64 = 1_000;
const DEFAULT_OUTAGE_MS: u64 = 3_600_000;
const MAX_OUTAGE_MS: u64 = 86_400_000;

/// The adapter that needs no service.
pub const LOCAL: &str = "local";
const AWS_KMS: &str = "aws-kms";
const TRANSIT: &str = "vault-transit";
const KV: &str = "vault-kv";
const GCP_KMS: &str = "gcp-kms";
const AZURE: &str = "azure-key-vault";
/// What `LOCKGATE_VAULT` may say.
pub const ADAPTERS: [&str; 6] = [LOCAL, AWS_KMS, TRANSIT, KV, GCP_KMS, AZURE];
/// Between the store's name and the path in the entry of a secret that a KV store holds.
const IN_STORE: char = '#';

/// Where a secret is and what opens it, as the database knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The KEK's name: `kek_…` for a local one, else the adapter, `:` and its own name for it.
    pub kek: &'a str,
    /// The name of the KV entry, or of the entry in the vault's own store.
    pub entry: &'a str,
    /// The wrapped data key; empty where the vault holds the secret itself.
    pub wrapped: &'a [u8],
}

/// A secret that has been sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// See [`Place::kek`].
    pub kek: String,
    /// See [`Place::entry`].
    pub entry: String,
    /// See [`Place::wrapped`].
    pub wrapped: Vec<u8>,
    /// The content of the KV entry. `None` where it stays what it was, or where the vault holds the secret itself
    /// ([`Vaults::holds_secrets`]).
    pub ciphertext: Option<Vec<u8>>,
}

/// Something that secrets may be sealed under, as a store of them remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// What the store remembers: a local KEK's check value, an adapter's name, or the only key that the adapter opens with.
    pub mark: String,
    /// How the names of its KEKs begin.
    pub prefix: String,
}

enum Service {
    AwsKms(AwsKms),
    Transit(Transit),
    Kv(Kv),
    GcpKms(GcpKms),
    Azure(AzureKeyVault),
}

/// A vault that is not in this process.
struct Managed {
    name: &'static str,
    service: Service,
    breaker: RefCell<Breaker>,
}

/// Calls a method of the service that is there, those that wrap keys.
macro_rules! wrapping {
    ($managed:expr, $service:ident => $call:expr, $kv:ident => $store:expr) => {
        match &$managed.service {
            Service::AwsKms($service) => $call,
            Service::Transit($service) => $call,
            Service::GcpKms($service) => $call,
            Service::Azure($service) => $call,
            Service::Kv($kv) => $store,
        }
    };
}

/// The vaults of the settings. The way to each, with what is known of its health and the tokens it has given, is an isolate's
/// own.
pub struct Vaults {
    /// The local KEK that is in force, then those that are still read.
    keks: Vec<Kek>,
    /// Those that are not local: where one is in force it is the first.
    managed: Vec<Managed>,
    writes_managed: bool,
    timeout: Duration,
    outage_ms: u64,
    bridged: bool,
}

impl Vaults {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first that is missing or wrong.
    pub async fn read<H: Host>(host: &H, places: &Places) -> Result<Self, Misconfigured> {
        let mut keks = vec![read_kek(KEK, &required_kek(host).await?)?];
        for text in config::list(host, KEK_PREVIOUS).await? {
            let kek = read_kek(KEK_PREVIOUS, &Secret::from(text))?;
            if keks.iter().all(|known| known.id() != kek.id()) {
                keks.push(kek);
            }
        }
        let mut managed = Vec::new();
        let current = config::optional(host, VAULT).await?;
        let current = current.unwrap_or_else(|| LOCAL.into());
        let mut names = vec![(VAULT, current.clone())];
        let previous = config::list(host, VAULT_PREVIOUS).await?;
        names.extend(previous.into_iter().map(|name| (VAULT_PREVIOUS, name)));
        for (setting, name) in names {
            let known = ADAPTERS.into_iter().find(|adapter| *adapter == name);
            let Some(name) = known else {
                return Err(Misconfigured {
                    setting,
                    problem: format!(
                        "there is no adapter `{}`; it is one of {}",
                        name.chars().take(40).collect::<String>(),
                        ADAPTERS.join(", ")
                    ),
                });
            };
            if name != LOCAL && managed.iter().all(|known: &Managed| known.name != name) {
                managed.push(Managed {
                    name,
                    service: service(host, places, name).await?,
                    breaker: RefCell::default(),
                });
            }
        }
        let bridged = match config::optional(host, BRIDGE).await?.as_deref() {
            // Natively a process lives long, and its KEK often lies beside its database.
            None => H::ENGINE != "native",
            Some("on") => true,
            Some("off") => false,
            Some(other) => {
                return Err(Misconfigured {
                    setting: BRIDGE,
                    problem: format!(
                        "it is `on` or `off`, not `{}`",
                        other.chars().take(40).collect::<String>()
                    ),
                });
            }
        };
        let timeout = config::millis(host, TIMEOUT, DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS).await?;
        Ok(Self {
            keks,
            managed,
            writes_managed: current != LOCAL,
            timeout: Duration::from_millis(timeout),
            outage_ms: config::millis(host, OUTAGE, DEFAULT_OUTAGE_MS, MAX_OUTAGE_MS).await?,
            bridged,
        })
    }

    /// The local KEK in force: for what the gateway seals of its own, bridges among it.
    #[must_use]
    pub fn kek(&self) -> &Kek {
        // There is one from the start: `read` begins with it.
        #[allow(clippy::indexing_slicing)]
        &self.keks[0]
    }

    /// The local KEKs, the one in force first.
    #[must_use]
    pub fn keks(&self) -> &[Kek] {
        &self.keks
    }

    /// The adapter that new secrets are sealed with.
    #[must_use]
    pub fn adapter(&self) -> &'static str {
        self.target().map_or(LOCAL, |managed| managed.name)
    }

    /// For how long what a managed vault gave may be used while it does not answer, ms.
    #[must_use]
    pub fn outage_ms(&self) -> u64 {
        self.outage_ms
    }

    /// Whether what a managed vault gave is kept for other instances ([`crate::bridge`]).
    #[must_use]
    pub fn bridged(&self) -> bool {
        self.bridged
    }

    /// How long asking a vault for something may take, its tries and a login before it included, ms.
    #[must_use]
    pub fn turn_ms(&self) -> u64 {
        let call = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        call.saturating_mul(4).saturating_add(TURN_MARGIN_MS)
    }

    /// What new secrets and the gateway's own are sealed under.
    #[must_use]
    pub fn in_force(&self) -> Vec<Held> {
        let managed = self.target().map(adapter);
        [local(self.kek())].into_iter().chain(managed).collect()
    }

    /// What can be read beside [`Vaults::in_force`].
    #[must_use]
    pub fn readable(&self) -> Vec<Held> {
        let others = self.managed.iter().skip(usize::from(self.writes_managed));
        let keks = self.keks.iter().skip(1).map(local);
        keks.chain(others.map(adapter)).collect()
    }

    /// Whether a KEK is one of this process's own, for which nobody has to be asked.
    #[must_use]
    pub fn is_local(kek: &str) -> bool {
        !kek.contains(':')
    }

    /// Whether a vault of this KEK holds secrets themselves, so that there is no ciphertext in the KV binding.
    #[must_use]
    pub fn holds_secrets(kek: &str) -> bool {
        kek.split_once(':').is_some_and(|(name, _)| name == KV)
    }

    /// Whether the adapter of this KEK opens what is under the one key of its settings, and nothing else.
    #[must_use]
    pub fn has_one_key(kek: &str) -> bool {
        kek.split_once(':')
            .is_some_and(|(name, _)| [GCP_KMS, AZURE].contains(&name))
    }

    /// The new entry that [`Vaults::seal`] would write, or [`Vaults::rewrap`] of what is under `from`. It is to be remembered
    /// before it is written: nothing else leads to it should the gateway end in between. `None` where there will be none.
    #[must_use]
    pub fn new_entry(
        &self,
        binding: &Binding<'_>,
        from: Option<&str>,
        unique: &str,
    ) -> Option<String> {
        let entry = entry_name(binding, unique);
        if let Some(managed) = self.target()
            && let Service::Kv(kv) = &managed.service
        {
            let kek = named(managed, &kv.name());
            return Some(format!("{kek}{IN_STORE}{entry}"));
        }
        from.is_none_or(Self::holds_secrets).then_some(entry)
    }

    /// Whether an entry is in a vault's own store.
    #[must_use]
    pub fn is_in_store(entry: &str) -> bool {
        in_store(entry).is_some()
    }

    /// Seals a secret where new ones go. `unique` is chosen anew for each call ([`entry_name`]).
    ///
    /// # Errors
    /// [`VaultError`]; then nothing is to be stored.
    pub async fn seal<H: Host>(
        &self,
        host: &H,
        binding: &Binding<'_>,
        secret: &Secret,
        unique: &str,
    ) -> Result<Stored, VaultError> {
        envelope::check(secret)?;
        let entry = entry_name(binding, unique);
        let random = &mut |buffer: &mut [u8]| host.random(buffer);
        let Some(managed) = self.target() else {
            let sealed = envelope::seal(self.kek(), binding, secret, random)?;
            return Ok(Stored {
                kek: sealed.kek_id,
                entry,
                wrapped: sealed.wrapped,
                ciphertext: Some(sealed.ciphertext),
            });
        };
        let line = self.line(host, managed);
        let (dek, wrapped) = wrapping!(managed,
            service => service.data_key(&line, binding).await?,
            kv => {
                kv.put(&line, binding, &entry, secret).await?;
                let kek = named(managed, &kv.name());
                return Ok(Stored {
                    entry: format!("{kek}{IN_STORE}{entry}"),
                    kek,
                    wrapped: Vec::new(),
                    ciphertext: None,
                });
            }
        );
        Ok(Stored {
            kek: named(managed, &wrapped.kek),
            entry,
            wrapped: wrapped.blob,
            ciphertext: Some(envelope::encrypt_secret(&dek, binding, secret, random)?),
        })
    }

    /// What the vault has to give for a secret: its data key, or the secret itself. [`Vaults::open`] takes it from there.
    /// The only thing here that is worth keeping ([`crate::bridge`]); it is as secret as the secret.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn give<H: Host>(
        &self,
        host: &H,
        binding: &Binding<'_>,
        place: Place<'_>,
    ) -> Result<Secret, VaultError> {
        let Some((name, kek)) = place.kek.split_once(':') else {
            let dek = self.unwrap_local(binding, place)?;
            return Ok(Secret::new(dek.expose().to_vec()));
        };
        let managed = self.named(name, place.kek)?;
        let line = self.line(host, managed);
        let dek = wrapping!(managed,
            service => service.unwrap(&line, binding, kek, place.wrapped).await?,
            kv => {
                let (_, entry) = in_store(place.entry).ok_or(OpenError::Truncated)?;
                return kv.get(&line, binding, kek, entry).await;
            }
        );
        Ok(Secret::new(dek.expose().to_vec()))
    }

    /// Opens a secret with what [`Vaults::give`] gave and the content of its KV entry, which does not matter where the vault
    /// [holds secrets](Vaults::holds_secrets).
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        binding: &Binding<'_>,
        place: Place<'_>,
        given: &Secret,
        ciphertext: &[u8],
    ) -> Result<Secret, OpenError> {
        if Self::holds_secrets(place.kek) {
            return Ok(given.clone());
        }
        let dek = Dek::read(given.expose()).ok_or(OpenError::WrongKekOrBinding)?;
        envelope::decrypt_secret(&dek, binding, ciphertext)
    }

    /// Seals under the KEK in force what is sealed under another one, without touching what there is: the caller stores what
    /// comes out in its place. `ciphertext` is the content of the KV entry, where there is one.
    ///
    /// # Errors
    /// [`VaultError`]; nothing has changed then.
    pub async fn rewrap<H: Host>(
        &self,
        host: &H,
        binding: &Binding<'_>,
        place: Place<'_>,
        ciphertext: &[u8],
        unique: &str,
    ) -> Result<Stored, VaultError> {
        let keeps_secrets = self
            .target()
            .is_some_and(|m| matches!(m.service, Service::Kv(_)));
        if keeps_secrets || Self::holds_secrets(place.kek) {
            let given = self.give(host, binding, place).await?;
            let secret = Self::open(binding, place, &given, ciphertext)?;
            return self.seal(host, binding, &secret, unique).await;
        }
        let (name, kek) = place.kek.split_once(':').unwrap_or((LOCAL, place.kek));
        let target = self.target();
        if let Some(managed) = target.filter(|managed| managed.name == name) {
            let line = self.line(host, managed);
            let wrapped: Wrapped = wrapping!(managed,
                service => service.rewrap(&line, binding, kek, place.wrapped).await?,
                _kv => return Err(VaultError::NotHeld { kek: place.kek.into() })
            );
            return Ok(self.moved(place, named(managed, &wrapped.kek), wrapped.blob));
        }
        let given = self.give(host, binding, place).await?;
        let dek = Dek::read(given.expose()).ok_or(OpenError::WrongKekOrBinding)?;
        let Some(managed) = target else {
            let random = &mut |buffer: &mut [u8]| host.random(buffer);
            let wrapped = envelope::wrap_local(self.kek(), binding, &dek, random);
            return Ok(self.moved(place, self.kek().id(), wrapped));
        };
        let line = self.line(host, managed);
        let wrapped: Wrapped = wrapping!(managed,
            service => service.wrap(&line, binding, &dek).await?,
            _kv => return Err(VaultError::NotHeld { kek: place.kek.into() })
        );
        Ok(self.moved(place, named(managed, &wrapped.kek), wrapped.blob))
    }

    /// The name of the KEK that new secrets are sealed under. For a managed vault it is asked, so a failure tells that it
    /// cannot be used.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn current<H: Host>(&self, host: &H) -> Result<String, VaultError> {
        let Some(managed) = self.target() else {
            return Ok(self.kek().id());
        };
        let line = self.line(host, managed);
        let kek = wrapping!(managed,
            service => service.current(&line).await?,
            kv => {
                kv.probe(&line).await?;
                kv.name()
            }
        );
        Ok(named(managed, &kek))
    }

    /// Has the vault make a new version of its KEK.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn rotate<H: Host>(&self, host: &H) -> Result<(), VaultError> {
        let Some(managed) = self.target() else {
            return Err(VaultError::Unsupported {
                adapter: LOCAL,
                detail: "put a new key into LOCKGATE_KEK and the old one into LOCKGATE_KEK_PREVIOUS, and start again".into(),
            });
        };
        let line = self.line(host, managed);
        wrapping!(managed,
            service => service.rotate(&line).await,
            _kv => Err(VaultError::Unsupported {
                adapter: managed.name,
                detail: "it holds the secrets themselves, so there is no KEK to rotate".into(),
            })
        )
    }

    /// Removes what a vault holds under an entry that nothing points to any more. `false` where the entry is not in a vault but
    /// in the KV binding, and so is the caller's to remove.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn forget<H: Host>(&self, host: &H, entry: &str) -> Result<bool, VaultError> {
        let Some((kek, entry)) = in_store(entry) else {
            return Ok(false);
        };
        let (name, store) = kek.split_once(':').unwrap_or_default();
        let managed = self.named(name, kek)?;
        let line = self.line(host, managed);
        if let Service::Kv(kv) = &managed.service {
            kv.delete(&line, store, entry).await?;
        }
        Ok(true)
    }

    fn target(&self) -> Option<&Managed> {
        self.managed.first().filter(|_| self.writes_managed)
    }

    fn named(&self, name: &str, kek: &str) -> Result<&Managed, VaultError> {
        let mut all = self.managed.iter();
        all.find(|managed| managed.name == name)
            .ok_or_else(|| VaultError::NotHeld { kek: kek.into() })
    }

    fn unwrap_local(&self, binding: &Binding<'_>, place: Place<'_>) -> Result<Dek, VaultError> {
        let kek = self.keks.iter().find(|kek| kek.id() == place.kek);
        let kek = kek.ok_or_else(|| VaultError::NotHeld {
            kek: place.kek.into(),
        })?;
        Ok(envelope::unwrap_local(kek, binding, place.wrapped)?)
    }

    fn moved(&self, place: Place<'_>, kek: String, wrapped: Vec<u8>) -> Stored {
        Stored {
            kek,
            entry: place.entry.to_owned(),
            wrapped,
            ciphertext: None,
        }
    }

    fn line<'a, H: Host>(&self, host: &'a H, managed: &'a Managed) -> Line<'a, H> {
        Line {
            host,
            adapter: managed.name,
            breaker: &managed.breaker,
            timeout: self.timeout,
        }
    }
}

fn local(kek: &Kek) -> Held {
    Held {
        mark: kek.check_value(),
        prefix: kek.id(),
    }
}

fn adapter(managed: &Managed) -> Held {
    let key = match &managed.service {
        Service::GcpKms(service) => service.versions(),
        Service::Azure(service) => service.versions(),
        // They open what is under another key too, where their credentials may.
        Service::AwsKms(_) | Service::Transit(_) | Service::Kv(_) => {
            return Held {
                mark: managed.name.into(),
                prefix: named(managed, ""),
            };
        }
    };
    let prefix = named(managed, &key);
    Held {
        mark: prefix.clone(),
        prefix,
    }
}

fn named(managed: &Managed, kek: &str) -> String {
    format!("{}:{kek}", managed.name)
}

/// The KEK's name and the path of an entry that is in a vault's own store.
fn in_store(entry: &str) -> Option<(&str, &str)> {
    entry
        .rsplit_once(IN_STORE)
        .filter(|(kek, _)| Vaults::holds_secrets(kek))
}

async fn required_kek<H: Host>(host: &H) -> Result<Secret, Misconfigured> {
    let text = host.variable(KEK).await?;
    let text = text.ok_or_else(|| Misconfigured {
        setting: KEK,
        problem: "it is not set".into(),
    })?;
    Ok(Secret::from(text))
}

fn read_kek(setting: &'static str, text: &Secret) -> Result<Kek, Misconfigured> {
    Kek::parse(text.expose_str().unwrap_or_default()).map_err(|error| Misconfigured {
        setting,
        problem: error.to_string(),
    })
}

async fn service<H: Host>(
    host: &H,
    places: &Places,
    name: &'static str,
) -> Result<Service, Misconfigured> {
    Ok(match name {
        AWS_KMS => Service::AwsKms(AwsKms::read(host, places).await?),
        TRANSIT => Service::Transit(Transit::read(host, places).await?),
        KV => Service::Kv(Kv::read(host, places).await?),
        GCP_KMS => Service::GcpKms(GcpKms::read(host, places).await?),
        _ => Service::Azure(AzureKeyVault::read(host, places).await?),
    })
}

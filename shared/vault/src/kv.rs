//! TODO: vault-kv

use lockgate_host::{Host, Misconfigured, Secret};

use crate::config::Places;
use crate::line::Line;
use crate::{Binding, VaultError};

/// Vault's KV store.
pub(crate) struct Kv {}

impl Kv {
    pub(crate) async fn read<H: Host>(_host: &H, _places: &Places) -> Result<Self, Misconfigured> {
        Err(Misconfigured {
            setting: "LOCKGATE_VAULT",
            problem: "vault-kv is not there yet".into(),
        })
    }

    /// The store's name: mount and prefix.
    pub(crate) fn name(&self) -> String {
        String::new()
    }

    /// Stores a secret under `entry`, which was never used before.
    pub(crate) async fn put<H: Host>(
        &self,
        line: &Line<'_, H>,
        _binding: &Binding<'_>,
        _entry: &str,
        _secret: &Secret,
    ) -> Result<(), VaultError> {
        Err(line.nonsense("put"))
    }

    /// What was stored under `entry` for this binding, in the store of this name, which may be an earlier setting's.
    pub(crate) async fn get<H: Host>(
        &self,
        line: &Line<'_, H>,
        _binding: &Binding<'_>,
        _name: &str,
        _entry: &str,
    ) -> Result<Secret, VaultError> {
        Err(line.nonsense("get"))
    }

    /// Removes an entry with all that the store keeps of it. No error where there is none.
    pub(crate) async fn delete<H: Host>(
        &self,
        line: &Line<'_, H>,
        _name: &str,
        _entry: &str,
    ) -> Result<(), VaultError> {
        Err(line.nonsense("delete"))
    }

    /// Whether the store can be used.
    pub(crate) async fn probe<H: Host>(&self, line: &Line<'_, H>) -> Result<(), VaultError> {
        Err(line.nonsense("probe"))
    }
}

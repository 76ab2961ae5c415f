//! TODO: vault-transit

use lockgate_host::{Host, Misconfigured};

use crate::adapter::{Adapter, Wrapped};
use crate::config::Places;
use crate::envelope::Dek;
use crate::line::Line;
use crate::{Binding, VaultError};

/// vault-transit
pub(crate) struct Transit {}

impl Transit {
    pub(crate) async fn read<H: Host>(_host: &H, _places: &Places) -> Result<Self, Misconfigured> {
        Err(Misconfigured {
            setting: "LOCKGATE_VAULT",
            problem: "vault-transit is not there yet".into(),
        })
    }
}

impl Adapter for Transit {
    async fn wrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        _binding: &Binding<'_>,
        _dek: &Dek,
    ) -> Result<Wrapped, VaultError> {
        Err(line.nonsense("wrap"))
    }

    async fn unwrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        _binding: &Binding<'_>,
        _kek: &str,
        _blob: &[u8],
    ) -> Result<Dek, VaultError> {
        Err(line.nonsense("unwrap"))
    }

    async fn current<H: Host>(&self, line: &Line<'_, H>) -> Result<String, VaultError> {
        Err(line.nonsense("current"))
    }

    async fn rotate<H: Host>(&self, line: &Line<'_, H>) -> Result<(), VaultError> {
        Err(line.nonsense("rotate"))
    }
}

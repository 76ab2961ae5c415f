//! What a key management service does for the gateway: it wraps data keys under a KEK that never leaves it, and unwraps
//! them. One module for each; this trait is all that the rest knows of them.

use lockgate_host::Host;

use crate::envelope::Dek;
use crate::line::Line;
use crate::{Binding, VaultError};

/// A wrapped data key, as the adapter stores it, and which KEK wrapped it.
pub(crate) struct Wrapped {
    /// What [`Adapter::unwrap`] is given again.
    pub(crate) blob: Vec<u8>,
    /// The KEK's name within the adapter, the version included: an ARN, `transit/lockgate:v3`, …
    pub(crate) kek: String,
}

/// A key management service.
pub(crate) trait Adapter {
    /// Wraps a data key under the newest version of the KEK. The binding goes along as the service's authenticated data, where
    /// it has such.
    async fn wrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
        dek: &Dek,
    ) -> Result<Wrapped, VaultError>;

    /// Unwraps what [`Adapter::wrap`] made; `kek` is what it said. A service that finds the blob altered or bound to
    /// something else is [`VaultError::Open`]; one that does not let us is [`VaultError::Refused`].
    async fn unwrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
        kek: &str,
        blob: &[u8],
    ) -> Result<Dek, VaultError>;

    /// A fresh data key and the same wrapped, where the service makes both in one call.
    async fn data_key<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
    ) -> Result<(Dek, Wrapped), VaultError> {
        let dek = Dek::generate(&mut |buffer| line.host.random(buffer));
        let wrapped = self.wrap(line, binding, &dek).await?;
        Ok((dek, wrapped))
    }

    /// Wraps under the newest version what an older one has wrapped; where the service can, without the data key coming
    /// out.
    async fn rewrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
        kek: &str,
        blob: &[u8],
    ) -> Result<Wrapped, VaultError> {
        let dek = self.unwrap(line, binding, kek, blob).await?;
        self.wrap(line, binding, &dek).await
    }

    /// The name of the KEK that [`Adapter::wrap`] would use now. Its failure tells whether the vault can be used.
    async fn current<H: Host>(&self, line: &Line<'_, H>) -> Result<String, VaultError>;

    /// Makes a new version of the KEK, for what is wrapped from now on.
    async fn rotate<H: Host>(&self, line: &Line<'_, H>) -> Result<(), VaultError>;
}

//! What stands in for a managed vault for a while: what it gave, sealed under the local KEK with an end (FEATURES G5).
//!
//! Where instances live for seconds, each would ask the vault anew, and none would outlast an outage. So what the vault gave to
//! one of them is kept in the database for the others, until its time is over. The times are part of the authenticated
//! data: a bridge cannot be made to last longer by whoever writes the database. That it is not used afterwards is the
//! gateway's word; whoever has `LOCKGATE_KEK` and the database can open the bridges that are in it.

use lockgate_host::Secret;

use crate::envelope::{open_local, seal_local};
use crate::{Binding, Kek, OpenError, Random};

const PURPOSE: &str = "lockgate/bridge/v1";
/// How far the clocks of instances may differ.
const SKEW_MS: u64 = 60_000;

/// Between which times a bridge stands, ms since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When the vault gave what is in it.
    pub proven_at: u64,
    /// From when on it is not to be used.
    pub expires_at: u64,
}

impl Span {
    /// Whether it stands at `now`. One from the future does not, unless clocks that differ a little explain it.
    #[must_use]
    pub fn stands(&self, now_ms: u64) -> bool {
        self.proven_at <= now_ms.saturating_add(SKEW_MS) && now_ms < self.expires_at
    }

    fn authenticated_data(self, binding: &Binding<'_>, given_by: &str) -> Vec<u8> {
        let mut data = binding.authenticated_data(PURPOSE);
        data.extend_from_slice(&(given_by.len() as u64).to_be_bytes());
        data.extend_from_slice(given_by.as_bytes());
        data.extend_from_slice(&self.proven_at.to_be_bytes());
        data.extend_from_slice(&self.expires_at.to_be_bytes());
        data
    }
}

/// Seals what a vault gave; `given_by` names its KEK.
#[must_use]
pub fn build(
    kek: &Kek,
    binding: &Binding<'_>,
    given_by: &str,
    span: Span,
    given: &Secret,
    random: Random<'_>,
) -> Vec<u8> {
    let data = span.authenticated_data(binding, given_by);
    seal_local(kek, &data, given.expose(), random)
}

/// Opens a bridge that was built under this local KEK for this binding, vault's KEK and span.
///
/// # Errors
/// See [`OpenError`].
pub fn cross(
    kek: &Kek,
    binding: &Binding<'_>,
    given_by: &str,
    span: Span,
    sealed: &[u8],
) -> Result<Secret, OpenError> {
    let data = span.authenticated_data(binding, given_by);
    let mut given = open_local(kek, &data, sealed)?;
    Ok(Secret::new(std::mem::take(&mut *given)))
}

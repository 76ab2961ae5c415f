//! The keys that gateway keys and admin tokens are tagged with. They were derived from the first KEK that a store knew, and
//! outlive it: a later KEK seals them, so that nobody's keys end with a rotation.

use data_encoding::BASE64;
use zeroize::Zeroizing;

use crate::envelope::{open_local, seal_local};
use crate::{Kek, OpenError, Random};

const PURPOSE: &[u8] = b"lockgate/token-keys/v1";
const LABEL_GATEWAY: &str = "lockgate gateway-key tag v1";
const LABEL_ADMIN: &str = "lockgate admin-token tag v1";
const BYTES: usize = 32;

/// Two keys of 32 bytes, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKeys {
    /// For gateway keys.
    pub gateway: Zeroizing<[u8; BYTES]>,
    /// For admin tokens.
    pub admin: Zeroizing<[u8; BYTES]>,
}

impl TokenKeys {
    /// Those of a store whose first KEK this is.
    #[must_use]
    pub fn derive(kek: &Kek) -> Self {
        Self {
            gateway: kek.derive(LABEL_GATEWAY),
            admin: kek.derive(LABEL_ADMIN),
        }
    }

    /// Seals them under a KEK; base64.
    #[must_use]
    pub fn seal(&self, kek: &Kek, random: Random<'_>) -> String {
        let mut plain = Zeroizing::new([0; 2 * BYTES]);
        let (gateway, admin) = plain.split_at_mut(BYTES);
        gateway.copy_from_slice(self.gateway.as_slice());
        admin.copy_from_slice(self.admin.as_slice());
        BASE64.encode(&seal_local(kek, PURPOSE, plain.as_slice(), random))
    }

    /// Opens what [`TokenKeys::seal`] made.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(kek: &Kek, sealed: &str) -> Result<Self, OpenError> {
        let sealed = BASE64.decode(sealed.as_bytes());
        let sealed = sealed.map_err(|_| OpenError::Truncated)?;
        let plain = open_local(kek, PURPOSE, &sealed)?;
        let halves = plain.split_at_checked(BYTES);
        let (gateway, admin) = halves.ok_or(OpenError::Truncated)?;
        let key = |half: &[u8]| half.try_into().map(Zeroizing::new);
        match (key(gateway), key(admin)) {
            (Ok(gateway), Ok(admin)) => Ok(Self { gateway, admin }),
            _ => Err(OpenError::Truncated),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::TokenKeys;
    use crate::{Kek, OpenError};

    #[test]
    fn they_outlive_the_kek_that_they_are_from() {
        let random = &mut |out: &mut [u8]| out.fill(7);
        let (old, new) = (Kek::parse(&"01".repeat(32)), Kek::parse(&"02".repeat(32)));
        let (old, new) = (old.unwrap(), new.unwrap());
        let keys = TokenKeys::derive(&old);
        assert!(keys != TokenKeys::derive(&new));
        let sealed = keys.seal(&new, random);
        assert!(TokenKeys::open(&new, &sealed).is_ok_and(|opened| opened == keys));
        let other = TokenKeys::open(&old, &sealed).err();
        assert_eq!(other, Some(OpenError::WrongKekOrBinding));
        assert!(TokenKeys::open(&new, "not base64").is_err());
        assert!(TokenKeys::open(&new, &sealed[..40]).is_err());
    }
}

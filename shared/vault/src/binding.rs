//! What a sealed secret belongs to: the authenticated data, and the name of its KV entry (FEATURES G1, G2).

/// Whose secret it is. Sealing binds all four; opening with any of them changed fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding<'a> {
    /// The workspace's id.
    pub workspace: &'a str,
    /// The provider's id, as in its manifest.
    pub provider: &'a str,
    /// The provider key's id (`pk_…`).
    pub key_id: &'a str,
    /// The version of the key's secret, counted from 1; a rotation adds one.
    pub version: u64,
}

impl Binding<'_> {
    /// The authenticated data for one purpose. Every field is preceded by its length, so that no two
    /// bindings share an encoding (`("ab", "c")` and `("a", "bc")` differ), and the purpose comes first, so that
    /// a wrapped data key cannot pass for a sealed secret.
    pub(crate) fn authenticated_data(&self, purpose: &str) -> Vec<u8> {
        let fields = [purpose, self.workspace, self.provider, self.key_id];
        let mut data = Vec::with_capacity(fields.iter().map(|f| f.len() + 8).sum::<usize>() + 8);
        for field in fields {
            data.extend_from_slice(&(field.len() as u64).to_be_bytes());
            data.extend_from_slice(field.as_bytes());
        }
        data.extend_from_slice(&self.version.to_be_bytes());
        data
    }
}

/// The name of the KV entry that holds this version: `secret/<workspace>/<key_id>/<version>-<unique>`.
///
/// `unique` is chosen anew for each write (random, no secret): an entry is never overwritten, and a name that
/// was never asked for cannot be remembered by KV as missing. Ids contain no `/`; they are made by the gateway.
#[must_use]
pub(crate) fn entry_name(binding: &Binding<'_>, unique: &str) -> String {
    format!(
        "secret/{}/{}/{}-{unique}",
        binding.workspace, binding.key_id, binding.version
    )
}

#[cfg(test)]
mod tests {
    use super::{Binding, entry_name};

    const BINDING: Binding<'static> = Binding {
        workspace: "ws_1",
        provider: "openai",
        key_id: "pk_1",
        version: 3,
    };

    #[test]
    fn entry_name_has_the_documented_form() {
        assert_eq!(entry_name(&BINDING, "x7Qa"), "secret/ws_1/pk_1/3-x7Qa");
    }

    #[test]
    fn authenticated_data_is_unambiguous() {
        let moved = Binding {
            workspace: "ws_1o",
            provider: "penai",
            ..BINDING
        };
        assert_ne!(
            BINDING.authenticated_data("a"),
            moved.authenticated_data("a")
        );
        assert_ne!(
            BINDING.authenticated_data("a"),
            BINDING.authenticated_data("b")
        );
    }

    #[test]
    fn authenticated_data_never_changes() {
        // What is stored was sealed with exactly these bytes.
        assert_eq!(
            BINDING.authenticated_data("p"),
            b"\0\0\0\0\0\0\0\x01p\0\0\0\0\0\0\0\x04ws_1\0\0\0\0\0\0\0\x06openai\0\0\0\0\0\0\0\x04pk_1\0\0\0\0\0\0\0\x03"
        );
    }
}

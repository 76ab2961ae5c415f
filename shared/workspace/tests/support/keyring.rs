//! What an asker of these tests can open.

use std::sync::Arc;

use lockgate_vault::Held;
use lockgate_workspace::question::Keyring;

/// One local KEK, told by `mark`; the names of its KEKs begin with it.
pub(crate) fn keyring(mark: &str) -> Arc<Keyring> {
    Arc::new(Keyring {
        in_force: vec![Held {
            mark: mark.to_owned(),
            prefix: mark.to_owned(),
        }],
        readable: Vec::new(),
    })
}

//! A provider's 401 to a request marks its key (FEATURES A6): here at once, and for everybody through the authority.
//!
//! The label takes nothing away: a key that is marked is passed over only where another one can serve
//! (`lockgate_routing::ready`).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use lockgate_host::Host;
use lockgate_workspace::question::DataQuestion;
use lockgate_workspace::resource::Health;
use lockgate_workspace::snapshot::KeyPointer;
use lockgate_workspace::{Settings, ask};

/// How long a rejection is remembered here beside the lease, which is how long the snapshot may not know of it. Then
/// another one is told again: the first may have got lost, or a check may have cleared the label.
const REMEMBERED_MS: u64 = 10_000;
/// How many rejections are remembered at once.
const MAX_REMEMBERED: usize = 1_000;

struct Rejection {
    version: u64,
    at: u64,
    until: u64,
}

thread_local! {
    static REJECTED: RefCell<HashMap<String, Rejection>> = RefCell::default();
}

fn version(key: &KeyPointer) -> u64 {
    key.sealed.as_ref().map_or(0, |pointer| pointer.version)
}

/// Whether the key is known to be rejected: by its label, or because this isolate has just seen it.
pub(crate) fn is_rejected<H: Host>(host: &H, key: &KeyPointer) -> bool {
    // The clock is asked only where there is something to remember; on some engines it is a call out of the program.
    let any = !REJECTED.with_borrow(HashMap::is_empty);
    key.health == Health::Invalid || (any && is_remembered(key, host.monotonic_ms()))
}

fn is_remembered(key: &KeyPointer, now: u64) -> bool {
    REJECTED.with_borrow(|rejected| {
        rejected.get(&key.id).is_some_and(|rejection| {
            // A clock that has stepped back ends it.
            rejection.version == version(key) && (rejection.at..rejection.until).contains(&now)
        })
    })
}

/// Remembers a rejection; whether it is to be told to the authority, which knows of it otherwise.
fn remember(key: &KeyPointer, now: u64, lease_ms: u64) -> bool {
    if key.health == Health::Invalid || is_remembered(key, now) {
        return false;
    }
    REJECTED.with_borrow_mut(|rejected| {
        if rejected.len() >= MAX_REMEMBERED {
            rejected.clear();
        }
        let until = now.saturating_add(REMEMBERED_MS).saturating_add(lease_ms);
        let rejection = Rejection {
            version: version(key),
            at: now,
            until,
        };
        rejected.insert(key.id.clone(), rejection);
    });
    true
}

/// The provider has rejected the key of a request (`lockgate_workspace::health::rejects_key`): it is marked in the
/// background, once and not by every request that meets it.
pub(crate) fn rejected<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    workspace: &str,
    key: &KeyPointer,
) {
    if !remember(key, host.monotonic_ms(), settings.lease_ms) {
        return;
    }
    let title = lockgate_providers::find(&key.provider)
        .map_or(key.provider.as_str(), |manifest| manifest.title);
    let question = DataQuestion::MarkHealth {
        id: key.id.clone(),
        version: version(key),
        health: Health::Invalid,
        detail: format!(
            "{title} rejected the key when a request used it: it was revoked, has expired or was mistyped."
        ),
    };
    let (background, settings, workspace) = (host.clone(), settings.clone(), workspace.to_owned());
    host.spawn(async move {
        // One that gets lost is told again by a later request.
        let _ = ask(&background, &settings, &workspace, question).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockgate_workspace::snapshot::SealedPointer;

    fn key(id: &str, version: u64, health: Health) -> KeyPointer {
        KeyPointer {
            id: id.into(),
            provider: "openai".into(),
            name: "main".into(),
            enabled: true,
            default: true,
            base_url: None,
            options: Default::default(),
            tags: Default::default(),
            health,
            sealed: Some(SealedPointer {
                version,
                entry: String::new(),
                wrapped: String::new(),
                kek: "kek_1".into(),
            }),
        }
    }

    #[test]
    fn a_rejection_is_told_once_for_each_version_and_again_after_a_while() {
        let (old, new) = (key("pk_1", 1, Health::Ok), key("pk_1", 2, Health::Unknown));
        assert!(!is_remembered(&old, 50));
        assert!(remember(&old, 100, 1_000));
        assert!(!remember(&old, 101, 1_000) && is_remembered(&old, 101));
        assert!(!remember(&old, 11_099, 1_000) && is_remembered(&old, 11_099));
        assert!(!is_remembered(&old, 99), "the clock has stepped back");
        assert!(!is_remembered(&old, 11_100) && remember(&old, 11_100, 1_000));
        assert!(!is_remembered(&new, 11_101), "it was rotated");
        assert!(remember(&new, 11_101, 1_000) && is_remembered(&new, 11_102));
    }

    #[test]
    fn what_the_label_says_already_is_not_told() {
        assert!(!remember(&key("pk_2", 1, Health::Invalid), 0, 0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        for n in 0..3 * MAX_REMEMBERED {
            assert!(remember(&key(&format!("pk_{n}"), 1, Health::Ok), 0, 0));
        }
        assert!(REJECTED.with_borrow(HashMap::len) <= MAX_REMEMBERED);
    }
}

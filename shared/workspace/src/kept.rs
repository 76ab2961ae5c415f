//! Unsealed secrets in an isolate's memory, for a bounded time (FEATURES G5). Pure: times are milliseconds of a clock; where
//! it steps back all that was kept is forgotten.

use std::collections::HashMap;
use std::rc::Rc;

use lockgate_host::Secret;

/// How long a secret is used without asking where it came from again.
pub const FRESH_MS: u64 = 10 * 60_000;
/// How many are kept at once.
const MAX_KEPT: usize = 1_000;
/// Who is told to ask again is alone in that for so long.
const ASKING_MS: u64 = 10_000;
/// How often those whose time is over are looked for.
const SWEEP_MS: u64 = 60_000;

struct Entry {
    version: u64,
    secret: Rc<Secret>,
    /// Until when it is used without asking.
    fresh_until: u64,
    /// Until when it is used at all.
    ends: u64,
    /// Until when somebody is asking.
    asking_until: u64,
}

/// The secrets that are kept, by provider key.
#[derive(Default)]
pub struct Kept {
    entries: HashMap<String, Entry>,
    swept_at: u64,
    seen_at: u64,
}

/// What is known of a secret.
#[derive(Debug)]
pub enum Found {
    /// Nothing.
    Missing,
    /// This; there is nothing to do.
    Fresh(Rc<Secret>),
    /// This; the vault is to be asked again, beside the traffic.
    Aging(Rc<Secret>),
}

impl Kept {
    /// The secret of this version of a key.
    pub fn find(&mut self, key: &str, version: u64, now: u64) -> Found {
        // A clock that has stepped back would keep them for longer than they may be.
        if now < self.seen_at {
            self.entries.clear();
        }
        self.seen_at = now;
        if now.saturating_sub(self.swept_at) >= SWEEP_MS {
            self.swept_at = now;
            self.entries.retain(|_, entry| now < entry.ends);
        }
        let Some(entry) = self.entries.get_mut(key) else {
            return Found::Missing;
        };
        if entry.version != version || now >= entry.ends {
            return Found::Missing;
        }
        let secret = entry.secret.clone();
        if now < entry.fresh_until || now < entry.asking_until {
            return Found::Fresh(secret);
        }
        entry.asking_until = now.saturating_add(ASKING_MS);
        Found::Aging(secret)
    }

    /// Keeps a secret that its vault gave `age` ms ago: used for [`FRESH_MS`] after that without asking, and for `outage` ms
    /// while the vault does not answer. One that needs nobody to be asked has no age and an outage of [`FRESH_MS`].
    pub fn keep(
        &mut self,
        key: &str,
        version: u64,
        secret: Rc<Secret>,
        now: u64,
        (age, outage): (u64, u64),
    ) {
        if self.entries.len() >= MAX_KEPT && !self.entries.contains_key(key) {
            let first = self.entries.iter().min_by_key(|(_, entry)| entry.ends);
            if let Some(first) = first.map(|(key, _)| key.clone()) {
                self.entries.remove(&first);
            }
        }
        let entry = Entry {
            version,
            secret,
            fresh_until: now.saturating_add(FRESH_MS.min(outage).saturating_sub(age)),
            ends: now.saturating_add(outage.saturating_sub(age)),
            asking_until: 0,
        };
        self.entries.insert(key.to_owned(), entry);
    }

    /// Forgets a version that its vault will not give any more.
    pub fn forget(&mut self, key: &str, version: u64) {
        if self
            .entries
            .get(key)
            .is_some_and(|entry| entry.version == version)
        {
            self.entries.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use lockgate_host::Secret;
    use proptest::prelude::*;

    use super::{ASKING_MS, FRESH_MS, Found, Kept, MAX_KEPT};

    const HOUR: u64 = 3_600_000;

    fn secret() -> Rc<Secret> {
        Rc::new(Secret::from("sk".to_owned()))
    }

    fn word(found: &Found) -> &'static str {
        match found {
            Found::Missing => "missing",
            Found::Fresh(_) => "fresh",
            Found::Aging(_) => "aging",
        }
    }

    #[test]
    fn one_asker_is_told_to_ask_again_and_the_others_go_on() {
        let mut kept = Kept::default();
        kept.keep("pk", 1, secret(), 1_000, (0, HOUR));
        let mut at = |now| word(&kept.find("pk", 1, now));
        assert_eq!(at(1_000 + FRESH_MS - 1), "fresh");
        assert_eq!(at(1_000 + FRESH_MS), "aging");
        assert_eq!(at(1_000 + FRESH_MS), "fresh");
        assert_eq!(at(1_000 + FRESH_MS + ASKING_MS), "aging");
        assert_eq!(at(1_000 + HOUR - 1), "aging");
        assert_eq!(at(1_000 + HOUR), "missing");
    }

    #[test]
    fn another_version_is_another_secret() {
        let mut kept = Kept::default();
        kept.keep("pk", 1, secret(), 0, (0, HOUR));
        assert_eq!(word(&kept.find("pk", 2, 0)), "missing");
        kept.forget("pk", 2);
        assert_eq!(word(&kept.find("pk", 1, 0)), "fresh");
        kept.forget("pk", 1);
        assert_eq!(word(&kept.find("pk", 1, 0)), "missing");
    }

    #[test]
    fn what_is_not_asked_for_goes_all_the_same() {
        let mut kept = Kept::default();
        kept.keep("pk", 1, secret(), 0, (0, FRESH_MS));
        assert_eq!(word(&kept.find("other", 1, FRESH_MS)), "missing");
        assert!(kept.entries.is_empty());
    }

    #[test]
    fn a_clock_that_steps_back_keeps_nothing_longer() {
        let mut kept = Kept::default();
        kept.keep("pk", 1, secret(), 5_000, (0, HOUR));
        assert_eq!(word(&kept.find("pk", 1, 5_000)), "fresh");
        assert_eq!(word(&kept.find("pk", 1, 4_999)), "missing");
    }

    #[test]
    fn there_is_an_end_to_how_many() {
        let mut kept = Kept::default();
        for n in 0..=MAX_KEPT {
            kept.keep(&n.to_string(), 1, secret(), 0, (0, HOUR));
        }
        assert!(kept.entries.len() <= MAX_KEPT);
    }

    proptest! {
        #[test]
        fn never_used_longer_than_an_outage_may_last(
            age in 0..2 * HOUR,
            outage in 1..2 * HOUR,
            mut looks in proptest::collection::vec(0..3 * HOUR, 1..20),
        ) {
            looks.sort_unstable();
            let mut kept = Kept::default();
            kept.keep("pk", 1, secret(), 0, (age, outage));
            for now in looks {
                let found = kept.find("pk", 1, now);
                if age + now >= outage {
                    prop_assert_eq!(word(&found), "missing");
                } else if age + now < FRESH_MS {
                    prop_assert_eq!(word(&found), "fresh");
                }
            }
        }
    }
}

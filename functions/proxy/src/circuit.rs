//! Which targets are left alone for a while (FEATURES C3): those whose provider has failed again and again, and keys whose
//! provider has asked for it ([`lockgate_routing::circuit`]). Known to this isolate only.
//!
//! Whatever is left alone is tried all the same where a route has nothing else.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use lockgate_host::Host;
use lockgate_routing::circuit::{Circuits, Endpoint};
use lockgate_routing::{Failed, Pays, Tries, pays};
use lockgate_workspace::plan::{Cause, CredentialKind};
use lockgate_workspace::question::Options;
use lockgate_workspace::snapshot::KeyPointer;

use crate::health;
use crate::target::{Target, Way};

/// The address of whatever keys the platform has of a provider: which one will pay is not known before it does.
const PLATFORM: &str = "";

thread_local! {
    static CIRCUITS: RefCell<Circuits> = RefCell::default();
    /// Whether the next target that is not left alone is the one that is tried next.
    static FIRST: Cell<bool> = const { Cell::new(false) };
}

/// The choices of a step are in order: before anything else happens, [`out`] is asked about one after the other. Only the
/// first that is not left alone is sure to be tried, so that no other may stand for the one request that probes.
pub(crate) fn ordered() {
    FIRST.set(true);
}

/// A try has failed.
pub(crate) fn failed<H: Host>(
    host: &H,
    workspace: &str,
    target: &Target<'_>,
    key: &KeyPointer,
    failed: &Failed,
) {
    note(workspace, target, key, failed, host.monotonic_ms());
}

fn note(workspace: &str, target: &Target<'_>, key: &KeyPointer, failed: &Failed, now: u64) {
    let managed = target.credential() == CredentialKind::Managed;
    if managed && failed.cause == Some(Cause::QuotaExhausted) {
        // It may be this workspace's wallet, which says nothing of the platform's key to others.
        return;
    }
    if let Some(address) = address(workspace, target, Some(key)) {
        let to = endpoint(target, &address);
        CIRCUITS.with_borrow_mut(|circuits| circuits.failed(to, key, failed, now));
    }
}

/// A try has worked.
pub(crate) fn worked(workspace: &str, target: &Target<'_>, key: &KeyPointer) {
    // A count is made here, and no provider is asked.
    if target.way == Way::Count || is_clear(target) {
        return;
    }
    if let Some(address) = address(workspace, target, Some(key)) {
        let to = endpoint(target, &address);
        CIRCUITS.with_borrow_mut(|circuits| circuits.worked(to, key));
    }
}

/// Why a target is left alone now, if it is.
pub(crate) fn out<H: Host>(
    host: &H,
    who: &lockgate_routing::Caller,
    target: &Target<'_>,
) -> Option<Cause> {
    let rejected = |key: &KeyPointer| health::is_rejected(host, key);
    let cause = why(who, target, rejected, || host.monotonic_ms());
    if cause.is_none() {
        FIRST.set(false);
    }
    cause
}

fn why(
    who: &lockgate_routing::Caller,
    target: &Target<'_>,
    rejected: impl Fn(&KeyPointer) -> bool,
    clock: impl Fn() -> u64,
) -> Option<Cause> {
    // Without a route there is nothing else to be tried.
    let name = target.route?;
    let slug = target.manifest.slug;
    let mut keys = who.snapshot.keys.iter().filter(|key| key.provider == slug);
    // Neither the clock nor the policy is asked where there is nothing to find out.
    if is_clear(target) && !keys.any(|key| rejected(key)) {
        return None;
    }
    let now = clock();
    let mut routes = who.plan()?.routes.iter();
    let route = routes.find(|route| route.name == name);
    let others = Tries::new(route, Vec::new(), now).takes_other_keys(Cause::RateLimit);
    let resting = |key: &KeyPointer| CIRCUITS.with_borrow_mut(|circuits| circuits.rests(key, now));
    let passed = |key: &KeyPointer| rejected(key) || others && resting(key).is_some();
    // A key that is passed comes only where there is no other.
    let key = match pays(who, None, target, passed) {
        Pays::Ready(ready) if rejected(ready.key) => return Some(Cause::KeyRejected),
        Pays::Ready(ready) => match resting(ready.key) {
            Some(cause) => return Some(cause),
            None => Some(&**ready.key),
        },
        Pays::AskPlatform => None,
        // That is found out soon enough.
        Pays::NotReady(_) => return None,
    };
    let address = address(&who.snapshot.workspace, target, key)?;
    let to = endpoint(target, &address);
    CIRCUITS.with_borrow_mut(|circuits| circuits.open(to, now, FIRST.get()))
}

/// Whether a key is left alone now.
pub(crate) fn rests<H: Host>(host: &H, key: &KeyPointer) -> bool {
    if CIRCUITS.with_borrow(|circuits| circuits.is_clear(&key.provider)) {
        return false;
    }
    let now = host.monotonic_ms();
    CIRCUITS.with_borrow_mut(|circuits| circuits.rests(key, now).is_some())
}

fn is_clear(target: &Target<'_>) -> bool {
    CIRCUITS.with_borrow(|circuits| circuits.is_clear(target.manifest.slug))
}

fn endpoint<'a>(target: &Target<'_>, address: &'a str) -> Endpoint<'a> {
    Endpoint {
        provider: target.manifest.slug,
        address,
    }
}

/// Where a key's requests for a target go; without one of the workspace's own, where the platform's go. What one workspace
/// meets there is not held against it by another: its deadlines are its own.
fn address(workspace: &str, target: &Target<'_>, key: Option<&KeyPointer>) -> Option<String> {
    let manifest = target.manifest;
    let base = match key {
        _ if target.credential() == CredentialKind::Managed => Cow::Borrowed(PLATFORM),
        Some(key) => {
            lockgate_providers::base(manifest, key.base_url.as_deref(), &key.options).ok()?
        }
        None => lockgate_providers::base(manifest, None, &Options::new()).ok()?,
    };
    Some(format!("{workspace} {base}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::rc::Rc;
    use std::sync::Arc;

    use lockgate_providers::Surface;
    use lockgate_routing::circuit::{FAILURES, OPEN_MS, PROBE_MS};
    use lockgate_routing::{Caller, Names, Wanted};
    use lockgate_workspace::plan::{Fallback, KeysTried, Plan, PlanTarget, Route, RouteTarget};
    use lockgate_workspace::resource::{Access, Health};
    use lockgate_workspace::snapshot::{Identity, Live, SealedPointer, Snapshot};

    use super::*;
    use crate::target::Course;

    fn key(provider: &str, name: &str) -> KeyPointer {
        KeyPointer {
            id: format!("pk_{name}"),
            provider: provider.into(),
            name: name.into(),
            enabled: true,
            default: false,
            base_url: None,
            options: Default::default(),
            tags: Default::default(),
            health: Health::Ok,
            sealed: Some(SealedPointer {
                version: 1,
                entry: String::new(),
                wrapped: String::new(),
                kek: "kek_1".into(),
            }),
        }
    }

    /// A caller with two keys of OpenAI's and none of Groq's, and a route over both and the platform's OpenAI.
    fn caller(keys_tried: KeysTried) -> Caller {
        let targets = [
            ("openai", CredentialKind::Byok),
            ("groq", CredentialKind::Any),
            ("openai", CredentialKind::Managed),
        ];
        let plan = Plan {
            targets: targets
                .into_iter()
                .map(|(provider, credential)| PlanTarget {
                    id: format!("{provider} {credential:?}"),
                    provider: provider.into(),
                    model: Some("m".into()),
                    credential,
                    provider_key: None,
                })
                .collect(),
            routes: vec![Route {
                name: "chat".into(),
                models: vec!["*".into()],
                task: None,
                allow_providers: None,
                fallback: Fallback {
                    keys: keys_tried,
                    ..Fallback::default()
                },
                targets: (0..3)
                    .map(|target| RouteTarget {
                        target,
                        priority: 0,
                        weight: 1,
                    })
                    .collect(),
            }],
            direct_models: false,
            unenforced: Vec::new(),
        };
        let snapshot = Snapshot {
            version: 1,
            workspace: "ws_1".into(),
            name: "one".into(),
            access: Access::Open,
            keys: vec![Arc::new(key("openai", "a")), Arc::new(key("openai", "b"))],
            roles: Vec::new(),
            seeded: Vec::new(),
            configurations: vec![Arc::new(Live {
                id: "cfg_1".into(),
                name: "c".into(),
                tags: Default::default(),
                plan: Some(plan),
            })],
            default_configuration: Some("cfg_1".into()),
            prices: Vec::new(),
        };
        let identity = Identity {
            gateway_key: "gk_1".into(),
            name: "app".into(),
            agent: "bot".into(),
            agent_id: "agent_1".into(),
            agent_tags: Default::default(),
            roles: Vec::new(),
            pins: Vec::new(),
            gateway: None,
            gateway_tags: None,
            configuration: None,
            team: None,
            limits: Default::default(),
            budget: None,
        };
        Caller::new(identity, Rc::new(snapshot))
    }

    fn course(caller: &Caller) -> Course<'_> {
        let wanted = Wanted {
            model: Some("m"),
            route: None,
            provider: None,
            names: Names::Always,
            surface: Some(Surface::Chat),
        };
        let course = crate::target::course(caller, Surface::Chat, &wanted, false);
        course.map_err(|refusal| refusal.code.text).ok().unwrap()
    }

    fn by(cause: Cause) -> Failed {
        Failed {
            cause: Some(cause),
            retry_after_ms: None,
        }
    }

    fn out_at(caller: &Caller, place: usize, now: u64) -> Option<Cause> {
        let target = course(caller).at(0, place).unwrap();
        let cause = why(caller, &target, |_| false, || now);
        if cause.is_none() {
            FIRST.set(false);
        }
        cause
    }

    /// The endpoint of the choice at `place` has failed again and again at 0.
    fn broken(caller: &Caller, place: usize, key: &KeyPointer) {
        CIRCUITS.take();
        let target = course(caller).at(0, place).unwrap();
        for _ in 0..FAILURES {
            note("ws_1", &target, key, &by(Cause::ServerError), 0);
        }
    }

    #[test]
    fn where_nothing_is_remembered_no_clock_is_asked() {
        CIRCUITS.take();
        let caller = caller(KeysTried::One);
        for place in 0..3 {
            let target = course(&caller).at(0, place).unwrap();
            let asked = Cell::new(false);
            let clock = || {
                asked.set(true);
                0
            };
            assert_eq!(why(&caller, &target, |_| false, clock), None);
            assert!(!asked.get());
        }
    }

    #[test]
    fn an_endpoint_is_out_for_all_keys_and_not_for_the_platforms() {
        let caller = caller(KeysTried::One);
        broken(&caller, 0, &key("openai", "b"));
        assert_eq!(out_at(&caller, 0, 1), Some(Cause::ServerError));
        assert_eq!(out_at(&caller, 1, 1), None);
        assert_eq!(out_at(&caller, 2, 1), None);
        broken(&caller, 2, &key("openai", "of the platform"));
        assert_eq!(out_at(&caller, 0, 1), None);
        assert_eq!(out_at(&caller, 2, 1), Some(Cause::ServerError));
        // What the platform pays for since there is no key.
        broken(&caller, 1, &key("groq", "of the platform"));
        assert_eq!(out_at(&caller, 1, 1), Some(Cause::ServerError));
    }

    #[test]
    fn only_the_first_that_is_not_left_alone_probes() {
        let caller = caller(KeysTried::One);
        broken(&caller, 0, &key("openai", "a"));
        ordered();
        assert_eq!(out_at(&caller, 0, OPEN_MS - 1), Some(Cause::ServerError));
        // Groq is tried next, not this one.
        assert_eq!(out_at(&caller, 1, OPEN_MS), None);
        assert_eq!(out_at(&caller, 0, OPEN_MS), Some(Cause::ServerError));
        ordered();
        assert_eq!(out_at(&caller, 0, OPEN_MS), None);
        ordered();
        assert_eq!(out_at(&caller, 0, OPEN_MS), Some(Cause::ServerError));
        ordered();
        assert_eq!(out_at(&caller, 0, OPEN_MS + PROBE_MS), None);
        worked(
            "ws_1",
            &course(&caller).at(0, 0).unwrap(),
            &key("openai", "a"),
        );
        assert_eq!(out_at(&caller, 0, OPEN_MS + PROBE_MS), None);
        assert!(CIRCUITS.take().is_clear("openai"));
    }

    #[test]
    fn a_key_that_rests_takes_its_target_out_unless_others_are_tried() {
        for (tried, first, both) in [
            (
                KeysTried::One,
                Some(Cause::RateLimit),
                Some(Cause::RateLimit),
            ),
            (KeysTried::All, None, Some(Cause::RateLimit)),
        ] {
            CIRCUITS.take();
            let caller = caller(tried);
            let target = course(&caller).at(0, 0).unwrap();
            let asked = Failed {
                cause: Some(Cause::RateLimit),
                retry_after_ms: Some(60_000),
            };
            note("ws_1", &target, &key("openai", "a"), &asked, 0);
            assert_eq!(out_at(&caller, 0, 1), first, "{tried:?}");
            note("ws_1", &target, &key("openai", "b"), &asked, 1);
            assert_eq!(out_at(&caller, 0, 1), both, "{tried:?}");
            // It is none of the platform's keys.
            assert_eq!(out_at(&caller, 2, 1), None);
        }
    }

    #[test]
    fn a_key_that_is_rejected_takes_its_target_out_where_it_is_the_last() {
        CIRCUITS.take();
        let caller = caller(KeysTried::One);
        let target = course(&caller).at(0, 0).unwrap();
        let out = |rejected: &[&str]| {
            let rejected = |key: &KeyPointer| rejected.contains(&key.name.as_str());
            why(&caller, &target, rejected, || 0)
        };
        assert_eq!(out(&["a"]), None);
        assert_eq!(out(&["a", "b"]), Some(Cause::KeyRejected));
    }

    #[test]
    fn what_one_workspace_meets_is_not_held_against_another() {
        let caller = caller(KeysTried::One);
        let target = course(&caller).at(0, 0).unwrap();
        let (mine, theirs) = (
            address("ws_1", &target, None).unwrap(),
            address("ws_2", &target, None).unwrap(),
        );
        assert_ne!(mine, theirs);
    }

    #[test]
    fn an_empty_wallet_says_nothing_of_the_platforms_key() {
        CIRCUITS.take();
        let caller = caller(KeysTried::All);
        let target = course(&caller).at(0, 2).unwrap();
        note(
            "ws_1",
            &target,
            &key("openai", "of the platform"),
            &by(Cause::QuotaExhausted),
            0,
        );
        assert!(CIRCUITS.take().is_clear("openai"));
    }
}

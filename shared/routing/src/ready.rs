//! Whether a target can be used by a caller now: which provider key pays, or why none does (FEATURES B4, B7).
//!
//! The reasons in their order (API.md, “Decisions of access, limits and money”): every key that comes into question is
//! disabled; the agent has no role; policy denies; tags differ; the provider waits for its first key; there is no key.

use std::sync::Arc;

use lockgate_access::{Explanation, Judgement, KeyFacts, judge, judge_absent};
use lockgate_workspace::plan::CredentialKind;
use lockgate_workspace::resource::{Pin, PinMode};
use lockgate_workspace::snapshot::{KeyPointer, Snapshot};
use lockgate_workspace::tags::Tags;

use crate::caller::{Caller, facts};
use crate::target::Target;

/// The provider key that pays.
#[derive(Debug, Clone, Copy)]
pub struct Ready<'a> {
    /// It.
    pub key: &'a Arc<KeyPointer>,
    /// The soft pin that asked for another one.
    pub passed_over: Option<PassedOver<'a>>,
    /// Whether it is the platform's, and the workspace's wallet pays for it.
    pub managed: bool,
}

impl Ready<'_> {
    /// Why the agent's roles let it use the key.
    #[must_use]
    pub fn explain(&self, caller: &Caller, target: &Target<'_>) -> Explanation {
        if self.managed {
            explain_managed(caller, target)
        } else {
            caller.explain(target.judged(), target.manifest.slug, Some(self.key))
        }
    }
}

/// A soft pin whose key cannot serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassedOver<'a> {
    /// It.
    pub pin: &'a Pin,
    /// What is the matter with its key: it is disabled, or it is gone.
    pub reason: Reason,
}

/// Why no provider key pays: a word of FEATURES B4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Every key that comes into question is disabled.
    Inactive,
    /// The agent has no role.
    NoRoleAttached,
    /// No statement allows a key, or one denies it.
    DeniedByPolicy,
    /// A statement would allow a key, if tags were equal.
    TagMismatch,
    /// The provider is listed and waits for its first key.
    Seeded,
    /// There is no key.
    MissingProviderKey,
}

impl Reason {
    /// Each of them, in their order.
    pub const ALL: [Self; 6] = [
        Self::Inactive,
        Self::NoRoleAttached,
        Self::DeniedByPolicy,
        Self::TagMismatch,
        Self::Seeded,
        Self::MissingProviderKey,
    ];

    /// The word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::NoRoleAttached => "no_role_attached",
            Self::DeniedByPolicy => "denied_by_policy",
            Self::TagMismatch => "tag_mismatch",
            Self::Seeded => "seeded",
            Self::MissingProviderKey => "missing_provider_key",
        }
    }

    /// Whether policy says no, as opposed to something that is missing.
    #[must_use]
    pub fn denies(self) -> bool {
        matches!(
            self,
            Self::NoRoleAttached | Self::DeniedByPolicy | Self::TagMismatch
        )
    }
}

/// No provider key pays.
#[derive(Debug, Clone, Copy)]
pub struct NotReady<'a> {
    /// Why.
    pub reason: Reason,
    /// The key that it is about, where it is about one.
    pub key: Option<&'a KeyPointer>,
    pub(crate) hold: Hold<'a>,
}

impl NotReady<'_> {
    /// What the agent's roles say of it.
    #[must_use]
    pub fn explain(&self, caller: &Caller, target: &Target<'_>) -> Explanation {
        if self.hold == Hold::Managed {
            explain_managed(caller, target)
        } else {
            caller.explain(target.judged(), target.manifest.slug, self.key)
        }
    }

    /// Whether the platform's key may take the place of the workspace's own: the target takes either, and nothing but a key
    /// is missing.
    #[must_use]
    pub fn leaves_to_platform(&self, target: &Target<'_>) -> bool {
        target.credential() == CredentialKind::Any
            && matches!(self.hold, Hold::Free)
            && matches!(self.reason, Reason::Seeded | Reason::MissingProviderKey)
    }
}

/// What roles call the platform's keys.
pub(crate) const MANAGED: &str = "managed";
static NO_TAGS: Tags = Tags::new();

/// The platform's keys of a provider, as roles see them.
fn platforms(provider: &str) -> KeyFacts<'_> {
    KeyFacts {
        id: MANAGED,
        provider,
        name: MANAGED,
        tags: &NO_TAGS,
    }
}

fn explain_managed(caller: &Caller, target: &Target<'_>) -> Explanation {
    let slug = target.manifest.slug;
    caller.explained(target.judged(), slug, Some(&platforms(slug)))
}

/// What leaves a choice of keys, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold<'a> {
    /// All keys of the provider come into question.
    Free,
    /// The target names its key.
    Named(&'a str),
    /// The agent is pinned to one.
    Pinned(&'a Pin),
    /// The target is paid for by the platform.
    Managed,
}

impl<'a> Hold<'a> {
    /// What holds for a target, and the soft pin that does not. A target that names its key itself is above a pin.
    fn of(caller: &'a Caller, target: &Target<'a>) -> (Self, Option<PassedOver<'a>>) {
        if let Some(planned) = target.planned {
            if planned.credential == CredentialKind::Managed {
                return (Self::Managed, None);
            }
            if let Some(key) = &planned.provider_key {
                return (Self::Named(key), None);
            }
        }
        let mut pins = caller.identity.pins.iter();
        let Some(pin) = pins.find(|pin| pin.provider == target.manifest.slug) else {
            return (Self::Free, None);
        };
        let pinned = Self::Pinned(pin);
        if pin.mode == PinMode::Hard {
            return (pinned, None);
        }
        let reason = match candidates(caller, target, pinned).next() {
            Some((_, key)) if key.enabled => return (pinned, None),
            Some(_) => Reason::Inactive,
            None => Reason::MissingProviderKey,
        };
        (Self::Free, Some(PassedOver { pin, reason }))
    }

    fn takes(self, key: &KeyPointer) -> bool {
        match self {
            Self::Free => true,
            Self::Named(named) => key.id == named || key.name == named,
            Self::Pinned(pin) => key.id == pin.provider_key,
            Self::Managed => false,
        }
    }
}

/// The keys that come into question with their places in the snapshot, the provider's default first, then by name. An
/// enabled key without the secret that its provider needs is as good as not there.
fn candidates<'a>(
    caller: &'a Caller,
    target: &Target<'a>,
    hold: Hold<'a>,
) -> impl Iterator<Item = (usize, &'a Arc<KeyPointer>)> {
    let manifest = target.manifest;
    caller
        .snapshot
        .keys
        .iter()
        .enumerate()
        .filter(move |(_, key)| key.provider == manifest.slug && hold.takes(key))
        .filter(move |(_, key)| !key.enabled || key.sealed.is_some() || !manifest.needs_key())
}

/// Chooses the key: of those that come into question, are enabled and allowed, the first that the provider has not
/// `rejected`, else the first. Nothing is allocated where there is one.
///
/// # Errors
/// [`NotReady`] with the first of the reasons that hold.
pub fn ready<'a>(
    caller: &'a Caller,
    target: &Target<'a>,
    rejected: impl Fn(&KeyPointer) -> bool,
) -> Result<Ready<'a>, NotReady<'a>> {
    let (hold, passed_over) = Hold::of(caller, target);
    match best(allowed(caller, target, hold), rejected) {
        Some(key) => Ok(Ready {
            key,
            passed_over,
            managed: false,
        }),
        None => {
            let (reason, key) = why(caller, target, hold);
            Err(NotReady { reason, key, hold })
        }
    }
}

/// Chooses the platform's key for a target that the platform pays for (FEATURES C4, H5), from its workspace's snapshot: the
/// first that is not `rejected`, else the first. The agent's roles count as for a key `managed` of the provider without
/// tags; nothing else of the workspace does.
///
/// # Errors
/// [`NotReady`] where policy denies it, or the platform has no key of the provider.
pub fn managed<'a>(
    caller: &'a Caller,
    platform: &'a Snapshot,
    target: &Target<'a>,
    rejected: impl Fn(&KeyPointer) -> bool,
) -> Result<Ready<'a>, NotReady<'a>> {
    let not_ready = |reason| NotReady {
        reason,
        key: None,
        hold: Hold::Managed,
    };
    let manifest = target.manifest;
    if caller.enforced() {
        if !caller.policy.has_roles() {
            return Err(not_ready(Reason::NoRoleAttached));
        }
        let roles = caller.snapshot.attached(&caller.identity);
        let facts = platforms(manifest.slug);
        match judge(roles, &caller.circumstances(), target.judged(), &facts) {
            Judgement::Allowed => {}
            Judgement::TagMismatch => return Err(not_ready(Reason::TagMismatch)),
            Judgement::Denied | Judgement::NoStatement => {
                return Err(not_ready(Reason::DeniedByPolicy));
            }
        }
    }
    let keys = platform.usable(manifest.slug);
    let keys = keys.filter(|key| key.sealed.is_some() || !manifest.needs_key());
    match best(keys, rejected) {
        Some(key) => Ok(Ready {
            key,
            passed_over: None,
            managed: true,
        }),
        None => Err(not_ready(Reason::MissingProviderKey)),
    }
}

/// Which key pays for a target: see [`pays`].
#[derive(Debug, Clone, Copy)]
pub enum Pays<'a> {
    /// This one.
    Ready(Ready<'a>),
    /// None.
    NotReady(NotReady<'a>),
    /// The platform's, if it has one: its snapshot is needed.
    AskPlatform,
}

/// Chooses the key for a target: the workspace's own ([`ready`]), or where the target is paid for by the platform, or takes
/// either and has no key of the workspace's own, the platform's ([`managed`]). Keys that are `rejected` are taken only where
/// there is no other. Without the platform's snapshot it may say that it needs that.
pub fn pays<'a>(
    caller: &'a Caller,
    platform: Option<&'a Snapshot>,
    target: &Target<'a>,
    rejected: impl Fn(&KeyPointer) -> bool,
) -> Pays<'a> {
    let own = match target.credential() {
        CredentialKind::Managed => None,
        CredentialKind::Byok | CredentialKind::Any => match ready(caller, target, &rejected) {
            Ok(ready) => return Pays::Ready(ready),
            Err(own) if !own.leaves_to_platform(target) => return Pays::NotReady(own),
            Err(own) => Some(own),
        },
    };
    let Some(platform) = platform else {
        return Pays::AskPlatform;
    };
    match managed(caller, platform, target, rejected) {
        Ok(ready) => Pays::Ready(ready),
        // That the workspace could bring a key is what helps.
        Err(not_ready) => Pays::NotReady(own.unwrap_or(not_ready)),
    }
}

/// Whether [`ready`] would choose a key. Why it would not is not worked out, so that many targets can be asked about.
#[must_use]
pub fn can_use(caller: &Caller, target: &Target<'_>) -> bool {
    let (hold, _) = Hold::of(caller, target);
    allowed(caller, target, hold).next().is_some()
}

/// The keys that come into question, are enabled and allowed.
fn allowed<'a>(
    caller: &'a Caller,
    target: &Target<'a>,
    hold: Hold<'a>,
) -> impl Iterator<Item = &'a Arc<KeyPointer>> {
    let mut ask = caller.policy.ask(target.judged());
    candidates(caller, target, hold)
        .filter(move |(place, key)| key.enabled && ask.allows(*place))
        .map(|(_, key)| key)
}

/// The first key that is not rejected, else the first.
fn best<'a>(
    keys: impl Iterator<Item = &'a Arc<KeyPointer>>,
    rejected: impl Fn(&KeyPointer) -> bool,
) -> Option<&'a Arc<KeyPointer>> {
    let mut first = None;
    for key in keys {
        if !rejected(key) {
            return Some(key);
        }
        first.get_or_insert(key);
    }
    first
}

/// Why no key may be used, and the key that it is about.
fn why<'a>(
    caller: &'a Caller,
    target: &Target<'a>,
    hold: Hold<'a>,
) -> (Reason, Option<&'a KeyPointer>) {
    if hold == Hold::Managed {
        return (Reason::MissingProviderKey, None);
    }
    let keys: Vec<&KeyPointer> = candidates(caller, target, hold)
        .map(|(_, key)| &**key)
        .collect();
    let enabled = || keys.iter().copied().filter(|key| key.enabled);
    let first = enabled().next();
    if first.is_none() && !keys.is_empty() {
        return (Reason::Inactive, keys.first().copied());
    }
    let slug = target.manifest.slug;
    if caller.enforced() {
        if !caller.policy.has_roles() {
            return (Reason::NoRoleAttached, first);
        }
        let roles = || caller.snapshot.attached(&caller.identity);
        let (circumstances, model) = (caller.circumstances(), target.judged());
        let is = |wanted: Judgement| {
            enabled().find(|key| judge(roles(), &circumstances, model, &facts(key)) == wanted)
        };
        if first.is_none() {
            match judge_absent(roles(), &circumstances, model, slug) {
                Judgement::Allowed => {}
                Judgement::TagMismatch => return (Reason::TagMismatch, None),
                Judgement::Denied | Judgement::NoStatement => {
                    return (Reason::DeniedByPolicy, None);
                }
            }
        } else if let Some(key) = is(Judgement::Denied) {
            return (Reason::DeniedByPolicy, Some(key));
        } else if let Some(key) = is(Judgement::TagMismatch) {
            return (Reason::TagMismatch, Some(key));
        } else {
            return (Reason::DeniedByPolicy, first);
        }
    }
    // An entry waits for its first key only while there is none, and a pin has had one.
    let waits = caller.snapshot.seeded.iter().any(|seeded| seeded == slug)
        && !matches!(hold, Hold::Pinned(_))
        && !caller.snapshot.keys.iter().any(|key| key.provider == slug);
    if waits {
        (Reason::Seeded, None)
    } else {
        (Reason::MissingProviderKey, None)
    }
}

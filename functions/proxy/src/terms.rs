//! What a request may use and cost, before it is sent: what its key's limits and the wallet have to hold for it.

use std::time::Duration;

use lockgate_host::{Host, Method};
use lockgate_providers::Surface;
use lockgate_refusal::{Code, Refusal};
use lockgate_routing::Rate;
use lockgate_workspace::Settings;
use lockgate_workspace::resource::Tokens;

use crate::admission::{self, Caller, Freshness};
use crate::attempt::Cargo;
use crate::credential::Credential;
use crate::endpoint::BodyKind;
use crate::estimate::Size;
use crate::limits::Need;
use crate::target::{Course, Target, Way};

/// What a try at a target may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// What the model costs, where that is known.
    pub(crate) rate: Option<Rate>,
    /// What the request may use, where usage has to be known exactly.
    pub(crate) estimate: Option<Tokens>,
    /// How long the provider may take to begin its answer.
    pub(crate) within: Duration,
}

impl Terms {
    /// What is used by sending the request alone.
    pub(crate) fn input(&self) -> Tokens {
        Tokens {
            output: 0,
            ..self.estimate.unwrap_or_default()
        }
    }
}

/// Whether usage has to be known under a key's limits.
pub(crate) fn metered(caller: &Caller) -> bool {
    let identity = &caller.who.identity;
    identity.limits.tokens_per_minute.is_some() || identity.budget.is_some()
}

/// What a request needs of its key's limits, whichever of the course's targets it goes to. `terms` are those of the first
/// try, which may be at the platform's prices.
pub(crate) fn need<H: Host>(
    caller: &Caller,
    course: &Course<'_>,
    cargo: &Cargo<'_, H>,
    terms: Terms,
) -> Need {
    let mut need = Need::default();
    if !metered(caller) {
        return need;
    }
    if let (Some(rate), Some(estimate)) = (terms.rate, terms.estimate) {
        need.microusd = rate.cost(&estimate);
    }
    let prices = &caller.who.snapshot.prices;
    for target in course.targets() {
        let estimate = estimated(&target, cargo);
        let rate = Rate::of(prices, target.manifest, target.model);
        need.tokens = need.tokens.max(estimate.total());
        need.microusd = need
            .microusd
            .max(rate.map_or(0, |rate| rate.cost(&estimate)));
    }
    need
}

/// What a request may use at a target.
fn estimated<H: Host>(target: &Target<'_>, cargo: &Cargo<'_, H>) -> Tokens {
    match cargo.payload {
        Some(payload) if target.way != Way::Count => {
            let size = cargo
                .size
                .get()
                .unwrap_or_else(|| Size::read(cargo.request.call.surface, payload.as_ref()));
            cargo.size.set(Some(size));
            size.at(target.manifest, target.model)
        }
        _ => Tokens::default(),
    }
}

/// Whether a call leaves nothing at the provider and takes nothing from there that others with the same key could reach.
fn is_stateless<H: Host>(cargo: &Cargo<'_, H>) -> bool {
    let call = cargo.request.call;
    match call.surface {
        Surface::Files | Surface::Batches => false,
        Surface::Responses => call.body != BodyKind::None,
        _ => true,
    }
}

/// What a batch will use is written in a file at the provider.
fn uncountable(target: &Target<'_>) -> Refusal {
    Refusal::new(
        Code::UNSUPPORTED_FEATURE,
        "What a batch uses is not known here, and this gateway key has a limit of tokens or a budget.",
    )
    .provider(target.manifest.slug)
    .remedy("Use a gateway key without such a limit.")
}

/// The platform's account is shared by all workspaces.
fn keeps_state(target: &Target<'_>) -> Refusal {
    let manifest = target.manifest;
    let mut refusal = Refusal::new(
        Code::UNSUPPORTED_FEATURE,
        format!(
            "Files, batches and stored responses of {} are not served with the platform's key: every workspace could reach them.",
            manifest.title
        ),
    )
    .provider(manifest.slug)
    .remedy("Add a provider key of the workspace's own, or point the route at another provider.");
    refusal.route = target.route.map(str::to_owned);
    refusal
}

/// The terms of a try with this key.
///
/// # Errors
/// What the model costs has to be known, and is not.
pub(crate) async fn terms<H: Host>(
    host: &H,
    settings: &Settings,
    caller: &Caller,
    target: &Target<'_>,
    credential: &Credential,
    cargo: &Cargo<'_, H>,
    within_ms: Option<u64>,
) -> Result<Terms, Refusal> {
    if credential.managed && !is_stateless(cargo) {
        return Err(keeps_state(target));
    }
    let rate = if credential.managed {
        let platform = admission::platform(host, settings, Freshness::Leased).await?;
        Rate::of(&platform.prices, target.manifest, target.model)
    } else {
        Rate::of(&caller.who.snapshot.prices, target.manifest, target.model)
    };
    let within = within_ms.map(Duration::from_millis);
    let longest = settings.provider_timeout;
    let within = within.map_or(longest, |ms| ms.min(longest));
    let exact = credential.managed || metered(caller);
    let paid = credential.managed || caller.who.identity.budget.is_some();
    // To read or remove what is there uses nothing.
    let free =
        target.way == Way::Count || matches!(cargo.request.method, Method::GET | Method::DELETE);
    let nothing = Rate {
        input: 0,
        cached_input: 0,
        output: 0,
    };
    if exact && !free && cargo.request.call.surface == Surface::Batches {
        return Err(uncountable(target));
    }
    match rate {
        None if paid && !free => Err(lockgate_routing::unpriced(target)),
        None if paid => Ok(Terms {
            rate: Some(nothing),
            estimate: Some(Tokens::default()),
            within,
        }),
        rate => Ok(Terms {
            rate,
            estimate: exact.then(|| estimated(target, cargo)),
            within,
        }),
    }
}

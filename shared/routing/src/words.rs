//! Decisions in words (FEATURES D1): what uses which provider, what is missing, and two ways out.
//!
//! An application's developer reads these. That they name agents, roles, provider keys and tags is meant: whoever holds
//! the gateway key has to be able to say to whoever runs the gateway what to change. None of it is a secret, and no
//! secret is known here.

use lockgate_access::{Effect, Explanation, TagRow};
use lockgate_providers::Manifest;
use lockgate_refusal::{Code, Refusal, shown};
use serde_json::json;

use crate::ready::{Hold, MANAGED, NotReady, PassedOver, Ready, Reason};
use crate::{Caller, Target};

/// Tags that one message sets side by side.
const MAX_ROWS: usize = 5;

/// The refusal of the data plane. What it says of policy, it says in `lockgate.statements` and `lockgate.tags` too.
#[must_use]
pub fn refusal(caller: &Caller, target: &Target<'_>, not_ready: &NotReady<'_>) -> Refusal {
    let words = Words {
        caller,
        target,
        not_ready,
    };
    let NotReady { reason, hold, .. } = *not_ready;
    let slug = target.manifest.slug;
    let explanation = reason.denies().then(|| not_ready.explain(caller, target));
    let (what, way, other) = words.of(explanation.as_ref());
    let code = match reason {
        _ if reason.denies() => Code::ACCESS_DENIED,
        Reason::MissingProviderKey if matches!(hold, Hold::Pinned(_)) => {
            Code::PROVIDER_KEY_PINNED_MISSING
        }
        _ => Code::PROVIDER_NOT_READY,
    };
    let mut refusal = Refusal::new(code, format!("{}, but {what}.", uses(target)))
        .remedy(format!("{way}, or {other}."))
        .provider(slug)
        .reason(reason.word())
        .detail("agent", caller.identity.agent.as_str().into());
    refusal.route = target.route.map(str::to_owned);
    let Some(explanation) = explanation else {
        return refusal;
    };
    let statements = explanation
        .statements
        .iter()
        .map(|note| json!({"role": note.role, "because": note.because}))
        .collect();
    let rows = serde_json::to_value(&explanation.tags).unwrap_or_default();
    refusal
        .detail("statements", statements)
        .detail("tags", rows)
}

/// What the model costs has to be known, since a budget or the wallet pays for it, and is not.
#[must_use]
pub fn unpriced(target: &Target<'_>) -> Refusal {
    let Manifest { title, slug, .. } = target.manifest;
    let what = if target.model.is_empty() {
        "calls of this kind".to_owned()
    } else {
        format!("model `{}`", shown(target.model))
    };
    let message = format!(
        "What {what} of {title} costs is not known, and this request is paid for out of a budget or wallet."
    );
    let mut refusal = Refusal::new(Code::PRICE_UNKNOWN, message)
        .provider(slug)
        .remedy(format!(
            "Set its price with PUT /api/prices/{slug}/{{model}}, or use a model whose price is known."
        ));
    refusal.route = target.route.map(str::to_owned);
    refusal
}

/// What is decided where a key pays: as a sentence, and the next step.
#[must_use]
pub fn readiness(caller: &Caller, target: &Target<'_>, ready: &Ready<'_>) -> (String, String) {
    let agent = &caller.identity.agent;
    let may = if caller.enforced() {
        format!("which a role lets agent `{agent}` use")
    } else {
        format!("which agent `{agent}` may use, as access to this workspace's keys is open")
    };
    let (uses, key) = (uses(target), &ready.key.name);
    if ready.managed {
        (
            format!("{uses} with the platform's key `{key}`, for which the wallet pays and {may}."),
            "Nothing is missing, if the wallet has what the request may cost: send it.".to_owned(),
        )
    } else {
        (
            format!("{uses} with provider key `{key}`, {may}."),
            "Nothing is missing: send the request.".to_owned(),
        )
    }
}

/// What the answers to a caller warn of: a soft pin that was passed over, and what the configuration in play asks for
/// in vain.
#[must_use]
pub fn warnings(caller: &Caller, ready: &Ready<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(PassedOver { pin, reason }) = ready.passed_over {
        let state = match reason {
            Reason::Inactive => "disabled",
            _ => "gone",
        };
        warnings.push(format!(
            "agent `{}` is pinned to {} key `{}`, which is {state}: `{}` is used",
            caller.identity.agent, pin.provider, pin.name, ready.key.name
        ));
    }
    if let (Some(live), Some(plan)) = (caller.configuration(), caller.plan())
        && !plan.unenforced.is_empty()
    {
        warnings.push(format!(
            "configuration `{}` asks for what this version does not do: {}",
            live.name,
            plan.unenforced.join(", ")
        ));
    }
    warnings
}

/// Such as “Route `policy-review` uses Anthropic”.
fn uses(target: &Target<'_>) -> String {
    let title = target.manifest.title;
    match target.route {
        Some(route) => format!("Route `{route}` uses {title}"),
        None if target.model.is_empty() => format!("The call uses {title}"),
        None => format!("Model `{}` uses {title}", shown(target.model)),
    }
}

struct Words<'a> {
    caller: &'a Caller,
    target: &'a Target<'a>,
    not_ready: &'a NotReady<'a>,
}

impl Words<'_> {
    /// What is missing, and two ways out; sentences without their ends.
    fn of(&self, explanation: Option<&Explanation>) -> (String, String, String) {
        let title = self.target.manifest.title;
        let agent = &self.caller.identity.agent;
        match self.not_ready.reason {
            Reason::Inactive => self.inactive(),
            Reason::NoRoleAttached => (
                format!(
                    "agent `{agent}` has no role, and only roles let an agent use provider keys"
                ),
                format!("Attach one to it that allows `{}`", self.resource()),
                "use the gateway key of an agent that has one".to_owned(),
            ),
            Reason::DeniedByPolicy => self.denied(explanation),
            Reason::TagMismatch => (
                format!(
                    "the conditions on tags under which agent `{agent}` may use {} do not hold{}",
                    self.what_key(),
                    explanation.map_or_else(String::new, |e| self.side_by_side(&e.tags))
                ),
                match self.not_ready.hold {
                    Hold::Managed => format!(
                        "Allow `{}` without conditions on its tags, of which it has none",
                        self.resource()
                    ),
                    _ => "Make the tags agree".to_owned(),
                },
                self.elsewhere(),
            ),
            Reason::Seeded => (
                format!(
                    "this workspace only lists {title}: it has no {title} key yet that agent `{agent}` may use"
                ),
                "Add one under Provider keys".to_owned(),
                self.elsewhere(),
            ),
            Reason::MissingProviderKey => self.missing(),
        }
    }

    fn inactive(&self) -> (String, String, String) {
        let title = self.target.manifest.title;
        let name = self.not_ready.key.map_or("", |key| key.name.as_str());
        let agent = &self.caller.identity.agent;
        match self.not_ready.hold {
            Hold::Pinned(_) => (
                format!("agent `{agent}` is pinned to provider key `{name}`, which is disabled"),
                "Enable it under Provider keys".to_owned(),
                "pin the agent to another key".to_owned(),
            ),
            Hold::Named(_) => (
                format!(
                    "its target lets agent `{agent}` use provider key `{name}` only, which is disabled"
                ),
                "Enable it under Provider keys".to_owned(),
                "let the target name another key".to_owned(),
            ),
            Hold::Free | Hold::Managed => (
                format!(
                    "every {title} key of this workspace is disabled, `{name}` among them, so that agent `{agent}` has none"
                ),
                "Enable one under Provider keys".to_owned(),
                self.elsewhere(),
            ),
        }
    }

    fn denied(&self, explanation: Option<&Explanation>) -> (String, String, String) {
        let agent = &self.caller.identity.agent;
        let title = self.target.manifest.title;
        let denies = explanation.and_then(|explanation| {
            let mut notes = explanation.statements.iter();
            notes.find(|note| note.applied && note.effect == Effect::Deny)
        });
        match denies {
            Some(note) => (
                format!(
                    "`statements[{}]` of role `{}` denies agent `{agent}` {}",
                    note.statement,
                    note.role,
                    self.what_key()
                ),
                format!("Change that statement of role `{}`", note.role),
                self.elsewhere(),
            ),
            None => (
                format!(
                    "no role of agent `{agent}` lets it use {}{}",
                    match self.not_ready.hold {
                        Hold::Free => format!("any {title} key"),
                        _ => self.what_key(),
                    },
                    match self.target.judged() {
                        Some(_) => " for this model",
                        None if self.target.further_models =>
                            " for whatever the request lists in `models`",
                        None => " in a call that names no model",
                    }
                ),
                format!(
                    "Add a statement that allows `{}` to a role of the agent",
                    self.resource()
                ),
                self.elsewhere(),
            ),
        }
    }

    fn missing(&self) -> (String, String, String) {
        let title = self.target.manifest.title;
        let agent = &self.caller.identity.agent;
        match self.not_ready.hold {
            Hold::Free => (
                format!("this workspace has no {title} key that agent `{agent}` may use"),
                "Add one under Provider keys".to_owned(),
                self.elsewhere(),
            ),
            Hold::Named(named) => (
                format!(
                    "its target lets agent `{agent}` use {title} key `{named}` only, and this workspace has none of that name"
                ),
                "Add it under Provider keys".to_owned(),
                "let the target name another key".to_owned(),
            ),
            Hold::Pinned(pin) => (
                format!(
                    "agent `{agent}` is pinned to {title} key `{}`, which is gone",
                    pin.name
                ),
                "Pin the agent to another key".to_owned(),
                "make the pin soft, so that the provider's default key serves instead".to_owned(),
            ),
            Hold::Managed => (
                format!(
                    "its target is to be paid for by the platform, which has no {title} key that agent `{agent}` may use"
                ),
                "Set `credential: byok` on the target and add your own key under Provider keys"
                    .to_owned(),
                self.elsewhere(),
            ),
        }
    }

    /// The key that it is about, else any of the provider's.
    fn what_key(&self) -> String {
        let title = self.target.manifest.title;
        match (self.not_ready.key, self.not_ready.hold) {
            (Some(key), _) => format!("provider key `{}`", key.name),
            (None, Hold::Pinned(pin)) => {
                format!("{title} key `{}`, to which it is pinned", pin.name)
            }
            (None, Hold::Named(named)) => format!("{title} key `{named}`"),
            (None, Hold::Managed) => format!("the platform's {title} key (`{}`)", self.resource()),
            (None, _) => format!("any {title} key"),
        }
    }

    /// What a statement would have to allow.
    fn resource(&self) -> String {
        let slug = self.target.manifest.slug;
        match self.not_ready.hold {
            Hold::Managed => format!("{slug}/{MANAGED}"),
            _ => format!("{slug}/*"),
        }
    }

    /// The way out that leaves the provider.
    fn elsewhere(&self) -> String {
        match self.target.route {
            Some(_) => "point the route at another provider",
            None if self.target.model.is_empty() => {
                "name another provider in the header `lockgate-provider`"
            }
            None => "name a model of another provider",
        }
        .to_owned()
    }

    /// The tags that differ, each with its values on all that is in play.
    fn side_by_side(&self, rows: &[TagRow]) -> String {
        let differing: Vec<String> = rows
            .iter()
            .filter(|row| !row.agree)
            .take(MAX_ROWS)
            .map(|row| self.row(row))
            .collect();
        if differing.is_empty() {
            return String::new();
        }
        format!(": {}", differing.join("; "))
    }

    fn row(&self, row: &TagRow) -> String {
        let value = |value: &Option<String>| match value {
            Some(value) => format!("`{}`", shown(value)),
            None => "without it".to_owned(),
        };
        let mut sides = vec![format!("agent {}", value(&row.agent))];
        if self.caller.identity.gateway_tags.is_some() {
            sides.push(format!("gateway {}", value(&row.gateway)));
        }
        if self.caller.configuration().is_some() {
            sides.push(format!("configuration {}", value(&row.configuration)));
        }
        if let Some(key) = self.not_ready.key {
            sides.push(format!(
                "provider key `{}` {}",
                key.name,
                value(&row.provider_key)
            ));
        } else if self.not_ready.hold == Hold::Managed {
            sides.push(format!("the platform's key {}", value(&row.provider_key)));
        }
        format!("`{}`: {}", row.key, sides.join(", "))
    }
}

//! Callers and workspaces for the tests.

use std::rc::Rc;
use std::sync::Arc;

use lockgate_access::{Role, Tags};
use lockgate_refusal::Refusal;
use lockgate_routing::{Caller, Names, NotReady, Ready, Target, Wanted};
use lockgate_workspace::plan::{CredentialKind, Plan, PlanTarget, Route, RouteTarget};
use lockgate_workspace::resource::{Access, Health, Pin, PinMode};
use lockgate_workspace::snapshot::{Identity, KeyPointer, Live, SealedPointer, Snapshot};
use serde_json::Value;

/// Who asks and what there is, before a [`Caller`] is made of it.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) identity: Identity,
    pub(crate) snapshot: Snapshot,
}

impl World {
    /// An agent without roles in a workspace without anything.
    pub(crate) fn empty() -> Self {
        Self {
            identity: Identity {
                budget: Default::default(),
                limits: Default::default(),
                gateway_key: "gk_1".into(),
                name: "app".into(),
                agent: "reviewer".into(),
                agent_id: "agent_1".into(),
                agent_tags: Tags::new(),
                roles: Vec::new(),
                pins: Vec::new(),
                gateway: None,
                gateway_tags: None,
                configuration: None,
                team: None,
            },
            snapshot: Snapshot {
                prices: Default::default(),
                version: 1,
                workspace: "ws_1".into(),
                name: "acme".into(),
                access: Access::Enforced,
                keys: Vec::new(),
                roles: Vec::new(),
                seeded: Vec::new(),
                configurations: Vec::new(),
                default_configuration: None,
            },
        }
    }

    /// The same with a key.
    pub(crate) fn key(mut self, key: KeyPointer) -> Self {
        self.snapshot.keys.push(Arc::new(key));
        self
    }

    /// The same with a role attached to the agent.
    pub(crate) fn role(mut self, name: &str, statements: &Value) -> Self {
        let role = Role {
            id: format!("role_{name}"),
            name: name.into(),
            statements: lockgate_access::read(&statements.to_string()).unwrap(),
        };
        self.identity.roles.push(role.id.clone());
        self.snapshot.roles.push(Arc::new(role));
        self
    }

    /// The same with a pin to `pk_<name>`.
    pub(crate) fn pin(mut self, provider: &str, name: &str, mode: PinMode) -> Self {
        self.identity.pins.push(Pin {
            provider: provider.into(),
            provider_key: format!("pk_{name}"),
            name: name.into(),
            mode,
        });
        self
    }

    /// The same under a configuration with this plan.
    pub(crate) fn plan(mut self, plan: Plan) -> Self {
        self.identity.configuration = Some("cfg_1".into());
        self.snapshot.configurations.push(Arc::new(Live {
            id: "cfg_1".into(),
            name: "support".into(),
            tags: Tags::new(),
            plan: Some(plan),
        }));
        self
    }

    pub(crate) fn caller(self) -> Caller {
        Caller::new(self.identity, Rc::new(self.snapshot))
    }
}

/// `pk_<name>`, enabled, with a secret, and not the default.
pub(crate) fn key(provider: &str, name: &str) -> KeyPointer {
    KeyPointer {
        id: format!("pk_{name}"),
        provider: provider.into(),
        name: name.into(),
        enabled: true,
        default: false,
        base_url: None,
        options: Default::default(),
        tags: Tags::new(),
        health: Health::Ok,
        sealed: Some(SealedPointer {
            version: 1,
            entry: String::new(),
            wrapped: String::new(),
            kek: "kek_1".into(),
        }),
    }
}

pub(crate) fn tags(pairs: &[(&str, &str)]) -> Tags {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

/// A target that any key of the provider will do for.
pub(crate) fn planned(provider: &str, model: Option<&str>) -> PlanTarget {
    PlanTarget {
        id: format!("{provider}-target"),
        provider: provider.into(),
        model: model.map(str::to_owned),
        credential: CredentialKind::Any,
        provider_key: None,
    }
}

/// A route to targets with their priorities and weights.
pub(crate) fn route(name: &str, models: &[&str], targets: &[(usize, u32, u32)]) -> Route {
    let place = |(target, priority, weight): &(usize, u32, u32)| RouteTarget {
        target: *target,
        priority: *priority,
        weight: *weight,
    };
    Route {
        fallback: Default::default(),
        name: name.into(),
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        task: None,
        allow_providers: None,
        targets: targets.iter().map(place).collect(),
    }
}

/// A request that names a model.
pub(crate) fn asks(model: &str) -> Wanted<'_> {
    Wanted {
        model: Some(model),
        route: None,
        provider: None,
        names: Names::Always,
        surface: None,
    }
}

/// The target of a request that has one.
pub(crate) fn targeted<'a>(caller: &'a Caller, wanted: &Wanted<'a>) -> Target<'a> {
    target(caller, wanted).unwrap()
}

/// The key that pays, where one that is labelled invalid counts as rejected.
pub(crate) fn ready<'a>(
    caller: &'a Caller,
    target: &Target<'a>,
) -> Result<Ready<'a>, NotReady<'a>> {
    lockgate_routing::ready(caller, target, |key| key.health == Health::Invalid)
}

/// The same with an entry of OpenAI that waits for its first key.
pub(crate) fn seeded(mut world: World) -> World {
    world.snapshot.seeded.push("openai".into());
    world
}

/// Where a request goes first.
pub(crate) fn target<'a>(caller: &'a Caller, wanted: &Wanted<'a>) -> Result<Target<'a>, Refusal> {
    let course = lockgate_routing::course(caller, wanted)?;
    Ok(course.choices().next().unwrap().target)
}

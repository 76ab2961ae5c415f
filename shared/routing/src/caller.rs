//! Who asks, what is known of the workspace, and what follows from both: worked out once, and good for as long as
//! neither changes.

use std::rc::Rc;
use std::sync::Arc;

use lockgate_access::{Circumstances, Explanation, KeyFacts, Policy};
use lockgate_providers::find;
use lockgate_workspace::plan::Plan;
use lockgate_workspace::resource::Access;
use lockgate_workspace::snapshot::{Identity, KeyPointer, Live, Snapshot};

/// A caller of the data plane, or somebody whom Simulate puts in its place.
#[derive(Debug)]
pub struct Caller {
    /// Who it is.
    pub identity: Identity,
    /// What is known of its workspace.
    pub snapshot: Rc<Snapshot>,
    /// Slugs of the providers with an enabled key.
    pub(crate) providers: Vec<&'static str>,
    /// What its agent's roles say of the snapshot's keys, by their places.
    pub(crate) policy: Policy,
    configuration: Option<Arc<Live>>,
}

impl Caller {
    /// Works out what follows.
    #[must_use]
    pub fn new(identity: Identity, snapshot: Rc<Snapshot>) -> Self {
        let configuration = snapshot.configuration(&identity).cloned();
        let policy = match snapshot.access {
            Access::Open => Policy::open(snapshot.keys.len()),
            Access::Enforced => {
                let keys: Vec<KeyFacts<'_>> = snapshot.keys.iter().map(|key| facts(key)).collect();
                let circumstances = circumstances(&identity, configuration.as_deref());
                Policy::new(snapshot.attached(&identity), &circumstances, &keys)
            }
        };
        let slugs = snapshot.providers();
        let manifests = slugs.into_iter().filter_map(find);
        let providers = manifests.map(|manifest| manifest.slug).collect();
        Self {
            providers,
            policy,
            configuration,
            identity,
            snapshot,
        }
    }

    /// Whether this is what would be worked out for these.
    #[must_use]
    pub fn is_for(&self, identity: &Identity, snapshot: &Rc<Snapshot>) -> bool {
        Rc::ptr_eq(&self.snapshot, snapshot) && self.identity == *identity
    }

    /// The configuration in play.
    #[must_use]
    pub fn configuration(&self) -> Option<&Live> {
        self.configuration.as_deref()
    }

    /// What the configuration in play says, once a version of it is live.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        self.configuration()?.plan.as_ref()
    }

    /// Whether roles are looked at.
    pub(crate) fn enforced(&self) -> bool {
        self.snapshot.access == Access::Enforced
    }

    pub(crate) fn circumstances(&self) -> Circumstances<'_> {
        circumstances(&self.identity, self.configuration())
    }

    /// Why the agent's roles let it use `key` for `model` ([`Target::judged`](crate::Target::judged)), or why not; without a key, any that `provider` might have.
    /// Where roles are not looked at, there is nothing to say.
    #[must_use]
    pub fn explain(
        &self,
        model: Option<&str>,
        provider: &str,
        key: Option<&KeyPointer>,
    ) -> Explanation {
        self.explained(model, provider, key.map(facts).as_ref())
    }

    pub(crate) fn explained(
        &self,
        model: Option<&str>,
        provider: &str,
        key: Option<&KeyFacts<'_>>,
    ) -> Explanation {
        if !self.enforced() {
            return Explanation {
                statements: Vec::new(),
                tags: Vec::new(),
            };
        }
        lockgate_access::explain(
            self.snapshot.attached(&self.identity),
            &self.circumstances(),
            model,
            provider,
            key,
        )
    }
}

pub(crate) fn facts(key: &KeyPointer) -> KeyFacts<'_> {
    KeyFacts {
        id: &key.id,
        provider: &key.provider,
        name: &key.name,
        tags: &key.tags,
    }
}

fn circumstances<'a>(identity: &'a Identity, configuration: Option<&'a Live>) -> Circumstances<'a> {
    Circumstances {
        agent: &identity.agent_tags,
        gateway: identity.gateway_tags.as_ref(),
        configuration: configuration.map(|live| &live.tags),
    }
}

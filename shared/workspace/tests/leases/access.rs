//! What access is decided by, in a simulated world: an agent's roles and tags, what roles say, a configuration's plan.
//!
//! Each write leaves the revision that it made in what it writes, so that whoever is served can tell how old it is.

use std::collections::BTreeMap;
use std::rc::Rc;

use lockgate_workspace::plan::{CredentialKind, Plan, PlanTarget};
use lockgate_workspace::question::{Declared, Kind, Question, Reply, Resource};
use lockgate_workspace::resource::{
    Agent, Configuration, Draft, ManagedBy, Role, Statement, Timestamp, read_statements,
};
use lockgate_workspace::tags::Tags;

use super::isolate::View;
use super::states::{Sim, revision_in};

/// The roles there are. Which of them are attached to the agent spells a revision in binary.
const ROLES: [&str; 6] = ["role_0", "role_1", "role_2", "role_3", "role_4", "role_5"];
const CONFIGURATION: &str = "cfg_0";

/// What has been acknowledged.
#[derive(Clone, Default)]
pub(crate) struct AccessFacts {
    /// Of the agent's name.
    name: u64,
    /// Of the agent's tags.
    tags: u64,
    /// Of the list of the agent's roles.
    attached: u64,
    /// Of what each role says.
    roles: BTreeMap<String, u64>,
    /// Of the configuration.
    version: u64,
}

/// Tags of a revision.
pub(crate) fn tags(revision: u64) -> Tags {
    BTreeMap::from([("revision".to_owned(), revision.to_string())])
}

/// The revision in tags; 0 where there is none.
pub(crate) fn revision_of(tags: &Tags) -> u64 {
    tags.get("revision").map_or(0, |text| text.parse().unwrap())
}

fn attached(revision: u64) -> Vec<String> {
    let bit = |at: &usize| revision >> at & 1 == 1;
    let bits = (0..ROLES.len()).filter(bit);
    bits.map(|at| ROLES[at].to_owned()).collect()
}

fn statements(revision: u64) -> Vec<Statement> {
    let json = format!(
        r#"[{{"effect":"allow","actions":["provider-key:use"],"resources":["openai/key.{revision}"]}}]"#
    );
    read_statements(&json).unwrap()
}

fn plan(version: u64) -> Plan {
    Plan {
        targets: vec![PlanTarget {
            id: format!("target.{version}"),
            provider: "openai".into(),
            model: None,
            credential: CredentialKind::Byok,
            provider_key: None,
        }],
        ..Plan::default()
    }
}

/// What makes the store that worlds begin with: the agent that all gateway keys are for, roles, and a configuration
/// that is made the workspace's default with [`CONFIGURATION`].
pub(crate) fn template() -> Vec<Question> {
    let role = |id: &&str| {
        Question::CreateRole(Role {
            id: (*id).into(),
            name: (*id).into(),
            statements: statements(1),
            managed_by: ManagedBy::Manual,
            created_at: Timestamp(0),
            revision: 0,
        })
    };
    let mut questions: Vec<Question> = ROLES.iter().map(role).collect();
    questions.push(Question::CreateAgent(Agent {
        id: "agent_0".into(),
        name: "agent.1".into(),
        tags: tags(1),
        roles: attached(1),
        pins: Vec::new(),
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(0),
        revision: 0,
    }));
    questions.push(Question::CreateConfiguration(Configuration {
        id: CONFIGURATION.into(),
        name: "configuration".into(),
        tags: BTreeMap::new(),
        version: 0,
        document: None,
        draft: None::<Draft>,
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(0),
        applied_at: None,
        revision: 0,
    }));
    questions.push(apply(1, 0));
    questions
}

/// The id of the workspace's default configuration.
pub(crate) fn default_configuration() -> String {
    CONFIGURATION.into()
}

fn apply(expect: u64, live: u64) -> Question {
    Question::ApplyConfiguration {
        id: CONFIGURATION.into(),
        expect,
        expected_version: live,
        document: "document".into(),
        plan: plan(live + 1),
        declared: Declared::default(),
        restores: None,
    }
}

impl AccessFacts {
    /// What holds in [`template`].
    pub(crate) fn begin() -> Self {
        Self {
            name: 1,
            tags: 1,
            attached: 1,
            roles: ROLES.map(|id| (id.to_owned(), 1)).into(),
            version: 1,
        }
    }

    /// Holds what a request used against what had been acknowledged.
    pub(crate) fn check(&self, view: &View, at_least: &dyn Fn(&str, u64, u64)) {
        let (identity, snapshot) = (&view.identity, &view.snapshot);
        at_least("agent", revision_in(&identity.agent), self.name);
        at_least("its tags", revision_of(&identity.agent_tags), self.tags);
        let bits = identity.roles.iter().map(|id| {
            let at = ROLES.iter().position(|role| role == id).unwrap();
            1 << at
        });
        at_least("its roles", bits.sum(), self.attached);
        for (id, acknowledged) in &self.roles {
            let role = snapshot.roles.iter().find(|role| role.id == *id);
            let says = role.map_or(0, |role| revision_in(&role.statements[0].resources[0]));
            at_least(id, says, *acknowledged);
        }
        let live = snapshot.configuration(identity);
        let plan = live.and_then(|live| live.plan.as_ref());
        let version = plan.map_or(0, |plan| revision_in(&plan.targets[0].id));
        at_least("configuration", version, self.version);
    }
}

impl Sim {
    fn learn_access(&self, change: impl FnOnce(&mut AccessFacts)) {
        self.learn(|facts| change(&mut facts.access));
    }

    async fn found(&self, writer: usize, kind: Kind, id: &str) -> Option<Resource> {
        match self.ask(writer, Question::Get(kind, id.into())).await {
            Ok(Reply::Resource(resource)) => Some(*resource),
            _ => None,
        }
    }

    /// The agent's name, its tags, or which roles it has.
    pub(crate) async fn patch_agent(self: &Rc<Self>, writer: usize) {
        let Some(Resource::Agent(agent)) = self.found(writer, Kind::Agent, "agent_0").await else {
            return;
        };
        let revision = agent.revision + 1;
        let what = self.world.rng().below(4);
        let question = Question::PatchAgent {
            reference: agent.id,
            expect: Some(agent.revision),
            name: (what == 0).then(|| format!("agent.{revision}")),
            tags: (what == 1).then(|| tags(revision)),
            roles: (what > 1).then(|| attached(revision)),
            pins: None,
            managed_by: None,
        };
        self.change(writer, question, |sim, _| {
            sim.learn_access(|facts| {
                let known = match what {
                    0 => &mut facts.name,
                    1 => &mut facts.tags,
                    _ => &mut facts.attached,
                };
                *known = revision.max(*known);
            });
        })
        .await;
    }

    /// What a role says.
    pub(crate) async fn patch_role(self: &Rc<Self>, writer: usize) {
        let id = *self.world.rng().pick(&ROLES);
        let Some(Resource::Role(role)) = self.found(writer, Kind::Role, id).await else {
            return;
        };
        let revision = role.revision + 1;
        let question = Question::PatchRole {
            reference: id.into(),
            expect: Some(role.revision),
            name: None,
            statements: Some(statements(revision)),
            managed_by: None,
        };
        self.change(writer, question, |sim, _| {
            sim.learn_access(|facts| {
                let known = facts.roles.entry(id.into()).or_default();
                *known = revision.max(*known);
            });
        })
        .await;
    }

    /// The next version of the configuration.
    pub(crate) async fn apply(self: &Rc<Self>, writer: usize) {
        let found = self.found(writer, Kind::Configuration, CONFIGURATION).await;
        let Some(Resource::Configuration(found)) = found else {
            return;
        };
        let question = apply(found.revision, found.version);
        self.change(writer, question, |sim, _| {
            sim.learn_access(|facts| facts.version = facts.version.max(found.version + 1));
        })
        .await;
    }
}

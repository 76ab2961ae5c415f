//! Roles, agents and gateways that documents declare.

use super::*;

fn role(name: &str, glob: &str) -> Role {
    let json =
        format!(r#"[{{"effect":"allow","actions":["provider-key:use"],"resources":["{glob}"]}}]"#);
    Role {
        id: format!("role_{name}"),
        name: name.into(),
        statements: lockgate_access::read(&json).unwrap(),
        managed_by: ManagedBy::Declarative,
        created_at: Timestamp(START),
        revision: 1,
    }
}

fn gateway(name: &str, tag: &str) -> Gateway {
    Gateway {
        id: format!("gw_{name}"),
        name: name.into(),
        tags: tags(&[("environment", tag)]),
        managed_by: ManagedBy::Declarative,
        created_at: Timestamp(START),
        revision: 1,
    }
}

/// One of each kind.
fn all() -> Declared {
    Declared {
        roles: vec![role("dev", "openai/*")],
        agents: vec![agent("bot", &["dev"])],
        gateways: vec![gateway("web", "staging")],
    }
}

impl Store {
    fn of(&self, kind: Kind, reference: &str) -> Resource {
        match self.ask(Question::Get(kind, reference.into())).unwrap() {
            Reply::Resource(resource) => *resource,
            other => panic!("{other:?}"),
        }
    }

    fn role(&self, reference: &str) -> Role {
        match self.of(Kind::Role, reference) {
            Resource::Role(role) => role,
            other => panic!("{other:?}"),
        }
    }

    fn agent(&self, reference: &str) -> Agent {
        match self.of(Kind::Agent, reference) {
            Resource::Agent(agent) => agent,
            other => panic!("{other:?}"),
        }
    }

    fn gateway(&self, reference: &str) -> Gateway {
        match self.of(Kind::Gateway, reference) {
            Resource::Gateway(gateway) => gateway,
            other => panic!("{other:?}"),
        }
    }

    /// Writes a draft and applies it.
    fn declare(&self, name: &str, declared: Declared) -> Result<Configuration, Denial> {
        self.put_draft(name, "document");
        self.apply(name, declared)
    }
}

#[test]
fn what_is_new_is_made_and_managed_declaratively() {
    let store = Store::with_draft();
    store.apply("main", all()).unwrap();
    let bot = store.agent("bot");
    assert_eq!(
        (&*bot.id, &*bot.roles),
        ("agent_bot", &["role_dev".to_owned()][..])
    );
    assert_eq!(bot.managed_by, ManagedBy::Declarative);
    assert_eq!(store.role("dev").managed_by, ManagedBy::Declarative);
    assert_eq!(store.gateway("web").tags["environment"], "staging");
    assert!(store.snapshot().roles.iter().any(|role| role.name == "dev"));
    let edit = Question::PatchGateway {
        reference: "web".into(),
        expect: None,
        name: None,
        tags: Some(Tags::new()),
        managed_by: None,
    };
    assert!(matches!(store.ask(edit), Err(Denial::Declarative { .. })));
    assert!(matches!(
        store.delete(Kind::Agent, "bot"),
        Err(Denial::Declarative { .. })
    ));
}

#[test]
fn what_is_there_is_taken_over_with_its_id_and_changed() {
    let store = Store::with_draft();
    let own = Agent {
        id: "agent_own".into(),
        ..agent("bot", &[])
    };
    store.ask(Question::CreateAgent(own)).unwrap();
    store.apply("main", all()).unwrap();
    let bot = store.agent("bot");
    assert_eq!(
        (&*bot.id, &*bot.roles),
        ("agent_own", &["role_dev".to_owned()][..])
    );
    assert_eq!(bot.managed_by, ManagedBy::Declarative);

    let mut next = all();
    next.roles = vec![Role {
        id: "role_unused".into(),
        ..role("dev", "anthropic/*")
    }];
    next.gateways = vec![gateway("web", "production")];
    let (kept, before) = (store.agent("bot"), store.snapshot().version);
    store.declare("main", next).unwrap();
    let dev = store.role("dev");
    assert_eq!(
        (&*dev.id, &*dev.statements[0].resources),
        ("role_dev", &["anthropic/*".to_owned()][..])
    );
    assert_eq!(store.gateway("web").tags["environment"], "production");
    assert!(store.snapshot().version > before);
    // What says the same again does not change.
    assert_eq!(store.agent("bot"), kept);
}

#[test]
fn what_is_no_longer_declared_is_managed_by_hand_again() {
    let store = Store::with_draft();
    store.apply("main", all()).unwrap();
    let mut less = all();
    less.gateways.clear();
    store.declare("main", less).unwrap();
    let web = store.gateway("web");
    assert_eq!(
        (web.managed_by, &*web.tags["environment"]),
        (ManagedBy::Manual, "staging")
    );
    assert_eq!(store.agent("bot").managed_by, ManagedBy::Declarative);
    store.delete(Kind::Gateway, "web").unwrap();
    store.delete(Kind::Configuration, "main").unwrap();
    assert_eq!(store.agent("bot").managed_by, ManagedBy::Manual);
    assert_eq!(store.role("dev").managed_by, ManagedBy::Manual);
}

#[test]
fn what_another_configuration_declares_is_not_taken_from_it() {
    let store = Store::with_draft();
    store.apply("main", all()).unwrap();
    store.create("other", "x");
    let denied = store.apply("other", all()).unwrap_err();
    let wanted = "the role “dev” is declared by the configuration “main”: take it out of one of the two documents";
    assert_eq!(denied, Denial::InUse(wanted.into()));
    assert_eq!(store.get("other").version, 0, "nothing of it was applied");
    store.declare("main", Declared::default()).unwrap();
    store.apply("other", all()).unwrap();
}

#[test]
fn a_role_that_is_not_there_stops_everything() {
    let store = Store::with_draft();
    let mut broken = all();
    broken.agents = vec![agent("bot", &["nobody"])];
    let denied = store.apply("main", broken).unwrap_err();
    assert_eq!(denied.to_string(), "no role “nobody” in this workspace");
    assert_eq!(store.get("main").version, 0);
    assert!(store.ask(Question::Get(Kind::Role, "dev".into())).is_err());
}

#[test]
fn a_name_does_not_stand_for_an_id() {
    let store = Store::with_draft();
    store.ask(Question::CreateAgent(agent("bot", &[]))).unwrap();
    let declared = Declared {
        agents: vec![Agent {
            id: "agent_2".into(),
            ..agent("agent_bot", &[])
        }],
        ..Declared::default()
    };
    store.apply("main", declared).unwrap();
    assert_eq!(store.agent("bot").managed_by, ManagedBy::Manual);
    assert_eq!(store.agent("agent_2").name, "agent_bot");
}

//! Roles and the agents they are attached to, pins, and what the data plane is told of them.

use lockgate_workspace::question::{Admission, Change, Denial, Kind, Question, Reply, Resource};
use lockgate_workspace::resource::{
    Agent, ManagedBy, Pin, PinMode, Role, Statement, Timestamp, read_statements,
};
use lockgate_workspace::snapshot::{Identity, Snapshot};

use super::{
    PatchAgent, STALE, START, Store, agent, configuration, create_caller, create_key, delete,
    delete_key, gateway, gateway_key, not_found, patch_workspace, tags, taken,
};

fn statements(resource: &str) -> Vec<Statement> {
    let json = format!(
        r#"[{{"effect":"allow","actions":["provider-key:use"],"resources":["{resource}"],
             "conditions":[{{"tags_match":["environment"]}}]}}]"#
    );
    read_statements(&json).unwrap()
}

pub(crate) fn role(id: &str, name: &str) -> Role {
    Role {
        id: id.into(),
        name: name.into(),
        statements: statements("openai/*"),
        managed_by: ManagedBy::Manual,
        created_at: Timestamp(START),
        revision: 0,
    }
}

fn patch_role(reference: &str, expect: Option<u64>, name: Option<&str>) -> Question {
    Question::PatchRole {
        reference: reference.into(),
        expect,
        name: name.map(Into::into),
        statements: None,
        managed_by: None,
    }
}

fn attach(roles: &[&str]) -> PatchAgent {
    PatchAgent {
        roles: Some(roles.iter().map(|&role| role.into()).collect()),
        ..PatchAgent::default()
    }
}

fn pin(provider: &str, provider_key: &str, mode: PinMode) -> Pin {
    Pin {
        provider: provider.into(),
        provider_key: provider_key.into(),
        name: String::new(),
        mode,
    }
}

fn pins(pins: &[Pin]) -> PatchAgent {
    PatchAgent {
        pins: Some(pins.to_vec()),
        ..PatchAgent::default()
    }
}

/// The agent `bot` with roles `reader` and `writer` there to be attached, and a gateway key.
fn ready() -> Store {
    let store = Store::with_agent();
    store.ask(create_caller("gk_1", "app")).unwrap();
    for (id, name) in [("role_1", "reader"), ("role_2", "writer")] {
        store.ask(Question::CreateRole(role(id, name))).unwrap();
    }
    store
}

fn the_agent(reply: Result<Reply, Denial>) -> Agent {
    match reply {
        Ok(Reply::Resource(one)) => match *one {
            Resource::Agent(agent) => agent,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn bot(store: &Store) -> Agent {
    the_agent(store.ask(Question::Get(Kind::Agent, "bot".into())))
}

#[test]
fn roles_are_made_changed_and_refused_for_a_reason() {
    let store = ready();
    let shown = |reference: &str| match store.ask(Question::Get(Kind::Role, reference.into())) {
        Ok(Reply::Resource(one)) => *one,
        other => panic!("{other:?}"),
    };
    let expected = Role {
        revision: 1,
        ..role("role_1", "reader")
    };
    assert_eq!(shown("reader"), Resource::Role(expected.clone()));
    let question = Question::PatchRole {
        reference: "role_1".into(),
        expect: Some(1),
        name: None,
        statements: Some(statements("mistral/*")),
        managed_by: None,
    };
    store.ask(question).unwrap();
    let expected = Role {
        statements: statements("mistral/*"),
        revision: 2,
        ..expected
    };
    assert_eq!(shown("reader"), Resource::Role(expected));

    let twice = store.ask(Question::CreateRole(role("role_3", "reader")));
    assert_eq!(twice, Err(taken("role", "reader")));
    let clash = store.ask(patch_role("writer", None, Some("reader")));
    assert_eq!(clash, Err(taken("role", "reader")));
    assert_eq!(store.ask(patch_role("writer", Some(9), None)), Err(STALE));
    assert_eq!(store.ask(delete(Kind::Role, "writer", Some(9))), Err(STALE));
    let missing = Err(not_found("role", "none"));
    assert_eq!(store.ask(patch_role("none", None, None)), missing);
    assert_eq!(store.ask(delete(Kind::Role, "none", None)), missing);
}

#[test]
fn roles_are_attached_by_id_or_name_each_once() {
    let store = ready();
    let question = attach(&["writer", "role_1", "reader", "role_2"]).of("bot");
    assert_eq!(the_agent(store.ask(question)).roles, ["role_2", "role_1"]);
    let unknown = store.ask(attach(&["reader", "none"]).of("bot"));
    assert_eq!(unknown, Err(not_found("role", "none")));
    assert_eq!(
        bot(&store).roles,
        ["role_2", "role_1"],
        "nothing is half done"
    );
    let rename = PatchAgent {
        name: Some("bot".into()),
        ..PatchAgent::default()
    };
    store.ask(rename.of("bot")).unwrap();
    assert_eq!(
        bot(&store).roles,
        ["role_2", "role_1"],
        "what is not named stays"
    );
    store.ask(attach(&[]).of("bot")).unwrap();
    assert!(bot(&store).roles.is_empty());

    let made = Agent {
        roles: vec!["writer".into()],
        ..agent("agent_2", "two")
    };
    let made = the_agent(store.ask(Question::CreateAgent(made)));
    assert_eq!((made.roles, made.revision), (vec!["role_2".to_owned()], 1));
}

#[test]
fn a_deleted_role_is_detached_from_every_agent() {
    let store = ready();
    store.ask(attach(&["reader", "writer"]).of("bot")).unwrap();
    let revision = bot(&store).revision;
    let version = store.snapshot().version;
    store.ask(delete(Kind::Role, "reader", None)).unwrap();
    let after = bot(&store);
    assert_eq!(
        (after.roles, after.revision),
        (vec!["role_2".to_owned()], revision + 1)
    );
    let snapshot = store.snapshot();
    assert!(snapshot.version > version);
    assert_eq!(snapshot.roles.len(), 1);
    // One of the same name is another role.
    store
        .ask(Question::CreateRole(role("role_9", "reader")))
        .unwrap();
    assert_eq!(bot(&store).roles, ["role_2"]);
}

#[test]
fn the_snapshot_tells_what_is_attached() {
    let store = ready();
    let told = || match store.admit("hash of app", None) {
        Admission::Granted {
            identity, snapshot, ..
        } => {
            let snapshot = snapshot.unwrap();
            let names = snapshot.attached(&identity).map(|r| r.name.clone());
            (names.collect::<Vec<_>>(), snapshot)
        }
        other => panic!("{other:?}"),
    };
    assert!(
        told().0.is_empty(),
        "a role that is not attached is nobody's"
    );
    store.ask(attach(&["writer", "reader"]).of("bot")).unwrap();
    let (names, snapshot) = told();
    assert_eq!(names, ["reader", "writer"]);
    assert_eq!(snapshot.roles[0].statements, statements("openai/*"));
    assert_eq!(snapshot.roles[0].id, "role_1");
}

#[test]
fn a_new_agent_with_a_new_role_is_served_from_a_snapshot_that_has_it() {
    let store = ready();
    let known = store.snapshot().version;
    store
        .ask(Question::CreateRole(role("role_3", "third")))
        .unwrap();
    let made = Agent {
        roles: vec!["third".into()],
        ..agent("agent_2", "two")
    };
    store.ask(Question::CreateAgent(made)).unwrap();
    let mut key = gateway_key("gk_2", "second");
    key.agent = "two".into();
    let (key, hash) = (Box::new(key), "hash of second".into());
    store.ask(Question::CreateGatewayKey { key, hash }).unwrap();
    let Admission::Granted {
        identity,
        snapshot: Some(snapshot),
        ..
    } = store.admit("hash of second", Some(known))
    else {
        panic!("the isolate goes on with what it knew");
    };
    let attached = snapshot.attached(&identity).map(|role| role.id.as_str());
    assert_eq!(attached.collect::<Vec<_>>(), ["role_3"]);
}

#[test]
fn what_is_declarative_is_handed_back_by_nothing_but_that() {
    let store = ready();
    let manage = |managed_by| PatchAgent {
        managed_by: Some(managed_by),
        ..PatchAgent::default()
    };
    store.ask(manage(ManagedBy::Declarative).of("bot")).unwrap();
    let both = PatchAgent {
        name: Some("robot".into()),
        ..manage(ManagedBy::Manual)
    };
    for refused in [
        both.of("bot"),
        manage(ManagedBy::Declarative).of("bot"),
        attach(&[]).of("bot"),
        pins(&[]).of("bot"),
        PatchAgent::default().of("bot"),
        delete(Kind::Agent, "bot", None),
    ] {
        let Err(Denial::Declarative { name, .. }) = store.ask(refused.clone()) else {
            panic!("{refused:?}");
        };
        assert_eq!(name, "bot");
    }
    store.ask(manage(ManagedBy::Manual).of("bot")).unwrap();
    store.ask(attach(&["reader"]).of("bot")).unwrap();

    let mut role = role("role_3", "declared");
    role.managed_by = ManagedBy::Declarative;
    store.ask(Question::CreateRole(role)).unwrap();
    let denial = store
        .ask(patch_role("declared", None, Some("x")))
        .unwrap_err();
    for way in [
        "/api/configurations/{id}/draft",
        "/api/configurations/{id}/apply",
        r#"{"managed_by":"manual"}"#,
    ] {
        assert!(denial.to_string().contains(way), "{denial}");
    }
}

#[test]
fn what_a_document_declares_names_its_configuration() {
    let store = ready();
    configuration(&store, "cfg_1", "prod", &["bot"]);
    let hand_back = PatchAgent {
        managed_by: Some(ManagedBy::Manual),
        ..PatchAgent::default()
    };
    for refused in [attach(&["reader"]).of("bot"), hand_back.of("bot")] {
        let Err(denial) = store.ask(refused) else {
            panic!("it was changed");
        };
        let words = denial.to_string();
        assert!(words.contains("“prod”"), "{words}");
        assert!(words.contains("/api/configurations/cfg_1/apply"), "{words}");
        assert!(!words.contains("managed_by"), "{words}");
    }
    // A role that no document declares is changed by hand all the same.
    store.ask(patch_role("reader", None, Some("x"))).unwrap();
}

#[test]
fn pins_name_the_key_of_their_provider() {
    let store = ready();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    store.ask(create_key("pk_2", "mistral", "prod")).unwrap();
    let both = [
        pin("mistral", "prod", PinMode::Hard),
        pin("openai", "pk_1", PinMode::Soft),
    ];
    let agent = the_agent(store.ask(pins(&both).of("bot")));
    let shown = |provider: &str, id: &str, mode| Pin {
        name: "prod".into(),
        ..pin(provider, id, mode)
    };
    let expected = [
        shown("mistral", "pk_2", PinMode::Hard),
        shown("openai", "pk_1", PinMode::Soft),
    ];
    assert_eq!(agent.pins, expected);
    for (wrong, kind) in [
        (pin("openai", "pk_2", PinMode::Hard), "openai key"),
        (pin("openai", "none", PinMode::Hard), "openai key"),
        (pin("gemini", "prod", PinMode::Hard), "gemini key"),
    ] {
        let reference = wrong.provider_key.clone();
        let refused = store.ask(pins(&[wrong]).of("bot"));
        assert_eq!(refused, Err(not_found(kind, &reference)));
    }
    assert_eq!(bot(&store).pins, expected);
}

#[test]
fn a_pin_outlives_its_key_and_can_be_softened_then() {
    let store = ready();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    store
        .ask(pins(&[pin("openai", "prod", PinMode::Hard)]).of("bot"))
        .unwrap();
    let hard = [Pin {
        name: "prod".into(),
        ..pin("openai", "pk_1", PinMode::Hard)
    }];
    store.ask(delete_key("prod")).unwrap();
    assert_eq!(bot(&store).pins, hard, "gone, with its name");
    let Admission::Granted { identity, .. } = store.admit("hash of app", None) else {
        panic!("refused");
    };
    assert_eq!(identity.pins, hard);
    // Another key of that name is another key.
    store.ask(create_key("pk_9", "openai", "prod")).unwrap();
    assert_eq!(bot(&store).pins, hard);
    let [hard] = hard;
    let soft = Pin {
        mode: PinMode::Soft,
        ..hard
    };
    store
        .ask(pins(&[pin("openai", "pk_1", PinMode::Soft)]).of("bot"))
        .unwrap();
    assert_eq!(bot(&store).pins, [soft]);
    // Only there: nobody else can pin what is gone.
    store
        .ask(Question::CreateAgent(agent("agent_2", "two")))
        .unwrap();
    let refused = store.ask(pins(&[pin("openai", "pk_1", PinMode::Hard)]).of("two"));
    assert_eq!(refused, Err(not_found("openai key", "pk_1")));
}

#[test]
fn whom_a_gateway_key_would_stand_for_can_be_asked_beforehand() {
    let store = ready();
    store.ask(attach(&["reader"]).of("bot")).unwrap();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    store
        .ask(pins(&[pin("openai", "prod", PinMode::Hard)]).of("bot"))
        .unwrap();
    store
        .ask(Question::CreateGateway(gateway("gw_1", "edge")))
        .unwrap();
    configuration(&store, "cfg_1", "prod", &[]);
    let whom = |gateway: Option<&str>, configuration: Option<&str>| {
        let question = Question::Impersonate {
            agent: "bot".into(),
            gateway: gateway.map(Into::into),
            configuration: configuration.map(Into::into),
        };
        store.ask(question).map(|reply| match reply {
            Reply::Caller(identity, snapshot) => (*identity, *snapshot),
            other => panic!("{other:?}"),
        })
    };
    let (identity, snapshot): (Identity, Snapshot) = whom(Some("gw_1"), Some("prod")).unwrap();
    assert_eq!(identity.gateway.as_deref(), Some("edge"));
    assert_eq!(identity.gateway_tags, Some(tags("team", "ops")));
    assert_eq!(identity.configuration.as_deref(), Some("cfg_1"));
    let plain = whom(None, None).unwrap().0;
    assert_eq!((plain.gateway_tags, plain.configuration), (None, None));

    // It is what a gateway key bound so is admitted with, but for the key itself.
    let bind = Question::PatchGatewayKey {
        budget: Default::default(),
        limits: Default::default(),
        reference: "app".into(),
        expect: None,
        name: None,
        team: None,
        expires_at: None,
        gateway: Change::Set("edge".into()),
        configuration: Change::Set("prod".into()),
    };
    store.ask(bind).unwrap();
    let Admission::Granted {
        identity: admitted,
        snapshot: served,
        ..
    } = store.admit("hash of app", None)
    else {
        panic!("refused");
    };
    let admitted = Identity {
        gateway_key: String::new(),
        name: String::new(),
        team: None,
        ..admitted
    };
    assert_eq!(identity, admitted);
    assert_eq!(snapshot, *served.unwrap());

    for (gateway, configuration, missing) in [
        (Some("none"), None, not_found("gateway", "none")),
        (None, Some("none"), not_found("configuration", "none")),
    ] {
        assert_eq!(whom(gateway, configuration).unwrap_err(), missing);
    }
}

#[test]
fn the_configuration_in_play_is_the_keys_own_or_the_workspaces() {
    let store = ready();
    configuration(&store, "cfg_1", "own", &[]);
    configuration(&store, "cfg_2", "default", &[]);
    let in_play = || match store.admit("hash of app", None) {
        Admission::Granted {
            identity, snapshot, ..
        } => {
            let live = snapshot.as_ref().unwrap().configuration(&identity).cloned();
            live.map(|live| live.name.clone())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(in_play(), None);
    let Question::PatchWorkspace {
        reference,
        expect,
        name,
        access,
        ..
    } = patch_workspace("default", None, None)
    else {
        panic!("another question");
    };
    let default = |default_configuration| Question::PatchWorkspace {
        reference: reference.clone(),
        expect,
        name: name.clone(),
        access,
        default_configuration,
    };
    store
        .registry(default(Change::Set("cfg_2".into())))
        .unwrap();
    assert_eq!(in_play().as_deref(), Some("default"));
    let Err(Denial::InUse(_)) = store.ask(delete(Kind::Configuration, "cfg_2", None)) else {
        panic!("the default is gone");
    };
    let bind = Question::PatchGatewayKey {
        budget: Default::default(),
        limits: Default::default(),
        reference: "app".into(),
        expect: None,
        name: None,
        team: None,
        expires_at: None,
        gateway: Change::Keep,
        configuration: Change::Set("own".into()),
    };
    store.ask(bind).unwrap();
    assert_eq!(in_play().as_deref(), Some("own"));
    store.registry(default(Change::Keep)).unwrap();
    store.registry(default(Change::Clear)).unwrap();
    store
        .ask(delete(Kind::Configuration, "cfg_2", None))
        .unwrap();
    assert_eq!(in_play().as_deref(), Some("own"));
}

//! Agents, gateways and gateway keys.

use lockgate_workspace::question::{Change, Denial, Kind, Page, Question, Reply, Resource};
use lockgate_workspace::resource::{Agent, Gateway, GatewayKey, ManagedBy, Timestamp};

use super::{
    PatchAgent, STALE, START, Store, agent, configuration, create_caller, delete, gateway,
    gateway_key, not_found, page, patch_caller, patch_gateway, revoke, taken,
};

fn caller(store: &Store, reference: &str) -> GatewayKey {
    match store.ask(Question::GetGatewayKey(reference.into())) {
        Ok(Reply::GatewayKey(key)) => *key,
        other => panic!("{other:?}"),
    }
}

/// An agent or a gateway.
fn create(kind: Kind, id: &str, name: &str) -> Question {
    match kind {
        Kind::Agent => Question::CreateAgent(agent(id, name)),
        _ => Question::CreateGateway(gateway(id, name)),
    }
}

/// Its new name.
fn rename(kind: Kind, reference: &str, expect: Option<u64>, name: &str) -> Question {
    let patch = PatchAgent {
        expect,
        name: Some(name.into()),
        ..PatchAgent::default()
    };
    match kind {
        Kind::Agent => patch.of(reference),
        _ => patch_gateway(reference, expect, name),
    }
}

#[test]
fn agents_and_gateways_are_made_listed_changed_and_removed() {
    for kind in [Kind::Agent, Kind::Gateway] {
        let store = Store::new();
        let first = match kind {
            Kind::Agent => Resource::Agent(Agent {
                revision: 1,
                ..agent("id_1", "one")
            }),
            _ => Resource::Gateway(Gateway {
                revision: 1,
                ..gateway("id_1", "one")
            }),
        };
        let first = Ok(Reply::Resource(Box::new(first)));
        assert_eq!(store.ask(create(kind, "id_1", "one")), first);
        store.ask(create(kind, "id_2", "two")).unwrap();
        for reference in ["id_1", "one"] {
            assert_eq!(store.ask(Question::Get(kind, reference.into())), first);
        }
        let names = |page: Page| match store.ask(Question::List(kind, page)) {
            Ok(Reply::Resources(all)) => all
                .iter()
                .map(|one| one.value()["name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(names(page(10)), ["one", "two"]);
        let after = Some((START, "id_1".to_owned()));
        assert_eq!(names(Page { limit: 10, after }), ["two"]);

        let Ok(Reply::Resource(changed)) = store.ask(rename(kind, "one", Some(1), "uno")) else {
            panic!("not changed");
        };
        let changed = changed.value();
        assert_eq!(
            (&changed["revision"], &changed["name"]),
            (&2.into(), &"uno".into())
        );
        assert_eq!(changed["tags"]["team"], "ops", "what is not named stays");
        let word = kind.word();
        assert_eq!(
            store.ask(create(kind, "id_3", "two")),
            Err(taken(word, "two"))
        );
        assert_eq!(
            store.ask(rename(kind, "uno", None, "two")),
            Err(taken(word, "two"))
        );
        assert_eq!(store.ask(rename(kind, "two", Some(9), "x")), Err(STALE));
        assert_eq!(store.ask(delete(kind, "two", Some(9))), Err(STALE));
        assert_eq!(store.ask(delete(kind, "uno", Some(2))), Ok(Reply::Done));
        let gone = Err(not_found(word, "uno"));
        assert_eq!(store.ask(delete(kind, "uno", None)), gone);
        assert_eq!(store.ask(rename(kind, "uno", None, "x")), gone);
        assert_eq!(store.ask(Question::Get(kind, "uno".into())), gone);
    }
}

#[test]
fn a_declarative_agent_is_changed_by_its_document_only() {
    let store = Store::with_agent();
    let declare = PatchAgent {
        managed_by: Some(ManagedBy::Declarative),
        ..PatchAgent::default()
    };
    store.ask(declare.of("bot")).unwrap();
    let declarative = Denial::Declarative {
        kind: "agent".into(),
        name: "bot".into(),
        configuration: None,
    };
    let patch = rename(Kind::Agent, "bot", None, "x");
    assert_eq!(store.ask(patch), Err(declarative.clone()));
    let delete = delete(Kind::Agent, "bot", None);
    assert_eq!(store.ask(delete), Err(declarative));
}

#[test]
fn an_agent_with_gateway_keys_stays() {
    let store = Store::with_agent();
    store.ask(create(Kind::Gateway, "gw_1", "edge")).unwrap();
    let mut key = gateway_key("gk_1", "app");
    key.gateway = Some("edge".into());
    let (key, hash) = (Box::new(key), "hash of app".into());
    store.ask(Question::CreateGatewayKey { key, hash }).unwrap();
    for (kind, reference) in [(Kind::Agent, "bot"), (Kind::Gateway, "edge")] {
        let Err(Denial::InUse(why)) = store.ask(delete(kind, reference, None)) else {
            panic!("{reference} is gone");
        };
        assert!(why.contains("“app”"), "{why}");
    }
    store.ask(revoke("app")).unwrap();
    store.ask(delete(Kind::Gateway, "edge", None)).unwrap();
    store.ask(delete(Kind::Agent, "bot", None)).unwrap();
}

#[test]
fn gateway_keys_are_made_for_agents_and_gateways_by_id_or_name() {
    let store = Store::with_agent();
    store.ask(create(Kind::Gateway, "gw_1", "edge")).unwrap();
    let create = |id: &str, agent: &str, gateway: Option<&str>| {
        let mut key = gateway_key(id, id);
        (key.agent, key.gateway) = (agent.into(), gateway.map(Into::into));
        let (key, hash) = (Box::new(key), format!("hash of {id}"));
        store.ask(Question::CreateGatewayKey { key, hash })
    };
    let Ok(Reply::GatewayKey(made)) = create("gk_1", "bot", Some("edge")) else {
        panic!("not made");
    };
    assert_eq!(
        (made.agent.as_str(), made.gateway.as_deref()),
        ("agent_1", Some("gw_1"))
    );
    assert_eq!(create("gk_2", "agent_1", Some("gw_1")).unwrap(), {
        let made = GatewayKey {
            id: "gk_2".into(),
            name: "gk_2".into(),
            ..*made
        };
        Reply::GatewayKey(Box::new(made))
    });
    assert_eq!(
        create("gk_3", "none", None),
        Err(not_found("agent", "none"))
    );
    assert_eq!(
        create("gk_3", "bot", Some("none")),
        Err(not_found("gateway", "none"))
    );
    let Err(Denial::Store(_)) = create("gk_1", "bot", None) else {
        panic!("an id twice");
    };
}

#[test]
fn gateway_keys_are_listed_changed_and_revoked() {
    let store = Store::with_agent();
    store.ask(create_caller("gk_1", "app")).unwrap();
    store.ask(create_caller("gk_2", "other")).unwrap();
    let ids = |page: Page| match store.ask(Question::ListGatewayKeys(page)) {
        Ok(Reply::GatewayKeys(keys)) => keys.into_iter().map(|k| k.id).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ids(page(1)), ["gk_1"]);
    let after = Some((START, "gk_1".to_owned()));
    assert_eq!(ids(Page { limit: 9, after }), ["gk_2"]);

    let question = Question::PatchGatewayKey {
        budget: Default::default(),
        limits: Default::default(),
        reference: "app".into(),
        expect: Some(1),
        name: Some("renamed".into()),
        team: Some("web".into()),
        expires_at: Some(Timestamp(START + 9)),
        gateway: Change::Keep,
        configuration: Change::Keep,
    };
    store.ask(question).unwrap();
    let key = caller(&store, "renamed");
    assert_eq!((key.revision, key.team.as_deref()), (2, Some("web")));
    // What is not named stays.
    store.ask(patch_caller("gk_1", None, None)).unwrap();
    assert_eq!(
        caller(&store, "gk_1").expires_at,
        Some(Timestamp(START + 9))
    );
    assert_eq!(store.ask(patch_caller("gk_2", Some(9), None)), Err(STALE));
    let missing = Err(not_found("gateway key", "app"));
    assert_eq!(store.ask(patch_caller("app", None, None)), missing);
    assert_eq!(store.ask(revoke("app")), missing);

    let stale = Question::RevokeGatewayKey {
        reference: "gk_2".into(),
        expect: Some(9),
    };
    assert_eq!(store.ask(stale), Err(STALE));
    assert_eq!(store.ask(revoke("other")), Ok(Reply::Done));
    store.time.set(START + 1_000);
    // Again is no error and keeps the first time; by name it is not found any more.
    assert_eq!(store.ask(revoke("gk_2")), Ok(Reply::Done));
    assert_eq!(caller(&store, "gk_2").revoked_at, Some(Timestamp(START)));
    assert_eq!(
        store.ask(revoke("other")),
        Err(not_found("gateway key", "other"))
    );
}

#[test]
fn a_name_that_several_gateway_keys_have_is_not_guessed() {
    let store = Store::with_agent();
    for id in ["gk_1", "gk_2"] {
        let mut key = gateway_key(id, "app");
        key.id = id.into();
        let (key, hash) = (Box::new(key), format!("hash of {id}"));
        store.ask(Question::CreateGatewayKey { key, hash }).unwrap();
    }
    assert!(matches!(store.ask(revoke("app")), Err(Denial::InUse(_))));
    store.ask(revoke("gk_1")).unwrap();
    assert_eq!(caller(&store, "app").id, "gk_2");
}

#[test]
fn gateway_keys_are_bound_and_unbound() {
    let store = Store::with_agent();
    store.ask(create_caller("gk_1", "app")).unwrap();
    store
        .ask(Question::CreateGateway(gateway("gw_1", "edge")))
        .unwrap();
    configuration(&store, "cfg_1", "prod", &[]);
    let bind = |gateway, configuration| Question::PatchGatewayKey {
        budget: Default::default(),
        limits: Default::default(),
        reference: "app".into(),
        expect: None,
        name: None,
        team: None,
        expires_at: None,
        gateway,
        configuration,
    };
    let bound = |question| match store.ask(question) {
        Ok(Reply::GatewayKey(key)) => (key.gateway, key.configuration),
        other => panic!("{other:?}"),
    };
    let set = |name: &str| Change::Set(name.to_owned());
    let both = (Some("gw_1".to_owned()), Some("cfg_1".to_owned()));
    assert_eq!(bound(bind(set("edge"), set("prod"))), both);
    assert_eq!(bound(bind(Change::Keep, Change::Keep)), both);
    assert_eq!(bound(bind(Change::Clear, Change::Keep)), (None, both.1));
    assert_eq!(bound(bind(set("gw_1"), Change::Clear)), (both.0, None));
    for (question, missing) in [
        (
            bind(set("none"), Change::Keep),
            not_found("gateway", "none"),
        ),
        (
            bind(Change::Keep, set("none")),
            not_found("configuration", "none"),
        ),
    ] {
        assert_eq!(store.ask(question), Err(missing));
    }
}

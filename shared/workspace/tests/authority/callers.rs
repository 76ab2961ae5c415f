//! Agents, gateways and gateway keys.

use lockgate_workspace::question::{Denial, NamedKind, Page, Question, Reply};
use lockgate_workspace::resource::{GatewayKey, ManagedBy, Named, Timestamp};

use super::{
    STALE, START, Store, create_caller, create_named, gateway_key, named, not_found, page, revoke,
    taken,
};

fn patch_named(kind: NamedKind, reference: &str, expect: Option<u64>, name: &str) -> Question {
    Question::PatchNamed {
        kind,
        reference: reference.into(),
        expect,
        name: Some(name.into()),
        tags: None,
        managed_by: None,
    }
}

fn delete_named(kind: NamedKind, reference: &str, expect: Option<u64>) -> Question {
    let reference = reference.into();
    Question::DeleteNamed {
        kind,
        reference,
        expect,
    }
}

fn patch_caller(reference: &str, expect: Option<u64>, expires_at: Option<u64>) -> Question {
    Question::PatchGatewayKey {
        reference: reference.into(),
        expect,
        name: None,
        team: None,
        expires_at: expires_at.map(Timestamp),
    }
}

fn caller(store: &Store, reference: &str) -> GatewayKey {
    match store.ask(Question::GetGatewayKey(reference.into())) {
        Ok(Reply::GatewayKey(key)) => *key,
        other => panic!("{other:?}"),
    }
}

#[test]
fn agents_and_gateways_are_made_listed_changed_and_removed() {
    for kind in [NamedKind::Agent, NamedKind::Gateway] {
        let store = Store::new();
        let made = store.ask(create_named(kind, "id_1", "one"));
        let first = Named {
            revision: 1,
            ..named("id_1", "one")
        };
        assert_eq!(made, Ok(Reply::Named(first.clone())));
        store.ask(create_named(kind, "id_2", "two")).unwrap();
        for reference in ["id_1", "one"] {
            let got = store.ask(Question::GetNamed(kind, reference.into()));
            assert_eq!(got, Ok(Reply::Named(first.clone())));
        }
        let names = |page: Page| match store.ask(Question::ListNamed(kind, page)) {
            Ok(Reply::Nameds(all)) => all.into_iter().map(|n| n.name).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(names(page(10)), ["one", "two"]);
        let after = Some((START, "id_1".to_owned()));
        assert_eq!(names(Page { limit: 10, after }), ["two"]);

        let Ok(Reply::Named(changed)) = store.ask(patch_named(kind, "one", Some(1), "uno")) else {
            panic!("not changed");
        };
        assert_eq!((changed.revision, &changed.tags), (2, &first.tags));
        let word = kind.word();
        assert_eq!(
            store.ask(create_named(kind, "id_3", "two")),
            Err(taken(word, "two"))
        );
        assert_eq!(
            store.ask(patch_named(kind, "uno", None, "two")),
            Err(taken(word, "two"))
        );
        assert_eq!(
            store.ask(patch_named(kind, "two", Some(9), "x")),
            Err(STALE)
        );
        assert_eq!(store.ask(delete_named(kind, "two", Some(9))), Err(STALE));
        assert_eq!(
            store.ask(delete_named(kind, "uno", Some(2))),
            Ok(Reply::Done)
        );
        let gone = Err(not_found(word, "uno"));
        assert_eq!(store.ask(delete_named(kind, "uno", None)), gone);
        assert_eq!(store.ask(patch_named(kind, "uno", None, "x")), gone);
        assert_eq!(store.ask(Question::GetNamed(kind, "uno".into())), gone);
    }
}

#[test]
fn a_declarative_agent_is_changed_by_its_document_only() {
    let store = Store::with_agent();
    let declare = Question::PatchNamed {
        kind: NamedKind::Agent,
        reference: "bot".into(),
        expect: None,
        name: None,
        tags: None,
        managed_by: Some(ManagedBy::Declarative),
    };
    store.ask(declare).unwrap();
    let declarative = Denial::Declarative {
        kind: "agent".into(),
        name: "bot".into(),
    };
    let patch = patch_named(NamedKind::Agent, "bot", None, "x");
    assert_eq!(store.ask(patch), Err(declarative.clone()));
    let delete = delete_named(NamedKind::Agent, "bot", None);
    assert_eq!(store.ask(delete), Err(declarative));
}

#[test]
fn an_agent_with_gateway_keys_stays() {
    let store = Store::with_agent();
    store
        .ask(create_named(NamedKind::Gateway, "gw_1", "edge"))
        .unwrap();
    let mut key = gateway_key("gk_1", "app");
    key.gateway = Some("edge".into());
    let (key, hash) = (Box::new(key), "hash of app".into());
    store.ask(Question::CreateGatewayKey { key, hash }).unwrap();
    for (kind, reference) in [(NamedKind::Agent, "bot"), (NamedKind::Gateway, "edge")] {
        let Err(Denial::InUse(why)) = store.ask(delete_named(kind, reference, None)) else {
            panic!("{reference} is gone");
        };
        assert!(why.contains("“app”"), "{why}");
    }
    store.ask(revoke("app")).unwrap();
    store
        .ask(delete_named(NamedKind::Gateway, "edge", None))
        .unwrap();
    store
        .ask(delete_named(NamedKind::Agent, "bot", None))
        .unwrap();
}

#[test]
fn gateway_keys_are_made_for_agents_and_gateways_by_id_or_name() {
    let store = Store::with_agent();
    store
        .ask(create_named(NamedKind::Gateway, "gw_1", "edge"))
        .unwrap();
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
        reference: "app".into(),
        expect: Some(1),
        name: Some("renamed".into()),
        team: Some("web".into()),
        expires_at: Some(Timestamp(START + 9)),
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

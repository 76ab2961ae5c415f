//! Drafts, versions, races, rollback and the end.

use super::*;

#[test]
fn a_new_one_has_a_draft_and_nothing_live() {
    let store = Store::with_draft();
    let made = store.get("main");
    assert_eq!((made.version, made.revision, &made.document), (0, 1, &None));
    let draft = made.draft.unwrap();
    assert_eq!(draft.document.as_deref(), Some("one"));
    // Who wrote it and when is what the authority knows, not what it is told.
    assert_eq!(
        (&*draft.written_by, draft.written_at, draft.based_on),
        ("at_tester", Timestamp(START + 5), 0)
    );
    let live = &store.snapshot().configurations[0];
    assert_eq!((&*live.id, &live.plan), ("cfg_main", &None));
    let again = store.ask(Question::CreateConfiguration(configuration("main", "x")));
    assert!(
        matches!(again, Err(Denial::AlreadyExists { .. })),
        "{again:?}"
    );
}

#[test]
fn lists_leave_the_documents_out() {
    let store = Store::with_draft();
    store.apply("main", Declared::default()).unwrap();
    store.put_draft("main", "two");
    let page = Page {
        limit: 10,
        after: None,
    };
    let Ok(Reply::Resources(all)) = store.ask(Question::List(Kind::Configuration, page)) else {
        panic!()
    };
    let Some(Resource::Configuration(listed)) = all.into_iter().next() else {
        panic!()
    };
    assert_eq!((listed.version, listed.document), (1, None));
    assert_eq!(listed.draft.unwrap().document, None);
}

#[test]
fn applying_makes_the_draft_live() {
    let store = Store::with_draft();
    let before = store.snapshot();
    let outcome = store.outcome(apply(&store.get("main"), Declared::default()));
    assert!(outcome.changed, "it waits out the leases");
    let applied = store.get("main");
    assert_eq!(
        (applied.version, applied.document.as_deref()),
        (1, Some("one"))
    );
    assert_eq!(applied.draft, None);
    assert_eq!(applied.applied_at, Some(Timestamp(START + 5)));
    let after = store.snapshot();
    assert!(after.version > before.version);
    assert_eq!(after.configurations[0].plan, Some(plan("one")));
    let version = store.version("main", 1).unwrap();
    assert_eq!(
        (&*version.applied_by, version.restores),
        ("at_tester", None)
    );
}

#[test]
fn of_two_who_apply_one_draft_one_wins() {
    let store = Store::with_draft();
    let found = store.get("main");
    let both = apply(&found, Declared::default());
    store.ask(both.clone()).unwrap();
    let stale = Denial::Stale {
        expected: 0,
        found: 1,
    };
    assert_eq!(store.ask(both), Err(stale));
    assert_eq!(store.get("main").version, 1);
    assert_eq!(
        store.version("main", 2).unwrap_err().to_string(),
        "no version “2 of main” in this workspace"
    );
}

#[test]
fn a_draft_that_was_replaced_meanwhile_is_not_applied_in_its_old_form() {
    let store = Store::with_draft();
    let old = apply(&store.get("main"), Declared::default());
    store.put_draft("main", "two");
    assert!(matches!(store.ask(old), Err(Denial::Stale { .. })));
    assert_eq!(store.get("main").version, 0);
    assert_eq!(
        store
            .apply("main", Declared::default())
            .unwrap()
            .document
            .as_deref(),
        Some("two")
    );
}

#[test]
fn drafts_are_refused_in_another_revision() {
    let store = Store::with_draft();
    let put = |expect| {
        store.ask(Question::PutDraft {
            reference: "main".into(),
            expect: Some(expect),
            document: "two".into(),
        })
    };
    put(1).unwrap();
    let stale = Denial::Stale {
        expected: 1,
        found: 2,
    };
    assert_eq!(put(1), Err(stale));
}

#[test]
fn a_rollback_is_a_new_version_byte_for_byte_and_keeps_the_draft() {
    let store = Store::new();
    let documents = [
        "\u{feff}a: 1\r\n\r\n# é 😀 \u{2028}\r\n",
        "trailing: spaces   \n\t\n\n\n",
        "no: end",
        "'; DROP TABLE configurations; --\u{85}\u{1}",
    ];
    store.create("main", documents[0]);
    store.apply("main", Declared::default()).unwrap();
    for document in &documents[1..] {
        store.put_draft("main", document);
        store.apply("main", Declared::default()).unwrap();
    }
    store.put_draft("main", "unfinished");
    for (at, document) in (1..).zip(&documents) {
        let found = store.get("main");
        let old = store.version("main", at).unwrap();
        assert_eq!(
            old.document.as_deref().map(str::as_bytes),
            Some(document.as_bytes())
        );
        let back = store
            .shown(Question::ApplyConfiguration {
                id: found.id.clone(),
                expect: found.revision,
                expected_version: found.version,
                document: old.document.unwrap(),
                plan: plan("back"),
                declared: Declared::default(),
                restores: Some(at),
            })
            .unwrap();
        assert_eq!(back.version, found.version + 1);
        assert_eq!(
            back.document.as_deref().map(str::as_bytes),
            Some(document.as_bytes())
        );
        assert_eq!(back.draft, found.draft);
        let kept = store.version("main", back.version).unwrap();
        assert_eq!(
            (kept.document.as_deref(), kept.restores),
            (Some(*document), Some(at))
        );
    }
}

#[test]
fn versions_are_listed_newest_first_in_pages() {
    let store = Store::with_draft();
    for document in ["one", "two", "three"] {
        store.put_draft("main", document);
        store.apply("main", Declared::default()).unwrap();
    }
    let list = |limit, before| {
        let question = Question::ListVersions {
            reference: "main".into(),
            limit,
            before,
        };
        match store.ask(question).unwrap() {
            Reply::Versions(versions) => versions,
            other => panic!("{other:?}"),
        }
    };
    let numbers = |versions: Vec<ConfigurationVersion>| {
        let number = |one: ConfigurationVersion| {
            assert_eq!(one.document, None);
            one.version
        };
        versions.into_iter().map(number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(list(2, None)), [3, 2]);
    assert_eq!(numbers(list(2, Some(2))), [1]);
    assert_eq!(numbers(list(2, Some(1))), [0_u64; 0]);
}

#[test]
fn a_declarative_one_is_changed_by_drafts_only() {
    let store = Store::new();
    let made = Configuration {
        managed_by: ManagedBy::Declarative,
        ..configuration("main", "one")
    };
    store.ask(Question::CreateConfiguration(made)).unwrap();
    let edit = Question::PatchConfiguration {
        reference: "main".into(),
        expect: None,
        name: Some("other".into()),
        tags: None,
    };
    assert!(matches!(store.ask(edit), Err(Denial::Declarative { .. })));
    store.put_draft("main", "two");
    store.apply("main", Declared::default()).unwrap();
    store.delete(Kind::Configuration, "main").unwrap();
}

#[test]
fn names_and_tags_are_edited_live() {
    let store = Store::with_draft();
    store.create("taken", "x");
    let edit = |name: &str| Question::PatchConfiguration {
        reference: "main".into(),
        expect: None,
        name: Some(name.into()),
        tags: Some(tags(&[("environment", "production")])),
    };
    let denied = store.ask(edit("taken"));
    assert!(
        matches!(denied, Err(Denial::AlreadyExists { .. })),
        "{denied:?}"
    );
    let outcome = store.outcome(edit("renamed"));
    assert!(outcome.changed, "tags decide about access");
    let live = store.snapshot().configurations;
    let renamed = live.iter().find(|live| live.name == "renamed").unwrap();
    assert_eq!(renamed.tags["environment"], "production");
}

#[test]
fn what_is_used_is_not_removed() {
    let store = Store::with_draft();
    store.ask(Question::CreateAgent(agent("bot", &[]))).unwrap();
    let key = GatewayKey {
        budget: Default::default(),
        limits: Default::default(),
        id: "gk_1".into(),
        name: "app".into(),
        masked: "lgk_…".into(),
        agent: "bot".into(),
        gateway: None,
        configuration: Some("main".into()),
        team: None,
        created_by: "root".into(),
        expires_at: None,
        revoked_at: None,
        created_at: Timestamp(START),
        last_used_at: None,
        revision: 1,
    };
    let key = Box::new(key);
    let hash = "hash".into();
    store.ask(Question::CreateGatewayKey { key, hash }).unwrap();
    let denied = store.delete(Kind::Configuration, "main").unwrap_err();
    assert!(denied.to_string().contains("“app”"), "{denied}");
    let revoke = Question::RevokeGatewayKey {
        reference: "app".into(),
        expect: None,
    };
    store.ask(revoke).unwrap();
    let default = |id: &str| {
        let value = if id.is_empty() {
            "NULL".into()
        } else {
            format!("'{id}'")
        };
        store
            .0
            .sql(
                &format!("UPDATE workspaces SET default_configuration = {value}"),
                &[],
            )
            .unwrap();
    };
    default("cfg_main");
    let denied = store.delete(Kind::Configuration, "main").unwrap_err();
    assert!(denied.to_string().contains("default"), "{denied}");
    default("");
    store.apply("main", Declared::default()).unwrap();
    store.delete(Kind::Configuration, "main").unwrap();
    assert!(matches!(
        store.version("main", 1),
        Err(Denial::NotFound { .. })
    ));
    assert!(
        store
            .0
            .sql("SELECT version FROM configuration_versions", &[])
            .unwrap()
            .is_empty()
    );
    assert!(store.snapshot().configurations.is_empty());
}

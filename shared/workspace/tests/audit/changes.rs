//! What the log tells of: each change with what was before and after, and nothing secret.

use lockgate_workspace::question::{Change, DataQuestion, Declared};
use lockgate_workspace::resource::Health;
use serde_json::{Value, json};

use super::admin_tokens;
use super::questions::*;
use super::*;

/// What must not be in any row, whatever is done.
const SECRETS: [&str; 6] = [
    "hash of",
    "the wrapped data key",
    "the ciphertext",
    "the entry",
    "the first document",
    "the second document",
];

/// One question of each kind that changes something, in an order in which they work, with what the log says.
fn story() -> Vec<(Question, &'static str, &'static str)> {
    let patch_gateway = Question::PatchGateway {
        reference: "edge".into(),
        expect: None,
        name: Some("rim".into()),
        tags: None,
        managed_by: None,
    };
    let patch_gateway_key = Question::PatchGatewayKey {
        budget: Default::default(),
        limits: Default::default(),
        reference: "app".into(),
        expect: None,
        name: None,
        team: Some("ops".into()),
        expires_at: None,
        gateway: Change::Keep,
        configuration: Change::Keep,
    };
    let seed = Question::DeleteSeed {
        provider: "google".into(),
    };
    vec![
        (
            create_key("pk_1", "prod", false),
            "provider-key.create",
            "pk_1",
        ),
        (patch_key("prod", None), "provider-key.update", "pk_1"),
        (rotate(2), "provider-key.rotate", "pk_1"),
        (delete_key(), "provider-key.delete", "pk_1"),
        (seed, "seed.delete", "google"),
        (
            Question::CreateRole(role("role_1", "use")),
            "role.create",
            "role_1",
        ),
        (rename_role("use", "user"), "role.update", "role_1"),
        (
            Question::CreateAgent(agent("agent_1", "bot", &[])),
            "agent.create",
            "agent_1",
        ),
        (patch_agent("bot", None), "agent.update", "agent_1"),
        (
            Question::CreateGateway(gateway("gw_1", "edge")),
            "gateway.create",
            "gw_1",
        ),
        (patch_gateway, "gateway.update", "gw_1"),
        (create_gateway_key(), "gateway-key.create", "gk_1"),
        (patch_gateway_key, "gateway-key.update", "gk_1"),
        (revoke(None), "gateway-key.revoke", "gk_1"),
        (
            Question::CreateConfiguration(configuration()),
            "configuration.create",
            "cfg_1",
        ),
        (patch_configuration(), "configuration.update", "cfg_1"),
        (put_draft(), "configuration.draft", "cfg_1"),
        (
            delete(Kind::Configuration, "main"),
            "configuration.delete",
            "cfg_1",
        ),
        (
            admin_tokens::create("at_1", "ci"),
            "admin-token.create",
            "at_1",
        ),
        (delete(Kind::AdminToken, "ci"), "admin-token.delete", "at_1"),
        (delete(Kind::Gateway, "rim"), "gateway.delete", "gw_1"),
        (delete(Kind::Agent, "bot"), "agent.delete", "agent_1"),
        (delete(Kind::Role, "user"), "role.delete", "role_1"),
    ]
}

#[test]
fn every_change_is_told_with_what_was_before_and_after() {
    let store = Store::new();
    for (question, action, resource) in story() {
        let rows = store.told(question);
        assert_eq!(names(&rows), [(action, resource)]);
        let row = &rows[0];
        assert_eq!(
            (row.actor.as_str(), row.at),
            ("at_tester", Timestamp(store.time.get() - 1))
        );
        let (_, verb) = action.split_once('.').unwrap();
        assert_eq!(row.before.is_some(), verb != "create", "{action}");
        assert_eq!(row.after.is_some(), verb != "delete", "{action}");
        if action != "seed.delete" {
            for side in [&row.before, &row.after].into_iter().flatten() {
                assert_eq!(side["id"], resource, "{action}");
            }
            assert_ne!(row.before, row.after, "{action}");
        }
    }
    assert_eq!(store.verify(), intact(story().len() as u64));
    no_secrets(&store);
}

fn no_secrets(store: &Store) {
    for row in store.sql("SELECT * FROM audit") {
        for cell in row {
            if let Stored::Text(text) = cell {
                for secret in SECRETS {
                    assert!(!text.contains(secret), "{text}");
                }
            }
        }
    }
}

#[test]
fn the_log_shows_what_changed() {
    let store = Store::new();
    store.ask(create_key("pk_1", "prod", false)).unwrap();
    let row = store.told(rotate(2)).remove(0);
    let (before, after) = (row.before.unwrap(), row.after.unwrap());
    assert_eq!(
        (&before["version"], &after["version"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        (&before["masked"], &after["masked"]),
        (&json!("sk-…wxyz"), &json!("sk-…0002"))
    );
    assert_eq!(before.get("versions"), None);
}

#[test]
fn what_is_refused_or_only_looked_at_leaves_no_row() {
    let store = Store::new();
    store
        .ask(Question::CreateRole(role("role_1", "use")))
        .unwrap();
    store
        .ask(Question::CreateAgent(agent("agent_1", "bot", &["use"])))
        .unwrap();
    store.ask(create_key("pk_1", "prod", false)).unwrap();
    store.ask(create_gateway_key()).unwrap();
    let written = store.log().len();
    for refused in [
        Question::CreateRole(role("role_2", "use")),
        rename_role("nobody", "x"),
        delete(Kind::Role, "nobody"),
        // It has a gateway key in force.
        delete(Kind::Agent, "bot"),
        patch_agent("bot", Some(9)),
        Question::CreateAgent(agent("agent_2", "other", &["no such role"])),
        rotate(7),
        revoke(Some(9)),
        Question::DeleteSeed {
            provider: "nobody".into(),
        },
        put_draft(),
    ] {
        let shown = format!("{refused:?}");
        assert!(store.ask(refused).is_err(), "{shown}");
    }
    let marked = DataQuestion::MarkHealth {
        id: "pk_1".into(),
        version: 1,
        health: Health::Ok,
        detail: "it was taken".into(),
    };
    for read in [
        Question::Get(Kind::Role, "use".into()),
        Question::ListSeeds,
        Question::GetProviderKey("prod".into()),
        Question::SweepProviderKey { id: "pk_1".into() },
        marked.into(),
    ] {
        store.ask(read).unwrap();
    }
    assert_eq!(store.log().len(), written);
    assert_eq!(store.verify(), intact(written as u64));
}

#[test]
fn a_key_that_stops_being_the_default_is_told_of() {
    let store = Store::new();
    store.ask(create_key("pk_1", "prod", false)).unwrap();
    let rows = store.told(create_key("pk_2", "dev", true));
    let expected = [
        ("provider-key.create", "pk_2"),
        ("provider-key.update", "pk_1"),
    ];
    assert_eq!(names(&rows), expected);
    let flag = |side: &Option<Value>| side.as_ref().unwrap()["default"].as_bool().unwrap();
    assert_eq!((flag(&rows[1].before), flag(&rows[1].after)), (true, false));
    let rows = store.told(patch_key("prod", Some(true)));
    let expected = [
        ("provider-key.update", "pk_1"),
        ("provider-key.update", "pk_2"),
    ];
    assert_eq!(names(&rows), expected);
}

#[test]
fn a_role_that_goes_is_told_of_on_the_agents_that_had_it() {
    let store = Store::new();
    store
        .ask(Question::CreateRole(role("role_1", "use")))
        .unwrap();
    store
        .ask(Question::CreateAgent(agent("agent_1", "bot", &["use"])))
        .unwrap();
    store
        .ask(Question::CreateAgent(agent("agent_2", "other", &[])))
        .unwrap();
    let rows = store.told(delete(Kind::Role, "use"));
    assert_eq!(
        names(&rows),
        [("role.delete", "role_1"), ("agent.update", "agent_1")]
    );
    assert_eq!(rows[1].before.as_ref().unwrap()["roles"], json!(["role_1"]));
    assert_eq!(rows[1].after.as_ref().unwrap()["roles"], json!([]));
}

#[test]
fn a_document_is_told_of_by_its_digest_and_so_is_what_it_declares() {
    let store = Store::new();
    store
        .ask(Question::CreateAgent(agent("agent_1", "bot", &[])))
        .unwrap();
    let made = store
        .told(Question::CreateConfiguration(configuration()))
        .remove(0);
    let draft = &made.after.unwrap()["draft"]["document"];
    // `printf 'the first document' | sha256sum`
    let digest = json!({
        "bytes": 18,
        "sha256": "45db37b5c34f7870cb737c8ab2e8f39a584ad6f78a3c8a7ede36b0aa58e62f73",
    });
    assert_eq!(*draft, digest);

    let declared = Declared {
        gateways: vec![gateway("gw_9", "edge")],
        agents: vec![agent("agent_9", "bot", &["use"])],
        roles: vec![role("role_9", "use")],
    };
    let rows = store.told(apply(&store, "the first document", declared, None));
    let expected = [
        ("configuration.apply", "cfg_1"),
        ("role.create", "role_9"),
        ("agent.update", "agent_1"),
        ("gateway.create", "gw_9"),
    ];
    assert_eq!(names(&rows), expected);
    let after = rows[0].after.as_ref().unwrap();
    assert_eq!(
        (&after["document"], &after["version"]),
        (&digest, &json!(1))
    );
    assert_eq!(rows[2].after.as_ref().unwrap()["managed_by"], "declarative");

    let undeclared = apply(&store, "the second document", Declared::default(), Some(1));
    let rows = store.told(undeclared);
    assert_eq!(names(&rows)[0], ("configuration.rollback", "cfg_1"));
    assert_eq!(rows.len(), 4);
    assert_eq!(store.verify(), intact(2 + 4 + 4));
    no_secrets(&store);
}

#[test]
fn of_what_is_too_large_the_log_has_the_digest() {
    let store = Store::new();
    let large = "x".repeat(70_000);
    let text = json!({ "text": large }).to_string();
    store
        .ask(Question::Record {
            action: "api.deny".into(),
            resource: "/api/roles".into(),
            detail: json!({ "text": large }),
        })
        .unwrap();
    let after = store.log().remove(0).after.unwrap();
    assert_eq!(after["left_out"]["bytes"], text.len());
    assert_eq!(after["left_out"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(store.verify(), intact(1));
}

/// On Cloudflare the registry is another database than the workspace's own.
#[test]
fn a_workspace_is_told_of_in_its_own_log_wherever_the_registry_is() {
    const ID: &str = "ws_teamaaaaaaaaaaaa";
    for same in [true, false] {
        let (own, registry) = (Store::new(), Store::new());
        let registry = if same { &own } else { &registry };
        let made = workspace(ID, "team", 1);
        let sync = |workspace: &Workspace| {
            own.ask_in(ID, Question::SyncWorkspace(workspace.clone()))
                .unwrap();
        };
        let registered = registry.ask_in("registry", Question::CreateWorkspace(made.clone()));
        assert_eq!(registered, Ok(Reply::Workspace(made.clone())));
        sync(&made);
        for name in ["crew", "gang"] {
            let patch = Question::PatchWorkspace {
                reference: ID.into(),
                expect: None,
                name: Some(name.into()),
                access: Some(Access::Open),
                default_configuration: Change::Keep,
            };
            let Ok(Reply::Workspace(changed)) = registry.ask_in("registry", patch) else {
                panic!();
            };
            sync(&changed);
        }
        let log = own.log_of(ID);
        let names = names(&log);
        assert_eq!(
            names,
            [
                ("workspace.create", ID),
                ("workspace.update", ID),
                ("workspace.update", ID)
            ]
        );
        let name = |side: &Option<Value>| {
            side.as_ref()
                .map(|w| w["name"].as_str().unwrap().to_owned())
        };
        let told: Vec<_> = log
            .iter()
            .map(|r| (name(&r.before), name(&r.after)))
            .collect();
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(
            told,
            [
                (None, some("team")),
                (some("team"), some("crew")),
                (some("crew"), some("gang"))
            ],
            "same: {same}"
        );
        assert!(own.log_of("registry").is_empty() && registry.log_of("registry").is_empty());

        // The log goes with the workspace; what is left of it is in that of the default workspace.
        own.ask_in(ID, Question::DropWorkspace).unwrap();
        assert!(own.log_of(ID).is_empty());
    }
}

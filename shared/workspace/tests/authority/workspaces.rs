//! Workspaces: the registry's list, and a workspace's own row.

use lockgate_host::Value;
use lockgate_workspace::DEFAULT_WORKSPACE;
use lockgate_workspace::question::{DataQuestion, Page, Question, Records, Reply};
use lockgate_workspace::resource::{Access, AdminRole, AdminToken, Timestamp, Workspace};

use super::{
    STALE, START, Store, agent, configuration_in, create_caller, create_key, gateway, not_found,
    page, patch_workspace as patch, roles::role, taken,
};

const OTHER: &str = "ws_otheraaaaaaaaaaa";

fn workspace(id: &str, name: &str) -> Workspace {
    Workspace {
        id: id.into(),
        name: name.into(),
        plan: "free".into(),
        access: Access::Open,
        default_configuration: None,
        created_at: Timestamp(START + 1),
        revision: 1,
    }
}

fn names(reply: Reply) -> Vec<String> {
    match reply {
        Reply::Workspaces(all) => all.into_iter().map(|w| w.name).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn workspaces_are_made_listed_changed_and_forgotten() {
    let store = Store::new();
    let other = workspace(OTHER, "other");
    let made = store.registry(Question::CreateWorkspace(other.clone()));
    assert_eq!(made, Ok(Reply::Workspace(other.clone())));
    for reference in ["other", OTHER] {
        let got = store.registry(Question::GetWorkspace(reference.into()));
        assert_eq!(got, Ok(Reply::Workspace(other.clone())));
    }
    let all = store.registry(Question::ListWorkspaces(page(10))).unwrap();
    assert_eq!(names(all), ["default", "platform", "other"]);
    let first = store.registry(Question::ListWorkspaces(page(1))).unwrap();
    assert_eq!(names(first), ["default"]);
    let after = Some((START, DEFAULT_WORKSPACE.to_owned()));
    let rest = store.registry(Question::ListWorkspaces(Page { limit: 9, after }));
    assert_eq!(names(rest.unwrap()), ["platform", "other"]);

    let Ok(Reply::Workspace(changed)) = store.registry(patch("other", Some(1), Some("new"))) else {
        panic!("not changed");
    };
    assert_eq!((changed.name.as_str(), changed.revision), ("new", 2));
    assert_eq!(changed.access, Access::Enforced);
    let delete = |expect| Question::DeleteWorkspace {
        id: OTHER.into(),
        expect,
    };
    assert!(store.registry(delete(Some(1))).is_err());
    assert_eq!(store.registry(delete(Some(2))), Ok(Reply::Done));
    assert_eq!(
        store.registry(delete(None)),
        Err(not_found("workspace", OTHER))
    );
}

#[test]
fn workspaces_are_refused_for_a_reason() {
    let store = Store::new();
    let create = |name| Question::CreateWorkspace(workspace(OTHER, name));
    assert_eq!(
        store.registry(create("default")),
        Err(taken("workspace", "default"))
    );
    store.registry(create("other")).unwrap();
    assert_eq!(store.registry(patch("default", Some(9), None)), Err(STALE));
    let clash = store.registry(patch("default", None, Some("other")));
    assert_eq!(clash, Err(taken("workspace", "other")));
    let missing = not_found("workspace", "missing");
    assert_eq!(
        store.registry(patch("missing", None, None)),
        Err(missing.clone())
    );
    let get = Question::GetWorkspace("missing".into());
    assert_eq!(store.registry(get), Err(missing));
    let long = store.registry(Question::GetWorkspace("x".repeat(999)));
    assert_eq!(long, Err(not_found("workspace", &"x".repeat(200))));
}

#[test]
fn a_workspace_learns_its_row_and_its_snapshot_moves_on() {
    let store = Store::new();
    let sync = |name: &str, revision: u64| {
        let row = Workspace {
            revision,
            ..workspace(OTHER, name)
        };
        store.ask_in(OTHER, Question::SyncWorkspace(row)).unwrap();
        let sql = "SELECT name, snapshot_version FROM workspaces WHERE id = ?1";
        store.database.sql(sql, &[OTHER.into()]).unwrap().remove(0)
    };
    // It is seeded at the same time.
    assert_eq!(sync("other", 1), ["other".into(), 2u64.into()]);
    assert_eq!(sync("other", 1), ["other".into(), 2u64.into()]);
    assert_eq!(sync("renamed", 3), ["renamed".into(), 3u64.into()]);
    // Changes overtake each other on their way from the registry.
    assert_eq!(sync("between", 2), ["renamed".into(), 3u64.into()]);
}

/// Tables with a cell that is `what`, or an id that ends so.
fn tables_naming(store: &Store, what: &str) -> Vec<String> {
    let text = |cell: &Value| match cell {
        Value::Text(text) => text.clone(),
        _ => String::new(),
    };
    let all = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name";
    let tables = store.database.sql(all, &[]).unwrap();
    let suffix = format!("_{what}");
    tables
        .iter()
        .map(|row| text(&row[0]))
        .filter(|table| {
            // The default workspace's log tells of what happened to others.
            let here = match table.as_str() {
                "audit" => format!("SELECT * FROM audit WHERE workspace <> '{DEFAULT_WORKSPACE}'"),
                table => format!("SELECT * FROM {table}"),
            };
            let rows = store.database.sql(&here, &[]).unwrap();
            let cells: Vec<String> = rows.iter().flatten().map(text).collect();
            cells
                .iter()
                .any(|cell| cell == what || cell.ends_with(&suffix))
        })
        .collect()
}

#[test]
fn a_dropped_workspace_leaves_nothing_and_names_its_secrets() {
    let store = Store::with_agent();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    store.ask(create_caller("gk_1", "app")).unwrap();
    let refused = store.ask(Question::DropWorkspace);
    assert_eq!(refused, Err(not_found("workspace", DEFAULT_WORKSPACE)));

    let ask = |question| store.ask_in(OTHER, question).unwrap();
    ask(Question::SyncWorkspace(workspace(OTHER, "other")));
    ask(Question::CreateAgent(agent("agent_2", "bot")));
    ask(Question::CreateGateway(gateway("gw_2", "edge")));
    ask(create_key("pk_2", "openai", "prod"));
    ask(super::rotate("pk_2", 2));
    ask(create_caller("gk_2", "other app"));
    ask(Question::CreateRole(role("role_2", "reader")));
    configuration_in(&store, OTHER, ("cfg_2", "other document"), &["declared"]);
    ask(Question::DeleteSeed {
        provider: "openai".into(),
    });
    ask(Question::CreateAdminToken {
        token: AdminToken {
            id: "at_2".into(),
            name: "other token".into(),
            masked: "lga_…wxyz".into(),
            workspace: Some(OTHER.into()),
            role: AdminRole::Admin,
            created_by: "root".into(),
            expires_at: None,
            created_at: Timestamp(START),
            revision: 0,
        },
        hash: "hash of other token".into(),
    });
    let records = r#"[{"id":"req_2","at":"2027-01-15T08:00:00.000Z","milliseconds":1,"gateway_key":"gk_2","agent":"bot",
        "gateway":null,"team":null,"path":"/v1/models","route":null,"provider":null,"model":null,"provider_key":null,
        "credential":null,"status":200,"code":null,"stream":false,"outcome":null,"attempts":[]}]"#;
    ask(Question::Data(DataQuestion::Report {
        grants: Default::default(),
        splits: Default::default(),
        records: Records::new(records.into()),
        incidents: Vec::new(),
        admit: None,
    }));
    let before = tables_naming(&store, "2");
    for table in [
        "admin_tokens",
        "agents",
        "configuration_versions",
        "configurations",
        "gateway_keys",
        "gateways",
        "provider_key_versions",
        "provider_keys",
        "requests",
        "roles",
    ] {
        assert!(before.contains(&table.to_owned()), "{table} was not filled");
    }
    let Reply::Entries(mut entries) = ask(Question::DropWorkspace) else {
        panic!("no entries");
    };
    entries.sort();
    assert_eq!(entries, ["entry pk_2 1", "entry pk_2 2"]);
    // They are remembered until somebody has removed them.
    assert_eq!(tables_naming(&store, OTHER), ["leftovers"]);
    ask(Question::Forgotten(entries));
    assert_eq!(tables_naming(&store, "2"), Vec::<String>::new());
    assert_eq!(tables_naming(&store, OTHER), Vec::<String>::new());
    assert_eq!(
        store.key("prod").id,
        "pk_1",
        "the other one's are untouched"
    );
}

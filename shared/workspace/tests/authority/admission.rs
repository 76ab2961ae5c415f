//! Admission: who a gateway key is, for how long that may be believed, and what the snapshot holds.

use lockgate_workspace::question::{
    Admission, Admit, DataQuestion, Denial, Kind, Question, Records, Reply,
};
use lockgate_workspace::resource::{Access, Timestamp};
use lockgate_workspace::snapshot::Identity;

use super::roles::role;
use super::{
    PatchAgent, START, Store, agent, create_caller, create_key, delete, delete_key, gateway,
    gateway_key, patch_caller, patch_workspace, revoke, rotate, tags,
};

const HASH: &str = "hash of app";

fn ready() -> Store {
    let store = Store::with_agent();
    store.ask(create_caller("gk_1", "app")).unwrap();
    store
}

fn lease(admission: &Admission) -> Option<u64> {
    match admission {
        Admission::Granted { lease_ms, .. } => Some(*lease_ms),
        _ => None,
    }
}

#[test]
fn a_gateway_key_is_admitted_with_its_identity_and_snapshot() {
    let store = Store::with_agent();
    store
        .ask(Question::CreateGateway(gateway("gw_1", "edge")))
        .unwrap();
    let mut key = gateway_key("gk_1", "app");
    key.gateway = Some("edge".into());
    let (key, hash) = (Box::new(key), HASH.into());
    store.ask(Question::CreateGatewayKey { key, hash }).unwrap();
    let Admission::Granted {
        identity,
        lease_ms,
        version,
        snapshot,
    } = store.admit(HASH, None)
    else {
        panic!("refused");
    };
    let expected = Identity {
        budget: Default::default(),
        limits: Default::default(),
        gateway_key: "gk_1".into(),
        name: "app".into(),
        agent: "bot".into(),
        agent_id: "agent_1".into(),
        agent_tags: tags("team", "ops"),
        roles: Vec::new(),
        pins: Vec::new(),
        gateway: Some("edge".into()),
        gateway_tags: Some(tags("team", "ops")),
        configuration: None,
        team: Some("ops".into()),
    };
    assert_eq!((identity, lease_ms), (expected, 1_000));
    let snapshot = snapshot.unwrap();
    assert_eq!(
        (snapshot.version, snapshot.name.as_str()),
        (version, "default")
    );
    assert_eq!(snapshot.access, Access::Enforced);
    // Whoever has it need not be sent it again; whoever has another one, older or newer, does.
    for (known, sent) in [(version, false), (version + 1, true), (0, true)] {
        let Admission::Granted { snapshot, .. } = store.admit(HASH, Some(known)) else {
            panic!("refused");
        };
        assert_eq!(snapshot.is_some(), sent, "{known}");
    }
}

#[test]
fn a_key_is_unknown_revoked_or_expired() {
    let store = ready();
    assert_eq!(store.admit("made up", None), Admission::Unknown);
    let admit = DataQuestion::Admit(Admit {
        hash: HASH.into(),
        known: None,
    });
    let elsewhere = store.ask_in("ws_otheraaaaaaaaaaa", admit).unwrap();
    assert_eq!(elsewhere, Reply::Admission(Box::new(Admission::Unknown)));
    store.ask(revoke("app")).unwrap();
    assert_eq!(
        store.admit(HASH, None),
        Admission::Revoked(Timestamp(START))
    );
    // Also when its agent is gone, which nothing but revoked keys keeps.
    store.ask(delete(Kind::Agent, "bot", None)).unwrap();
    assert_eq!(
        store.admit(HASH, None),
        Admission::Revoked(Timestamp(START))
    );
}

#[test]
fn a_lease_ends_before_its_key_does_by_slower_clocks_too() {
    let store = ready();
    let expires_at = START + 10_000;
    store
        .ask(patch_caller("app", None, Some(expires_at)))
        .unwrap();
    let at = |left: u64| {
        store.time.set(expires_at - left);
        store.admit(HASH, None)
    };
    assert_eq!(lease(&at(10_000)), Some(1_000));
    assert_eq!(lease(&at(1_000)), Some(900));
    assert_eq!(lease(&at(600)), Some(500));
    // So soon that each request asks.
    assert_eq!(lease(&at(100)), Some(0));
    assert_eq!(lease(&at(1)), Some(0));
    assert_eq!(at(0), Admission::Expired(Timestamp(expires_at)));
    store.lease_ms.set(60_000);
    let granted = lease(&at(9_000)).unwrap();
    assert!(
        granted + granted / 10 <= 9_000 && granted >= 8_000,
        "{granted}"
    );
    store.lease_ms.set(0);
    assert_eq!(lease(&at(9_000)), Some(0));
}

#[test]
fn every_change_of_what_a_request_is_served_from_moves_the_version() {
    let store = ready();
    let mut last = store.snapshot().version;
    let mut moves = |question: Question, by: u64| {
        let what = format!("{question:?}");
        store.ask(question).unwrap();
        let version = store.snapshot().version;
        assert_eq!(version, last + by, "{what}");
        last = version;
    };
    moves(create_caller("gk_2", "second"), 0);
    moves(create_key("pk_1", "openai", "prod"), 1);
    moves(create_key("pk_2", "openai", "dev"), 1);
    moves(rotate("pk_1", 2), 1);
    moves(Question::SweepProviderKey { id: "pk_1".into() }, 0);
    let patch = Question::PatchProviderKey {
        reference: "dev".into(),
        expect: None,
        name: None,
        tags: None,
        default: Some(true),
        enabled: None,
        managed_by: None,
    };
    moves(patch, 1);
    moves(delete_key("prod"), 1);
    moves(patch_workspace("default", None, None), 1);
    let patch = PatchAgent {
        name: Some("robot".into()),
        ..PatchAgent::default()
    };
    moves(patch.of("bot"), 1);
    moves(Question::CreateAgent(agent("agent_2", "two")), 0);
    moves(Question::CreateRole(role("role_1", "reader")), 1);
}

#[test]
fn a_snapshot_holds_the_newest_pointers_defaults_first() {
    let store = ready();
    store.ask(create_key("pk_1", "openai", "b")).unwrap();
    store.ask(create_key("pk_2", "openai", "a")).unwrap();
    store.ask(create_key("pk_3", "mistral", "c")).unwrap();
    store.ask(rotate("pk_2", 2)).unwrap();
    let disable = Question::PatchProviderKey {
        reference: "pk_3".into(),
        expect: None,
        name: None,
        tags: None,
        default: None,
        enabled: Some(false),
        managed_by: None,
    };
    store.ask(disable).unwrap();
    let snapshot = store.snapshot();
    let ids: Vec<_> = snapshot.keys.iter().map(|key| key.id.as_str()).collect();
    assert_eq!(ids, ["pk_3", "pk_1", "pk_2"]);
    assert_eq!(
        snapshot.providers(),
        ["openai"],
        "a disabled key makes none ready"
    );
    let usable: Vec<_> = snapshot
        .usable("openai")
        .map(|key| key.id.as_str())
        .collect();
    assert_eq!(usable, ["pk_1", "pk_2"]);
    assert_eq!(snapshot.usable("mistral").count(), 0);
    let sealed = snapshot.keys[2].sealed.as_ref().unwrap();
    assert_eq!((sealed.version, sealed.entry.as_str()), (2, "entry pk_2 2"));
    assert_eq!(sealed.wrapped, "wrapped pk_2 2");
}

#[test]
fn a_report_renews_the_lease_in_the_same_hop() {
    let store = ready();
    let report = |records: &str, hash: Option<&str>| {
        store.ask(DataQuestion::Report {
            grants: Default::default(),
            splits: Default::default(),
            records: Records::new(records.into()),
            incidents: Vec::new(),
            admit: hash.map(|hash| Admit {
                hash: hash.into(),
                known: Some(1),
            }),
        })
    };
    assert_eq!(report("[]", None), Ok(Reply::Done));
    let Ok(Reply::Admission(admission)) = report("[]", Some(HASH)) else {
        panic!("no admission");
    };
    assert_eq!(lease(&admission), Some(1_000));
    let broken = report(r#"[{"id": "req_1"}]"#, Some(HASH));
    assert!(matches!(broken, Err(Denial::Store(_))), "{broken:?}");
}

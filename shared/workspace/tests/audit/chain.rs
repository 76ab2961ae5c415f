//! The chain: how it is hashed, listed and checked while it grows.

use sha2::{Digest, Sha256};

use super::*;

/// A store with a chain of so many rows, of every shape: with and without `before` and `after`.
pub(super) fn chain_of(rows: u64) -> Store {
    let store = Store::new();
    store
        .ask(Question::CreateRole(role("role_1", "a")))
        .unwrap();
    for n in 2..rows {
        store.ask(rename_role("role_1", &format!("ü{n}"))).unwrap();
    }
    store.ask(delete(Kind::Role, "role_1")).unwrap();
    store
}

/// The hash of a row as docs/audit.md tells it to those who check an export: from nothing but what `/api/audit` shows.
fn documented(workspace: &str, row: &AuditEntry) -> String {
    let text = |value: &serde_json::Value| serde_json::to_string(value).unwrap();
    let fields = [
        Some("lockgate audit v1".to_owned()),
        Some(workspace.to_owned()),
        Some(row.seq.to_string()),
        Some(row.at.0.to_string()),
        Some(row.actor.clone()),
        Some(row.action.clone()),
        Some(row.resource.clone()),
        row.before.as_ref().map(text),
        row.after.as_ref().map(text),
        Some(row.previous_hash.clone()),
    ];
    let mut input = Vec::new();
    for field in fields {
        match field {
            Some(field) => {
                input.extend_from_slice(field.len().to_string().as_bytes());
                input.push(b':');
                input.extend_from_slice(field.as_bytes());
                input.push(b',');
            }
            None => input.push(b'-'),
        }
    }
    Sha256::digest(&input)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn each_row_has_the_hash_that_the_documentation_says_and_that_of_the_one_before() {
    let store = chain_of(6);
    let log = store.log();
    assert_eq!(log.len(), 6);
    let mut previous = ZEROS.to_owned();
    for (row, seq) in log.iter().zip(1..) {
        assert_eq!(row.seq, seq);
        assert_eq!(row.previous_hash, previous);
        assert_eq!(row.hash, documented(DEFAULT_WORKSPACE, row));
        assert_ne!(row.hash, documented("ws_another", row));
        previous.clone_from(&row.hash);
    }
    assert!(log[0].before.is_none() && log[5].after.is_none());
    assert_eq!(store.verify(), intact(6));
}

/// Anyone can repeat this one: it is the example of docs/audit.md.
#[test]
fn a_row_hashes_to_what_it_always_did() {
    let store = Store::new();
    store.time.set(START - 1);
    let detail = serde_json::json!({ "z": [1, true, null], "a": "ü \" \u{1}\n" });
    store
        .ask(Question::Record {
            action: "api.deny".into(),
            resource: "/api/roles".into(),
            detail,
        })
        .unwrap();
    let row = store.log().remove(0);
    assert_eq!(row.at, Timestamp(START));
    assert_eq!(
        row.hash,
        "36b21f05be0310adf60d9418edae3fb24f9a30a07020096e04e4f6363ff68826"
    );
}

#[test]
fn an_empty_log_is_intact() {
    assert_eq!(Store::new().verify(), intact(0));
}

#[test]
fn the_log_is_listed_newest_first_in_pages_and_by_what_is_asked_for() {
    let store = chain_of(5);
    store
        .ask(Question::CreateRole(role("role_2", "b")))
        .unwrap();
    let list = |limit, before, action: Option<&str>, resource: Option<&str>| {
        let question = Question::ListAudit {
            limit,
            before,
            action: action.map(str::to_owned),
            actor: None,
            resource: resource.map(str::to_owned),
        };
        match store.ask(question) {
            Ok(Reply::Audit(rows)) => rows.iter().map(|r| r.seq).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(list(2, None, None, None), [6, 5]);
    assert_eq!(list(2, Some(5), None, None), [4, 3]);
    assert_eq!(list(9, None, Some("role.create"), None), [6, 1]);
    assert_eq!(list(9, None, Some("role.create"), Some("role_1")), [1]);
    assert_eq!(list(1, Some(6), Some("role.create"), None), [1]);
    let by = |actor: &str| {
        let question = Question::ListAudit {
            limit: 9,
            before: None,
            action: None,
            actor: Some(actor.to_owned()),
            resource: None,
        };
        match store.ask(question) {
            Ok(Reply::Audit(rows)) => rows.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((by("at_tester"), by("' OR '1'='1")), (6, 0));
}

#[test]
fn a_check_in_stretches_finds_what_one_at_once_finds() {
    let store = chain_of(7);
    for limit in 1..=9 {
        assert_eq!(store.verify_by(limit), intact(7), "{limit}");
    }
    store.sql("UPDATE audit SET actor = 'root' WHERE seq = 5");
    for limit in 1..=9 {
        let found = store.verify_by(limit);
        assert_eq!((found.ok, found.first_bad_seq), (false, Some(5)), "{limit}");
    }
}

/// Each stretch is a transaction of its own, and the log grows between them.
#[test]
fn rows_that_are_appended_during_a_check_do_not_make_it_fail() {
    let store = chain_of(6);
    let (mut from, mut previous, mut rows) = (1, None, 0);
    for round in 0.. {
        let question = Question::VerifyAudit {
            from,
            previous,
            limit: 2,
        };
        let Ok(Reply::Verified { verified, next }) = store.ask(question) else {
            panic!("no verdict");
        };
        assert!(verified.ok, "round {round}: {verified:?}");
        rows += verified.rows;
        let Some((seq, hash)) = next else { break };
        (from, previous) = (seq, Some(hash));
        if round < 3 {
            let id = format!("role_x{round}");
            store.ask(Question::CreateRole(role(&id, &id))).unwrap();
        }
    }
    assert_eq!(rows, 9);
    assert_eq!(store.verify(), intact(9));
}

#[test]
fn workspaces_have_chains_of_their_own() {
    let store = chain_of(3);
    let other = "ws_otheraaaaaaaaaaa";
    store
        .ask_in(other, Question::CreateRole(role("role_o", "o")))
        .unwrap();
    let rows = store.log_of(other);
    assert_eq!((rows[0].seq, rows[0].previous_hash.as_str()), (1, ZEROS));
    assert_eq!(store.log().len(), 3);
    // A row that is moved to another chain does not pass there.
    store.sql(&format!(
        "UPDATE audit SET workspace = '{DEFAULT_WORKSPACE}', seq = 4 WHERE workspace = '{other}'"
    ));
    assert_eq!(store.verify().first_bad_seq, Some(4));
}

/// Nobody can stop the gateway by spoiling its log: it goes on, and the check goes on naming the row.
#[test]
fn a_spoilt_chain_is_appended_to_and_stays_spoilt() {
    for (damage, bad) in [
        ("UPDATE audit SET hash = 'x' WHERE seq = 2", 2),
        ("DELETE FROM audit WHERE seq = 3", 3),
        ("DELETE FROM audit_heads", 4),
        ("UPDATE audit_heads SET seq = 1", 4),
        ("UPDATE audit_heads SET seq = 'x'", 4),
        (
            "INSERT INTO audit SELECT workspace, 4, at, actor, action, resource, before, after, hash, hash FROM audit
             WHERE seq = 3",
            4,
        ),
    ] {
        let store = chain_of(3);
        store.sql(damage);
        store.ask(Question::CreateRole(role("role_9", "nine"))).unwrap();
        let found = store.verify();
        assert_eq!((found.ok, found.first_bad_seq), (false, Some(bad)), "{damage}");
        store.ask(rename_role("nine", "ten")).unwrap();
        assert_eq!(store.verify().first_bad_seq, Some(bad), "{damage}");
    }
}

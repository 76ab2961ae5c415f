//! Admin tokens in the authority: found by the hash of their text where they are kept, and nowhere else.

use lockgate_workspace::question::{Page, Resource};
use lockgate_workspace::resource::{AdminRole, AdminToken};

use super::*;

pub(super) fn token(id: &str, name: &str) -> AdminToken {
    AdminToken {
        id: id.into(),
        name: name.into(),
        masked: "lga_…wxyz".into(),
        workspace: None,
        role: AdminRole::Member,
        created_by: "root".into(),
        expires_at: Some(Timestamp(START + 5)),
        created_at: Timestamp(START),
        revision: 0,
    }
}

pub(super) fn create(id: &str, name: &str) -> Question {
    Question::CreateAdminToken {
        token: token(id, name),
        hash: format!("hash of {name}"),
    }
}

fn check(name: &str) -> Question {
    Question::CheckAdminToken {
        hash: format!("hash of {name}"),
    }
}

fn shown(reply: Result<Reply, Denial>) -> AdminToken {
    match reply {
        Ok(Reply::Resource(resource)) => match *resource {
            Resource::AdminToken(token) => token,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn unknown() -> Result<Reply, Denial> {
    Err(Denial::NotFound {
        kind: "admin token".into(),
        reference: "with this text".into(),
    })
}

#[test]
fn a_token_is_found_by_its_hash_until_it_is_revoked() {
    let store = Store::new();
    let made = shown(store.ask(create("at_1", "ci")));
    let expected = AdminToken {
        revision: 1,
        ..token("at_1", "ci")
    };
    assert_eq!(made, expected);
    // Also when it has ended: whoever asks says so.
    store.time.set(START + 1_000);
    assert_eq!(shown(store.ask(check("ci"))), expected);
    assert_eq!(store.ask(check("cd")), unknown());
    assert_eq!(
        store.ask(Question::Delete {
            kind: Kind::AdminToken,
            reference: "ci".into(),
            expect: Some(2)
        }),
        Err(Denial::Stale {
            expected: 2,
            found: 1
        })
    );
    store.ask(delete(Kind::AdminToken, "ci")).unwrap();
    assert_eq!(store.ask(check("ci")), unknown());
    assert!(store.ask(delete(Kind::AdminToken, "ci")).is_err());
}

#[test]
fn a_token_is_known_only_where_it_is_kept() {
    let store = Store::new();
    let other = "ws_otheraaaaaaaaaaa";
    store.ask_in(other, create("at_1", "ci")).unwrap();
    assert_eq!(store.ask(check("ci")), unknown());
    assert!(
        store
            .ask(Question::Get(Kind::AdminToken, "at_1".into()))
            .is_err()
    );
    assert!(store.ask(delete(Kind::AdminToken, "at_1")).is_err());
    assert_eq!(shown(store.ask_in(other, check("ci"))).id, "at_1");
    store.ask_in(other, Question::DropWorkspace).unwrap();
    assert_eq!(store.ask_in(other, check("ci")), unknown());
}

#[test]
fn names_are_unique_and_free_again_when_the_token_is_gone() {
    let store = Store::new();
    store.ask(create("at_1", "ci")).unwrap();
    assert_eq!(
        store.ask(create("at_2", "ci")),
        Err(Denial::AlreadyExists {
            kind: "admin token".into(),
            name: "ci".into()
        })
    );
    store.ask(delete(Kind::AdminToken, "at_1")).unwrap();
    store.ask(create("at_2", "ci")).unwrap();
    let page = Page {
        limit: 10,
        after: None,
    };
    let Ok(Reply::Resources(all)) = store.ask(Question::List(Kind::AdminToken, page)) else {
        panic!();
    };
    assert_eq!(all.len(), 1);
}

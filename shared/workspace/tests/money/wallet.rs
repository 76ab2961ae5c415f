//! What each question does to the wallet and its ledger.

use lockgate_workspace::resource::{LedgerKind, Timestamp};

use super::*;

/// Whether it was set aside, and the wallet after it.
fn reserved(reply: Result<Reply, Denial>) -> (bool, (u64, u64)) {
    match reply {
        Ok(Reply::Reserved { reserved, wallet }) => (reserved, shown(Reply::Wallet(wallet))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_wallet_is_empty() {
    let store = Store::new();
    assert_eq!(store.wallet(), (0, 0));
    assert!(store.ledger().is_empty());
    assert_eq!(
        reserved(store.ask(reserve("res_1", 1, 1_000))),
        (false, (0, 0))
    );
    assert_eq!(
        (store.count("wallets"), store.count("reservations")),
        (0, 0)
    );
}

#[test]
fn money_is_set_aside_then_paid_and_the_rest_goes_back() {
    let store = Store::new();
    assert_eq!(
        shown(store.ask(credit("crd_1", 1_000)).unwrap()),
        (1_000, 0)
    );
    assert_eq!(
        reserved(store.ask(reserve("res_1", 600, 1_000))),
        (true, (400, 600))
    );
    assert_eq!(
        reserved(store.ask(reserve("res_2", 401, 1_000))),
        (false, (400, 600))
    );
    assert_eq!(
        reserved(store.ask(reserve("res_3", 400, 1_000))),
        (true, (0, 1_000))
    );
    assert_eq!(shown(store.ask(settle("res_1", 150)).unwrap()), (450, 400));
    assert_eq!(shown(store.ask(settle("res_3", 0)).unwrap()), (850, 0));
    let lines: Vec<_> = store
        .ledger()
        .into_iter()
        .map(|l| {
            (
                l.seq,
                l.kind,
                l.amount_microusd,
                l.balance_microusd,
                l.reserved_microusd,
                l.reservation,
            )
        })
        .collect();
    let (one, three) = (Some("res_1".to_owned()), Some("res_3".to_owned()));
    assert_eq!(
        lines,
        [
            (1, LedgerKind::Credit, 1_000, 1_000, 0, None),
            (2, LedgerKind::Reserve, 600, 400, 600, one.clone()),
            (3, LedgerKind::Reserve, 400, 0, 1_000, three.clone()),
            (4, LedgerKind::Settle, 150, 450, 400, one),
            (5, LedgerKind::Settle, 0, 850, 0, three),
        ]
    );
    let ledger = store.ledger();
    assert_eq!(ledger[0].note.as_deref(), Some("invoice of crd_1"));
    assert_eq!(ledger[0].request, None);
    assert_eq!(ledger[3].request.as_deref(), Some("req_res_1"));
    assert_eq!(ledger[3].at, Timestamp(START));
}

#[test]
fn what_is_said_again_changes_nothing() {
    let store = Store::new();
    for _ in 0..3 {
        assert_eq!(
            shown(store.ask(credit("crd_1", 1_000)).unwrap()),
            (1_000, 0)
        );
    }
    for _ in 0..3 {
        assert_eq!(
            reserved(store.ask(reserve("res_1", 600, 1_000))),
            (true, (400, 600))
        );
    }
    for _ in 0..3 {
        assert_eq!(shown(store.ask(settle("res_1", 100)).unwrap()), (900, 0));
    }
    // Neither a late second try nor another cost.
    assert_eq!(
        reserved(store.ask(reserve("res_1", 600, 1_000))),
        (true, (900, 0))
    );
    assert_eq!(shown(store.ask(settle("res_1", 500)).unwrap()), (900, 0));
    assert_eq!(store.ledger().len(), 3);
}

#[test]
fn an_id_stands_for_one_amount_in_one_workspace() {
    let store = Store::new();
    let exists = |reply| {
        assert!(
            matches!(reply, Err(Denial::AlreadyExists { .. })),
            "{reply:?}"
        )
    };
    store.ask(credit("crd_1", 1_000)).unwrap();
    exists(store.ask(credit("crd_1", 999)));
    store.ask(reserve("res_1", 600, 1_000)).unwrap();
    exists(store.ask(reserve("res_1", 601, 1_000)));
    let other = "ws_otheraaaaaaaaaaa";
    store.ask_in(other, credit("crd_1", 5_000)).unwrap();
    exists(store.ask_in(other, reserve("res_1", 600, 1_000)));
    let denied = store.ask_in(other, settle("res_1", 600));
    assert!(matches!(denied, Err(Denial::NotFound { .. })), "{denied:?}");
    assert_eq!(
        shown(store.ask_in(other, Question::GetWallet).unwrap()),
        (5_000, 0)
    );
    assert_eq!(store.wallet(), (400, 600));
    assert_eq!(
        store.ask(settle("res_9", 1)),
        Err(Denial::NotFound {
            kind: "reservation".into(),
            reference: "res_9".into()
        })
    );
}

#[test]
fn what_cannot_be_paid_is_written_down() {
    let store = Store::new();
    store.ask(credit("crd_1", 1_000)).unwrap();
    store.ask(reserve("res_1", 600, 1_000)).unwrap();
    store.ask(reserve("res_2", 300, 1_000)).unwrap();
    // 600 were set aside and 100 more are there; what is set aside for the other is not touched.
    assert_eq!(shown(store.ask(settle("res_1", 850)).unwrap()), (0, 300));
    let last = store.ledger().pop().unwrap();
    assert_eq!((last.amount_microusd, last.shortfall_microusd), (700, 150));
    assert_eq!(shown(store.ask(settle("res_2", u64::MAX)).unwrap()), (0, 0));
    let last = store.ledger().pop().unwrap();
    assert_eq!(
        (last.amount_microusd, last.shortfall_microusd),
        (300, (1 << 53) - 1 - 300)
    );
}

#[test]
fn a_reservation_goes_back_when_its_time_is_over_and_somebody_needs_it() {
    let store = Store::new();
    store.ask(credit("crd_1", 1_000)).unwrap();
    store.ask(reserve("res_1", 600, 1_000)).unwrap();
    store.wait(1);
    store.ask(reserve("res_2", 400, 1_000)).unwrap();
    store.wait(998);
    assert_eq!(
        reserved(store.ask(reserve("res_3", 500, 1_000))),
        (false, (0, 1_000))
    );
    store.wait(1);
    // Only the first has run out.
    assert_eq!(
        reserved(store.ask(reserve("res_3", 500, 1_000))),
        (true, (100, 900))
    );
    let ledger = store.ledger();
    let expired = &ledger[3];
    assert_eq!(
        (expired.kind, expired.amount_microusd, &expired.reservation),
        (LedgerKind::Expire, 600, &Some("res_1".to_owned()))
    );
    assert_eq!(expired.request.as_deref(), Some("req_res_1"));
    // Nothing is set aside for it any more, so it must not be sent.
    assert!(!reserved(store.ask(reserve("res_1", 600, 1_000))).0);
    // It was sent all the same, and is paid from the balance, as far as that reaches.
    assert_eq!(shown(store.ask(settle("res_1", 130)).unwrap()), (0, 900));
    let last = store.ledger().pop().unwrap();
    assert_eq!((last.amount_microusd, last.shortfall_microusd), (100, 30));
    // Its time being over takes nothing from one that nobody had to give back.
    store.wait(1_000);
    assert_eq!(shown(store.ask(settle("res_2", 400)).unwrap()), (0, 500));
}

#[test]
fn many_that_have_run_out_make_room_for_one() {
    let store = Store::new();
    store.ask(credit("crd_1", 1_000)).unwrap();
    for n in 0..250 {
        store.ask(reserve(&format!("res_{n}"), 4, 1_000)).unwrap();
    }
    store.wait(1_000);
    assert_eq!(
        reserved(store.ask(reserve("res_all", 1_000, 1_000))),
        (true, (0, 1_000))
    );
}

#[test]
fn a_wallet_holds_no_more_than_can_be_counted() {
    let most = (1 << 53) - 1;
    let store = Store::new();
    store.ask(credit("crd_1", most - 10)).unwrap();
    store.ask(reserve("res_1", 1_000, 1_000)).unwrap();
    for amount in [11, u64::MAX] {
        let Err(Denial::InUse(why)) = store.ask(credit("crd_2", amount)) else {
            panic!("it was credited");
        };
        assert!(why.contains("credit at most 10"), "{why}");
    }
    store.ask(credit("crd_2", 10)).unwrap();
    store.ask(settle("res_1", 0)).unwrap();
    assert_eq!(store.wallet(), (most, 0));
    let (none, _) = reserved(store.ask(reserve("res_2", u64::MAX, u64::MAX)));
    assert!(!none);
    let (all, wallet) = reserved(store.ask(reserve("res_2", most, u64::MAX)));
    assert!(all && wallet == (0, most));
    assert!(matches!(
        store.ask(credit("crd_3", 0)),
        Err(Denial::InUse(_))
    ));
}

#[test]
fn the_ledger_is_read_in_pages_newest_first() {
    let store = Store::new();
    for n in 1..=5 {
        store.ask(credit(&format!("crd_{n}"), n)).unwrap();
    }
    let page = |limit, before| match store.ask(Question::ListLedger { limit, before }) {
        Ok(Reply::Ledger(lines)) => lines.into_iter().map(|l| l.seq).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(page(2, None), [5, 4]);
    assert_eq!(page(2, Some(4)), [3, 2]);
    assert_eq!(page(2, Some(2)), [1]);
    assert!(page(2, Some(1)).is_empty());
    assert_eq!(page(2, Some(u64::MAX)), [5, 4]);
}

#[test]
fn the_audit_log_names_who_credited() {
    let store = Store::new();
    store.ask(credit("crd_1", 700)).unwrap();
    store.ask(credit("crd_2", 300)).unwrap();
    store.ask(credit("crd_1", 700)).unwrap();
    store.ask(credit("crd_1", 1)).unwrap_err();
    store.ask(reserve("res_1", 10, 1_000)).unwrap();
    store.ask(settle("res_1", 10)).unwrap();
    let told: Vec<_> = store
        .audit()
        .into_iter()
        .map(|row| {
            let balance = |v: Option<serde_json::Value>| v.unwrap()["balance_microusd"].as_u64();
            let (before, after) = (balance(row.before), balance(row.after));
            (row.action, row.resource, row.actor, before, after)
        })
        .collect();
    let by = |id: &str, before, after| {
        let (action, actor) = ("wallet.credit".to_owned(), "at_tester".to_owned());
        (action, id.to_owned(), actor, Some(before), Some(after))
    };
    assert_eq!(told, [by("crd_1", 0, 700), by("crd_2", 700, 1_000)]);
}

//! What is given back and forgotten on a schedule.

use lockgate_workspace::question::{Housekeeping, Housekept};

use super::*;

fn housekeep(store: &Store, log_before: u64, usage_before: u64, most: u32) -> Housekept {
    let work = Housekeeping {
        log_before: Timestamp(log_before),
        usage_before: Timestamp(usage_before),
        most,
    };
    match store.ask(Question::Housekeep(work)) {
        Ok(Reply::Housekept(done)) => done,
        other => panic!("{other:?}"),
    }
}

#[test]
fn there_may_be_nothing_to_do() {
    let store = Store::new();
    assert_eq!(housekeep(&store, START, START, 10), Housekept::default());
    assert_eq!(housekeep(&store, START, START, 0), Housekept::default());
    assert_eq!(store.count("wallets"), 0);
}

#[test]
fn reservations_that_nobody_settles_go_back() {
    let store = Store::new();
    store.ask(credit("crd_1", 1_000)).unwrap();
    for n in 0..5 {
        let ttl = if n == 4 { 2_000 } else { 1_000 };
        store.ask(reserve(&format!("res_{n}"), 100, ttl)).unwrap();
    }
    store.ask(settle("res_0", 30)).unwrap();
    store.wait(1_000);
    let done = housekeep(&store, 0, 0, 2);
    assert!(done.reservations_expired == 2 && done.more);
    assert_eq!(store.wallet(), (770, 200));
    let done = housekeep(&store, 0, 0, 2);
    assert!(done.reservations_expired == 1 && !done.more);
    assert_eq!(store.wallet(), (870, 100));
    assert_eq!(housekeep(&store, 0, 0, 2), Housekept::default());
}

#[test]
fn what_has_ended_is_known_for_a_day_and_the_ledger_for_ever() {
    let store = Store::new();
    store.ask(credit("crd_1", 1_000)).unwrap();
    store.ask(reserve("res_1", 100, 1_000)).unwrap();
    store.ask(reserve("res_2", 100, 1_000)).unwrap();
    store.ask(reserve("res_3", 100, u64::MAX)).unwrap();
    store.wait(2 * DAY);
    // A late settling counts from when it came.
    store.ask(settle("res_1", 60)).unwrap();
    assert_eq!(housekeep(&store, 0, 0, 10).reservations_expired, 1);
    store.wait(DAY);
    housekeep(&store, 0, 0, 10);
    assert_eq!(store.count("reservations"), 3);
    store.ask(settle("res_1", 60)).unwrap();
    assert_eq!(store.wallet(), (840, 100));
    store.wait(1);
    housekeep(&store, 0, 0, 10);
    assert_eq!(store.count("reservations"), 1);
    assert!(matches!(
        store.ask(settle("res_1", 60)),
        Err(Denial::NotFound { .. })
    ));
    assert_eq!((store.wallet(), store.ledger().len()), ((840, 100), 6));
    store.ask(credit("crd_1", 1_000)).unwrap();
    assert_eq!(store.wallet(), (840, 100));
}

#[test]
fn the_log_goes_first_and_usage_stays_longer() {
    let store = Store::new();
    let ids: Vec<String> = (0..10).map(|n| format!("req_{n}")).collect();
    let records: Vec<_> = (0..10)
        .map(|n| record(&ids[n], START + n as u64 * DAY / 2))
        .collect();
    store.report(&records);
    assert_eq!((store.count("requests"), store.count("usage")), (10, 5));
    // The seven that are older; the border itself stays.
    let before = START + 7 * DAY / 2;
    let done = housekeep(&store, before, 0, 4);
    assert!(done.log_removed == 4 && done.more);
    let done = housekeep(&store, before, 0, 4);
    assert!(done.log_removed == 3 && !done.more);
    assert_eq!((store.count("requests"), store.count("usage")), (3, 5));
    let question = Question::ListRequests(
        Default::default(),
        lockgate_workspace::question::Page {
            limit: 10,
            after: None,
        },
    );
    let Ok(Reply::Requests(left)) = store.ask(question) else {
        panic!("no log");
    };
    assert_eq!(left.last().unwrap().id, "req_7");
    // A day that has begun before the border and not ended stays whole.
    assert!(housekeep(&store, 0, START + 2 * DAY, 1).more);
    assert!(housekeep(&store, 0, START + 2 * DAY, 1).more);
    assert!(!housekeep(&store, 0, START + 2 * DAY, 1).more);
    assert_eq!(store.count("usage"), 3);
}

#[test]
fn another_workspace_is_left_alone() {
    let store = Store::new();
    store.ask(credit("crd_1", 1_000)).unwrap();
    store.ask(reserve("res_1", 100, 0)).unwrap();
    store.report(&[record("req_a", START)]);
    let work = Question::Housekeep(Housekeeping {
        log_before: Timestamp(START + 9 * DAY),
        usage_before: Timestamp(START + 9 * DAY),
        most: 10,
    });
    store.wait(9 * DAY);
    let done = store.ask_in("ws_otheraaaaaaaaaaa", work);
    assert_eq!(done, Ok(Reply::Housekept(Housekept::default())));
    assert_eq!((store.count("requests"), store.count("usage")), (1, 1));
    assert_eq!(store.wallet(), (900, 100));
}

//! Limits of gateway keys: what is drawn, reported, and in force.

use lockgate_workspace::allowance::Drawn;
use lockgate_workspace::question::{
    DrawnPart, Draws, GrantPart, GrantReport, Limit, Records, Want,
};
use lockgate_workspace::resource::{Budget, Limits, Period};

use super::*;
use Limit::{Budget as Money, RequestsPerDay, RequestsPerMinute, TokensPerMinute};

const NONE: Limits = Limits {
    requests_per_minute: None,
    tokens_per_minute: None,
    requests_per_day: None,
};

fn patch(limits: Change<Limits>, budget: Change<Budget>) -> Question {
    Question::PatchGatewayKey {
        reference: "gk_1".into(),
        expect: None,
        name: None,
        team: None,
        expires_at: None,
        gateway: Change::Keep,
        configuration: Change::Keep,
        limits,
        budget,
    }
}

fn per_minute(requests: u64, tokens: u64) -> Change<Limits> {
    Change::Set(Limits {
        requests_per_minute: Some(requests),
        tokens_per_minute: Some(tokens),
        ..NONE
    })
}

fn budget(amount_microusd: u64, period: Period) -> Change<Budget> {
    Change::Set(Budget {
        amount_microusd,
        period,
    })
}

fn store(limits: Change<Limits>, budget: Change<Budget>) -> Store {
    let store = Store::with_agent();
    store.ask(create_caller("gk_1", "app")).unwrap();
    store.ask(patch(limits, budget)).unwrap();
    store
}

fn draws(grant: &str, look: bool, wants: &[(Limit, u64)]) -> DataQuestion {
    let wants = wants.iter().map(|(limit, least)| Want {
        limit: *limit,
        least: *least,
        most: *least,
    });
    DataQuestion::Draw(Draws {
        gateway_key: "gk_1".into(),
        grant: grant.into(),
        look,
        wants: wants.collect(),
    })
}

fn draw(store: &Store, grant: &str, wants: &[(Limit, u64)]) -> Vec<DrawnPart> {
    match store.ask(draws(grant, false, wants)) {
        Ok(Reply::Drawn(drawn)) => drawn.parts,
        other => panic!("{other:?}"),
    }
}

fn look(store: &Store, wants: &[(Limit, u64)]) -> Vec<DrawnPart> {
    match store.ask(draws("look", true, wants)) {
        Ok(Reply::Drawn(drawn)) => drawn.parts,
        other => panic!("{other:?}"),
    }
}

fn is_granted(parts: &[DrawnPart]) -> bool {
    let granted = |part: &DrawnPart| matches!(part.drawn, Drawn::Granted { .. });
    parts.iter().all(granted)
}

fn report(store: &Store, grant: &str, parts: &[(Limit, u64, u64)]) {
    let parts = parts.iter().map(|(limit, returned, spent)| GrantPart {
        limit: *limit,
        returned: *returned,
        spent: *spent,
    });
    let report = DataQuestion::Report {
        records: Records::new("[]".into()),
        incidents: Vec::new(),
        grants: vec![GrantReport {
            gateway_key: "gk_1".into(),
            grant: grant.into(),
            parts: parts.collect(),
        }],
        splits: Vec::new(),
        admit: None,
    };
    store.ask(report).unwrap();
}

fn ledgers(store: &Store) -> usize {
    store
        .database
        .sql("SELECT kind FROM ledgers", &[])
        .unwrap()
        .len()
}

#[test]
fn sixty_four_at_once_against_ten_are_ten() {
    let cases = [
        (per_minute(10, 1_000), Change::Keep, RequestsPerMinute, 1),
        (per_minute(1_000, 1_000), Change::Keep, TokensPerMinute, 100),
        (Change::Keep, budget(50, Period::Day), Money, 5),
        (Change::Keep, budget(50, Period::Month), Money, 5),
    ];
    for (limits, budget, limit, least) in cases {
        for lease_ms in [0, 1_000] {
            let store = store(limits.clone(), budget.clone());
            store.lease_ms.set(lease_ms);
            let pass =
                |n: &u32| is_granted(&draw(&store, &format!("grant {n}"), &[(limit, least)]));
            assert_eq!((0..64).filter(pass).count(), 10, "{limit:?}");
        }
    }
}

#[test]
fn from_every_limit_or_from_none() {
    let store = store(per_minute(10, 100), budget(50, Period::Day));
    let wants = [(RequestsPerMinute, 1), (TokensPerMinute, 60), (Money, 20)];
    let first = draw(&store, "a", &wants);
    assert!(is_granted(&first));
    let left: Vec<_> = first
        .iter()
        .map(|part| (part.whole, part.available))
        .collect();
    assert_eq!(left, [(10, 9), (100, 40), (50, 30)]);
    let second = draw(&store, "b", &wants);
    assert!(matches!(second[0].drawn, Drawn::Granted { .. }));
    assert!(matches!(second[1].drawn, Drawn::Wait { .. }));
    assert!(matches!(second[2].drawn, Drawn::Granted { .. }));
    let left: Vec<_> = second.iter().map(|part| part.available).collect();
    assert_eq!(left, [9, 40, 30], "nothing was taken");
    let looked = look(&store, &wants);
    assert!(!is_granted(&looked));
    assert_eq!(looked[1].drawn, second[1].drawn);
    // The same draw again is the same grant.
    assert_eq!(draw(&store, "a", &wants), first);
    report(
        &store,
        "a",
        &[
            (RequestsPerMinute, 0, 1),
            (TokensPerMinute, 40, 20),
            (Money, 20, 0),
        ],
    );
    let looked = look(&store, &wants);
    assert!(is_granted(&looked));
    let left: Vec<_> = looked.iter().map(|part| part.available).collect();
    assert_eq!(left, [9, 80, 50]);
    // To look takes nothing.
    assert_eq!(look(&store, &wants), looked);
}

#[test]
fn what_a_key_may_use_is_what_its_row_says_now() {
    let store = store(per_minute(5, 100), Change::Keep);
    let wants = [(RequestsPerMinute, 3)];
    assert!(is_granted(&draw(&store, "a", &wants)));
    report(&store, "a", &[(RequestsPerMinute, 0, 3)]);
    assert!(!is_granted(&draw(&store, "b", &wants)));
    store.ask(patch(per_minute(6, 100), Change::Keep)).unwrap();
    assert!(is_granted(&draw(&store, "b", &wants)));
    store.ask(patch(per_minute(2, 100), Change::Keep)).unwrap();
    assert_eq!(draw(&store, "c", &wants)[0].drawn, Drawn::TooLarge);
    // A limit that the key has no more is none, and one that it has not had.
    store.ask(patch(Change::Clear, Change::Keep)).unwrap();
    let parts = draw(
        &store,
        "c",
        &[(RequestsPerMinute, 3), (RequestsPerDay, 7), (Money, 9)],
    );
    assert!(is_granted(&parts));
    assert!(parts.iter().all(|part| part.whole == u64::MAX));
    // What was used counts on where it has a limit again.
    store.ask(patch(per_minute(8, 100), Change::Keep)).unwrap();
    assert_eq!(look(&store, &wants)[0].available, 2);
}

#[test]
fn budgets_count_by_their_period() {
    let store = store(Change::Keep, budget(50, Period::Day));
    let wants = [(Money, 40)];
    assert!(is_granted(&draw(&store, "a", &wants)));
    report(&store, "a", &[(Money, 0, 40)]);
    assert!(!is_granted(&draw(&store, "b", &wants)));
    // Another period begins anew, and the first goes on where it was.
    store
        .ask(patch(Change::Keep, budget(50, Period::Month)))
        .unwrap();
    assert!(is_granted(&draw(&store, "b", &wants)));
    report(&store, "b", &[(Money, 10, 30)]);
    assert_eq!(look(&store, &wants)[0].available, 20);
    store
        .ask(patch(Change::Keep, budget(50, Period::Day)))
        .unwrap();
    assert_eq!(look(&store, &wants)[0].available, 10);
    store.time.set(START + 86_400_000);
    assert_eq!(look(&store, &wants)[0].available, 50);
    store
        .ask(patch(Change::Keep, budget(50, Period::Month)))
        .unwrap();
    assert_eq!(look(&store, &wants)[0].available, 20);
    store.time.set(START + 31 * 86_400_000);
    assert_eq!(look(&store, &wants)[0].available, 50);
}

#[test]
fn a_key_that_is_revoked_or_unknown_gets_nothing_and_leaves_nothing() {
    let store = store(per_minute(5, 100), budget(50, Period::Day));
    let wants = [(RequestsPerMinute, 1), (Money, 9)];
    assert!(is_granted(&draw(&store, "a", &wants)));
    assert_eq!(ledgers(&store), 2);
    // It belongs to another workspace.
    let elsewhere = store.ask_in("ws_other", draws("b", false, &wants));
    assert!(matches!(elsewhere, Err(Denial::NotFound { .. })));
    store
        .ask(Question::RevokeGatewayKey {
            reference: "gk_1".into(),
            expect: None,
        })
        .unwrap();
    for look in [false, true] {
        let refused = store.ask(draws("b", look, &wants));
        assert!(
            matches!(refused, Err(Denial::NotFound { .. })),
            "{refused:?}"
        );
    }
    report(&store, "a", &[(RequestsPerMinute, 0, 1), (Money, 0, 9)]);
    assert_eq!(ledgers(&store), 0);
    report(&store, "a", &[(RequestsPerMinute, 0, 1)]);
}

#[test]
fn a_clock_that_was_ahead_is_set_right_by_a_draw_that_is_refused() {
    let store = store(per_minute(1, 100), Change::Keep);
    let wants = [(RequestsPerMinute, 1)];
    store.time.set(START + 86_400_000);
    assert!(is_granted(&draw(&store, "a", &wants)));
    report(&store, "a", &[(RequestsPerMinute, 0, 1)]);
    store.time.set(START);
    assert!(
        is_granted(&look(&store, &wants)),
        "only a draw takes note of it"
    );
    assert!(!is_granted(&draw(&store, "b", &wants)));
    store.time.set(START + 59_000);
    assert!(!is_granted(&draw(&store, "b", &wants)));
    store.time.set(START + 61_000);
    assert!(is_granted(&draw(&store, "b", &wants)));
}

#[test]
fn reports_of_what_nobody_knows_change_nothing() {
    let store = store(per_minute(5, 100), Change::Keep);
    report(&store, "unknown", &[(RequestsPerMinute, 3, 9)]);
    assert_eq!(ledgers(&store), 0);
    assert!(is_granted(&draw(&store, "a", &[(RequestsPerMinute, 2)])));
    report(&store, "unknown", &[(RequestsPerMinute, 3, 9)]);
    // The grant has nothing of this limit.
    report(&store, "a", &[(TokensPerMinute, u64::MAX, u64::MAX)]);
    assert_eq!(look(&store, &[(RequestsPerMinute, 1)])[0].available, 3);
    // An isolate that never got an answer gives back whatever it may have been granted.
    report(&store, "a", &[(RequestsPerMinute, u64::MAX, 0)]);
    assert_eq!(look(&store, &[(RequestsPerMinute, 1)])[0].available, 5);
    assert_eq!(
        draw(&store, "a", &[(RequestsPerMinute, 1)])[0].drawn,
        Drawn::Over
    );
}

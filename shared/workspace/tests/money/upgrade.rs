//! A store of the version before wallets, prices and usage: it goes on working, and has them from then on.

use lockgate_workspace::question::{
    Admission, Admit, Housekeeping, Page, RequestFilter, UsageQuery,
};
use lockgate_workspace::resource::Price;

use super::*;

const SCHEMA_4: &str = concat!(
    include_str!("../fixtures/schema_1.sql"),
    include_str!("../fixtures/rows_1.sql"),
    include_str!("../fixtures/schema_2.sql"),
    include_str!("schema_4.sql"),
);

/// A record as the version before wrote it.
const RECORD: &str = r#"{"id":"req_old","at":"2027-01-14T08:00:00.000Z","milliseconds":12,"gateway_key":"gk_1",
"agent":"bot","gateway":null,"team":null,"path":"/v1/chat/completions","route":null,"provider":"openai","model":"gpt-4o",
"provider_key":"prod","credential":"byok","status":200,"code":null,"stream":false,"outcome":null,"attempts":[{"provider":
"openai","provider_key":"prod","status":200,"code":null,"milliseconds":11}]}"#;

fn earlier() -> Store {
    let store = Store::new();
    let connection = store.database.connection.borrow();
    connection.execute_batch(SCHEMA_4).unwrap();
    connection
        .execute(
            "INSERT INTO requests VALUES ('ws_defaultaaaaaaaaa', '2027-01-14T08:00:00.000Z', 'req_old', 'gk_1', 'bot', NULL,
             'openai', 'gpt-4o', 'byok', 200, ?1)",
            [RECORD],
        )
        .unwrap();
    drop(connection);
    store
}

fn admitted(store: &Store) -> Vec<Price> {
    let hash = "hash of app".into();
    match store.ask(DataQuestion::Admit(Admit { hash, known: None })) {
        Ok(Reply::Admission(admission)) => match *admission {
            Admission::Granted {
                snapshot: Some(snapshot),
                ..
            } => snapshot.prices,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_are_admitted_and_the_log_is_read_as_before() {
    let store = earlier();
    assert!(admitted(&store).is_empty());
    let page = Page {
        limit: 10,
        after: None,
    };
    let Ok(Reply::Requests(log)) =
        store.ask(Question::ListRequests(RequestFilter::default(), page))
    else {
        panic!("no log");
    };
    assert_eq!((log.len(), &*log[0].id), (1, "req_old"));
    assert_eq!((log[0].tokens, log[0].cost_microusd), (None, None));
}

#[test]
fn it_has_a_wallet_prices_and_usage_from_then_on() {
    let store = earlier();
    store.ask(credit("crd_1", 1_000)).unwrap();
    store.ask(reserve("res_1", 600, 1_000)).unwrap();
    store.ask(settle("res_1", 100)).unwrap();
    assert_eq!((store.wallet(), store.ledger().len()), ((900, 0), 3));
    let price = Price {
        provider: "openai".into(),
        model: "gpt-4o".into(),
        input: 1,
        cached_input: None,
        output: 2,
    };
    store.ask(Question::PutPrice(price.clone())).unwrap();
    assert_eq!(admitted(&store), [price]);
    // Requests before it are in the log only.
    store.report(&[record("req_new", START)]);
    let all = UsageQuery {
        limit: 10,
        ..UsageQuery::default()
    };
    let Ok(Reply::Usage(usage)) = store.ask(Question::Usage(all)) else {
        panic!("no usage");
    };
    assert_eq!((usage.len(), usage[0].requests), (1, 1));
    let work = Question::Housekeep(Housekeeping {
        log_before: Timestamp(START),
        usage_before: Timestamp(START),
        most: 10,
    });
    let Ok(Reply::Housekept(done)) = store.ask(work) else {
        panic!("not tidied");
    };
    assert_eq!(done.log_removed, 1);
}

/// Isolates of the version before go on reporting while it is replaced.
#[test]
fn records_of_the_version_before_are_stored_and_counted() {
    let store = earlier();
    let question = DataQuestion::Report {
        records: Records::new(format!("[{RECORD}]")),
        incidents: Vec::new(),
        grants: Vec::new(),
        splits: Vec::new(),
        admit: None,
    };
    store.ask(question).unwrap();
    assert_eq!((store.count("requests"), store.count("usage")), (2, 1));
}

//! The request log: filters, pages and what it tells about keys.

use lockgate_workspace::question::{DataQuestion, Page, Question, Records, Reply, RequestFilter};
use lockgate_workspace::resource::{Attempt, RequestRecord, Timestamp};

use super::{START, Store, create_caller, create_key, page};

fn record(id: &str, at: u64) -> RequestRecord<'_> {
    RequestRecord {
        cost_microusd: Default::default(),
        tokens: Default::default(),
        id: id.into(),
        at: Timestamp(START + at),
        milliseconds: 12,
        gateway_key: "gk_1".into(),
        agent: "bot".into(),
        gateway: None,
        team: None,
        path: "/v1/chat/completions".into(),
        route: None,
        provider: Some("openai".into()),
        model: Some("gpt-4o".into()),
        provider_key: Some("prod".into()),
        credential: Some("byok".into()),
        status: 200,
        code: None,
        stream: false,
        outcome: None,
        attempts: vec![Attempt {
            credential: Default::default(),
            model: Default::default(),
            provider: "openai".into(),
            provider_key: Some("prod".into()),
            status: Some(200),
            code: None,
            milliseconds: 11,
        }],
    }
}

fn report(store: &Store, records: &[RequestRecord<'_>]) {
    let records = Records::new(serde_json::to_string(records).unwrap());
    let question = DataQuestion::Report {
        grants: Default::default(),
        splits: Default::default(),
        records,
        incidents: Vec::new(),
        admit: None,
    };
    store.ask(question).unwrap();
}

fn listed(store: &Store, filter: RequestFilter, page: Page) -> Vec<String> {
    match store.ask(Question::ListRequests(filter, page)) {
        Ok(Reply::Requests(all)) => all.into_iter().map(|r| r.id.into_owned()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_come_back_as_they_were_written_newest_first() {
    let store = Store::new();
    let records = [record("req_a", 0), record("req_b", 7), record("req_c", 7)];
    report(&store, &records);
    let all = store.ask(Question::ListRequests(RequestFilter::default(), page(10)));
    let Ok(Reply::Requests(all)) = all else {
        panic!("{all:?}");
    };
    let mut newest_first = records.to_vec();
    newest_first.reverse();
    assert_eq!(all, newest_first);
    let elsewhere = Question::ListRequests(RequestFilter::default(), page(10));
    let elsewhere = store.ask_in("ws_otheraaaaaaaaaaa", elsewhere);
    assert_eq!(elsewhere, Ok(Reply::Requests(Vec::new())));
}

#[test]
fn pages_neither_repeat_nor_skip_records_of_the_same_moment() {
    let store = Store::new();
    let ids: Vec<String> = (0..9).map(|n| format!("req_{n}")).collect();
    let records: Vec<_> = (0..9).map(|n| record(&ids[n], n as u64 / 4)).collect();
    report(&store, &records);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let limit = 2;
        let found = listed(&store, RequestFilter::default(), Page { limit, after });
        let Some(last) = found.last() else { break };
        let at = records.iter().find(|r| r.id == *last).unwrap().at.0;
        after = Some((at, last.clone()));
        seen.extend(found);
    }
    let mut expected = ids;
    expected.reverse();
    assert_eq!(seen, expected);
}

#[test]
fn each_filter_narrows_alone_and_together() {
    let store = Store::new();
    let mut other = record("req_b", 10);
    other.gateway_key = "gk_2".into();
    other.agent = "robot".into();
    other.route = Some("chat".into());
    other.provider = Some("mistral".into());
    other.model = Some("large".into());
    other.credential = Some("managed".into());
    other.status = 502;
    let mut refused = record("req_c", 20);
    (refused.provider, refused.model, refused.credential) = (None, None, None);
    (refused.status, refused.provider_key) = (404, None);
    report(&store, &[record("req_a", 0), other, refused]);
    let found = |set: fn(&mut RequestFilter)| {
        let mut filter = RequestFilter::default();
        set(&mut filter);
        listed(&store, filter, page(10))
    };
    assert_eq!(found(|_| ()), ["req_c", "req_b", "req_a"]);
    assert_eq!(found(|f| f.gateway_key = Some("gk_2".into())), ["req_b"]);
    assert_eq!(found(|f| f.agent = Some("bot".into())), ["req_c", "req_a"]);
    assert_eq!(found(|f| f.route = Some("chat".into())), ["req_b"]);
    assert_eq!(found(|f| f.provider = Some("openai".into())), ["req_a"]);
    assert_eq!(found(|f| f.model = Some("large".into())), ["req_b"]);
    assert_eq!(found(|f| f.credential = Some("byok".into())), ["req_a"]);
    assert_eq!(found(|f| f.status = Some(404)), ["req_c"]);
    assert_eq!(
        found(|f| f.since = Some(Timestamp(START + 10))),
        ["req_c", "req_b"]
    );
    assert_eq!(found(|f| f.until = Some(Timestamp(START + 10))), ["req_a"]);
    assert!(found(|f| (f.status, f.agent) = (Some(502), Some("bot".into()))).is_empty());
    // Text is compared, not interpreted.
    assert!(found(|f| f.agent = Some("' OR 1=1 --".into())).is_empty());
}

#[test]
fn the_log_tells_when_keys_were_last_used() {
    let store = Store::with_agent();
    store.ask(create_caller("gk_1", "app")).unwrap();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    store.ask(create_key("pk_2", "mistral", "prod")).unwrap();
    let used = || {
        let Ok(Reply::GatewayKey(caller)) = store.ask(Question::GetGatewayKey("app".into())) else {
            panic!("no gateway key");
        };
        let at = |at: Option<Timestamp>| at.map(|at| at.0 - START);
        (at(caller.last_used_at), at(store.key("pk_1").last_used_at))
    };
    assert_eq!(used(), (None, None));
    report(&store, &[record("req_a", 40), record("req_b", 30)]);
    assert_eq!(used(), (Some(40), Some(40)));
    // Reports overtake each other.
    report(&store, &[record("req_c", 35)]);
    assert_eq!(used(), (Some(40), Some(40)));
    assert_eq!(store.key("pk_2").last_used_at, None);
    assert_eq!(store.key("pk_1").revision, 1, "being used is no change");
}

#[test]
fn a_request_on_the_platforms_keys_uses_none_of_the_workspace() {
    let store = Store::with_agent();
    store.ask(create_caller("gk_1", "app")).unwrap();
    store.ask(create_key("pk_1", "openai", "prod")).unwrap();
    let mut managed = record("req_a", 40);
    managed.credential = Some("managed".into());
    report(&store, &[managed, record("req_b", 30)]);
    let used = store.key("pk_1").last_used_at;
    assert_eq!(used, Some(Timestamp(START + 30)));
    let Ok(Reply::GatewayKey(caller)) = store.ask(Question::GetGatewayKey("app".into())) else {
        panic!("no gateway key");
    };
    assert_eq!(caller.last_used_at, Some(Timestamp(START + 40)));
}

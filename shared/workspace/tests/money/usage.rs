//! What requests are summed up to, and how it is asked for.

use std::collections::BTreeMap;

use lockgate_workspace::question::{RequestFilter, UsageGroup, UsageQuery};
use lockgate_workspace::resource::UsageRow;

use super::*;

fn usage(store: &Store, query: UsageQuery) -> Vec<UsageRow> {
    match store.ask(Question::Usage(query)) {
        Ok(Reply::Usage(rows)) => rows,
        other => panic!("{other:?}"),
    }
}

fn grouped(group_by: &[UsageGroup]) -> UsageQuery {
    UsageQuery {
        group_by: group_by.to_vec(),
        limit: 1_000,
        ..UsageQuery::default()
    }
}

/// Requests by one group.
fn requests_by(store: &Store, group: UsageGroup, name: &str) -> Vec<(Option<String>, u64)> {
    usage(store, grouped(&[group]))
        .into_iter()
        .map(|row| (row.group[name].clone(), row.requests))
        .collect()
}

fn some(text: &str, requests: u64) -> (Option<String>, u64) {
    (Some(text.to_owned()), requests)
}

/// Three of one kind, one managed, one refused, one that failed.
fn told() -> Store {
    let store = Store::new();
    let mut managed = record("req_d", START + DAY);
    managed.credential = Some("managed".into());
    managed.provider_key = Some("house".into());
    managed.cost_microusd = Some(5);
    let mut refused = record("req_e", START);
    (refused.provider, refused.provider_key) = (None, None);
    (refused.credential, refused.route) = (None, None);
    (refused.tokens, refused.cost_microusd) = (None, None);
    (refused.status, refused.model, refused.team) = (404, Some("made-up".into()), None);
    let mut failed = record("req_f", START);
    (failed.status, failed.tokens, failed.cost_microusd) = (502, None, None);
    store.report(&[record("req_a", START), managed, refused]);
    store.report(&[
        record("req_b", START + 1),
        record("req_c", START + 2),
        failed,
    ]);
    store
}

#[test]
fn without_groups_there_is_one_line_of_all() {
    let nothing = UsageRow::default();
    assert_eq!(usage(&Store::new(), grouped(&[])), [nothing]);
    let all = UsageRow {
        group: BTreeMap::new(),
        requests: 6,
        errors: 2,
        input_tokens: 400,
        cached_input_tokens: 160,
        output_tokens: 40,
        cost_microusd: 3 * 350 + 5,
    };
    assert_eq!(usage(&told(), grouped(&[])), [all]);
}

#[test]
fn each_group_parts_requests_by_what_it_names() {
    use UsageGroup::*;
    let store = told();
    let by = |group, name| requests_by(&store, group, name);
    let none = |requests| (None, requests);
    assert_eq!(
        by(Day, "day"),
        [some("2027-01-15", 5), some("2027-01-16", 1)]
    );
    assert_eq!(by(GatewayKey, "gateway_key"), [some("gk_1", 6)]);
    assert_eq!(by(Agent, "agent"), [some("bot", 6)]);
    assert_eq!(by(Team, "team"), [none(1), some("ops", 5)]);
    assert_eq!(by(Route, "route"), [none(1), some("chat", 5)]);
    assert_eq!(by(Provider, "provider"), [none(1), some("openai", 5)]);
    assert_eq!(
        by(ProviderKey, "provider_key"),
        [none(1), some("house", 1), some("prod", 4)]
    );
    assert_eq!(by(Model, "model"), [none(2), some("gpt-4o", 4)]);
    assert_eq!(
        by(Credential, "credential"),
        [none(1), some("byok", 4), some("managed", 1)]
    );
}

#[test]
fn lines_are_in_the_order_of_their_groups_and_only_so_many() {
    let store = told();
    let mut query = grouped(&[UsageGroup::Credential, UsageGroup::Day]);
    let lines = |query| -> Vec<_> {
        let of = |row: &UsageRow, name| row.group[name].clone().unwrap_or_default();
        usage(&store, query)
            .iter()
            .map(|row| (of(row, "credential"), of(row, "day"), row.cost_microusd))
            .collect()
    };
    let line = |credential: &str, day: &str, cost| (credential.to_owned(), day.to_owned(), cost);
    let all = [
        line("", "2027-01-15", 0),
        line("byok", "2027-01-15", 1_050),
        line("managed", "2027-01-16", 5),
    ];
    assert_eq!(lines(query.clone()), all);
    query.limit = 2;
    assert_eq!(lines(query.clone()), all[..2]);
    // A group named twice parts nothing further.
    query.group_by = vec![UsageGroup::Day, UsageGroup::Credential, UsageGroup::Day];
    query.limit = u32::MAX;
    assert_eq!(lines(query).len(), 3);
}

#[test]
fn filters_narrow_and_times_count_by_whole_days() {
    let store = told();
    let mut other = record("req_z", START);
    other.gateway_key = "gk_2".into();
    other.agent = "robot".into();
    other.team = Some("dev".into());
    other.route = Some("eval".into());
    other.provider = Some("mistral".into());
    other.model = Some("large".into());
    store.report(&[other]);
    let found = |set: fn(&mut UsageQuery)| {
        let mut query = grouped(&[]);
        set(&mut query);
        usage(&store, query)[0].requests
    };
    assert_eq!(found(|_| ()), 7);
    assert_eq!(found(|q| q.filter.gateway_key = Some("gk_2".into())), 1);
    assert_eq!(found(|q| q.filter.agent = Some("bot".into())), 6);
    assert_eq!(found(|q| q.team = Some("dev".into())), 1);
    assert_eq!(found(|q| q.filter.route = Some("chat".into())), 5);
    assert_eq!(found(|q| q.filter.provider = Some("mistral".into())), 1);
    assert_eq!(found(|q| q.filter.model = Some("gpt-4o".into())), 4);
    assert_eq!(found(|q| q.filter.credential = Some("managed".into())), 1);
    assert_eq!(found(|q| q.filter.agent = Some("' OR 1=1 --".into())), 0);
    // The empty text stands for what requests had none of.
    assert_eq!(found(|q| q.filter.provider = Some(String::new())), 1);
    let time = |set: fn(&mut RequestFilter, u64)| -> Vec<u64> {
        let midnight = START - START % DAY;
        [
            midnight,
            START,
            midnight + DAY,
            START + DAY,
            midnight + 2 * DAY,
        ]
        .map(|at| {
            let mut query = grouped(&[]);
            set(&mut query.filter, at);
            usage(&store, query)[0].requests
        })
        .to_vec()
    };
    assert_eq!(time(|f, at| f.since = Some(Timestamp(at))), [7, 7, 1, 1, 0]);
    assert_eq!(time(|f, at| f.until = Some(Timestamp(at))), [0, 6, 6, 7, 7]);
    assert_eq!(found(|q| q.filter.until = Some(Timestamp(0))), 0);
    assert_eq!(found(|q| q.filter.since = Some(Timestamp(u64::MAX))), 0);
    let mut by_status = grouped(&[]);
    by_status.filter.status = Some(502);
    let Err(Denial::InUse(why)) = store.ask(Question::Usage(by_status)) else {
        panic!("it was answered");
    };
    assert!(why.contains("not kept by status"), "{why}");
}

#[test]
fn what_is_alike_is_one_row_and_made_up_models_make_none() {
    let store = Store::new();
    let names: Vec<String> = (0..50).map(|n| format!("made-up-{n}")).collect();
    let mut records: Vec<_> = names.iter().map(|name| record(name, START)).collect();
    for (n, one) in records.iter_mut().enumerate() {
        one.model = Some(names[n].as_str().into());
        // Half are refused by the provider, half before one was decided.
        (one.status, one.tokens) = (404, None);
        if n % 2 == 0 {
            one.provider = None;
        }
    }
    store.report(&records);
    assert_eq!(store.count("usage"), 2);
    // Nobody knows of a 200 without a provider what answered it.
    let mut local = record("req_l", START);
    (local.provider, local.model) = (None, Some("made-up".into()));
    store.report(&[local]);
    assert_eq!(
        requests_by(&store, UsageGroup::Model, "model"),
        [(None, 51)]
    );
}

#[test]
fn groups_of_any_size_are_added_whole() {
    for count in [1, 5, 6, 7, 9, 10, 12, 13, 40] {
        let store = Store::new();
        let models: Vec<String> = (0..count).map(|n| format!("model-{n}")).collect();
        let records: Vec<_> = models
            .iter()
            .map(|model| RequestRecord {
                model: Some(model.as_str().into()),
                ..record(model, START)
            })
            .collect();
        store.report(&records);
        store.report(&records);
        let lines = usage(&store, grouped(&[UsageGroup::Model]));
        assert_eq!(lines.len(), count);
        assert!(
            lines
                .iter()
                .all(|l| (l.requests, l.cost_microusd) == (2, 700))
        );
        assert_eq!(store.count("requests"), 2 * count as i64);
    }
}

#[test]
fn what_a_provider_claims_cannot_break_the_sums() {
    let store = Store::new();
    let long = "é".repeat(300);
    let mut wild = record("req_a", START);
    wild.model = Some(long.as_str().into());
    wild.tokens = Some(Tokens {
        input: u64::MAX,
        cached_input: Some(u64::MAX),
        output: u64::MAX,
        ..Tokens::default()
    });
    wild.cost_microusd = Some(u64::MAX);
    for _ in 0..3 {
        store.report(&[wild.clone(), wild.clone()]);
    }
    let lines = usage(&store, grouped(&[UsageGroup::Model]));
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].group["model"], Some("é".repeat(256)));
    assert_eq!(lines[0].input_tokens, 6_000_000_000);
    assert_eq!(lines[0].cost_microusd, 600_000_000_000);
}

#[test]
fn text_that_json_escapes_is_counted_as_it_is() {
    let store = Store::new();
    let mut odd = record("req_a", START);
    odd.team = Some("a \"team\"\nof two".into());
    odd.agent = "b\\t".into();
    store.report(&[odd.clone(), odd]);
    let lines = usage(&store, grouped(&[UsageGroup::Team, UsageGroup::Agent]));
    assert_eq!(lines.len(), 1);
    assert_eq!(
        lines[0].group["team"].as_deref(),
        Some("a \"team\"\nof two")
    );
    assert_eq!(lines[0].group["agent"].as_deref(), Some("b\\t"));
    assert_eq!(lines[0].requests, 2);
}

#[test]
fn what_is_reported_is_logged_and_summed_or_neither() {
    let store = Store::new();
    let whole = serde_json::to_string(&record("req_a", START)).unwrap();
    let question = DataQuestion::Report {
        records: Records::new(format!("[{whole},{{\"id\":\"req_b\"}}]")),
        incidents: Vec::new(),
        grants: Vec::new(),
        splits: Vec::new(),
        admit: None,
    };
    assert!(store.ask(question).is_err());
    assert_eq!((store.count("requests"), store.count("usage")), (0, 0));
}

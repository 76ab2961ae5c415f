//! What the data plane reports.

use lockgate_workspace::question::{DataQuestion, Incident, Records};

use super::*;

fn incident(n: u64) -> Incident {
    Incident {
        action: "access.deny".into(),
        gateway_key: "gk_1".into(),
        agent: "bot".into(),
        provider: "openai".into(),
        provider_key: n.is_multiple_of(2).then(|| format!("key {n}")),
        model: Some("gpt-5".into()),
        route: None,
        reason: "tag_mismatch".into(),
        count: n,
        first_at: Timestamp(START),
        last_at: Timestamp(START + n),
    }
}

fn report(incidents: Vec<Incident>) -> DataQuestion {
    DataQuestion::Report {
        grants: Default::default(),
        splits: Default::default(),
        records: Records::new("[]".into()),
        incidents,
        admit: None,
    }
}

#[test]
fn an_incident_names_who_was_denied_what_and_why() {
    let store = Store::new();
    let rows = store.told(report(vec![incident(2), incident(3)]));
    assert_eq!(
        names(&rows),
        [("access.deny", "openai/key 2"), ("access.deny", "openai/*")]
    );
    assert_eq!((rows[0].actor.as_str(), &rows[0].before), ("gk_1", &None));
    let after = rows[0].after.clone().unwrap();
    assert_eq!(after["reason"], "tag_mismatch");
    assert_eq!(after["count"], 2);
    assert_eq!(after["agent"], "bot");
    assert_eq!(store.verify(), intact(2));
}

#[test]
fn a_report_without_incidents_leaves_nothing() {
    let store = Store::new();
    assert!(store.told(report(Vec::new())).is_empty());
}

#[test]
fn a_report_adds_a_hundred_rows_and_counts_the_rest() {
    let store = Store::new();
    assert_eq!(
        store.told(report((1..=100).map(incident).collect())).len(),
        100
    );
    let rows = store.told(report((1..=103).map(incident).collect()));
    assert_eq!(rows.len(), 101);
    let last = rows.last().unwrap();
    assert_eq!(
        (last.action.as_str(), last.resource.as_str()),
        ("incidents.left_out", "*")
    );
    let after = last.after.clone().unwrap();
    assert_eq!(
        (after["incidents"].as_u64(), after["count"].as_u64()),
        (Some(3), Some(306))
    );
    assert_eq!(store.verify(), intact(201));
}

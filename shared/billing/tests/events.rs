//! What is read of Stripe's events, of old and new API versions and of whatever else comes.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use lockgate_subscription::Event;
use lockgate_subscription::event::{
    Interval, Invoice, InvoiceStatus, Kind, MissingMethod, Object, Status, Subscription, Unreadable,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn event(kind: &str, object: Value) -> Event {
    let body = json!({
        "id": "evt_1", "type": kind, "created": 1_700_000_000, "livemode": true,
        "data": { "object": object },
    });
    Event::read(body.to_string().as_bytes()).unwrap()
}

fn subscription(kind: &str, object: Value) -> Subscription {
    match event(kind, object).object {
        Object::Subscription(subscription) => *subscription,
        other => panic!("{other:?}"),
    }
}

fn invoice(kind: &str, object: Value) -> Invoice {
    match event(kind, object).object {
        Object::Invoice(invoice) => *invoice,
        other => panic!("{other:?}"),
    }
}

#[test]
fn reads_a_subscription_of_a_new_api_version() {
    let read = subscription(
        "customer.subscription.updated",
        json!({
            "id": "sub_1", "object": "subscription", "created": 10, "customer": "cus_1", "status": "trialing",
            "cancel_at": null, "cancel_at_period_end": true, "canceled_at": 30, "ended_at": null,
            "trial_start": 10, "trial_end": 40, "default_payment_method": { "id": "pm_1" },
            "trial_settings": { "end_behavior": { "missing_payment_method": "pause" } },
            "metadata": { "plan": "team" },
            "items": { "object": "list", "data": [
                { "id": "si_1", "quantity": 5, "current_period_end": 39,
                  "price": { "id": "price_a", "recurring": { "interval": "year" }, "metadata": { "plan": "enterprise" } } },
                { "id": "si_2", "current_period_end": 40, "price": "price_b" },
                { "id": "si_3", "deleted": true },
            ] },
        }),
    );
    assert_eq!(read.status, Status::Trialing);
    assert_eq!(read.customer.as_deref(), Some("cus_1"));
    assert_eq!(read.default_method.as_deref(), Some("pm_1"));
    assert_eq!(read.missing_method, MissingMethod::Pause);
    assert_eq!((read.period_end(), read.cancels_at()), (Some(40), Some(40)));
    assert_eq!((read.trial_start, read.trial_end), (Some(10), Some(40)));
    assert_eq!(read.canceled_at, Some(30));
    assert_eq!(read.items.len(), 2);
    assert_eq!(read.items[0].price.as_deref(), Some("price_a"));
    assert_eq!(read.items[0].plan.as_deref(), Some("enterprise"));
    assert_eq!(read.items[0].interval, Some(Interval::Year));
    assert_eq!(read.items[0].quantity, Some(5));
    assert_eq!(read.items[1].price.as_deref(), Some("price_b"));
}

#[test]
fn reads_a_subscription_of_old_api_versions() {
    let read = subscription(
        "customer.subscription.created",
        json!({
            "id": "sub_1", "created": 10, "customer": { "id": "cus_1", "name": "A" }, "status": "active",
            "current_period_end": 99, "cancel_at_period_end": false, "default_source": "card_1",
            "items": { "data": [{ "quantity": 2, "plan": { "id": "plan_a", "interval": "month" } }] },
        }),
    );
    assert_eq!(read.customer.as_deref(), Some("cus_1"));
    assert_eq!((read.period_end(), read.cancels_at()), (Some(99), None));
    assert_eq!(read.default_method.as_deref(), Some("card_1"));
    assert_eq!(read.items[0].price.as_deref(), Some("plan_a"));
    assert_eq!(read.items[0].interval, Some(Interval::Month));

    let oldest = subscription(
        "customer.subscription.created",
        json!({ "id": "sub_1", "quantity": 3, "plan": { "id": "plan_b", "interval": "year" } }),
    );
    assert_eq!(oldest.items.len(), 1);
    assert_eq!(oldest.items[0].price.as_deref(), Some("plan_b"));
    assert_eq!(oldest.items[0].quantity, Some(3));
    assert_eq!(oldest.items[0].interval, Some(Interval::Year));
}

#[test]
fn a_date_of_cancellation_outweighs_the_end_of_the_period() {
    let read = subscription(
        "customer.subscription.updated",
        json!({ "id": "sub_1", "current_period_end": 99, "cancel_at_period_end": true, "cancel_at": 50 }),
    );
    assert_eq!(read.cancels_at(), Some(50));
}

#[test]
fn the_kind_says_what_the_object_does_not() {
    for (kind, object, status) in [
        ("deleted", json!({ "id": "s" }), Status::Canceled),
        (
            "deleted",
            json!({ "id": "s", "status": "active" }),
            Status::Canceled,
        ),
        (
            "deleted",
            json!({ "id": "s", "status": "incomplete_expired" }),
            Status::IncompleteExpired,
        ),
        ("paused", json!({ "id": "s" }), Status::Paused),
        ("resumed", json!({ "id": "s" }), Status::Active),
        ("trial_will_end", json!({ "id": "s" }), Status::Trialing),
        ("updated", json!({ "id": "s" }), Status::Incomplete),
        (
            "updated",
            json!({ "id": "s", "status": "dormant" }),
            Status::Other("dormant".into()),
        ),
    ] {
        let read = subscription(&format!("customer.subscription.{kind}"), object);
        assert_eq!(read.status, status, "{kind}");
    }
    for (kind, object, status) in [
        ("created", json!({ "id": "i" }), InvoiceStatus::Draft),
        ("finalized", json!({ "id": "i" }), InvoiceStatus::Open),
        (
            "payment_failed",
            json!({ "id": "i", "paid": true }),
            InvoiceStatus::Paid,
        ),
        (
            "paid",
            json!({ "id": "i", "status": "open" }),
            InvoiceStatus::Paid,
        ),
        ("voided", json!({ "id": "i" }), InvoiceStatus::Void),
    ] {
        let read = invoice(&format!("invoice.{kind}"), object);
        assert_eq!(read.status, status, "{kind}");
    }
}

#[test]
fn reads_an_invoice_of_new_and_old_api_versions() {
    let new = invoice(
        "invoice.paid",
        json!({
            "id": "in_1", "created": 5, "customer": "cus_1", "status": "paid", "currency": "usd",
            "total": 1_190, "amount_due": 1_190, "amount_paid": 1_190, "total_taxes": [{ "amount": 100 }, { "amount": 90 }],
            "period_start": 1, "period_end": 2,
            "parent": { "subscription_details": { "subscription": "sub_1" } },
            "lines": { "data": [{ "period": { "start": 3, "end": 4 } }, { "period": { "start": 4, "end": 9 } }, {}] },
            "metadata": { "purpose": "wallet_credit" },
        }),
    );
    assert_eq!(new.subscription.as_deref(), Some("sub_1"));
    assert_eq!((new.total, new.tax, new.amount_paid), (1_190, 190, 1_190));
    assert_eq!((new.period_start, new.period_end), (Some(4), Some(9)));
    assert_eq!(new.purpose.as_deref(), Some("wallet_credit"));
    let old = invoice(
        "invoice.paid",
        json!({
            "id": "in_1", "subscription": { "id": "sub_1" }, "total": 119, "tax": 19,
            "period_start": 1, "period_end": 2, "lines": { "data": [] },
        }),
    );
    assert_eq!(old.subscription.as_deref(), Some("sub_1"));
    assert_eq!(old.tax, 19);
    assert_eq!((old.period_start, old.period_end), (Some(1), Some(2)));
    let net = invoice(
        "invoice.paid",
        json!({ "id": "in_1", "total": 119, "total_excluding_tax": 100 }),
    );
    assert_eq!(net.tax, 19);
}

#[test]
fn says_whose_an_event_is() {
    let checkout = event(
        "checkout.session.completed",
        json!({ "id": "cs_1", "client_reference_id": "ref", "customer": "cus_1", "metadata": { "workspace": "w" } }),
    );
    assert_eq!(checkout.owner.workspace.as_deref(), Some("w"));
    assert_eq!(checkout.owner.client_reference_id.as_deref(), Some("ref"));
    assert_eq!(checkout.owner.customer.as_deref(), Some("cus_1"));
    for invoice in [
        json!({ "id": "in_1", "parent": { "subscription_details": { "metadata": { "workspace": "w" } } } }),
        json!({ "id": "in_1", "subscription_details": { "metadata": { "workspace": "w" } } }),
    ] {
        let owner = event("invoice.paid", invoice).owner;
        assert_eq!(owner.workspace.as_deref(), Some("w"));
    }
    let customer = event("customer.updated", json!({ "id": "cus_1" }));
    assert_eq!(customer.owner.customer.as_deref(), Some("cus_1"));
}

#[test]
fn keeps_what_it_does_not_know_and_refuses_what_is_no_event() {
    let unknown = event("radar.early_fraud_warning.created", json!({ "id": "x" }));
    assert_eq!(unknown.object, Object::Other);
    assert_eq!(
        unknown.kind,
        Kind::Other("radar.early_fraud_warning.created".into())
    );
    assert!(unknown.livemode);
    let read = |body: &str| Event::read(body.as_bytes()).unwrap_err();
    assert_eq!(read(""), Unreadable::NotJson);
    assert_eq!(read("[]"), Unreadable::NotJson);
    assert_eq!(read("{}"), Unreadable::Missing("id"));
    assert_eq!(read(r#"{"id":"e"}"#), Unreadable::Missing("type"));
    // A thin event writes its time as text.
    let thin = r#"{"id":"e","type":"v1.billing.meter.no_meter_found","created":"2024-09-26T17:46:22.134Z"}"#;
    assert_eq!(read(thin), Unreadable::Missing("created"));
    let nameless = r#"{"id":"e","type":"invoice.paid","created":1,"data":{"object":{}}}"#;
    assert_eq!(read(nameless), Unreadable::Missing("data.object.id"));
    let long = format!(r#"{{"id":"{}","type":"x","created":1}}"#, "e".repeat(256));
    assert_eq!(read(&long), Unreadable::Missing("id"));
}

/// JSON of any shape, whose members have the names that matter.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "id",
        "object",
        "data",
        "items",
        "price",
        "plan",
        "metadata",
        "workspace",
        "quantity",
        "status",
        "customer",
        "created",
        "cancel_at",
        "current_period_end",
        "trial_end",
        "lines",
        "period",
        "end",
        "total",
        "tax",
        "total_taxes",
        "amount",
        "parent",
        "subscription_details",
        "recurring",
        "interval",
        "ended_at",
        "cancel_at_period_end",
        "default_payment_method",
        "currency",
        "purpose",
        "start",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "", "a", "active", "canceled", "trialing", "paid", "month", "usd", "team"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 8, move |inner| {
        prop_oneof![
            1 => proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => proptest::collection::btree_map(name.clone(), inner, 0..10)
                .prop_map(|map| map.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_object_is_read_and_does_no_harm(
        mut object in any_json(),
        kind in prop::sample::select(vec![
            "customer.subscription.updated", "customer.subscription.deleted", "invoice.paid", "invoice.created",
            "checkout.session.completed", "payment_method.attached", "customer.updated",
        ]),
        created in any::<i64>(),
        now in any::<i64>(),
    ) {
        if let Some(members) = object.as_object_mut() {
            members.insert("id".into(), "x_1".into());
        }
        let body = json!({ "id": "evt_1", "type": kind, "created": created, "data": { "object": object } });
        if let Ok(event) = Event::read(body.to_string().as_bytes()) {
            let mut prices = lockgate_subscription::Prices::default();
            prices.add(lockgate_subscription::Plan::Team, "price_1").unwrap();
            let setup = lockgate_subscription::action::Setup { has_api_key: true, prices: &prices };
            let mut account = lockgate_subscription::Account::default();
            account.apply(&event);
            let bill = account.bill(now, &prices);
            let _ = bill.next_step.to_string();
            let _ = (account.dues(now), account.doubtful(now), account.may_resume(now, &prices));
            for refused in [
                account.may_cancel(now, &prices).err(),
                account.may_start_trial(bill.plan, Interval::Month, now, setup).err(),
                account.may_check_out(bill.plan, Interval::Month, now, setup).err(),
            ].into_iter().flatten() {
                let _ = refused.to_string();
            }
            prop_assert!(!account.apply(&event));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = Event::read(&bytes);
    }
}

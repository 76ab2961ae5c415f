//! The effects that are due, and that each is due once.

use lockgate_subscription::due::{Due, What};
use lockgate_subscription::{Account, Event};
use serde_json::{Value, json};

use crate::support::{DAY, account, event};

fn trial(more: Value) -> Value {
    let mut trial = json!({ "trial_start": 50, "trial_end": 14 * DAY });
    for (name, value) in more.as_object().unwrap() {
        trial[name] = value.clone();
    }
    trial
}

fn closed(to: i64) -> Vec<Due> {
    vec![Due {
        key: "trial_usage:sub_1".into(),
        customer: Some("cus_1".into()),
        what: What::TrialUsage {
            subscription: "sub_1".into(),
            from: 50,
            to,
        },
    }]
}

#[test]
fn the_usage_of_a_trial_is_due_when_it_closes() {
    let running = account(&[(100, "trialing", trial(json!({})))]);
    assert_eq!(
        running.dues(14 * DAY + 5),
        vec![],
        "its end may have been moved"
    );
    assert_eq!(running.dues(17 * DAY), closed(14 * DAY));
    let converted = account(&[
        (100, "trialing", trial(json!({}))),
        (14 * DAY, "active", trial(json!({}))),
    ]);
    assert_eq!(converted.dues(14 * DAY), closed(14 * DAY));
    assert_eq!(converted.dues(90 * DAY), closed(14 * DAY));
    let cancelled = account(&[(100, "trialing", trial(json!({ "cancel_at": 14 * DAY })))]);
    assert_eq!(cancelled.dues(14 * DAY - 1), vec![]);
    assert_eq!(cancelled.dues(14 * DAY), closed(14 * DAY));
    let ended = account(&[(5 * DAY, "canceled", trial(json!({ "ended_at": 5 * DAY })))]);
    assert_eq!(ended.dues(5 * DAY), closed(5 * DAY));
    let never = account(&[(100, "active", json!({}))]);
    assert_eq!(never.dues(90 * DAY), vec![]);
}

fn dues_of(events: &[Event]) -> Vec<Due> {
    let mut account = Account::default();
    for event in events {
        account.apply(event);
    }
    account.dues(1_000)
}

fn credit(key: &str, microusd: i64) -> Vec<Due> {
    vec![Due {
        key: key.into(),
        customer: Some("cus_1".into()),
        what: What::Credit { microusd },
    }]
}

#[test]
fn credit_is_due_for_what_was_paid_without_tax_and_once() {
    let invoice = json!({
        "id": "in_1", "customer": "cus_1", "currency": "usd", "total": 1_190, "tax": 190,
        "metadata": { "purpose": "wallet_credit" },
    });
    let paid = event("evt_1", "invoice.paid", 10, invoice.clone());
    let open = event("evt_2", "invoice.finalized", 20, invoice.clone());
    let due = credit("credit:in_1", 10_000_000);
    assert_eq!(Due::of_event(&paid), due.first().cloned());
    assert_eq!(Due::of_event(&open), None);
    assert_eq!(dues_of(&[open.clone(), paid.clone(), open]), due);
    // The checkout that made the invoice is the same credit.
    let checkout = json!({
        "id": "cs_1", "customer": "cus_1", "invoice": "in_1", "currency": "usd", "amount_total": 1_190,
        "total_details": { "amount_tax": 190 }, "payment_status": "paid",
        "metadata": { "purpose": "wallet_credit" },
    });
    let bought = event("evt_3", "checkout.session.completed", 10, checkout);
    assert_eq!(dues_of(&[paid, bought]), due);
}

#[test]
fn a_checkout_makes_credit_when_its_money_has_come() {
    let checkout = |paid: &str| {
        json!({
            "id": "cs_1", "customer": "cus_1", "currency": "USD", "amount_total": 500,
            "payment_status": paid, "metadata": { "purpose": "wallet_credit" },
        })
    };
    let completed = event(
        "evt_1",
        "checkout.session.completed",
        10,
        checkout("unpaid"),
    );
    assert_eq!(dues_of(std::slice::from_ref(&completed)), vec![]);
    let kind = "checkout.session.async_payment_succeeded";
    let paid = event("evt_2", kind, 10, checkout("paid"));
    let due = credit("credit:cs_1", 5_000_000);
    assert_eq!(dues_of(&[paid.clone(), completed.clone()]), due);
    assert_eq!(dues_of(&[completed, paid]), due);
}

#[test]
fn what_is_paid_for_something_else_or_is_nothing_makes_no_credit() {
    for object in [
        json!({ "id": "in_1", "currency": "usd", "total": 500 }),
        json!({ "id": "in_1", "currency": "usd", "total": 500, "metadata": { "purpose": "seats" } }),
        json!({ "id": "in_1", "currency": "usd", "total": 0, "metadata": { "purpose": "wallet_credit" } }),
        json!({ "id": "in_1", "currency": "usd", "total": -5, "metadata": { "purpose": "wallet_credit" } }),
    ] {
        assert_eq!(
            dues_of(&[event("evt_1", "invoice.paid", 10, object)]),
            vec![]
        );
    }
}

#[test]
fn credit_in_another_currency_or_beyond_counting_is_for_a_person() {
    for (currency, total) in [
        (json!("eur"), 500),
        (json!(null), 500),
        (json!("usd"), i64::MAX),
    ] {
        let object = json!({
            "id": "in_1", "currency": currency, "total": total, "metadata": { "purpose": "wallet_credit" },
        });
        let dues = dues_of(&[event("evt_1", "invoice.paid", 10, object)]);
        let currency = currency.as_str().map(str::to_owned);
        assert_eq!(
            dues[0].what,
            What::CreditInQuestion {
                amount: total,
                currency
            }
        );
    }
}

//! The bill as it is shown.

use lockgate_subscription::bill::NextStep;
use lockgate_subscription::event::{Interval, InvoiceStatus};
use lockgate_subscription::{Account, Plan};
use serde_json::json;

use crate::support::{DAY, account, attach, detach, event, prices, tell};

fn next(known: &Account, now: i64) -> NextStep {
    known.bill(now, &prices()).next_step
}

#[test]
fn a_trial_is_shown_with_its_end() {
    let known = account(&[(100, "trialing", json!({ "trial_end": 14 * DAY }))]);
    let bill = known.bill(DAY, &prices());
    assert_eq!(bill.plan, Plan::Team);
    assert_eq!(bill.interval, Some(Interval::Month));
    assert_eq!(bill.status.unwrap().as_str(), "trialing");
    assert_eq!((bill.trial_ends_at, bill.cancel_at), (Some(14 * DAY), None));
    assert_eq!(bill.seats_purchased, 3);
    assert!(!bill.payment_ready);
    assert_eq!(
        bill.next_step,
        NextStep::AddPaymentMethodBefore { at: 14 * DAY }
    );
}

#[test]
fn a_cancellation_is_shown_until_its_date_and_then_as_such() {
    let known = account(&[(100, "active", json!({ "cancel_at": 9 * DAY }))]);
    let bill = known.bill(DAY, &prices());
    assert_eq!(bill.cancel_at, Some(9 * DAY));
    assert_eq!(bill.status.unwrap().as_str(), "active");
    assert_eq!(bill.next_step, NextStep::ResumeBefore { at: 9 * DAY });
    assert!(bill.next_step.to_string().contains("1970-01-10T00:00:00Z"));
    let bill = known.bill(9 * DAY, &prices());
    assert_eq!((bill.plan, bill.cancel_at), (Plan::Free, None));
    assert_eq!(bill.interval, None);
    assert_eq!(bill.status.unwrap().as_str(), "canceled");
    assert_eq!(bill.seats_purchased, 0);
    assert_eq!(bill.next_step, NextStep::AddPaymentMethod);
}

#[test]
fn the_next_step_follows_from_the_state() {
    let mut new = Account::default();
    assert_eq!(next(&new, 0), NextStep::AddPaymentMethod);
    attach(&mut new, "pm_1");
    assert_eq!(next(&new, 0), NextStep::Choose);
    for status in ["past_due", "unpaid", "incomplete"] {
        let known = account(&[(100, status, json!({}))]);
        assert_eq!(
            next(&known, DAY),
            NextStep::Pay { invoice: None },
            "{status}"
        );
    }
    let paused = account(&[(100, "paused", json!({}))]);
    assert_eq!(next(&paused, DAY), NextStep::Resume);
    let mut known = account(&[(100, "active", json!({}))]);
    assert_eq!(next(&known, DAY), NextStep::Nothing);
    tell(&mut known, 100, "sub_2", "active", json!({}));
    assert_eq!(next(&known, DAY), NextStep::CancelOne { count: 2 });
    let strange = json!({ "items": { "data": [{ "price": "price_x" }] } });
    let unknown = account(&[(100, "active", strange)]);
    let step = next(&unknown, DAY);
    assert!(step.to_string().contains("STRIPE_PRICE_TEAM"), "{step}");
    assert_eq!(unknown.bill(DAY, &prices()).plan, Plan::Free);
}

#[test]
fn invoices_are_shown_youngest_first_without_drafts() {
    let mut known = Account::default();
    for number in 0..30 {
        let (kind, currency) = match number {
            29 => ("invoice.created", "usd"),
            28 => ("invoice.payment_failed", "eur"),
            _ => ("invoice.paid", "usd"),
        };
        let object = json!({
            "id": format!("in_{number:02}"), "created": 100 + number, "currency": currency, "total": 2_000,
            "lines": { "data": [{ "period": { "start": 1, "end": 2 } }] },
        });
        known.apply(&event(&format!("evt_{number}"), kind, 500, object));
    }
    let bill = known.bill(DAY, &prices());
    assert_eq!(bill.history.len(), 24);
    let latest = bill.latest_invoice.unwrap();
    assert_eq!(
        (latest.id.as_str(), &latest.status),
        ("in_28", &InvoiceStatus::Open)
    );
    assert_eq!((latest.amount, latest.amount_microusd), (2_000, None));
    assert_eq!(bill.history[1].id, "in_27");
    assert_eq!(bill.history[1].amount_microusd, Some(20_000_000));
    assert_eq!(bill.history[1].period, Some((1, 2)));
}

#[test]
fn a_paid_invoice_stays_paid_whatever_comes_after() {
    let mut known = Account::default();
    let object = json!({ "id": "in_1", "created": 1, "status": "open" });
    known.apply(&event("evt_1", "invoice.paid", 10, object.clone()));
    known.apply(&event("evt_2", "invoice.payment_failed", 20, object));
    let latest = known.bill(DAY, &prices()).latest_invoice.unwrap();
    assert_eq!(latest.status, InvoiceStatus::Paid);
}

#[test]
fn a_way_to_pay_is_there_until_it_is_taken_away() {
    let mut known = Account::default();
    let customer =
        json!({ "id": "cus_1", "invoice_settings": { "default_payment_method": "pm_1" } });
    known.apply(&event("evt_1", "customer.updated", 1, customer));
    assert!(known.payment_ready());
    detach(&mut known, "pm_1");
    assert!(!known.payment_ready());
    // The news that it was attached comes late.
    attach(&mut known, "pm_1");
    assert!(!known.payment_ready());
    attach(&mut known, "pm_2");
    assert!(known.payment_ready());

    let own = json!({ "default_payment_method": "pm_3" });
    let mut by_subscription = account(&[(100, "active", own)]);
    assert!(by_subscription.payment_ready());
    tell(
        &mut by_subscription,
        200,
        "sub_1",
        "canceled",
        json!({ "default_payment_method": "pm_3" }),
    );
    assert!(!by_subscription.payment_ready());
}

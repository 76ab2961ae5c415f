//! Access: until when, and of several subscriptions by which.

use lockgate_subscription::event::Subscription;
use lockgate_subscription::{Account, Plan};
use serde_json::json;

use crate::support::{DAY, account, attach, event, prices, subscription, tell};

fn plan(account: &Account, now: i64) -> Plan {
    account.access(now, &prices()).0
}

#[test]
fn a_workspace_that_nothing_is_known_of_is_free() {
    assert_eq!(Account::default().access(0, &prices()), (Plan::Free, None));
}

#[test]
fn each_state_gives_what_was_paid_for() {
    for (status, expected) in [
        ("active", Plan::Team),
        ("trialing", Plan::Team),
        // Stripe still tries; also after the period that was paid for.
        ("past_due", Plan::Team),
        ("unpaid", Plan::Free),
        ("paused", Plan::Free),
        ("incomplete", Plan::Free),
        ("incomplete_expired", Plan::Free),
    ] {
        let known = account(&[(100, status, json!({}))]);
        assert_eq!(plan(&known, 40 * DAY), expected, "{status}");
    }
    let unheard_of = account(&[(100, "dormant", json!({}))]);
    assert_eq!(plan(&unheard_of, 30 * DAY - 1), Plan::Team);
    assert_eq!(plan(&unheard_of, 30 * DAY), Plan::Free);
}

#[test]
fn a_scheduled_cancellation_ends_access_at_its_date_and_not_a_second_before() {
    for (status, more, date) in [
        ("active", json!({ "cancel_at_period_end": true }), 30 * DAY),
        ("active", json!({ "cancel_at": 12 * DAY }), 12 * DAY),
        ("past_due", json!({ "cancel_at": 12 * DAY }), 12 * DAY),
        (
            "trialing",
            json!({ "trial_end": 30 * DAY, "cancel_at_period_end": true }),
            30 * DAY,
        ),
    ] {
        let mut known = account(&[(100, "active", json!({})), (200, status, more)]);
        attach(&mut known, "pm_1");
        assert_eq!(known.access(300, &prices()), (Plan::Team, Some(date)));
        assert_eq!(plan(&known, date - 1), Plan::Team);
        assert_eq!(plan(&known, date), Plan::Free);
    }
}

#[test]
fn a_subscription_that_was_ended_at_once_ends_then() {
    // `canceled_at` is when somebody decided it, maybe long before.
    let told = [
        (100, "active", json!({})),
        (
            5 * DAY,
            "canceled",
            json!({ "ended_at": 5 * DAY, "canceled_at": 200 }),
        ),
    ];
    let known = account(&told);
    assert_eq!(plan(&known, 5 * DAY - 1), Plan::Team);
    assert_eq!(plan(&known, 5 * DAY), Plan::Free);
    let silent = account(&[(5 * DAY, "canceled", json!({}))]);
    assert_eq!(plan(&silent, 5 * DAY), Plan::Free);
}

#[test]
fn a_trial_ends_at_its_date_unless_stripe_goes_on_with_it() {
    let trial = |behaviour: &str| {
        let settings = json!({ "end_behavior": { "missing_payment_method": behaviour } });
        account(&[(
            100,
            "trialing",
            json!({ "trial_end": 14 * DAY, "trial_settings": settings }),
        )])
    };
    for behaviour in ["cancel", "pause"] {
        let mut known = trial(behaviour);
        assert_eq!(plan(&known, 14 * DAY - 1), Plan::Team);
        assert_eq!(plan(&known, 14 * DAY), Plan::Free, "{behaviour}");
        attach(&mut known, "pm_1");
        assert_eq!(plan(&known, 14 * DAY), Plan::Team, "{behaviour}");
    }
    // The news that it goes on may take as long as Stripe repeats deliveries, and no longer.
    let known = trial("create_invoice");
    assert_eq!(plan(&known, 17 * DAY - 1), Plan::Team);
    assert_eq!(plan(&known, 17 * DAY), Plan::Free);
}

#[test]
fn an_end_outweighs_whatever_is_told_after_it() {
    for told in [
        [(100, "active"), (200, "canceled"), (900, "active")],
        [(900, "active"), (200, "canceled"), (100, "active")],
        [(200, "active"), (200, "canceled"), (200, "past_due")],
        [
            (200, "incomplete"),
            (200, "incomplete_expired"),
            (300, "active"),
        ],
    ] {
        let known = account(&told.map(|(at, status)| (at, status, json!({}))));
        assert_eq!(plan(&known, 1_000), Plan::Free, "{told:?}");
    }
}

#[test]
fn within_a_second_the_state_decides_whatever_comes_first() {
    let made = event(
        "evt_z",
        "customer.subscription.created",
        100,
        subscription("sub_1", "active", json!({})),
    );
    let more = json!({ "items": { "data": [{ "price": "price_team", "quantity": 9 }] } });
    for (status, id) in [
        ("active", "evt_a"),
        ("past_due", "evt_b"),
        ("incomplete", "evt_c"),
    ] {
        let changed = event(
            id,
            "customer.subscription.updated",
            100,
            subscription("sub_1", status, more.clone()),
        );
        for order in [[&made, &changed], [&changed, &made]] {
            let mut known = Account::default();
            for event in order {
                known.apply(event);
            }
            let bill = known.bill(200, &prices());
            assert_eq!(bill.status.unwrap().as_str(), status, "made comes first");
            assert!(known.doubtful(200).is_empty());
        }
    }
}

#[test]
fn what_a_second_leaves_open_is_asked_and_the_answer_decides() {
    let told = [
        (100, "active", json!({})),
        (200, "past_due", json!({})),
        (200, "active", json!({})),
    ];
    let mut known = account(&told);
    assert_eq!(
        known.bill(300, &prices()).status.unwrap().as_str(),
        "active"
    );
    assert_eq!(known.doubtful(300), ["sub_1"]);
    let answer = Subscription::from_answer(&subscription("sub_1", "past_due", json!({}))).unwrap();
    assert!(known.observe(&answer, 200, "req_1"));
    assert_eq!(
        known.bill(300, &prices()).status.unwrap().as_str(),
        "past_due"
    );
    assert!(known.doubtful(300).is_empty());
    assert!(!known.observe(&answer, 200, "req_1"));
    // A later event knows better again, an earlier one does not.
    tell(&mut known, 199, "sub_1", "unpaid", json!({}));
    assert_eq!(
        known.bill(300, &prices()).status.unwrap().as_str(),
        "past_due"
    );
    tell(&mut known, 201, "sub_1", "active", json!({}));
    assert_eq!(
        known.bill(300, &prices()).status.unwrap().as_str(),
        "active"
    );
}

#[test]
fn news_that_is_late_is_asked_for() {
    let known = account(&[(100, "active", json!({}))]);
    assert!(known.doubtful(30 * DAY + 3_600).is_empty());
    assert_eq!(known.doubtful(30 * DAY + 3_601), ["sub_1"]);
    let renewed = account(&[(
        30 * DAY,
        "active",
        json!({ "current_period_end": 60 * DAY }),
    )]);
    assert!(renewed.doubtful(31 * DAY).is_empty());
    let cancelled = account(&[(100, "active", json!({ "cancel_at": 2 * DAY }))]);
    assert!(cancelled.doubtful(2 * DAY).is_empty());
    assert_eq!(cancelled.doubtful(3 * DAY), ["sub_1"]);
    let over = account(&[(100, "canceled", json!({ "cancel_at": 2 * DAY }))]);
    assert!(over.doubtful(90 * DAY).is_empty());
}

#[test]
fn of_several_subscriptions_the_best_counts_and_seats_of_the_same_plan_add_up() {
    let enterprise = json!({
        "created": 50, "cancel_at": 10 * DAY,
        "items": { "data": [{ "price": { "id": "price_enterprise" }, "quantity": 7 }] },
    });
    let mut known = account(&[(100, "active", json!({}))]);
    tell(&mut known, 100, "sub_2", "active", enterprise);
    let bill = known.bill(DAY, &prices());
    assert_eq!((bill.plan, bill.seats_purchased), (Plan::Enterprise, 7));
    assert_eq!(bill.subscription.as_deref(), Some("sub_2"));
    // The better one ends; the other goes on.
    let bill = known.bill(10 * DAY, &prices());
    assert_eq!((bill.plan, bill.seats_purchased), (Plan::Team, 3));
    tell(
        &mut known,
        100,
        "sub_3",
        "trialing",
        json!({ "trial_end": 20 * DAY }),
    );
    let bill = known.bill(DAY * 11, &prices());
    assert_eq!((bill.plan, bill.seats_purchased), (Plan::Team, 6));
    assert_eq!(bill.access_ends_at, None);
}

#[test]
fn a_plan_is_told_by_its_price_or_by_metadata() {
    let bought = |more| plan(&account(&[(100, "active", more)]), DAY);
    let items = |item| json!({ "items": { "data": [item] } });
    assert_eq!(
        bought(items(json!({ "price": "price_enterprise" }))),
        Plan::Enterprise
    );
    assert_eq!(
        bought(items(json!({ "price": "price_team_year" }))),
        Plan::Team
    );
    let by_price = json!({ "price": { "id": "price_x", "metadata": { "plan": "enterprise" } } });
    assert_eq!(bought(items(by_price)), Plan::Enterprise);
    let both = json!({ "price": { "id": "price_team", "metadata": { "plan": "enterprise" } } });
    assert_eq!(bought(items(both)), Plan::Team);
    let own =
        json!({ "items": { "data": [{ "price": "price_x" }] }, "metadata": { "plan": "team" } });
    assert_eq!(bought(own), Plan::Team);
    for unknown in ["price_x", "free"] {
        let more =
            json!({ "items": { "data": [{ "price": unknown }] }, "metadata": { "plan": "free" } });
        assert_eq!(bought(more), Plan::Free);
    }
}

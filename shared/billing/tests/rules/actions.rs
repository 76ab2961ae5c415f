//! The actions that are allowed, and why others are not.

use lockgate_subscription::action::{Cancel, Purchase, Refused, Resume, Setup};
use lockgate_subscription::event::Interval;
use lockgate_subscription::{Account, Plan, Prices};
use serde_json::json;

use crate::support::{DAY, account, attach, detach, event, prices, setup, tell};

const MONTH: Interval = Interval::Month;

fn named(id: &str) -> String {
    id.to_owned()
}

#[test]
fn a_trial_needs_a_way_to_pay_first() {
    let prices = prices();
    let start = |known: &Account, setup| known.may_start_trial(Plan::Team, MONTH, 200, setup);
    let mut known = Account::default();
    assert_eq!(
        start(&known, setup(&prices)),
        Err(Refused::PaymentMethodRequired)
    );
    attach(&mut known, "pm_1");
    assert_eq!(start(&known, setup(&prices)), Ok((named("price_team"), 14)));
    let bare = Setup {
        has_api_key: false,
        prices: &prices,
    };
    assert_eq!(start(&known, bare), Err(Refused::PaymentMethodRequired));
    let text = Refused::PaymentMethodRequired.to_string();
    assert!(text.starts_with("add a payment method first"), "{text}");
    detach(&mut known, "pm_1");
    assert_eq!(
        start(&known, setup(&prices)),
        Err(Refused::PaymentMethodRequired)
    );
}

#[test]
fn a_trial_is_had_once_and_not_beside_a_subscription() {
    let prices = prices();
    let start =
        |known: &Account, plan| known.may_start_trial(plan, MONTH, 20 * DAY, setup(&prices));
    let mut known = account(&[(100, "trialing", json!({ "trial_end": 30 * DAY }))]);
    attach(&mut known, "pm_1");
    assert_eq!(
        start(&known, Plan::Team),
        Err(Refused::Subscribed {
            subscription: named("sub_1")
        })
    );
    tell(
        &mut known,
        200,
        "sub_1",
        "canceled",
        json!({ "trial_end": 14 * DAY }),
    );
    assert_eq!(start(&known, Plan::Team), Err(Refused::TrialUsed));
    assert_eq!(
        start(&known, Plan::Free),
        Err(Refused::NotSold { plan: Plan::Free })
    );
}

#[test]
fn a_checkout_is_new_or_changes_what_there_is() {
    let prices = prices();
    let check = |known: &Account, plan, interval| {
        known.may_check_out(plan, interval, 10 * DAY, setup(&prices))
    };
    let new = Account::default();
    assert_eq!(
        check(&new, Plan::Team, Interval::Year),
        Ok(Purchase::New {
            price: named("price_team_year")
        })
    );
    assert_eq!(
        check(&new, Plan::Free, MONTH),
        Err(Refused::NotSold { plan: Plan::Free })
    );
    assert_eq!(
        check(&new, Plan::Enterprise, Interval::Year),
        Err(Refused::NoPrice {
            plan: Plan::Enterprise,
            interval: Interval::Year,
            setting: "STRIPE_PRICE_ENTERPRISE"
        })
    );
    for status in ["active", "trialing"] {
        let known = account(&[(100, status, json!({ "trial_end": 30 * DAY }))]);
        assert_eq!(
            check(&known, Plan::Enterprise, MONTH),
            Ok(Purchase::Change {
                subscription: named("sub_1"),
                price: named("price_enterprise")
            })
        );
    }
    for status in ["past_due", "unpaid", "incomplete"] {
        let mut known = account(&[(100, status, json!({}))]);
        let refused = |invoice| Err(Refused::PaymentOutstanding { invoice });
        assert_eq!(check(&known, Plan::Team, MONTH), refused(None));
        let open = json!({ "id": "in_1", "created": 5, "status": "open", "subscription": "sub_1" });
        known.apply(&event("evt_i", "invoice.payment_failed", 300, open));
        assert_eq!(
            check(&known, Plan::Team, MONTH),
            refused(Some(named("in_1")))
        );
    }
    let paused = account(&[(100, "paused", json!({}))]);
    assert_eq!(check(&paused, Plan::Team, MONTH), Err(Refused::Paused));
    let bare = Setup {
        has_api_key: false,
        prices: &prices,
    };
    assert_eq!(
        new.may_check_out(Plan::Team, MONTH, 0, bare),
        Err(Refused::NotConfigured)
    );
}

#[test]
fn what_is_to_be_cancelled_is_not_changed_and_what_is_over_makes_room_for_a_new_one() {
    let prices = prices();
    let check = |known: &Account, now| known.may_check_out(Plan::Team, MONTH, now, setup(&prices));
    let known = account(&[(100, "active", json!({ "cancel_at": 9 * DAY }))]);
    assert_eq!(
        check(&known, 9 * DAY - 1),
        Err(Refused::Scheduled { at: 9 * DAY })
    );
    let new = Ok(Purchase::New {
        price: named("price_team"),
    });
    // Also before Stripe's word of the end has come.
    assert_eq!(check(&known, 9 * DAY), new);
    let over = account(&[(100, "canceled", json!({ "ended_at": 100 }))]);
    assert_eq!(check(&over, 200), new);
}

#[test]
fn a_cancellation_is_scheduled_once() {
    let prices = prices();
    let mut known = account(&[(100, "active", json!({}))]);
    let at_end = |id| Cancel::AtPeriodEnd {
        subscription: named(id),
    };
    assert_eq!(known.may_cancel(200, &prices), Ok(vec![at_end("sub_1")]));
    tell(
        &mut known,
        300,
        "sub_1",
        "active",
        json!({ "cancel_at_period_end": true }),
    );
    assert_eq!(
        known.may_cancel(400, &prices),
        Err(Refused::AlreadyCancelled { at: 30 * DAY })
    );
    assert_eq!(
        known.may_cancel(30 * DAY, &prices),
        Err(Refused::NothingToCancel)
    );
    // Everything that would go on billing is cancelled, not only what counts.
    tell(&mut known, 300, "sub_2", "active", json!({}));
    assert_eq!(known.may_cancel(400, &prices), Ok(vec![at_end("sub_2")]));
    for status in ["incomplete", "paused", "unpaid"] {
        let known = account(&[(100, status, json!({}))]);
        let now = vec![Cancel::Now {
            subscription: named("sub_1"),
        }];
        assert_eq!(known.may_cancel(200, &prices), Ok(now), "{status}");
    }
    assert_eq!(
        Account::default().may_cancel(0, &prices),
        Err(Refused::NothingToCancel)
    );
}

#[test]
fn resuming_is_possible_before_the_date_and_refused_after_it_with_the_reason() {
    let prices = prices();
    let told = [
        (100, "active", json!({})),
        (200, "active", json!({ "cancel_at_period_end": true })),
    ];
    let mut known = account(&told);
    let resume = Ok(Resume::KeepOn {
        subscription: named("sub_1"),
    });
    let ended = Refused::Ended { at: 30 * DAY };
    assert_eq!(known.may_resume(30 * DAY - 1, &prices), resume);
    assert_eq!(known.may_resume(30 * DAY, &prices), Err(ended.clone()));
    let more = json!({ "ended_at": 30 * DAY, "cancel_at_period_end": true });
    tell(&mut known, 30 * DAY, "sub_1", "canceled", more);
    assert_eq!(known.may_resume(30 * DAY + 9, &prices), Err(ended.clone()));
    let text = ended.to_string();
    assert!(
        text.contains("1970-01-31T00:00:00Z") && text.contains("check out"),
        "{text}"
    );

    let active = account(&[(100, "active", json!({}))]);
    assert_eq!(
        active.may_resume(200, &prices),
        Err(Refused::NothingToResume)
    );
    let silent = account(&[(150, "canceled", json!({}))]);
    assert_eq!(
        silent.may_resume(200, &prices),
        Err(Refused::Ended { at: 150 })
    );
    assert_eq!(
        Account::default().may_resume(0, &prices),
        Err(Refused::NothingToResume)
    );
}

#[test]
fn a_paused_subscription_goes_on_with_a_way_to_pay() {
    let prices = prices();
    let mut known = account(&[(100, "paused", json!({}))]);
    assert_eq!(
        known.may_resume(200, &prices),
        Err(Refused::PaymentMethodRequired)
    );
    attach(&mut known, "pm_1");
    assert_eq!(
        known.may_resume(200, &prices),
        Ok(Resume::Unpause {
            subscription: named("sub_1")
        })
    );
}

#[test]
fn the_portal_needs_a_customer() {
    let prices = prices();
    let new = Account::default();
    assert_eq!(
        new.may_open_portal(setup(&prices)),
        Err(Refused::NoCustomer)
    );
    let known = account(&[(100, "canceled", json!({}))]);
    assert_eq!(known.may_open_portal(setup(&prices)), Ok("cus_1"));
    let bare = Setup {
        has_api_key: false,
        prices: &prices,
    };
    assert_eq!(known.may_open_portal(bare), Err(Refused::NotConfigured));
    for (kind, object) in [
        ("customer.updated", json!({ "id": "cus_2" })),
        (
            "checkout.session.completed",
            json!({ "id": "cs_1", "customer": "cus_2" }),
        ),
        (
            "payment_method.attached",
            json!({ "id": "pm_1", "customer": "cus_2" }),
        ),
    ] {
        let mut known = Account::default();
        known.apply(&event("evt_1", kind, 5, object));
        assert_eq!(known.may_open_portal(setup(&prices)), Ok("cus_2"), "{kind}");
    }
}

#[test]
fn prices_are_read_from_the_settings() {
    let mut prices = Prices::default();
    prices.add(Plan::Team, "price_a").unwrap();
    prices
        .add(Plan::Enterprise, " year = price_b , month=price_c")
        .unwrap();
    prices.add(Plan::Free, "anything").unwrap();
    assert_eq!(prices.price(Plan::Team, MONTH), Some("price_a"));
    assert_eq!(prices.price(Plan::Team, Interval::Year), None);
    assert_eq!(
        prices.price(Plan::Enterprise, Interval::Year),
        Some("price_b")
    );
    assert_eq!(prices.price(Plan::Enterprise, MONTH), Some("price_c"));
    for bad in [
        "",
        "price a",
        "decade=price_a",
        "price_a,price_b",
        "month=",
        "a,,",
    ] {
        let refused = Prices::default().add(Plan::Team, bad).unwrap_err();
        assert_eq!(refused.setting, "STRIPE_PRICE_TEAM", "{bad}");
    }
    assert_eq!(Plan::parse("team"), Some(Plan::Team));
    assert_eq!(Plan::parse("Team"), None);
}

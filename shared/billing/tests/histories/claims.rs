//! What must hold of an account, said in terms of the played Stripe.

use std::collections::BTreeMap;

use lockgate_subscription::action::{Cancel, Purchase, Resume, Setup};
use lockgate_subscription::event::Interval;
use lockgate_subscription::{Account, Plan, Prices};
use proptest::prelude::*;

use crate::world::{DAY, Sent, Sub, World};

type Claim = Result<(), TestCaseError>;

fn prices() -> Prices {
    let mut prices = Prices::default();
    prices.add(Plan::Team, "price_team").unwrap();
    prices.add(Plan::Enterprise, "price_enterprise").unwrap();
    prices
}

fn plan(sub: &Sub) -> Plan {
    if sub.enterprise {
        Plan::Enterprise
    } else {
        Plan::Team
    }
}

fn best<'a>(subs: impl Iterator<Item = &'a Sub>) -> Plan {
    subs.map(plan).max().unwrap_or_default()
}

/// Everything has been heard that happened until now: access is exact, and stays so until the next thing happens.
pub(crate) fn after_in_order(account: &Account, world: &World) -> Claim {
    let really = best(world.subs.iter().filter(|sub| sub.gives_access()));
    let (has, _) = account.access(world.now, &prices());
    prop_assert_eq!(has, really, "at {}", world.now);
    // Nothing happens before the next date, and until then nothing is taken.
    let dates = world.subs.iter().filter(|sub| sub.gives_access());
    let next = dates
        .map(|sub| sub.cancels_at().unwrap_or(i64::MAX).min(sub.period_end))
        .min()
        .unwrap_or(world.now + 1);
    prop_assert_eq!(
        account.access(next - 1, &prices()).0,
        really,
        "before {}",
        next
    );
    Ok(())
}

/// The account is what really was.
pub(crate) fn is_what_was(account: &Account, world: &World) -> Claim {
    let stored = serde_json::to_value(account).unwrap();
    for sub in &world.subs {
        let fact = &stored["subscriptions"][&sub.id]["fact"];
        prop_assert_eq!(fact["status"].as_str(), Some(sub.status));
        prop_assert_eq!(&fact["items"][0]["quantity"], &serde_json::json!(sub.seats));
        prop_assert_eq!(fact["ended_at"].as_i64(), sub.ended_at);
        let period_end = [
            &fact["current_period_end"],
            &fact["items"][0]["current_period_end"],
        ];
        let period_end = period_end.into_iter().find_map(serde_json::Value::as_i64);
        prop_assert_eq!(period_end, Some(sub.period_end));
        prop_assert_eq!(fact["cancel_at"].as_i64(), sub.cancel_at);
        prop_assert_eq!(
            fact["cancel_at_period_end"].as_bool(),
            Some(sub.at_period_end)
        );
    }
    let bill = account.bill(world.now, &prices());
    let seats: u32 = world
        .subs
        .iter()
        .filter(|sub| sub.gives_access() && plan(sub) == bill.plan)
        .map(|sub| u32::from(sub.seats))
        .sum();
    prop_assert_eq!(bill.seats_purchased, seats);

    let mut owed: Vec<String> = world.credits.clone();
    let closed = world
        .subs
        .iter()
        .filter(|sub| sub.trial.is_some() && sub.status != "trialing");
    owed.extend(closed.map(|sub| format!("trial_usage:{}", sub.id)));
    owed.sort();
    let due: Vec<String> = account
        .dues(world.now)
        .into_iter()
        .map(|due| due.key)
        .collect();
    prop_assert_eq!(due, owed);
    Ok(())
}

/// A part has arrived, in some order; it is `now`.
pub(crate) fn after_part(account: &Account, world: &World, part: &[&Sent], now: i64) -> Claim {
    // The last that was said of each subscription, by when it was sent.
    let mut last: BTreeMap<&str, (usize, &Sub)> = BTreeMap::new();
    for one in part {
        let Some(sub) = &one.sub else { continue };
        let place = world
            .sent
            .iter()
            .position(|sent| sent.event.id == one.event.id)
            .unwrap();
        let known = last.entry(&sub.id).or_insert((place, sub));
        if place >= known.0 {
            *known = (place, sub);
        }
    }
    let last: Vec<&Sub> = last.into_values().map(|(_, sub)| sub).collect();
    let mut moments = vec![now, now + 100 * DAY];
    moments.extend(
        last.iter()
            .filter_map(|sub| sub.cancels_at())
            .filter(|at| *at > now)
            .flat_map(|at| [at - 1, at]),
    );
    for now in moments {
        at_moment(account, &last, now)?;
    }
    Ok(())
}

fn at_moment(account: &Account, last: &[&Sub], now: i64) -> Claim {
    let promised = |sub: &&&Sub| {
        let trial_end = (sub.status == "trialing").then_some(sub.period_end);
        let end = sub.cancels_at().into_iter().chain(trial_end).min();
        sub.gives_access() && end.is_none_or(|end| now < end)
    };
    let is_past = |sub: &Sub| sub.is_over() || sub.cancels_at().is_some_and(|at| at <= now);
    // A trial whose end has passed without news is the one case between the two: it is waited for, for three days.
    let is_waited_for = |sub: &Sub| sub.status != "trialing" || now < sub.period_end + 3 * DAY;
    let possible = |sub: &&&Sub| sub.gives_access() && !is_past(sub) && is_waited_for(sub);
    let (has, ends) = account.access(now, &prices());
    let (least, most) = (
        best(last.iter().filter(promised).copied()),
        best(last.iter().filter(possible).copied()),
    );
    prop_assert!(
        has >= least,
        "{:?} before its date, at {}: {:?}",
        has,
        now,
        last
    );
    prop_assert!(
        has <= most,
        "{:?} after its date, at {}: {:?}",
        has,
        now,
        last
    );
    prop_assert!(ends.is_none_or(|end| end > now));

    let named = named_by_actions(account, now);
    for sub in last {
        let (changed, touched) = (
            named.changed.contains(&sub.id),
            named.touched.contains(&sub.id),
        );
        prop_assert!(
            !(is_past(sub) && (touched || changed)),
            "{:?} at {}",
            sub,
            now
        );
        prop_assert!(
            !(sub.cancels_at().is_some() && changed),
            "{:?} at {}",
            sub,
            now
        );
    }
    Ok(())
}

#[derive(Default)]
struct Named {
    changed: Vec<String>,
    touched: Vec<String>,
}

/// The subscriptions that allowed actions would do something to.
fn named_by_actions(account: &Account, now: i64) -> Named {
    let prices = prices();
    let setup = Setup {
        has_api_key: true,
        prices: &prices,
    };
    let mut named = Named::default();
    for plan in Plan::ALL {
        if let Ok(Purchase::Change { subscription, .. }) =
            account.may_check_out(plan, Interval::Month, now, setup)
        {
            named.changed.push(subscription);
        }
    }
    for cancel in account.may_cancel(now, &prices).unwrap_or_default() {
        let (Cancel::AtPeriodEnd { subscription } | Cancel::Now { subscription }) = cancel;
        named.touched.push(subscription);
    }
    if let Ok(resume) = account.may_resume(now, &prices) {
        let (Resume::KeepOn { subscription } | Resume::Unpause { subscription }) = resume;
        named.touched.push(subscription);
    }
    named
}

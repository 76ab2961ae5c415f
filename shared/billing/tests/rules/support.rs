//! Events, written short.

use lockgate_subscription::action::Setup;
use lockgate_subscription::{Account, Event, Plan, Prices};
use serde_json::{Value, json};

pub(crate) const DAY: i64 = 86_400;

pub(crate) fn prices() -> Prices {
    let mut prices = Prices::default();
    prices
        .add(Plan::Team, "month=price_team,year=price_team_year")
        .unwrap();
    prices.add(Plan::Enterprise, "price_enterprise").unwrap();
    prices
}

pub(crate) fn setup(prices: &Prices) -> Setup<'_> {
    Setup {
        has_api_key: true,
        prices,
    }
}

pub(crate) fn event(id: &str, kind: &str, at: i64, object: Value) -> Event {
    let body = json!({ "id": id, "type": kind, "created": at, "data": { "object": object } });
    Event::read(body.to_string().as_bytes()).unwrap()
}

/// A subscription to the team plan by the month, with `more` over it.
pub(crate) fn subscription(id: &str, status: &str, more: Value) -> Value {
    let mut object = json!({
        "id": id, "created": 100, "customer": "cus_1", "status": status, "current_period_end": 30 * DAY,
        "items": { "data": [{
            "quantity": 3, "price": { "id": "price_team", "recurring": { "interval": "month" } },
        }] },
    });
    for (name, value) in more.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}

/// An account that was told so much of `sub_1`, at the times given.
pub(crate) fn account(told: &[(i64, &str, Value)]) -> Account {
    let mut account = Account::default();
    for (at, status, more) in told {
        tell(&mut account, *at, "sub_1", status, more.clone());
    }
    account
}

pub(crate) fn tell(account: &mut Account, at: i64, id: &str, status: &str, more: Value) {
    let kind = match status {
        "canceled" => "customer.subscription.deleted",
        _ => "customer.subscription.updated",
    };
    let name = format!("evt_{id}_{at}_{status}");
    account.apply(&event(&name, kind, at, subscription(id, status, more)));
}

pub(crate) fn attach(account: &mut Account, id: &str) {
    let object = json!({ "id": id, "created": 1, "customer": "cus_1" });
    account.apply(&event(
        &format!("evt_{id}"),
        "payment_method.attached",
        1,
        object,
    ));
}

pub(crate) fn detach(account: &mut Account, id: &str) {
    let object = json!({ "id": id, "created": 1, "customer": null });
    account.apply(&event(
        &format!("evt_{id}_gone"),
        "payment_method.detached",
        2,
        object,
    ));
}

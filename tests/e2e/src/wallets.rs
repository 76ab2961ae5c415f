//! What a workspace's wallet and its ledger say, checked to the last micro-USD (FEATURES H5).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::scene::{Scene, text};
use crate::tenant::eventually;

/// Balance and reserved.
pub(crate) fn wallet(scene: &Scene<'_>) -> (u64, u64) {
    let wallet = scene.get("wallet");
    let amount = |field: &str| wallet[field].as_u64().expect("an amount");
    (amount("balance_microusd"), amount("reserved_microusd"))
}

/// The lines of the ledger, oldest first.
pub(crate) fn ledger(scene: &Scene<'_>) -> Vec<Value> {
    let page = scene.get("wallet/ledger?limit=1000");
    assert_eq!(page["next_cursor"], Value::Null);
    let mut lines = page["items"].as_array().unwrap().clone();
    lines.sort_by_key(|line| line["seq"].as_u64());
    lines
}

/// Waits until nothing is reserved any more, and checks the ledger to the last micro-USD; returns what was paid.
pub(crate) fn settled(scene: &Scene<'_>) -> u64 {
    eventually("everything is settled", || {
        (wallet(scene).1 == 0).then_some(())
    });
    audited(scene)
}

/// Checks that the ledger adds up: credits are balance, reserved and paid; each line follows from the one before.
pub(crate) fn audited(scene: &Scene<'_>) -> u64 {
    let (mut balance, mut reserved, mut credits, mut paid) = (0_u64, 0_u64, 0_u64, 0_u64);
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    for (number, line) in ledger(scene).iter().enumerate() {
        assert_eq!(line["seq"], number as u64 + 1, "{line}");
        let amount = line["amount_microusd"].as_u64().unwrap();
        let reservation = line["reservation"].as_str().unwrap_or_default().to_owned();
        match line["kind"].as_str().unwrap() {
            "credit" => {
                balance += amount;
                credits += amount;
            }
            "reserve" => {
                balance = balance.checked_sub(amount).expect("never below zero");
                reserved += amount;
                assert!(held.insert(reservation, amount).is_none(), "{line}");
            }
            "settle" => {
                let had = held.remove(&reservation).unwrap_or(0);
                reserved -= had;
                balance = (balance + had)
                    .checked_sub(amount)
                    .expect("never below zero");
                paid += amount;
            }
            "expire" => {
                let had = held.remove(&reservation).expect("what was reserved");
                reserved -= had;
                balance += had;
            }
            other => panic!("a ledger line of kind {other}"),
        }
        assert_eq!(line["balance_microusd"], balance, "{line}");
        assert_eq!(line["reserved_microusd"], reserved, "{line}");
    }
    assert_eq!(wallet(scene), (balance, reserved));
    assert_eq!(credits, balance + reserved + paid);
    paid
}

/// The kinds of the lines, oldest first.
pub(crate) fn kinds(scene: &Scene<'_>) -> Vec<String> {
    ledger(scene)
        .iter()
        .map(|line| text(&line["kind"]))
        .collect()
}

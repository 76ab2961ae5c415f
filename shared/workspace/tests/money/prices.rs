//! A workspace's own prices.

use lockgate_workspace::resource::Price;

use super::*;

fn price(provider: &str, model: &str, input: u64) -> Price {
    Price {
        provider: provider.into(),
        model: model.into(),
        input,
        cached_input: None,
        output: 10_000_000,
    }
}

fn put(price: &Price) -> Question {
    Question::PutPrice(price.clone())
}

fn delete(provider: &str, model: &str) -> Question {
    Question::DeletePrice {
        provider: provider.into(),
        model: model.into(),
    }
}

fn version(store: &Store) -> Vec<Vec<lockgate_host::Value>> {
    let sql = "SELECT snapshot_version FROM workspaces WHERE name = 'default'";
    store.database.sql(sql, &[]).unwrap()
}

#[test]
fn prices_are_set_changed_and_forgotten_each_with_a_new_snapshot() {
    let store = Store::new();
    let listed = || store.ask(Question::ListPrices).unwrap();
    assert_eq!(listed(), Reply::Prices(Vec::new()));
    let mut large = price("openai", "gpt-4o", 2_500_000);
    let steps: [(Question, Vec<Price>); 4] = [
        (put(&large), vec![large.clone()]),
        (
            put(&price("anthropic", "org/claude", 0)),
            vec![price("anthropic", "org/claude", 0), large.clone()],
        ),
        (
            {
                (large.input, large.cached_input) = (3, Some(1));
                put(&large)
            },
            vec![price("anthropic", "org/claude", 0), large.clone()],
        ),
        (delete("anthropic", "org/claude"), vec![large.clone()]),
    ];
    for (question, expected) in steps {
        let before = version(&store);
        let outcome = store.outcome_in(DEFAULT_WORKSPACE, question);
        outcome.reply.unwrap();
        assert!(outcome.changed, "it waits for the leases");
        assert_ne!(version(&store), before);
        assert_eq!(listed(), Reply::Prices(expected));
    }
    let denied = store.ask(delete("anthropic", "org/claude"));
    assert!(matches!(denied, Err(Denial::NotFound { .. })), "{denied:?}");
    let elsewhere = store.ask_in("ws_otheraaaaaaaaaaa", Question::ListPrices);
    assert_eq!(elsewhere, Ok(Reply::Prices(Vec::new())));
}

#[test]
fn the_platform_serves_its_own_prices() {
    let store = Store::new();
    let platform = lockgate_workspace::PLATFORM_WORKSPACE;
    let own = price("openai", "gpt-4o", 7);
    store.ask_in(platform, put(&own)).unwrap();
    let asked = store.ask_in(platform, DataQuestion::Platform { known: None });
    let Ok(Reply::Platform {
        snapshot: Some(snapshot),
        ..
    }) = asked
    else {
        panic!("{asked:?}");
    };
    assert_eq!(snapshot.prices, [own]);
    assert_eq!(
        store.ask(Question::ListPrices),
        Ok(Reply::Prices(Vec::new()))
    );
}

#[test]
fn what_cannot_be_a_price_is_refused_with_a_reason() {
    let store = Store::new();
    let largest = 1_000_000_000_000;
    let whole = price(&"p".repeat(64), &"é".repeat(256), largest);
    store.ask(put(&whole)).unwrap();
    let mut cached = price("openai", "gpt-4o", 1);
    cached.cached_input = Some(largest + 1);
    let mut output = price("openai", "gpt-4o", 1);
    output.output = u64::MAX;
    for (price, says) in [
        (price("", "gpt-4o", 1), "slug"),
        (price(&"p".repeat(65), "gpt-4o", 1), "slug"),
        (price("open/ai", "gpt-4o", 1), "slug"),
        (price("openai", "", 1), "name"),
        (price("openai", &"é".repeat(257), 1), "name"),
        (
            price("openai", "gpt-4o", largest + 1),
            "input is 1000000000001",
        ),
        (cached, "cached_input is 1000000000001"),
        (output, "output is"),
    ] {
        let Err(Denial::InUse(why)) = store.ask(put(&price)) else {
            panic!("it was set: {price:?}");
        };
        assert!(why.contains(says), "{why}");
    }
    assert_eq!(store.count("prices"), 1);
}

#[test]
fn a_workspace_has_a_thousand_prices_at_most() {
    let store = Store::new();
    for n in 0..1_000 {
        let model = format!("model-{n}");
        store.ask(put(&price("openai", &model, 1))).unwrap();
    }
    let Err(Denial::InUse(why)) = store.ask(put(&price("openai", "one-more", 1))) else {
        panic!("it was set");
    };
    assert!(why.contains("1000 prices"), "{why}");
    store.ask(put(&price("openai", "model-7", 2))).unwrap();
    store.ask(delete("openai", "model-8")).unwrap();
    store.ask(put(&price("openai", "one-more", 1))).unwrap();
}

#[test]
fn the_audit_log_has_what_was_before_and_after() {
    let store = Store::new();
    let model = "org/gpt-4o";
    store.ask(put(&price("openai", model, 1))).unwrap();
    store.ask(put(&price("openai", model, 2))).unwrap();
    store.ask(delete("openai", model)).unwrap();
    store.ask(delete("openai", model)).unwrap_err();
    let told: Vec<_> = store
        .audit()
        .into_iter()
        .map(|row| {
            assert_eq!(
                (&*row.resource, &*row.actor),
                ("openai/org/gpt-4o", "at_tester")
            );
            let input = |v: Option<serde_json::Value>| v.map(|v| v["input"].as_u64().unwrap());
            (row.action, input(row.before), input(row.after))
        })
        .collect();
    let row = |action: &str, before, after| (action.to_owned(), before, after);
    assert_eq!(
        told,
        [
            row("price.update", None, Some(1)),
            row("price.update", Some(1), Some(2)),
            row("price.delete", Some(2), None),
        ]
    );
}

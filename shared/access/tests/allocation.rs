//! Asking a policy takes no memory, whatever the answer.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use lockgate_access::{Circumstances, KeyFacts, Policy, Role, Tags, read};
use serde_json::json;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: all is left to the system's allocator; only a number that needs no memory is counted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.set(TAKEN.get() + 1);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn asking_takes_no_memory() {
    let statements: Vec<_> = (0..100)
        .map(|number| {
            json!({
                "effect": if number % 3 == 0 { "deny" } else { "allow" },
                "actions": ["*"],
                "resources": [format!("openai/key-{}*", number % 7)],
                "conditions": [{ "tags_match": ["environment"] }, { "model_like": [format!("gpt-*{number}*")] }],
            })
        })
        .collect();
    let role = |number: usize| Role {
        id: format!("role_{number}"),
        name: number.to_string(),
        statements: read(
            &json!(statements)
                .to_string()
                .replace("gpt-", &format!("gpt-*{number}")),
        )
        .unwrap(),
    };
    // More conditions than an answer remembers.
    let roles: Vec<_> = (0..10).map(role).collect();
    let tags = Tags::from([("environment".to_owned(), "production".to_owned())]);
    let circumstances = Circumstances {
        agent: &tags,
        gateway: None,
        configuration: None,
    };
    let names: Vec<_> = (0..100).map(|number| format!("key-{number}")).collect();
    let keys: Vec<_> = names
        .iter()
        .map(|name| KeyFacts {
            id: "pk_a",
            provider: "openai",
            name,
            tags: &tags,
        })
        .collect();
    let before = TAKEN.get();
    let policy = Policy::new(&roles, &circumstances, &keys);
    let compiled = TAKEN.get();
    assert!(compiled > before, "the allocator counts");
    let mut allowed = 0;
    for model in [Some("gpt-4o-1-1"), Some("gpt-2-2"), Some("claude"), None] {
        let mut ask = policy.ask(model);
        allowed += (0..=keys.len()).filter(|key| ask.allows(*key)).count();
    }
    assert_eq!(TAKEN.get(), compiled);
    assert!((1..400).contains(&allowed), "{allowed}");
}

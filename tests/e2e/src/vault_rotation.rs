//! The local KEK is rotated: what was sealed, and every gateway key and admin token, goes on working (FEATURES G4).

use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::gateway::{Engine, Gateway, KEK, OTHER_KEK, Plan, Started};
use crate::scene::text;
use crate::tenant::{eventually, secret};
use crate::vault::{House, plan, rewrap, rewrap_all, status};

pub(crate) fn cases() -> Vec<Case> {
    cases!["vault_rotation": twice_with_everything_in_use [process]]
}

/// A third one.
const THIRD_KEK: &str = "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0efeeedecebeae9e8e7e6e5e4e3e2e1e0";

/// Natively the start is refused, elsewhere what asks for a workspace with a secret that does not open; what is said.
fn refused(plan: Plan, houses: &[&House]) -> String {
    match plan.attempt() {
        Started::Refused { status, printed } => {
            assert!(!status.success(), "{status}");
            printed
        }
        Started::Listening(gateway) => {
            assert_ne!(gateway.engine, Engine::Native, "it started");
            let replies = houses.iter().map(|house| {
                let call = Call::get("/api/provider-keys");
                house.api(&gateway, call)
            });
            // On Cloudflare each workspace is a store of its own.
            let reply = replies.into_iter().find(|reply| reply.status != 200);
            let reply = reply.expect("one is refused");
            let error = reply.refusal(503, "misconfigured");
            gateway.stop();
            text(&error["message"])
        }
    }
}

/// How many secrets are under each of the KEKs, the one in force first.
fn under(gateway: &Gateway) -> Vec<u64> {
    let status = status(gateway);
    let keks = status["keks"].as_array().unwrap();
    assert_eq!(keks[0]["in_force"], true, "{status}");
    assert_eq!(keks[0]["kek"], status["kek"], "{status}");
    assert!(keks.iter().all(|kek| kek["readable"] == true), "{status}");
    keks.iter()
        .map(|kek| kek["secrets"].as_u64().unwrap())
        .collect()
}

/// An admin token of the workspace that still does what it could.
fn admits(gateway: &Gateway, house: &House, token: &str) {
    let call = Call::get("/api/provider-keys").bearer(token);
    let reply = call
        .header("lockgate-workspace", &house.workspace)
        .run(gateway.url());
    let listed = reply.expect(200).json();
    assert_eq!(
        listed["items"].as_array().map(Vec::len),
        Some(house.providers().len())
    );
}

fn admin_token(gateway: &Gateway, house: &House, name: &str) -> String {
    let body = json!({"name": name, "role": "viewer", "workspace": house.workspace});
    text(&gateway.create(&house.workspace, "admin-tokens", &body)["token"])
}

fn gateway_key(gateway: &Gateway, house: &House, name: &str) -> String {
    let body = json!({"name": name, "agent": "app"});
    text(&gateway.create(&house.workspace, "gateway-keys", &body)["key"])
}

fn twice_with_everything_in_use(env: &Env) {
    let on = |kek: &str, previous: &str| {
        plan(env)
            .set("LOCKGATE_KEK", kek)
            .set("LOCKGATE_KEK_PREVIOUS", previous)
    };
    let gateway = plan(env).start();
    let (second, mut first) = std::thread::scope(|scope| {
        let first = scope.spawn(|| House::build(&gateway, &["openai", "groq", "mistral"]));
        (
            House::build(&gateway, &["openai", "xai"]),
            first.join().unwrap(),
        )
    });
    let old_token = admin_token(&gateway, &first, "old");
    first.all_served(&gateway);
    let data = gateway.stop();

    // Nothing but the new one: the store is another's.
    let said = refused(on(OTHER_KEK, "").data(&data), &[&first]);
    assert!(said.contains("LOCKGATE_KEK_PREVIOUS"), "{said}");

    let gateway = on(OTHER_KEK, KEK).data(&data).start();
    first.all_served(&gateway);
    second.all_served(&gateway);
    admits(&gateway, &first, &old_token);
    assert_eq!(under(&gateway), [0, 5]);
    first.save(&gateway, "cerebras").expect(201);
    assert_eq!(under(&gateway), [1, 5], "what is new is under the new one");
    let rotated = secret("rotated");
    first.mock.clear();
    first.rotate(&gateway, "openai", rotated).expect(200);
    // The replaced version counts until its secret is forgotten, which is done in the background.
    eventually("the replaced secret is forgotten", || {
        (under(&gateway) == [2, 4]).then_some(())
    });
    first.all_served(&gateway);
    let data = gateway.stop();

    let said = refused(on(OTHER_KEK, "").data(&data), &[&first]);
    assert!(said.contains("LOCKGATE_KEK_PREVIOUS"), "{said}");

    let gateway = on(OTHER_KEK, KEK).data(&data).start();
    // Both workspaces have been begun with, and one is not done.
    let answer = rewrap(&gateway, 3, &Value::Null);
    assert_eq!(answer["rewrapped"], 3, "{answer}");
    assert_eq!(answer["done"], false, "{answer}");
    assert_eq!(under(&gateway), [5, 1]);
    first.all_served(&gateway);
    let data = gateway.stop();

    // Too early to take the old one away: it says what is still under it.
    let said = refused(on(OTHER_KEK, "").data(&data), &[&first, &second]);
    for word in [
        "LOCKGATE_KEK_PREVIOUS",
        "one secret is still sealed under kek_",
        "/api/vault/rewrap",
    ] {
        assert!(said.contains(word), "says {word}: {said}");
    }

    let gateway = on(OTHER_KEK, KEK).data(&data).start();
    let steps = rewrap_all(&gateway, 2);
    assert_eq!(steps.iter().sum::<u64>(), 1);
    assert_eq!(under(&gateway), [6, 0]);
    assert_eq!(rewrap_all(&gateway, 2), [0], "once more moves nothing");
    let new_key = gateway_key(&gateway, &first, "new");
    let new_token = admin_token(&gateway, &first, "new");
    let data = gateway.stop();

    let gateway = on(OTHER_KEK, "").data(&data).start();
    first.all_served(&gateway);
    second.all_served(&gateway);
    first
        .ask_with(gateway.url(), &new_key, "openai")
        .expect(200);
    admits(&gateway, &first, &old_token);
    admits(&gateway, &first, &new_token);
    assert_eq!(under(&gateway), [6]);
    let newest_key = gateway_key(&gateway, &first, "newest");
    let data = gateway.stop();

    // And once more, without a word in between.
    let gateway = on(THIRD_KEK, OTHER_KEK).data(&data).start();
    first
        .ask_with(gateway.url(), &newest_key, "openai")
        .expect(200);
    let steps = rewrap_all(&gateway, 2);
    assert_eq!(steps.iter().sum::<u64>(), 6, "{steps:?}");
    assert!(steps.len() >= 3, "{steps:?}");
    let data = gateway.stop();
    let gateway = on(THIRD_KEK, "").data(&data).start();
    first.all_served(&gateway);
    second.all_served(&gateway);
    for key in [&new_key, &newest_key] {
        first.ask_with(gateway.url(), key, "openai").expect(200);
    }
    admits(&gateway, &first, &old_token);
    admits(&gateway, &first, &new_token);
    let data = gateway.stop();

    // The first two open nothing any more.
    let said = refused(on(KEK, OTHER_KEK).data(&data), &[&first]);
    assert!(said.contains("LOCKGATE_KEK"), "{said}");
    let printed = data.printed();
    for kek in [KEK, OTHER_KEK, THIRD_KEK] {
        assert!(
            !crate::stores::holds(printed.as_bytes(), kek),
            "a KEK is in the log"
        );
    }
}

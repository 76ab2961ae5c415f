//! Vaults that are away, or say no, for as long as somebody works on secrets, and secrets that do not open: nothing is lost or
//! forgotten, and nothing else waits for them.

use lockgate_workspace::DEFAULT_WORKSPACE;
use serde_json::{Value, json};

use crate::process::sound;
use crate::site::Site;
use crate::stories::{Came, ELEVEN_MINUTES, Step, Truth, founded, opens, perform};
use crate::world::{ALL, Fault, World};

const A: (&str, &str) = ("default", "a");
const B: (&str, &str) = ("default", "b");
const D: (&str, &str) = ("team", "d");

/// Does something that has to be acknowledged.
fn done(world: &World, site: &Site, step: Step, truth: &mut Truth) {
    let came = perform(world, site, step, truth);
    assert_eq!(came, Came::Acknowledged, "{step:?}");
}

/// A world with these secrets.
fn holding(site: &Site, names: &[(&'static str, &'static str)]) -> (World, Truth) {
    let world = founded(site);
    let mut truth = Truth::default();
    for name in names {
        done(&world, site, Step::Save(*name, "sk-secret"), &mut truth);
    }
    (world, truth)
}

fn stored(world: &World) -> usize {
    world.held().hashicorp.entries("secret").len()
}

fn called(world: &World, site: &Site, call: &str) -> Value {
    let (status, said) = sound(world, site, async |host| {
        host.call("default", call, Value::Null).await
    });
    assert_eq!(status, 200, "{said}");
    said
}

#[test]
fn what_a_removed_workspace_had_in_vault_is_removed_later() {
    let site = Site::new(1, "vault-kv");
    let (world, mut truth) = holding(&site, &[A, D]);
    world.arm(0, Fault::Away);
    done(&world, &site, Step::Drop, &mut truth);
    assert!(world.disarm().is_some());
    assert_eq!(stored(&world), 2);
    // On engines where each workspace is a store of its own nobody visits the removed one's.
    let whose = world.texts("SELECT workspace FROM leftovers");
    assert_eq!(whose, [DEFAULT_WORKSPACE]);
    world.pass(ELEVEN_MINUTES);
    done(&world, &site, Step::Tick, &mut truth);
    assert_eq!(stored(&world), 1);
    assert!(world.texts("SELECT entry FROM leftovers").is_empty());
    assert!(opens(&world, &site, &truth));
}

#[test]
fn a_store_with_leftovers_in_it_is_not_retired() {
    let kv = Site::new(1, "vault-kv");
    let transit = Site::new(1, "vault-transit");
    let both = transit.clone().reading(&kv);
    let (world, mut truth) = holding(&kv, &[A, B]);
    let nothing_goes = ALL.replace(", \"delete\"", "");
    world.held().hashicorp.change_policy("all", &nothing_goes);
    done(&world, &kv, Step::Delete(B), &mut truth);
    done(&world, &both, Step::Rewrap, &mut truth);
    for _ in 0..2 {
        world.pass(ELEVEN_MINUTES);
        let said = called(&world, &both, "POST /api/tick");
        assert_eq!(said["housekept"], json!([]), "nothing was removed");
    }
    assert_eq!(stored(&world), 2);
    assert!(!opens(&world, &transit, &truth), "they would stay there");
    let (status, said) = sound(&world, &transit, async |host| {
        host.call("default", "GET /api/vault", Value::Null).await
    });
    let message = said["error"]["message"].as_str().unwrap();
    assert_eq!(status, 503, "{said}");
    for word in ["LOCKGATE_VAULT_PREVIOUS", "2 entries", "vault-kv:secret@2/"] {
        assert!(message.contains(word), "{word} in {message}");
    }
    world.held().hashicorp.change_policy("all", ALL);
    world.pass(ELEVEN_MINUTES);
    let said = called(&world, &both, "POST /api/tick");
    assert_eq!(said["housekept"][0]["leftovers_removed"], 2, "{said}");
    assert_eq!(stored(&world), 0);
    assert!(opens(&world, &transit, &truth));
}

#[test]
fn a_kek_that_was_rotated_is_on_record_whatever_comes_after() {
    let site = Site::new(1, "vault-transit");
    let mut refused = 0;
    for at in 0..20 {
        let (world, mut truth) = holding(&site, &[A]);
        world.arm(at, Fault::Away);
        let came = perform(&world, &site, Step::Renew, &mut truth);
        world.disarm();
        world.pass(ELEVEN_MINUTES);
        let kek = called(&world, &site, "GET /api/vault")["kek"].take();
        if kek == "vault-transit:transit/lockgate:v1" {
            continue;
        }
        let recorded = world.texts("SELECT after FROM audit WHERE action = 'vault.rotate'");
        assert_eq!(recorded.len(), 1, "{came:?} at {at}");
        refused += u32::from(came != Came::Acknowledged);
    }
    assert!(refused > 0, "it never failed after the rotation");
}

#[test]
fn secrets_that_cannot_be_moved_keep_no_other_from_it() {
    let local = Site::new(1, "local");
    let both = Site::new(1, "vault-transit").reading(&local);
    let world = founded(&local);
    sound(&world, &local, async |host| {
        for n in 0..60 {
            let body = json!({"provider": "openai", "name": format!("k{n}"), "secret": format!("sk-{n}"), "force": true});
            let made = host.call("default", "POST /api/provider-keys", body).await;
            assert_eq!(made.0, 201, "{made:?}");
        }
    });
    // Wherever one looks first, there are more than are looked at once before the only one that opens.
    world.sql(
        "UPDATE provider_key_versions SET wrapped = 'AAAA'
         WHERE provider_key <> (SELECT MAX(id) FROM provider_keys)",
        &[],
    );
    let moved = || {
        let sql = "SELECT provider_key FROM provider_key_versions WHERE kek LIKE 'vault-transit:%'";
        world.texts(sql).len()
    };
    let mut truth = Truth::default();
    for _ in 0..60 {
        done(&world, &both, Step::Tick, &mut truth);
        if moved() == 1 {
            return;
        }
    }
    panic!("it is never moved");
}

#[test]
fn a_secret_whose_copy_is_damaged_is_moved_from_the_kv_binding() {
    let local = Site::new(1, "local");
    let kv = Site::new(1, "vault-kv");
    let (world, mut truth) = holding(&local, &[A]);
    world.sql("UPDATE provider_key_versions SET ciphertext = 'AAAA'", &[]);
    let both = kv.clone().reading(&local);
    done(&world, &both, Step::Rewrap, &mut truth);
    assert!(opens(&world, &kv, &truth));
    assert_eq!(stored(&world), 1);
}

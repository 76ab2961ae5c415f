//! What lies in the database, in the KV binding and in the vault's own store is altered or moved: that secret does not open, and
//! no other is the worse for it (FEATURES G1).

use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE64;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::gateway::{DataDir, KEK, OTHER_KEK, Plan};
use crate::scene::{at_once, text};
use crate::stores::{Entries, authority};
use crate::tenant::secret;
use crate::vault::{House, Vault, plan, rewrap};

pub(crate) fn cases() -> Vec<Case> {
    cases!["vault_tampering":
        under_a_local_kek [process],
        under_transit [process],
        in_a_kv_store [process],
    ]
}

/// What is done to the keys of these providers; the last is left alone.
const PROVIDERS: [&str; 6] = ["openai", "groq", "mistral", "deepseek", "xai", "cerebras"];

/// A column of a key's row.
fn column(database: &Connection, name: &str, id: &str) -> String {
    let query = format!("SELECT {name} FROM provider_key_versions WHERE provider_key = ?1");
    database.query_row(&query, [id], |row| row.get(0)).unwrap()
}

fn put(database: &Connection, name: &str, id: &str, text: &str) {
    let query = format!("UPDATE provider_key_versions SET {name} = ?2 WHERE provider_key = ?1");
    assert_eq!(database.execute(&query, (id, text)).unwrap(), 1);
}

/// Turns one bit of what a column has in base64.
fn flip(database: &Connection, name: &str, id: &str) {
    let mut bytes = BASE64
        .decode(column(database, name, id).as_bytes())
        .unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    put(database, name, id, &BASE64.encode(&bytes));
}

/// The wrapped data keys of two are swapped; one bit is turned of a third one's; of a fourth one's ciphertext, wherever it is;
/// the fifth one's is that of another key, wherever it is.
fn tamper(folder: &Path, house: &House) {
    let [openai, groq, mistral, deepseek, xai, cerebras] =
        PROVIDERS.map(|provider| house.id(provider));
    let database = authority(folder, openai);
    let wrapped = [openai, groq].map(|id| column(&database, "wrapped", id));
    put(&database, "wrapped", openai, &wrapped[1]);
    put(&database, "wrapped", groq, &wrapped[0]);
    flip(&database, "wrapped", mistral);
    let entries = Entries::open(folder);
    flip(&database, "ciphertext", deepseek);
    let (name, mut value) = entries.of(deepseek).remove(0);
    value[0] ^= 0x80;
    entries.overwrite(&name, &value);
    put(
        &database,
        "ciphertext",
        xai,
        &column(&database, "ciphertext", cerebras),
    );
    let (name, _) = entries.of(xai).remove(0);
    entries.overwrite(&name, &entries.of(cerebras).remove(0).1);
}

/// Makes a house, stops, tampers, starts; all but the last are refused, and a new secret mends one of them.
fn tampered(
    env: &Env,
    sealing: impl Fn(Plan) -> Plan,
    tamper: impl Fn(&Path, &House),
) -> (House, Arc<DataDir>) {
    let gateway = sealing(plan(env)).start();
    let mut house = House::build(&gateway, &PROVIDERS);
    house.all_served(&gateway);
    let data = gateway.stop();
    tamper(&data.path(), &house);
    // Bridges would be a copy of what the vault has given before.
    let plan = sealing(plan(env)).set("LOCKGATE_VAULT_BRIDGE", "off");
    let gateway = plan.data(&data).start();
    let (whole, broken) = PROVIDERS.split_last().unwrap();
    for message in at_once(broken, |provider| house.sealed(&gateway, provider)) {
        assert!(message.contains("open"), "{message}");
    }
    house.served(&gateway, whole);
    house.mock.clear();
    house
        .rotate(&gateway, "openai", secret("mended"))
        .expect(200);
    house.served(&gateway, "openai");
    house.sealed(&gateway, "groq");
    house.served(&gateway, whole);
    (house, gateway.stop())
}

fn under_a_local_kek(env: &Env) {
    let (house, data) = tampered(env, |plan| plan, tamper);
    // What does not open is not moved, is named, and does not hold up the rest.
    let rotated = plan(env)
        .set("LOCKGATE_KEK", OTHER_KEK)
        .set("LOCKGATE_KEK_PREVIOUS", KEK);
    let gateway = rotated.data(&data).start();
    let answer = rewrap(&gateway, 500, &Value::Null);
    let failed = answer["failed"].as_array().unwrap();
    let mut named: Vec<String> = failed.iter().map(|row| text(&row["provider"])).collect();
    named.sort();
    assert_eq!(named, ["groq", "mistral"], "{answer}");
    assert_eq!(
        (&answer["rewrapped"], &answer["done"]),
        (&json!(4), &json!(false))
    );
    for provider in ["openai", "cerebras"] {
        house.served(&gateway, provider);
    }
    gateway.stop();
}

fn under_transit(env: &Env) {
    let (vault, _) = Vault::transit();
    tampered(env, |plan| vault.on(plan), tamper);
}

fn in_a_kv_store(env: &Env) {
    // What is written over an entry of version 2 is a version that nobody asks for; in version 1 it takes the entry's place.
    let (vault, server) = Vault::kv();
    let first = |plan: Plan| {
        let plan = vault.on(plan).set("LOCKGATE_VAULT_KV_VERSION", "1");
        plan.set("LOCKGATE_VAULT_KV_MOUNT", "kv")
    };
    tampered(env, first, |folder, house| {
        let [openai, groq, mistral, deepseek, xai, cerebras] =
            PROVIDERS.map(|provider| house.id(provider));
        let all = server.entries("kv");
        let find = |id: &str| {
            all.iter()
                .find(|(path, _)| path.contains(id))
                .unwrap()
                .clone()
        };
        let (at_openai, at_groq) = (find(openai), find(groq));
        server.write("kv", &at_openai.0, at_groq.1);
        server.write("kv", &at_groq.0, at_openai.1);
        server.write("kv", &find(mistral).0, json!({"note": "not a secret"}));
        let (path, mut content) = find(deepseek);
        content["version"] = json!(2);
        server.write("kv", &path, content);
        // The row of one leads to the entry of another.
        let database = authority(folder, xai);
        put(
            &database,
            "entry",
            xai,
            &column(&database, "entry", cerebras),
        );
    });
}

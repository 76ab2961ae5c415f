//! Whatever is sealed opens where it was put and as it was put, or not at all: then one error names the key, and all others go on
//! working (FEATURES G1).

use data_encoding::BASE64;
use lockgate_host::Value as Cell;
use lockgate_workspace::Settings;
use lockgate_workspace::token_keys::verify_gateway_key;
use serde_json::{Value, json};

use crate::process::{SimHost, sound};
use crate::site::Site;
use crate::stories::{Step, Truth, founded, opens, perform, secret};
use crate::world::World;

/// The keys: workspace, provider, name and secret. The first is the one that is tampered with.
const KEYS: [(&str, &str, &str, &str); 4] = [
    ("default", "openai", "a", "sk-secret-of-a"),
    ("default", "openai", "b", "sk-secret-of-b"),
    ("default", "mistral", "c", "sk-secret-of-c"),
    ("team", "openai", "d", "sk-secret-of-d"),
];
/// The sealed versions in force, with the names of their keys.
const ROWS: &str = "provider_key_versions v JOIN provider_keys k ON k.id = v.provider_key AND k.version = v.version";

/// A sealed secret as it lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    kek: String,
    wrapped: Vec<u8>,
    ciphertext: Vec<u8>,
}

/// A world with the keys. Each has had another secret before, so that all are of the same version.
fn house(site: &Site) -> World {
    let world = founded(site);
    sound(&world, site, async |host| {
        for (workspace, provider, name, secret) in KEYS {
            let body =
                json!({"provider": provider, "name": name, "secret": "sk-before", "force": true});
            let made = host.call(workspace, "POST /api/provider-keys", body).await;
            assert_eq!(made.0, 201, "{made:?}");
            let body = json!({"secret": secret, "force": true});
            let call = format!("PUT /api/provider-keys/{name}/secret");
            let done = host.call(workspace, &call, body).await;
            assert_eq!(done.0, 200, "{done:?}");
        }
    });
    // What vaults gave before would open them without the vault.
    world.sql("DELETE FROM bridges", &[]);
    world
}

fn entry(world: &World, name: &str) -> String {
    let query = format!("SELECT v.entry FROM {ROWS} WHERE k.name = '{name}'");
    world.texts(&query).remove(0)
}

/// The row of a key's secret, the ciphertext being the same in the database and in KV.
fn row(world: &World, name: &str) -> Row {
    let column = |column: &str| {
        let query = format!("SELECT v.{column} FROM {ROWS} WHERE k.name = '{name}'");
        world.texts(&query).remove(0)
    };
    let bytes = |name: &str| BASE64.decode(column(name).as_bytes()).unwrap();
    let found = Row {
        kek: column("kek"),
        wrapped: bytes("wrapped"),
        ciphertext: bytes("ciphertext"),
    };
    let entry = entry(world, name);
    assert_eq!(world.held().kv[&entry], found.ciphertext);
    found
}

/// Puts something in the place of the secret in force, in the database and in KV.
fn put(world: &World, name: &str, row: &Row) {
    let update = format!(
        "UPDATE provider_key_versions AS v SET kek = ?1, wrapped = ?2, ciphertext = ?3
         FROM provider_keys k WHERE k.id = v.provider_key AND k.version = v.version AND k.name = '{name}'"
    );
    let text = |bytes: &[u8]| Cell::Text(BASE64.encode(bytes));
    let cells = [
        Cell::Text(row.kek.clone()),
        text(&row.wrapped),
        text(&row.ciphertext),
    ];
    world.sql(&update, &cells);
    let entry = entry(world, name);
    world.held().kv.insert(entry, row.ciphertext.clone());
}

/// What checking the key says, which has to unseal it for that.
async fn checked(host: &SimHost, workspace: &str, name: &str) -> (u16, Value) {
    let call = format!("POST /api/provider-keys/{name}/check");
    host.call(workspace, &call, Value::Null).await
}

/// Only these do not open; each is named with its provider, and no secret is told.
fn only_shut(world: &World, site: &Site, shut: &[&str], what: &str) {
    sound(world, site, async |host| {
        for (workspace, provider, name, held) in KEYS {
            if !shut.contains(&name) {
                let found = secret(&host, workspace, name).await;
                assert_eq!(found, held, "{name}, after {what}");
                continue;
            }
            let (status, told) = checked(&host, workspace, name).await;
            let error = &told["error"];
            assert_eq!(error["code"], "vault_unavailable", "{what}: {told}");
            assert_eq!(status, 503, "{what}");
            let message = error["message"].as_str().unwrap();
            let named = format!("{provider} key `{name}`");
            assert!(message.contains(&named), "{what}: {message}");
            assert!(!told.to_string().contains("sk-secret"), "{what}: {told}");
        }
    });
    assert!(world.held().sent.iter().all(|key| !key.contains("before")));
}

/// Each bit turned, one at a time.
fn turned(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut turned = bytes.to_vec();
        turned[bit / 8] ^= 1 << (bit % 8);
        turned
    })
}

/// Cut at each length, and with something added.
fn cut(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let shorter = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    shorter.chain([[bytes, &[0]].concat()])
}

fn sites() -> [Site; 2] {
    [Site::new(1, "local"), Site::new(1, "vault-transit")]
}

#[test]
fn any_bit_of_what_is_sealed() {
    for site in sites() {
        let world = house(&site);
        let whole = row(&world, "a");
        only_shut(&world, &site, &[], "nothing");
        world.sql("DELETE FROM bridges", &[]);
        for (what, altered) in turned(&whole.ciphertext)
            .chain(cut(&whole.ciphertext))
            .enumerate()
        {
            let row = Row {
                ciphertext: altered,
                ..whole.clone()
            };
            put(&world, "a", &row);
            only_shut(&world, &site, &["a"], &format!("ciphertext {what}"));
        }
        for (what, altered) in turned(&whole.wrapped)
            .chain(cut(&whole.wrapped))
            .enumerate()
        {
            let row = Row {
                wrapped: altered,
                ..whole.clone()
            };
            put(&world, "a", &row);
            world.sql("DELETE FROM bridges", &[]);
            only_shut(&world, &site, &["a"], &format!("wrapped {what}"));
        }
        // Mended, it opens again, after the pause that follows a refusal of its vault.
        put(&world, "a", &whole);
        world.pass(60_000);
        only_shut(&world, &site, &[], "nothing");
    }
}

#[test]
fn any_bit_of_a_keks_name() {
    for site in sites() {
        let world = house(&site);
        let whole = row(&world, "a");
        let names = turned(whole.kek.as_bytes()).chain(cut(whole.kek.as_bytes()));
        for name in names.filter_map(|name| String::from_utf8(name).ok()) {
            let row = Row {
                kek: name.clone(),
                ..whole.clone()
            };
            put(&world, "a", &row);
            world.sql("DELETE FROM bridges", &[]);
            only_shut(&world, &site, &["a"], &name);
        }
    }
}

/// One of the two copies of the ciphertext is enough, whatever the other one is.
#[test]
fn either_copy_of_the_ciphertext() {
    let site = Site::new(1, "local");
    let world = house(&site);
    let whole = row(&world, "a");
    let entry = entry(&world, "a");
    for altered in turned(&whole.ciphertext).chain(cut(&whole.ciphertext)) {
        world.held().kv.insert(entry.clone(), altered.clone());
        only_shut(&world, &site, &[], "another in KV");
        let row = Row {
            ciphertext: altered,
            ..whole.clone()
        };
        put(&world, "a", &row);
        world
            .held()
            .kv
            .insert(entry.clone(), whole.ciphertext.clone());
        only_shut(&world, &site, &[], "another in the database");
        put(&world, "a", &whole);
    }
}

/// Keys of another workspace, of another provider, of another name; and the version before.
#[test]
fn what_was_put_elsewhere() {
    for site in sites() {
        let world = house(&site);
        let names = KEYS.map(|key| key.2);
        let rows = names.map(|name| row(&world, name));
        for (at, to) in names.iter().enumerate() {
            for (from, name) in names.iter().enumerate().filter(|(from, _)| *from != at) {
                let swapped = [
                    (rows[from].clone(), rows[at].clone()),
                    (
                        Row {
                            wrapped: rows[from].wrapped.clone(),
                            ..rows[at].clone()
                        },
                        Row {
                            wrapped: rows[at].wrapped.clone(),
                            ..rows[from].clone()
                        },
                    ),
                    (
                        Row {
                            ciphertext: rows[from].ciphertext.clone(),
                            ..rows[at].clone()
                        },
                        Row {
                            ciphertext: rows[at].ciphertext.clone(),
                            ..rows[from].clone()
                        },
                    ),
                ];
                for (here, there) in swapped {
                    put(&world, to, &here);
                    put(&world, name, &there);
                    world.sql("DELETE FROM bridges", &[]);
                    only_shut(&world, &site, &[to, name], &format!("{to} and {name}"));
                }
                put(&world, to, &rows[at]);
                put(&world, name, &rows[from]);
            }
        }
    }
}

#[test]
fn the_version_before_in_the_place_of_the_one_in_force() {
    for site in sites() {
        let world = founded(&site);
        let mut truth = Truth::default();
        let name = ("default", "a");
        for step in [
            Step::Save(name, "sk-before"),
            Step::Save(("default", "b"), "sk-secret-of-b"),
        ] {
            perform(&world, &site, step, &mut truth);
        }
        let before = row(&world, "a");
        perform(&world, &site, Step::Rotate(name, KEYS[0].3), &mut truth);
        let now = row(&world, "a");
        assert!(opens(&world, &site, &truth));
        let mixed = [
            before.clone(),
            Row {
                wrapped: before.wrapped.clone(),
                ..now.clone()
            },
            Row {
                ciphertext: before.ciphertext.clone(),
                ..now.clone()
            },
        ];
        for row in mixed {
            put(&world, "a", &row);
            world.sql("DELETE FROM bridges", &[]);
            sound(&world, &site, async |host| {
                let (status, told) = checked(&host, "default", "a").await;
                assert_eq!(status, 503, "{told}");
                assert_eq!(told["error"]["code"], "vault_unavailable");
                assert_eq!(secret(&host, "default", "b").await, "sk-secret-of-b");
            });
        }
        assert!(!world.held().sent.contains(&"sk-before".to_owned()));
    }
}

/// While the vault is away, what it gave opens a secret; altered, it opens nothing, and while the vault is there it is asked.
#[test]
fn any_bit_of_what_a_vault_gave() {
    let site = Site::new(1, "vault-transit");
    let world = house(&site);
    only_shut(&world, &site, &[], "nothing");
    let of =
        |name: &str| format!("provider_key = (SELECT id FROM provider_keys WHERE name = '{name}')");
    let bridge = |name: &str| {
        let query = format!("SELECT sealed FROM bridges WHERE {}", of(name));
        BASE64
            .decode(world.texts(&query).remove(0).as_bytes())
            .unwrap()
    };
    let whole = bridge("a");
    let column = |name: &str, value: &str| {
        let update = format!("UPDATE bridges SET {name} = {value} WHERE {}", of("a"));
        world.sql(&update, &[]);
    };
    let sealed = |bytes: &[u8]| column("sealed", &format!("'{}'", BASE64.encode(bytes)));
    // Each try is forgotten, so that none is put off by the ones before.
    let tried = |vault_is_there: bool, shut: &[&str], what: &str| {
        world.held().hashicorp.seal(!vault_is_there);
        world.sql("SAVEPOINT tried", &[]);
        only_shut(&world, &site, shut, what);
        world.sql("ROLLBACK TO tried", &[]);
        world.sql("RELEASE tried", &[]);
    };
    tried(false, &[], "nothing, the vault being away");
    let others = ["b", "c", "d"].map(bridge);
    let altered = turned(&whole).chain(cut(&whole)).chain(others);
    for (at, altered) in altered.enumerate() {
        sealed(&altered);
        tried(false, &["a"], &format!("bridge {at}"));
        tried(true, &[], &format!("bridge {at}, the vault being there"));
    }
    sealed(&whole);
    for (name, value) in [
        ("expires_at", "expires_at + 1"),
        ("expires_at", "expires_at + 86400000"),
        ("proven_at", "proven_at + 1"),
        ("proven_at", "proven_at - 1"),
        ("kek", "'kek_0123456789abcdef'"),
        ("version", "version + 1"),
    ] {
        world.sql("SAVEPOINT altered", &[]);
        column(name, value);
        tried(false, &["a"], &format!("{name} = {value}"));
        world.sql("ROLLBACK TO altered", &[]);
        world.sql("RELEASE altered", &[]);
    }
    tried(false, &[], "nothing");
}

/// What gateway keys are recognised by: altered, none is taken, while all that is sealed opens.
#[test]
fn any_bit_of_the_token_keys() {
    let old = Site::new(1, "local");
    let world = house(&old);
    let site = Site::new(2, "local").reading(&old);
    let mut truth = Truth::default();
    let made = sound(&world, &old, async |host| {
        let agent = json!({"name": "bot"});
        host.call("default", "POST /api/agents", agent).await;
        let key = json!({"name": "app", "agent": "bot"});
        host.call("default", "POST /api/gateway-keys", key).await
    });
    let text = made.1["key"].as_str().unwrap().to_owned();
    perform(&world, &site, Step::Rewrap, &mut truth);
    let taken = || {
        sound(&world, &site, async |host| {
            let settings = Settings::get(&host).await.unwrap();
            verify_gateway_key(&host, &settings, &text)
                .await
                .map(|is| is.is_ok())
        })
    };
    assert_eq!(taken(), Ok(true));
    let whole = BASE64
        .decode(
            world
                .texts("SELECT sealed FROM token_keys")
                .remove(0)
                .as_bytes(),
        )
        .unwrap();
    let put = |bytes: &[u8]| {
        let sealed = Cell::Text(BASE64.encode(bytes));
        world.sql("UPDATE token_keys SET sealed = ?1", &[sealed]);
    };
    for altered in turned(&whole).chain(cut(&whole)) {
        put(&altered);
        let error = taken().unwrap_err().to_string();
        assert!(error.contains("gateway keys"), "{error}");
    }
    only_shut(&world, &site, &[], "token keys that do not open");
    put(&whole);
    assert_eq!(taken(), Ok(true));
}

//! Secrets at rest (FEATURES A1, G1, G2): nothing that is written, logged or answered holds one, and a sealed secret opens
//! only where it belongs.

use std::sync::Arc;

use mock_provider::MockProvider;
use serde_json::{Value, json};

use crate::case::{Case, Env, cases};
use crate::client::{Call, Reply};
use crate::gateway::{ADMIN_TOKEN, DataDir, Gateway, KEK};
use crate::stores::{Entries, authority, files, holders, holds};
use crate::tenant::{Tenant, base_url, chat_body, secret};

pub(crate) fn cases() -> Vec<Case> {
    cases!["secrets":
        the_search_finds_what_is_there,
        nothing_at_rest_or_in_logs [process],
        moved_entry [process],
        moved_everything [process],
        old_version_in_place_of_the_new [process],
        entry_missing [process],
        entry_altered [process],
        entry_and_copy_missing [process],
        removal_leaves_no_entry [process],
    ]
}

fn the_search_finds_what_is_there(env: &Env) {
    // The search is what the next test rests on; so it must find each form, and the provider must have got the secret.
    let tenant = Tenant::new(env.gateway());
    tenant.chat("gpt-4o").expect(200);
    let sent = format!("{:?}", tenant.only_sent().headers);
    assert!(holds(sent.as_bytes(), &tenant.secret));
    for before in ["", "a", "ab", "abc"] {
        let text = format!("{before}{}xyz", tenant.secret);
        let encoded = data_encoding::BASE64.encode(text.as_bytes());
        assert!(holds(encoded.as_bytes(), &tenant.secret), "{encoded}");
        let encoded = data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
        assert!(holds(encoded.as_bytes(), &tenant.secret), "{encoded}");
        assert!(holds(
            data_encoding::HEXUPPER.encode(text.as_bytes()).as_bytes(),
            &tenant.secret
        ));
    }
    assert!(!holds(b"sk-proj-something-else", &tenant.secret));
}

fn nothing_at_rest_or_in_logs(env: &Env) {
    let gateway = env.plan().set("RUST_LOG", "trace").start();
    let tenant = Tenant::new(&gateway);
    let mut secrets = vec![tenant.secret.clone()];
    let mut answers = String::new();
    let mut note = |reply: Reply| {
        answers.push_str(&format!("{:?} {}\n", reply.headers, reply.text()));
        reply
    };
    note(tenant.chat("gpt-4o"));
    note(tenant.stream("mock-events-3-5").collect().unwrap());
    let path = format!("/api/provider-keys/{}", tenant.provider_key_id());
    for mark in [
        "plain",
        "revoked",
        "forbidden",
        "revokedEcho",
        "echoforbidden",
    ] {
        let fresh = secret(mark);
        note(
            tenant
                .api(Call::new("PUT", &format!("{path}/secret")).json(&json!({ "secret": fresh }))),
        );
        secrets.push(fresh);
        for model in [
            "gpt-4o",
            "mock-status-500",
            "mock-status-401",
            "mock-status-400",
            "mock-truncated-json",
            "mock-html-502",
        ] {
            if let Ok(reply) = tenant
                .chat_call(model)
                .open(gateway.url())
                .and_then(crate::client::Stream::collect)
            {
                note(reply);
            }
        }
        note(tenant.stream("mock-break-2").collect().unwrap());
    }
    // Refused ones are not kept or repeated either.
    let refused = secret("refused");
    for body in [
        json!({"provider": "openai", "name": "x", "secret": format!("Bearer {refused}")}),
        json!({"provider": "groq", "name": "x", "secret": refused}),
        json!({"provider": "openai", "name": "main", "secret": refused}),
        json!({"provider": "openai", "name": "x", "secret": refused, "base_url": "http://169.254.169.254"}),
        json!({"provider": "openai", "name": "x", "secret": refused, "colour": 1}),
        json!({"provider": "openai", "name": "x", "secret": [refused]}),
    ] {
        let reply = note(tenant.api(Call::post("/api/provider-keys").json(&body)));
        assert!(reply.status >= 400, "{}", reply.text());
    }
    note(tenant.api(Call::post("/api/provider-keys").text(&format!("{{\"secret\":\"{refused}\""))));
    secrets.push(refused);
    for path in [
        "/api/provider-keys",
        "/api/requests",
        "/api/gateway-keys",
        "/api/providers",
    ] {
        note(tenant.api(Call::get(path)));
    }
    note(tenant.api(Call::new("DELETE", &path)));
    note(tenant.chat("gpt-4o"));

    let key = tenant.key().to_owned();
    let workspace = tenant.workspace.clone();
    let sent = tenant.sent().len();
    assert!(sent > 20, "{sent} requests reached the provider");
    drop(tenant);
    let data = gateway.stop();
    assert!(
        !holders(&data.path(), &workspace).is_empty(),
        "these are the files it keeps its state in"
    );
    secrets.extend([key, KEK.to_owned(), ADMIN_TOKEN.to_owned()]);
    let kek = data_encoding::BASE64.decode(KEK.as_bytes()).unwrap();
    for file in files(&data.path()) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(
            memchr::memmem::find(&bytes, &kek).is_none(),
            "the KEK is in {}",
            file.display()
        );
    }
    for secret in &secrets {
        let found = holders(&data.path(), secret);
        assert!(found.is_empty(), "`{}…` is in {found:?}", &secret[..12]);
        assert!(
            !holds(data.printed().as_bytes(), secret),
            "`{}…` is in the log",
            &secret[..12]
        );
        assert!(
            !holds(answers.as_bytes(), secret),
            "`{}…` was answered",
            &secret[..12]
        );
    }
}

/// Two provider keys in one workspace, and a gateway that can be stopped, tampered with and started again.
struct Pair {
    workspace: String,
    mock: MockProvider,
    key: String,
    first: (String, String),
    second: (String, String),
}

impl Pair {
    fn make(gateway: &Gateway) -> Self {
        let tenant = Tenant::new(gateway);
        let other = secret("other");
        let made = gateway.create(
            &tenant.workspace,
            "provider-keys",
            &json!({"provider": "groq", "name": "other", "secret": other, "force": true, "base_url": base_url(&tenant.mock)}),
        );
        tenant.chat("openai/gpt-4o").expect(200);
        tenant.chat("groq/llama-3.1-8b-instant").expect(200);
        let (workspace, key) = (tenant.workspace.clone(), tenant.key().to_owned());
        let first = (tenant.provider_key_id().to_owned(), tenant.secret.clone());
        Self {
            workspace,
            key,
            first,
            second: (made["id"].as_str().unwrap().to_owned(), other),
            mock: tenant.mock,
        }
    }

    fn ask(&self, gateway: &Gateway, model: &str) -> Reply {
        Call::post("/v1/chat/completions")
            .bearer(&self.key)
            .json(&chat_body(model, false))
            .run(gateway.url())
    }

    /// What the provider was sent last, and how many requests in all.
    fn last(&self) -> (usize, Option<String>) {
        let sent = self.mock.requests();
        (sent.len(), sent.last().and_then(|one| one.secret.clone()))
    }

    /// A new secret for the first key makes it work again.
    fn mend(&self, gateway: &Gateway) {
        let fresh = secret("mended");
        gateway
            .api(
                &self.workspace,
                Call::new(
                    "PUT",
                    &format!("/api/provider-keys/{}/secret", self.first.0),
                )
                .json(&json!({ "secret": fresh })),
            )
            .expect(200);
        self.ask(gateway, "openai/gpt-4o").expect(200);
        assert_eq!(self.last().1, Some(fresh));
    }

    /// The other key was not touched and works.
    fn second_is_fine(&self, gateway: &Gateway) {
        self.ask(gateway, "groq/llama-3.1-8b-instant").expect(200);
        assert_eq!(self.last().1.as_ref(), Some(&self.second.1));
    }
}

/// Makes a pair, stops, tampers, starts, and looks.
fn tampered(env: &Env, tamper: impl FnOnce(&Pair, &DataDir), look: impl FnOnce(&Pair, &Gateway)) {
    let gateway = env.plan().start();
    let pair = Pair::make(&gateway);
    let data: Arc<DataDir> = gateway.stop();
    tamper(&pair, &data);
    let gateway = env.plan().data(&data).start();
    look(&pair, &gateway);
    pair.second_is_fine(&gateway);
    pair.mend(&gateway);
    gateway.stop();
}

/// Refused as something only the operator can mend, with nothing sent.
fn vault_refusal(pair: &Pair, reply: &Reply, sent_before: usize) {
    assert!(
        reply.status == 503 || reply.status == 500,
        "{}: {}",
        reply.status,
        reply.text()
    );
    let code = reply.json()["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert!(
        matches!(
            code.as_str(),
            "vault_unavailable" | "store_unavailable" | "internal_error"
        ),
        "{}",
        reply.text()
    );
    reply.refusal(reply.status, &code);
    assert_eq!(pair.last().0, sent_before, "nothing was sent");
}

fn moved_entry(env: &Env) {
    tampered(
        env,
        |pair, data| {
            let entries = Entries::open(&data.path());
            let (ours, theirs) = (entries.of(&pair.first.0), entries.of(&pair.second.0));
            assert_eq!((ours.len(), theirs.len()), (1, 1), "one entry a version");
            entries.overwrite(&ours[0].0, &theirs[0].1);
        },
        |pair, gateway| {
            // It does not open, so the authority's copy stands in.
            pair.ask(gateway, "openai/gpt-4o").expect(200);
            assert_eq!(pair.last().1.as_ref(), Some(&pair.first.1));
        },
    );
}

fn moved_everything(env: &Env) {
    // Somebody with both stores in hand puts one key's sealed secret, copy and wrapped data key under another's name.
    tampered(
        env,
        |pair, data| {
            let entries = Entries::open(&data.path());
            entries.overwrite(
                &entries.of(&pair.first.0)[0].0,
                &entries.of(&pair.second.0)[0].1,
            );
            let changed = authority(&data.path(), &pair.first.0)
                .execute(
                    "UPDATE provider_key_versions SET
                        wrapped = (SELECT wrapped FROM provider_key_versions WHERE provider_key = ?2),
                        ciphertext = (SELECT ciphertext FROM provider_key_versions WHERE provider_key = ?2)
                     WHERE provider_key = ?1",
                    [&pair.first.0, &pair.second.0],
                )
                .unwrap();
            assert_eq!(changed, 1);
        },
        |pair, gateway| {
            let before = pair.last().0;
            let reply = pair.ask(gateway, "openai/gpt-4o");
            vault_refusal(pair, &reply, before);
        },
    );
}

fn old_version_in_place_of_the_new(env: &Env) {
    let gateway = env.plan().start();
    let pair = Pair::make(&gateway);
    let data = gateway.stop();
    let (old_entry, old_row) = {
        let entries = Entries::open(&data.path()).of(&pair.first.0);
        let row: (String, String) = authority(&data.path(), &pair.first.0)
            .query_row(
                "SELECT wrapped, ciphertext FROM provider_key_versions WHERE provider_key = ?1",
                [&pair.first.0],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .unwrap();
        (entries[0].1.clone(), row)
    };
    let gateway = env.plan().data(&data).start();
    pair.mend(&gateway);
    let data = gateway.stop();
    {
        let entries = Entries::open(&data.path());
        for (name, _) in entries.of(&pair.first.0) {
            entries.overwrite(&name, &old_entry);
        }
        authority(&data.path(), &pair.first.0)
            .execute(
                "UPDATE provider_key_versions SET wrapped = ?2, ciphertext = ?3 WHERE provider_key = ?1",
                (&pair.first.0, &old_row.0, &old_row.1),
            )
            .unwrap();
    }
    let gateway = env.plan().data(&data).start();
    let before = pair.last().0;
    let reply = pair.ask(&gateway, "openai/gpt-4o");
    vault_refusal(&pair, &reply, before);
    pair.second_is_fine(&gateway);
    pair.mend(&gateway);
    gateway.stop();
}

fn entry_missing(env: &Env) {
    tampered(
        env,
        |pair, data| {
            let entries = Entries::open(&data.path());
            entries.remove(&entries.of(&pair.first.0)[0].0);
        },
        |pair, gateway| {
            for _ in 0..3 {
                pair.ask(gateway, "openai/gpt-4o").expect(200);
                assert_eq!(pair.last().1.as_ref(), Some(&pair.first.1));
            }
        },
    );
}

fn entry_altered(env: &Env) {
    for alter in [
        |value: &mut Vec<u8>| {
            let middle = value.len() / 2;
            value[middle] ^= 1;
        },
        |value: &mut Vec<u8>| value.truncate(5),
        Vec::clear,
        |value: &mut Vec<u8>| value.resize(1 << 20, b'x'),
    ] {
        tampered(
            env,
            |pair, data| {
                let entries = Entries::open(&data.path());
                let (name, mut value) = entries.of(&pair.first.0).remove(0);
                alter(&mut value);
                entries.overwrite(&name, &value);
            },
            |pair, gateway| {
                pair.ask(gateway, "openai/gpt-4o").expect(200);
                assert_eq!(pair.last().1.as_ref(), Some(&pair.first.1));
            },
        );
    }
}

fn entry_and_copy_missing(env: &Env) {
    tampered(
        env,
        |pair, data| {
            let entries = Entries::open(&data.path());
            entries.remove(&entries.of(&pair.first.0)[0].0);
            authority(&data.path(), &pair.first.0)
                .execute(
                    "UPDATE provider_key_versions SET ciphertext = NULL WHERE provider_key = ?1",
                    [&pair.first.0],
                )
                .unwrap();
        },
        |pair, gateway| {
            let before = pair.last().0;
            let reply = pair.ask(gateway, "openai/gpt-4o");
            vault_refusal(pair, &reply, before);
        },
    );
}

fn removal_leaves_no_entry(env: &Env) {
    let gateway = env.plan().start();
    let pair = Pair::make(&gateway);
    pair.mend(&gateway);
    gateway
        .api(
            &pair.workspace,
            Call::new("DELETE", "/api/provider-keys/other"),
        )
        .expect(204);
    // Entries that nothing points to go in the background.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let data = gateway.stop();
    let entries = Entries::open(&data.path());
    assert_eq!(
        entries.of(&pair.second.0),
        Vec::<(String, Vec<u8>)>::new(),
        "of the removed key"
    );
    let left = entries.of(&pair.first.0);
    assert_eq!(
        left.len(),
        1,
        "of the rotated key: {:?}",
        left.iter().map(|(name, _)| name).collect::<Vec<_>>()
    );
    let copies: Vec<Value> = authority(&data.path(), &pair.first.0)
        .prepare("SELECT version, ciphertext IS NULL FROM provider_key_versions WHERE provider_key = ?1 ORDER BY version")
        .unwrap()
        .query_map([&pair.first.0], |row| Ok(json!([row.get::<_, i64>(0)?, row.get::<_, bool>(1)?])))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(
        copies,
        [json!([1, true]), json!([2, false])],
        "only the copy in force is kept"
    );
}

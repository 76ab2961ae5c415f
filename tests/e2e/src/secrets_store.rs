//! Settings out of a Cloudflare Secrets Store, which stands for them in the Worker's environment as an object that has to be
//! asked. Played by a folder (`scripts/serve cloudflare --secrets-store`); on the other engines there is no such thing.

use tempfile::TempDir;

use crate::case::{Case, Env, cases};
use crate::client::Call;
use crate::gateway::{ADMIN_TOKEN, Engine, KEK, OTHER_KEK, Plan};
use crate::scene::text;
use crate::vault::{self, House, TOKEN, Vault};

pub(crate) fn cases() -> Vec<Case> {
    cases!["secrets_store":
        read_once_in_an_isolate [process],
        a_secret_that_is_not_given_is_no_setting_that_is_unset [process],
        an_empty_secret_is_unset [process],
        a_kek_is_rotated_out_of_the_store [process],
        credentials_of_a_vault [process],
    ]
}

/// A Secrets Store.
struct Store {
    folder: TempDir,
}

impl Store {
    fn with(secrets: &[(&str, &str)]) -> Self {
        let store = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for (name, value) in secrets {
            store.put(name, value);
        }
        store
    }

    fn put(&self, name: &str, value: &str) {
        std::fs::write(self.folder.path().join(name), value).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join(name)).unwrap();
    }

    /// Binds each setting that a secret is named after.
    fn on(&self, plan: Plan) -> Plan {
        plan.secrets_store(self.folder.path())
    }
}

fn read_once_in_an_isolate(env: &Env) {
    if env.engine != Engine::Cloudflare {
        return;
    }
    let store = Store::with(&[("LOCKGATE_KEK", KEK), ("LOCKGATE_ADMIN_TOKEN", ADMIN_TOKEN)]);
    let gateway = store.on(vault::plan(env)).start();
    let house = House::build(&gateway, &["openai"]);
    house.served(&gateway, "openai");
    // The isolate has them; it does not ask for each request.
    store.remove("LOCKGATE_KEK");
    store.remove("LOCKGATE_ADMIN_TOKEN");
    house.served(&gateway, "openai");
    gateway.api("default", Call::get("/api/vault")).expect(200);
    let data = gateway.stop();
    // It is the same KEK as in an environment.
    let gateway = vault::plan(env).data(&data).start();
    house.served(&gateway, "openai");
    gateway.stop();
}

fn a_secret_that_is_not_given_is_no_setting_that_is_unset(env: &Env) {
    if env.engine != Engine::Cloudflare {
        return;
    }
    for (setting, value) in [
        ("LOCKGATE_KEK", KEK),
        ("LOCKGATE_ADMIN_TOKEN", ADMIN_TOKEN),
        // Unset these would mean that new secrets are sealed elsewhere, and that there is nothing else to read.
        ("LOCKGATE_VAULT", "local"),
        ("LOCKGATE_KEK_PREVIOUS", OTHER_KEK),
    ] {
        let store = Store::with(&[(setting, value)]);
        let gateway = store.on(env.plan()).start();
        store.remove(setting);
        for call in [
            Call::get("/v1/models").bearer("x"),
            Call::get("/api/workspaces").bearer(ADMIN_TOKEN),
            Call::post("/webhooks/stripe").text("{}"),
        ] {
            let error = call.run(gateway.url()).refusal(503, "misconfigured");
            let message = text(&error["message"]);
            let said = format!("Secret \"{setting}\" not found");
            assert!(message.contains(&said), "{message}");
            assert_eq!(error["param"], setting, "{error}");
        }
        // The next request asks again.
        store.put(setting, value);
        gateway
            .api("default", Call::get("/api/workspaces"))
            .expect(200);
        gateway.stop();
    }
}

fn an_empty_secret_is_unset(env: &Env) {
    if env.engine != Engine::Cloudflare {
        return;
    }
    let store = Store::with(&[("LOCKGATE_KEK", ""), ("LOCKGATE_LEASE_MS", "")]);
    let gateway = store.on(env.plan()).start();
    let reply = gateway.api("default", Call::get("/api/workspaces"));
    let message = text(&reply.refusal(503, "misconfigured")["message"]);
    assert!(message.contains("LOCKGATE_KEK: it is not set"), "{message}");
    store.put("LOCKGATE_KEK", KEK);
    gateway
        .api("default", Call::get("/api/workspaces"))
        .expect(200);
    gateway.stop();
}

fn a_kek_is_rotated_out_of_the_store(env: &Env) {
    if env.engine != Engine::Cloudflare {
        return;
    }
    let store = Store::with(&[("LOCKGATE_KEK", KEK)]);
    let gateway = store.on(vault::plan(env)).start();
    let house = House::build(&gateway, &["openai", "anthropic"]);
    house.all_served(&gateway);
    let data = gateway.stop();

    // As `wrangler` and `echo` leave it.
    store.put("LOCKGATE_KEK", &format!("{OTHER_KEK}\n"));
    store.put("LOCKGATE_KEK_PREVIOUS", &format!("{KEK}\n"));
    let gateway = store.on(vault::plan(env)).data(&data).start();
    house.all_served(&gateway);
    assert_eq!(vault::rewrap_all(&gateway, 100), [2]);
    house.all_served(&gateway);
    let data = gateway.stop();

    store.remove("LOCKGATE_KEK_PREVIOUS");
    let gateway = store.on(vault::plan(env)).data(&data).start();
    house.all_served(&gateway);
    gateway.stop();
}

fn credentials_of_a_vault(env: &Env) {
    if env.engine != Engine::Cloudflare {
        return;
    }
    let (transit, _server) = Vault::transit();
    let store = Store::with(&[("LOCKGATE_KEK", KEK), ("LOCKGATE_VAULT_TOKEN", TOKEN)]);
    let gateway = store.on(transit.on(vault::plan(env))).start();
    store.remove("LOCKGATE_VAULT_TOKEN");
    let reply = gateway.api("default", Call::get("/api/vault"));
    let error = reply.refusal(503, "misconfigured");
    assert_eq!(error["param"], "LOCKGATE_VAULT_TOKEN", "{error}");
    assert_eq!(transit.calls(), 0, "the vault was asked");

    store.put("LOCKGATE_VAULT_TOKEN", TOKEN);
    let house = House::build(&gateway, &["openai"]);
    house.served(&gateway, "openai");
    assert_eq!(vault::counts(&gateway)["vault-transit"], 1);
    gateway.stop();
}

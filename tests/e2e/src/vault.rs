//! What the tests of the vault share: each managed vault, played by a service that counts what it is asked, and a workspace
//! whose secrets are in it.

use std::collections::BTreeMap;

use mock_provider::MockProvider;
use mock_vault::azure::{self, Azure};
use mock_vault::gcp::Gcp;
use mock_vault::hashicorp::Hashicorp;
use mock_vault::{Answer, Ask, Fault, MockVault, Moto, Service, gcp};
use serde_json::{Value, json};

use crate::access::{agent, role};
use crate::case::Env;
use crate::client::{Call, Reply};
use crate::gateway::{Gateway, Plan};
use crate::scene::{self, Scene, at_once, secret_of, text};
use crate::stores::holds;
use crate::tenant::allow;

/// What the vaults of HashiCorp are asked with.
pub(crate) const TOKEN: &str = "hvs.CAESIJ-only-for-the-end-to-end-suite";
/// What AWS is asked with.
pub(crate) const AWS_SECRET: &str = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY0";
const REGION: &str = "eu-central-1";
/// The name of each provider key.
const NAME: &str = "main";

/// A plan for a gateway whose writes do not take long.
pub(crate) fn plan(env: &Env) -> Plan {
    env.plan().set("LOCKGATE_LEASE_MS", "200")
}

/// A managed vault.
pub(crate) struct Vault {
    /// What `LOCKGATE_VAULT` says for it.
    pub(crate) adapter: &'static str,
    pub(crate) server: MockVault,
    pub(crate) settings: Vec<(&'static str, String)>,
    /// What it is asked to give what opens a secret.
    unseals: fn(&Ask) -> bool,
}

/// AWS as moto plays it, behind a service that counts and fails.
struct Behind(Moto);

impl Service for Behind {
    fn answer(&mut self, ask: &Ask) -> Answer {
        let mut call = Call::new(&ask.method, &ask.path);
        for (name, value) in &ask.headers {
            if !["host", "connection", "content-length", "transfer-encoding"]
                .contains(&name.as_str())
            {
                call = call.header(name, value);
            }
        }
        let reply = call.bytes(ask.body.clone()).run(&self.0.base_url());
        Answer::new(reply.status, reply.json())
    }
}

impl Vault {
    pub(crate) fn aws_kms() -> Self {
        let moto = Moto::start();
        let key = moto.create_key(REGION);
        let server = MockVault::start(Behind(moto));
        let settings = vec![
            ("LOCKGATE_VAULT_AWS_KEY", key),
            (
                "LOCKGATE_VAULT_AWS_ACCESS_KEY_ID",
                "AKIAIOSFODNN7EXAMPLE".to_owned(),
            ),
            (
                "LOCKGATE_VAULT_AWS_SECRET_ACCESS_KEY",
                AWS_SECRET.to_owned(),
            ),
            ("LOCKGATE_VAULT_AWS_ENDPOINT", server.base_url()),
        ];
        let unseals = |ask: &Ask| ask.header("x-amz-target") == Some("TrentService.Decrypt");
        Self {
            adapter: "aws-kms",
            server,
            settings,
            unseals,
        }
    }

    /// The Transit engine of a server that also has both versions of the KV engine.
    pub(crate) fn transit() -> (Self, Hashicorp) {
        let vault = Hashicorp::new()
            .key("transit", "lockgate")
            .store("secret", 2)
            .store("kv", 1)
            .policy(
                "lockgate",
                "path \"transit/encrypt/lockgate\" { capabilities = [\"update\"] }
                 path \"transit/decrypt/lockgate\" { capabilities = [\"update\"] }
                 path \"transit/keys/lockgate\" { capabilities = [\"read\"] }
                 path \"transit/keys/lockgate/rotate\" { capabilities = [\"update\"] }
                 path \"secret/data/lockgate/*\" { capabilities = [\"create\", \"read\"] }
                 path \"secret/metadata/lockgate/*\" { capabilities = [\"delete\"] }
                 path \"kv/lockgate/*\" { capabilities = [\"create\", \"read\", \"delete\"] }",
            )
            .token(TOKEN, &["default", "lockgate"]);
        let server = MockVault::start(vault.clone());
        let settings = vec![
            ("LOCKGATE_VAULT_ADDR", server.base_url()),
            ("LOCKGATE_VAULT_TOKEN", TOKEN.to_owned()),
            ("LOCKGATE_VAULT_TRANSIT_KEY", "lockgate".to_owned()),
        ];
        let unseals = |ask: &Ask| ask.path.contains("/decrypt/");
        (
            Self {
                adapter: "vault-transit",
                server,
                settings,
                unseals,
            },
            vault,
        )
    }

    /// The same server, by its KV engine of version 2.
    pub(crate) fn kv() -> (Self, Hashicorp) {
        let (transit, vault) = Self::transit();
        let unseals = |ask: &Ask| ask.method == "GET" && ask.path.contains("/ws_");
        (
            Self {
                adapter: "vault-kv",
                unseals,
                ..transit
            },
            vault,
        )
    }

    pub(crate) fn gcp_kms() -> (Self, Gcp) {
        let service = Gcp::new();
        let server = MockVault::start(service.clone());
        let settings = vec![
            ("LOCKGATE_VAULT_GCP_KEY", gcp::KEY.to_owned()),
            ("LOCKGATE_VAULT_GCP_CREDENTIALS", Gcp::credentials()),
            ("LOCKGATE_VAULT_GCP_ENDPOINT", server.base_url()),
        ];
        let unseals = |ask: &Ask| ask.path.ends_with(":decrypt");
        let vault = Self {
            adapter: "gcp-kms",
            server,
            settings,
            unseals,
        };
        (vault, service)
    }

    pub(crate) fn azure_key_vault() -> Self {
        let server = MockVault::start(Azure::new());
        let address = server.base_url();
        let settings = vec![
            ("LOCKGATE_VAULT_AZURE_KEY", Azure::key(&address)),
            ("LOCKGATE_VAULT_AZURE_TENANT_ID", azure::TENANT.to_owned()),
            (
                "LOCKGATE_VAULT_AZURE_CLIENT_ID",
                azure::CLIENT_ID.to_owned(),
            ),
            (
                "LOCKGATE_VAULT_AZURE_CLIENT_SECRET",
                azure::CLIENT_SECRET.to_owned(),
            ),
            ("LOCKGATE_VAULT_AZURE_LOGIN", address),
        ];
        let unseals = |ask: &Ask| ask.path.contains("/unwrapkey");
        Self {
            adapter: "azure-key-vault",
            server,
            settings,
            unseals,
        }
    }

    /// Seals what is new in it.
    pub(crate) fn on(&self, plan: Plan) -> Plan {
        self.beside(plan).set("LOCKGATE_VAULT", self.adapter)
    }

    /// How it is reached, and nothing else.
    pub(crate) fn beside(&self, plan: Plan) -> Plan {
        let each = self.settings.iter();
        each.fold(plan, |plan, (name, value)| plan.set(name, value))
    }

    /// How many calls it has had, those that failed included.
    pub(crate) fn calls(&self) -> usize {
        self.server.asked().len()
    }

    /// How many of them asked for what opens a secret.
    pub(crate) fn unseals(&self) -> usize {
        self.server
            .asked()
            .iter()
            .filter(|ask| (self.unseals)(ask))
            .count()
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.server.fail(fault);
    }

    /// Whether some call had this text in its body or path, in whatever form.
    pub(crate) fn saw(&self, text: &str) -> bool {
        let asked = self.server.asked();
        asked
            .iter()
            .any(|ask| holds(&ask.body, text) || holds(ask.path.as_bytes(), text))
    }
}

/// A workspace with a provider key of each of these providers, and a gateway key to call them with. It outlives the gateways
/// that serve it.
pub(crate) struct House {
    pub(crate) workspace: String,
    pub(crate) mock: MockProvider,
    /// The gateway key.
    pub(crate) key: String,
    /// By provider.
    secrets: BTreeMap<&'static str, String>,
    ids: BTreeMap<&'static str, String>,
}

impl House {
    pub(crate) fn build(gateway: &Gateway, providers: &[&'static str]) -> Self {
        let scene = Scene::new(gateway);
        let mut wanted: Vec<(&str, Value)> = providers
            .iter()
            .map(|provider| ("provider-keys", key(&scene.mock, provider)))
            .collect();
        wanted.push(role("anything", &[allow(&["*"])]));
        let made = scene.make(&wanted);
        let keys = scene.agents(&[agent("app", &["anything"])]);
        let named = |at: usize| text(&made[at]["id"]);
        Self {
            key: keys[0].clone(),
            secrets: providers.iter().map(|p| (*p, secret_of(p, NAME))).collect(),
            ids: providers
                .iter()
                .enumerate()
                .map(|(at, p)| (*p, named(at)))
                .collect(),
            workspace: scene.workspace,
            mock: scene.mock,
        }
    }

    pub(crate) fn providers(&self) -> Vec<&'static str> {
        self.secrets.keys().copied().collect()
    }

    /// The id of a provider's key.
    pub(crate) fn id(&self, provider: &str) -> &str {
        &self.ids[provider]
    }

    /// The secret that a provider is to be sent.
    pub(crate) fn secret(&self, provider: &str) -> &str {
        &self.secrets[provider]
    }

    pub(crate) fn api(&self, gateway: &Gateway, call: Call) -> Reply {
        gateway.api(&self.workspace, call)
    }

    /// Saves a key of another provider.
    pub(crate) fn save(&mut self, gateway: &Gateway, provider: &'static str) -> Reply {
        let call = Call::post("/api/provider-keys").json(&key(&self.mock, provider));
        let reply = self.api(gateway, call);
        if reply.status == 201 {
            self.secrets.insert(provider, secret_of(provider, NAME));
            self.ids.insert(provider, text(&reply.json()["id"]));
        }
        reply
    }

    /// Puts another secret in the place of a key's.
    pub(crate) fn rotate(
        &mut self,
        gateway: &Gateway,
        provider: &'static str,
        secret: String,
    ) -> Reply {
        let path = format!("/api/provider-keys/{}/secret", self.id(provider));
        let call = Call::new("PUT", &path).json(&json!({ "secret": secret }));
        let reply = self.api(gateway, call);
        if reply.status == 200 {
            self.secrets.insert(provider, secret);
        }
        reply
    }

    /// Removes a key.
    pub(crate) fn remove(&mut self, gateway: &Gateway, provider: &'static str) {
        let path = format!("/api/provider-keys/{}", self.id(provider));
        self.api(gateway, Call::new("DELETE", &path)).expect(204);
        self.secrets.remove(provider);
    }

    /// A chat request that this provider is to answer.
    pub(crate) fn ask(&self, gateway: &Gateway, provider: &str) -> Reply {
        self.ask_with(gateway.url(), &self.key, provider)
    }

    /// The same at this address, with another gateway key.
    pub(crate) fn ask_with(&self, url: &str, key: &str, provider: &str) -> Reply {
        scene::chat(key, &format!("{provider}/mock-model")).run(url)
    }

    /// Asserts that this provider is sent its secret.
    pub(crate) fn served(&self, gateway: &Gateway, provider: &str) {
        let before = self.sent(provider);
        let reply = self.ask(gateway, provider);
        assert_eq!(reply.status, 200, "{provider}: {}", reply.text());
        assert_eq!(
            self.sent(provider),
            before + 1,
            "requests that reached {provider}"
        );
    }

    /// Asserts that each provider is.
    pub(crate) fn all_served(&self, gateway: &Gateway) {
        at_once(&self.providers(), |provider| self.served(gateway, provider));
    }

    /// How many requests have reached a provider; asserts that they came with its secret. Only for a key whose secret has not
    /// been changed since the mock provider's records begin.
    pub(crate) fn sent(&self, provider: &str) -> usize {
        let path = format!("/{provider}/");
        let all = self.mock.requests();
        let sent: Vec<_> = all
            .iter()
            .filter(|one| one.path.starts_with(&path))
            .collect();
        for one in &sent {
            assert_eq!(
                one.secret.as_deref(),
                Some(self.secret(provider)),
                "sent to {provider}"
            );
        }
        sent.len()
    }

    /// Asserts that a request is refused because of the vault, that it reaches no provider, and that it is told which key it is
    /// about; returns the message.
    pub(crate) fn sealed(&self, gateway: &Gateway, provider: &str) -> String {
        let before = self.mock.requests().len();
        let error = self
            .ask(gateway, provider)
            .refusal(503, "vault_unavailable");
        assert_eq!(
            self.mock.requests().len(),
            before,
            "{provider}: it was sent"
        );
        assert_eq!(error["lockgate"]["provider"], provider, "{error}");
        let message = text(&error["message"]);
        for word in [provider, NAME] {
            assert!(message.contains(word), "names {word}: {message}");
        }
        assert!(!message.contains(crate::tenant::MARK), "{message}");
        message
    }
}

/// The body that makes a provider key; its requests reach the mock provider under its own path.
fn key(mock: &MockProvider, provider: &str) -> Value {
    json!({
        "provider": provider, "name": NAME, "secret": secret_of(provider, NAME), "force": true,
        "base_url": format!("{}/{provider}/v1", mock.base_url()),
    })
}

/// What `GET /api/vault` says.
pub(crate) fn status(gateway: &Gateway) -> Value {
    gateway
        .api("default", Call::get("/api/vault"))
        .expect(200)
        .json()
}

/// How many secrets are under each KEK, by its adapter.
pub(crate) fn counts(gateway: &Gateway) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for kek in status(gateway)["keks"].as_array().expect("the KEKs") {
        let of = counts.entry(text(&kek["adapter"])).or_default();
        *of += kek["secrets"].as_u64().expect("a number");
    }
    counts
}

/// One call of `POST /api/vault/rewrap`.
pub(crate) fn rewrap(gateway: &Gateway, limit: u64, cursor: &Value) -> Value {
    let mut body = json!({ "limit": limit });
    if !cursor.is_null() {
        body["cursor"] = cursor.clone();
    }
    let call = Call::post("/api/vault/rewrap").json(&body);
    gateway.api("default", call).expect(200).json()
}

/// Moves everything, `limit` secrets a call; how many each call has moved.
pub(crate) fn rewrap_all(gateway: &Gateway, limit: u64) -> Vec<u64> {
    let mut steps = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let answer = rewrap(gateway, limit, &cursor);
        assert_eq!(answer["failed"], json!([]), "{answer}");
        let moved = answer["rewrapped"].as_u64().expect("a number");
        assert!(moved <= limit, "{answer}");
        steps.push(moved);
        cursor = answer["next_cursor"].clone();
        assert_eq!(answer["done"], cursor.is_null(), "{answer}");
        if cursor.is_null() {
            return steps;
        }
        assert!(steps.len() < 100, "no end of it: {answer}");
    }
}

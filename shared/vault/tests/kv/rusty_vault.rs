//! Version 1 of the KV engine, AppRole and tokens against a server that others have written:
//! [RustyVault](https://crates.io/crates/rusty_vault) 0.2, installed by `scripts/test --prepare`.
//!
//! It has no version 2, no Transit engine, no namespaces, no policies that it enforces and no `renew-self`; and its errors
//! are worded otherwise than Vault's. Those are held against the fake.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lockgate_host::{Clock, Credential, Fetch, Method, Outbound, OutboundBody, Secret};
use lockgate_host_native::NativeHost;
use lockgate_vault::{Binding, OpenError, Stored, VaultError, Vaults};
use mock_vault::{Answer, Ask, MockVault, Service};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{BINDING, SECRET, on_host, opened, read, secret};
use crate::{path, problem, refused};

const TIMEOUT: Duration = Duration::from_secs(30);

/// A server that runs until it is dropped.
struct RustyVault {
    child: Child,
    address: String,
    unseal_key: String,
    root: Secret,
    _folder: TempDir,
}

impl Drop for RustyVault {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl RustyVault {
    /// Starts a server that has a KV engine at `kv` and AppRole.
    async fn start(host: &NativeHost) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let program = root.join(".tools/rusty_vault/bin/rvault");
        assert!(
            program.exists(),
            "RustyVault is not installed; `scripts/test --prepare` installs it"
        );
        loop {
            // It takes no port 0. Where somebody else takes the port first, it ends, and another is tried.
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = free.local_addr().unwrap().to_string();
            drop(free);
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path().join("data");
            std::fs::create_dir(&data).unwrap();
            let config = folder.path().join("config.json");
            let text = json!({
                "storage": {"file": {"path": data}},
                "listener": {"tcp": {"address": address, "tls_disable": "true"}},
            });
            std::fs::write(&config, text.to_string()).unwrap();
            let child = Command::new(&program)
                .arg("server")
                .arg("--config")
                .arg(&config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut server = Self {
                child,
                address: format!("http://{address}"),
                unseal_key: String::new(),
                root: Secret::from("none".to_owned()),
                _folder: folder,
            };
            if server.prepare(host).await {
                return server;
            }
        }
    }

    /// `false` where it has ended.
    async fn prepare(&mut self, host: &NativeHost) -> bool {
        let shares = json!({"secret_shares": 1, "secret_threshold": 1});
        let mut made = None;
        for _ in 0..2_400 {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            made = self
                .call(host, Method::PUT, "sys/init", Some(&shares))
                .await;
            if made.is_some() {
                break;
            }
            host.sleep(Duration::from_millis(50)).await;
        }
        let (status, made) = made.expect("RustyVault has not started within two minutes");
        assert_eq!(status, 200, "{made}");
        self.unseal_key = made["keys"][0].as_str().unwrap().to_owned();
        self.root = Secret::from(made["root_token"].as_str().unwrap().to_owned());
        self.unseal(host).await;
        self.write(host, "sys/mounts/kv", &json!({"type": "kv"}))
            .await;
        self.write(host, "sys/auth/approle", &json!({"type": "approle"}))
            .await;
        let role = json!({"token_ttl": "3600", "token_policies": "lockgate"});
        self.write(host, "auth/approle/role/lockgate", &role).await;
        true
    }

    async fn call(
        &self,
        host: &NativeHost,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<(u16, Value)> {
        let outbound = Outbound {
            method,
            url: &format!("{}/v1/{path}", self.address),
            forward: None,
            set: &[],
            credential: Some(Credential {
                header: "x-vault-token",
                prefix: "",
                secret: &self.root,
            }),
            body: body.map_or(OutboundBody::Empty, |body| {
                OutboundBody::Bytes(body.to_string().into_bytes())
            }),
            head_timeout: TIMEOUT,
            idle_timeout: TIMEOUT,
        };
        let inbound = host.fetch(outbound).await.ok()?;
        let status = inbound.status;
        let body = host.read(inbound.body, 1 << 20).await.ok()?;
        let body = serde_json::from_slice(body.as_ref()).unwrap_or_default();
        Some((status, body))
    }

    async fn write(&self, host: &NativeHost, path: &str, body: &Value) -> Value {
        let answer = self.call(host, Method::POST, path, Some(body)).await;
        let (status, answer) = answer.unwrap();
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    async fn unseal(&self, host: &NativeHost) {
        let key = json!({"key": self.unseal_key});
        self.write(host, "sys/unseal", &key).await;
    }

    /// What is at a path of the KV engine.
    async fn at(&self, host: &NativeHost, path: &str) -> Option<Value> {
        let path = format!("kv/{path}");
        let (status, answer) = self.call(host, Method::GET, &path, None).await.unwrap();
        (status == 200).then(|| answer["data"].clone())
    }

    /// The role's id and a secret for it.
    async fn role(&self, host: &NativeHost) -> (String, String) {
        let path = "auth/approle/role/lockgate/role-id";
        let (_, role) = self.call(host, Method::GET, path, None).await.unwrap();
        let path = "auth/approle/role/lockgate/secret-id";
        let secret = self.write(host, path, &json!({})).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&role["data"]["role_id"]),
            text(&secret["data"]["secret_id"]),
        )
    }

    fn settings(&self) -> Vec<(&str, &str)> {
        vec![
            ("LOCKGATE_VAULT", "vault-kv"),
            ("LOCKGATE_VAULT_ADDR", &self.address),
            ("LOCKGATE_VAULT_KV_VERSION", "1"),
            ("LOCKGATE_VAULT_KV_MOUNT", "kv"),
        ]
    }

    /// With these credentials.
    fn with(
        &self,
        credentials: &[(&'static str, &str)],
        work: impl AsyncFnOnce(NativeHost, Vaults),
    ) {
        let mut settings = self.settings();
        settings.extend(credentials);
        on_host(&settings, |host| async move {
            let vaults = read(&host).await.unwrap();
            work(host, vaults).await;
        });
    }
}

/// Passes every request on.
struct Forward(String);

impl Service for Forward {
    fn answer(&mut self, ask: &Ask) -> Answer {
        let mut stream = TcpStream::connect(self.0.trim_start_matches("http://")).unwrap();
        let mut request = format!("{} {} HTTP/1.0\r\n", ask.method, ask.path);
        for (name, value) in &ask.headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream.write_all(&ask.body).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer::new(status, serde_json::from_str(body).unwrap_or_default())
    }
}

/// A server, its root token, and the role's id and secret.
fn start() -> (RustyVault, String, String, String) {
    on_host(&[], |host| async move {
        let server = RustyVault::start(&host).await;
        let (role_id, secret_id) = server.role(&host).await;
        let root = server.root.expose_str().unwrap().to_owned();
        (server, root, role_id, secret_id)
    })
}

#[test]
fn a_secret_is_stored_read_and_removed_by_a_role_and_by_a_token() {
    let (server, root, role_id, secret_id) = start();
    let by_role = [
        ("LOCKGATE_VAULT_ROLE_ID", role_id.as_str()),
        ("LOCKGATE_VAULT_SECRET_ID", secret_id.as_str()),
    ];
    let by_token = [("LOCKGATE_VAULT_TOKEN", root.as_str())];
    for credentials in [&by_role[..], &by_token[..]] {
        server.with(credentials, async |host, vaults| {
            let kek = vaults.current(&host).await.unwrap();
            assert_eq!(kek, "vault-kv:kv@1/lockgate");
            let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
            assert_eq!(stored.kek, kek);
            let content = server.at(&host, &path(&stored)).await.unwrap();
            assert_eq!(content["secret"], SECRET);
            let again = opened(&host, &vaults, &BINDING, &stored).await;
            assert_eq!(again.unwrap(), SECRET);

            let bytes = Secret::new(vec![0, 159, 146, 150, 255]);
            let other = vaults.seal(&host, &BINDING, &bytes, "v").await.unwrap();
            let given = vaults.give(&host, &BINDING, crate::place(&other)).await;
            assert_eq!(given.unwrap().expose(), bytes.expose());

            for _ in 0..2 {
                assert!(vaults.forget(&host, &stored.entry).await.unwrap());
            }
            assert_eq!(server.at(&host, &path(&stored)).await, None);
            let said = refused(opened(&host, &vaults, &BINDING, &stored).await);
            assert!(said.contains("is not there"), "{said}");
        });
    }
}

#[test]
fn wrong_credentials_are_refused_and_new_ones_got() {
    let (server, _, role_id, secret_id) = start();
    let by_role = |secret_id| {
        [
            ("LOCKGATE_VAULT_ROLE_ID", role_id.clone()),
            ("LOCKGATE_VAULT_SECRET_ID", secret_id),
        ]
    };
    let wrong = by_role("00000000-0000-0000-0000-000000000000".to_owned());
    server.with(
        &wrong.each_ref().map(|(n, v)| (*n, v.as_str())),
        async |host, vaults| {
            let said = refused(vaults.current(&host).await);
            assert!(said.contains("LOCKGATE_VAULT_SECRET_ID"), "{said}");
            assert!(said.contains("invalid secret"), "{said}");
        },
    );
    server.with(
        &[("LOCKGATE_VAULT_TOKEN", "00000000-1111")],
        async |host, vaults| {
            let said = refused(vaults.current(&host).await);
            assert!(said.contains("LOCKGATE_VAULT_TOKEN has ended"), "{said}");
        },
    );
    // Between the two, to see the token that is used.
    let front = MockVault::start(Forward(server.address.clone()));
    let address = front.base_url();
    let right = by_role(secret_id);
    let mut settings = right.each_ref().map(|(n, v)| (*n, v.as_str())).to_vec();
    settings.push(("LOCKGATE_VAULT_ADDR", &address));
    server.with(&settings, async |host, vaults| {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        let token = |ask: &Ask| ask.header("x-vault-token").unwrap_or_default().to_owned();
        let first = token(front.asked().last().unwrap());
        let path = format!("auth/token/revoke/{first}");
        server.write(&host, &path, &json!({})).await;
        let again = opened(&host, &vaults, &BINDING, &stored).await;
        assert_eq!(again.unwrap(), SECRET);
        assert_eq!(front.calls("login"), 2);
        assert_ne!(token(front.asked().last().unwrap()), first);
    });
}

#[test]
fn what_is_copied_or_altered_does_not_open() {
    let (server, root, ..) = start();
    server.with(&[("LOCKGATE_VAULT_TOKEN", &root)], async |host, vaults| {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        let content = server.at(&host, &path(&stored)).await.unwrap();
        let copied = Binding {
            key_id: "pk_2",
            version: 1,
            ..BINDING
        };
        let copy = Stored {
            entry: stored.entry.replace("pk_1/3-u", "pk_2/1-u"),
            ..stored.clone()
        };
        server
            .write(&host, &format!("kv/{}", path(&copy)), &content)
            .await;
        let error = problem(opened(&host, &vaults, &copied, &copy).await);
        assert_eq!(error, VaultError::Open(OpenError::Altered));
        let again = opened(&host, &vaults, &BINDING, &stored).await;
        assert_eq!(again.unwrap(), SECRET);
    });
}

#[test]
fn a_sealed_server_is_an_outage() {
    let (server, root, ..) = start();
    server.with(&[("LOCKGATE_VAULT_TOKEN", &root)], async |host, vaults| {
        let stored = vaults.seal(&host, &BINDING, &secret(), "u").await.unwrap();
        server.write(&host, "sys/seal", &json!({})).await;
        let error = problem(opened(&host, &vaults, &BINDING, &stored).await);
        assert!(matches!(error, VaultError::Unavailable { .. }), "{error:?}");
        server.unseal(&host).await;
        let after = read(&host).await.unwrap();
        let again = opened(&host, &after, &BINDING, &stored).await;
        assert_eq!(again.unwrap(), SECRET);
    });
}

#[test]
fn the_wrong_version_or_mount_is_named() {
    let (server, root, ..) = start();
    let token = ("LOCKGATE_VAULT_TOKEN", root.as_str());
    server.with(
        &[token, ("LOCKGATE_VAULT_KV_VERSION", "2")],
        async |host, vaults| {
            let said = refused(vaults.seal(&host, &BINDING, &secret(), "u").await);
            assert!(said.contains("LOCKGATE_VAULT_KV_VERSION to 1"), "{said}");
            let there = server.at(&host, "data/lockgate/secret/ws_1/pk_1/3-u").await;
            assert_eq!(there, None);
        },
    );
    server.with(
        &[token, ("LOCKGATE_VAULT_KV_MOUNT", "nowhere")],
        async |host, vaults| {
            let said = refused(vaults.current(&host).await);
            assert!(said.contains("nowhere/lockgate/probe"), "{said}");
        },
    );
}

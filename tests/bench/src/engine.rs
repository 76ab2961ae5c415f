//! The engines: how each one's floor and gateway are started, and how a gateway is made ready to send.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::Method;
use http::header::HeaderValue;
use serde::Serialize;
use serde_json::{Value, json};

use crate::load::{Client, Target, chat};
use crate::process::{Process, command, free_port, listening};

const ADMIN_TOKEN: &str = "bench-admin-token-only-for-measurements-on-loopback";
/// A KEK: 32 bytes in hex.
const KEK: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// A provider secret in OpenAI's form, which only the mock provider gets to see.
const SECRET: &str = "sk-proj-LockgateBench0000000000000000000000000000000000000000";
/// The workspace whose provider speaks another dialect.
const TRANSLATING: &str = "translating";
/// A provider secret in Anthropic's form.
const ANTHROPIC_SECRET: &str = "sk-ant-api03-LockgateBench00000000000000000000000000000000000000000000000000000000000000000000000000000000-0000000AA";
/// The models that a key with a configuration asks for as `routed-…`, and that its targets have.
pub(crate) const ROUTED: [&str; 2] = ["mock-model", "mock-burst-2000"];
/// What no measurement comes near.
const PLENTY: u64 = 1_000_000_000_000;
/// How long a gateway may take until it serves with a key that was just made.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// An engine, by the name that `scripts/serve` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    Native,
    Wasi,
    Cloudflare,
}

impl Engine {
    pub(crate) const ALL: [Self; 3] = [Self::Native, Self::Wasi, Self::Cloudflare];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Wasi => "wasi",
            Self::Cloudflare => "cloudflare",
        }
    }

    /// What the gateway is measured against.
    pub(crate) fn floor(self) -> &'static str {
        match self {
            Self::Native => "a bare hyper proxy",
            Self::Wasi => "a no-op component in the same host",
            Self::Cloudflare => "a no-op JavaScript Worker on workerd",
        }
    }
}

/// Where things are.
pub(crate) struct Places {
    /// The repository's root, where the measurements are run.
    pub(crate) root: PathBuf,
    /// The folder of this crate's own programs.
    own: PathBuf,
    /// The build folder that `scripts/serve` is to take the gateway from, if it is not the default.
    built: Option<PathBuf>,
}

impl Places {
    pub(crate) fn find() -> Result<Self> {
        let root = std::env::current_dir()?;
        ensure!(
            root.join("scripts/serve").is_file(),
            "run it in the repository's root, as scripts/bench does"
        );
        let own = std::env::current_exe()?;
        Ok(Self {
            root,
            own: own.parent().context("no folder")?.to_owned(),
            built: std::env::var_os("LOCKGATE_BENCH_TARGET").map(PathBuf::from),
        })
    }

    fn floor_folder(&self) -> PathBuf {
        self.root.join("tests/bench/floor")
    }

    /// The host of the floor and of the gateway alike.
    fn wasi_host(&self) -> PathBuf {
        let target = self
            .built
            .clone()
            .or_else(|| std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from))
            .unwrap_or_else(|| self.root.join("target"));
        std::env::var_os("LOCKGATE_WASI_HOST")
            .map_or_else(|| target.join("host/wasi-host"), PathBuf::from)
    }

    pub(crate) fn noop_component(&self) -> PathBuf {
        self.floor_folder()
            .join("noop-component/target/wasm32-wasip2/release/noop_component.wasm")
    }

    /// The Worker's build, as `scripts/serve` finds it.
    pub(crate) fn worker(&self) -> PathBuf {
        let built = std::env::var_os("LOCKGATE_BUILD_OUT");
        built.map_or_else(|| self.root.join("build/cloudflare"), PathBuf::from)
    }

    /// The workerd of the lock file, as npm unpacked it.
    fn workerd(&self) -> Result<PathBuf> {
        let folder = self.root.join("node_modules/@cloudflare");
        let packages = std::fs::read_dir(&folder).context("workerd is missing: npm ci")?;
        packages
            .filter_map(|entry| Some(entry.ok()?.path().join("bin/workerd")))
            .find(|binary| binary.is_file())
            .context("workerd is missing: npm ci")
    }
}

/// A mock provider that keeps no record.
pub(crate) struct Provider {
    pub(crate) process: Process,
    pub(crate) target: Target,
}

impl Provider {
    pub(crate) async fn start(places: &Places, folder: &Path) -> Result<Self> {
        let mut mock = command(places.own.join("mock-provider"));
        mock.arg("--no-record");
        let mut process = Process::start("mock provider", mock, folder)?;
        let address = process.ready(listening).await?;
        let key = HeaderValue::from_static("Bearer sk-none");
        Ok(Self {
            process,
            target: Target { address, key },
        })
    }

    fn url(&self) -> String {
        format!("http://{}", self.target.address)
    }
}

/// A server that answers.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) target: Target,
    /// A gateway's further keys.
    keys: Option<Keys>,
}

/// A gateway key, by what comes of its requests.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    Plain,
    Translating,
    /// They follow a configuration, under limits and a budget.
    Routed,
}

struct Keys {
    translating: HeaderValue,
    routed: HeaderValue,
}

impl Server {
    /// Where requests go, with this key where there is more than one.
    pub(crate) fn target(&self, key: Key) -> Target {
        let key = match (&self.keys, key) {
            (Some(keys), Key::Translating) => &keys.translating,
            (Some(keys), Key::Routed) => &keys.routed,
            _ => &self.target.key,
        };
        Target {
            address: self.target.address,
            key: key.clone(),
        }
    }
}

/// Starts the engine's floor in front of the mock provider.
pub(crate) async fn floor(
    engine: Engine,
    places: &Places,
    provider: &Provider,
    folder: &Path,
) -> Result<Server> {
    let port = free_port()?;
    let number = port.to_string();
    let (command, find): (_, fn(&str) -> Option<()>) = match engine {
        Engine::Native => {
            let mut floor = command(places.own.join("floor-hyper"));
            floor.args(["--port", &number, "--upstream", &provider.url()]);
            (floor, |line| listening(line).map(drop))
        }
        Engine::Wasi => {
            let mut floor = command(places.wasi_host());
            floor
                .arg("--manifest")
                .arg(places.floor_folder().join("noop-component/spin.toml"))
                .args(["--port", &number, "--data-dir"])
                .arg(folder.join("floor"))
                .arg("--cache-dir")
                .arg(folder.join("floor-cache"))
                .env("SPIN_VARIABLE_PROVIDER_URL", provider.url());
            (floor, |line| listening(line).map(drop))
        }
        Engine::Cloudflare => (noop_worker(places, provider, port)?, workerd_listens),
    };
    let mut process = Process::start(&format!("{} floor", engine.name()), command, folder)?;
    process.ready(find).await?;
    let server = Server {
        process,
        target: Target {
            address: local(port),
            key: HeaderValue::from_static("Bearer sk-none"),
        },
        keys: None,
    };
    answers(&server).await?;
    Ok(server)
}

/// The command that serves the no-op Worker.
pub(crate) fn noop_worker(places: &Places, provider: &Provider, port: u16) -> Result<Command> {
    let mut floor = command(places.workerd()?);
    floor
        .args(["serve", "--control-fd=1"])
        .arg(format!("--socket-addr=http=127.0.0.1:{port}"))
        .arg(places.floor_folder().join("noop-worker.capnp"))
        .env("PROVIDER_URL", provider.url())
        .env("PROVIDER_KEY", "sk-none");
    Ok(floor)
}

/// What workerd says on its control channel about a socket.
pub(crate) fn workerd_listens(line: &str) -> Option<()> {
    line.contains("\"listen\"").then_some(())
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Starts the gateway on an engine in `folder`, as `scripts/serve` does, with a provider key that points to the mock
/// provider, and sees to it that it has answered. `check` is `LOCKGATE_STREAM_CHECK`.
pub(crate) async fn gateway(
    engine: Engine,
    places: &Places,
    provider: &Provider,
    folder: &Path,
    check: bool,
) -> Result<Server> {
    let port = free_port()?;
    let check = if check { "on" } else { "off" };
    let name = format!("{} gateway {check}", engine.name());
    let mut serve = command(places.root.join("scripts/serve"));
    serve
        .arg(engine.name())
        .args(["--port", &port.to_string(), "--data-dir"])
        .arg(data_folder(folder, check))
        .envs(settings(check));
    if engine == Engine::Wasi {
        serve.env("LOCKGATE_WASI_HOST", places.wasi_host());
    }
    if let Some(built) = &places.built {
        serve.env("CARGO_TARGET_DIR", built);
    }
    let mut process = Process::start(&name, serve, folder)?;
    process.ready(listening).await?;

    let token = HeaderValue::try_from(format!("Bearer {ADMIN_TOKEN}"))?;
    let mut api = Client::new(Target {
        address: local(port),
        key: token,
    });
    let base_url = format!("{}/v1", provider.url());
    let key =
        json!({"provider": "openai", "name": "bench", "secret": SECRET, "base_url": base_url});
    api.create("/api/provider-keys", &key).await?;
    let key = gateway_key(&mut api).await?;
    let routed = routed_key(&mut api).await?;

    // Of its own, since the other's models are known by there being one provider.
    api.create("/api/workspaces", &json!({"name": TRANSLATING}))
        .await?;
    api.choose_workspace(TRANSLATING)?;
    let anthropic = json!({
        "provider": "anthropic", "name": "bench", "secret": ANTHROPIC_SECRET, "base_url": provider.url(),
    });
    api.create("/api/provider-keys", &anthropic).await?;
    let translating = gateway_key(&mut api).await?;
    let server = Server {
        process,
        target: Target {
            address: local(port),
            key,
        },
        keys: Some(Keys {
            translating,
            routed,
        }),
    };
    answers(&server).await?;
    Ok(server)
}

/// Makes a role, an agent and a gateway key; the latter as a header.
async fn gateway_key(api: &mut Client) -> Result<HeaderValue> {
    let allow = json!({"effect": "allow", "actions": ["provider-key:use"], "resources": ["*"]});
    let role = json!({"name": "bench", "statements": [allow]});
    api.create("/api/roles", &role).await?;
    let agent = json!({"name": "bench", "roles": ["bench"]});
    api.create("/api/agents", &agent).await?;
    made(api, &json!({"name": "bench", "agent": "bench"})).await
}

/// Makes a gateway key; returns it as a header.
async fn made(api: &mut Client, body: &Value) -> Result<HeaderValue> {
    let key = api.create("/api/gateway-keys", body).await?;
    let key = key["key"].as_str().context("a gateway key without a key")?;
    Ok(HeaderValue::try_from(format!("Bearer {key}"))?)
}

/// Makes a key whose requests are split over three targets, with all kinds of limits; as a header.
async fn routed_key(api: &mut Client) -> Result<HeaderValue> {
    let (mut targets, mut routes) = (Vec::new(), Vec::new());
    for model in ROUTED {
        let mut chosen = Vec::new();
        for (place, weight) in [("a", 70), ("b", 20), ("c", 10)] {
            let id = format!("{place}-{model}");
            let named = format!("{place}/{model}");
            let price = json!({"input_microusd_per_mtok": 1_000_000, "output_microusd_per_mtok": 4_000_000});
            let path = format!("/api/prices/openai/{named}");
            api.call(Method::PUT, &path, &price).await?;
            targets.push(json!({"id": id, "provider": "openai", "model": named}));
            chosen.push(json!({"target": id, "weight": weight}));
        }
        routes.push(json!({
            "name": model, "match": {"models": [format!("routed-{model}")]}, "targets": chosen,
            "fallback": {"on": ["timeout", "rate_limit", "server_error"], "attempts": 3, "deadline": "60s"},
        }));
    }
    let document = json!({"providers": {"targets": targets}, "routes": routes}).to_string();
    let body = json!({"name": "bench", "document": document});
    api.create("/api/configurations", &body).await?;
    let apply = json!({"expected_version": 0});
    api.call(Method::POST, "/api/configurations/bench/apply", &apply)
        .await?;
    let body = json!({
        "name": "routed", "agent": "bench", "configuration": "bench",
        "limits": {"requests_per_minute": PLENTY, "tokens_per_minute": PLENTY, "requests_per_day": PLENTY},
        "budget": {"amount_microusd": PLENTY, "period": "month"},
    });
    made(api, &body).await
}

/// Where a gateway of [`gateway`] keeps what it keeps.
pub(crate) fn data_folder(folder: &Path, check: &str) -> PathBuf {
    folder.join(format!("data-{check}"))
}

fn settings(check: &str) -> [(&'static str, &str); 3] {
    [
        ("LOCKGATE_ADMIN_TOKEN", ADMIN_TOKEN),
        ("LOCKGATE_KEK", KEK),
        ("LOCKGATE_STREAM_CHECK", check),
    ]
}

/// The command that serves, on workerd itself, what `scripts/serve` left in a data folder.
pub(crate) fn served_before(places: &Places, folder: &Path, check: &str) -> Result<Command> {
    let mut worker = command(places.workerd()?);
    worker
        .args(["serve", "--experimental", "--control-fd=1"])
        .arg(data_folder(folder, check).join("workerd.capnp"))
        .envs(settings(check));
    Ok(worker)
}

/// Waits for a first good answer.
async fn answers(server: &Server) -> Result<()> {
    let body = chat("mock-model", 0, false);
    let deadline = Instant::now() + FIRST_ANSWER;
    loop {
        let asked = Client::new(server.target.clone()).ask(&body, |_| {}).await;
        match asked {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(server.process.tail()));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

//! The gateway under test: a process that `scripts/serve` starts with a data folder of its own, or one that runs already.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Call, Reply};

/// The admin token of every gateway that the suite starts.
pub(crate) const ADMIN_TOKEN: &str = "e2e-admin-token-7f3a9c51d2b8e640-only-for-tests";
/// Its KEK: 32 bytes, base64.
pub(crate) const KEK: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
/// Another valid KEK, in hex.
pub(crate) const OTHER_KEK: &str =
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
/// How long the started gateways wait for a provider's head, and for the next piece of a body.
pub(crate) const PROVIDER_PATIENCE: Duration = Duration::from_secs(3);

/// The engines, by the names `scripts/serve` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// What `/api/healthz` calls it.
    pub(crate) fn reported(self) -> &'static str {
        match self {
            Self::Wasi => "spin",
            other => other.name(),
        }
    }
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// How to start a gateway.
pub(crate) struct Plan {
    engine: Engine,
    settings: BTreeMap<String, String>,
    arguments: Vec<String>,
    /// Isolates that have a port of their own.
    ports: u16,
    data: Option<Arc<DataDir>>,
}

/// A data folder, and the log of everything that was started in it, beside it.
pub(crate) struct DataDir {
    holder: tempfile::TempDir,
}

impl DataDir {
    pub(crate) fn path(&self) -> PathBuf {
        self.holder.path().join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.holder.path().join("gateway.log")
    }

    /// What all gateways started here have printed.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log()).unwrap_or_default()).into_owned()
    }
}

impl Plan {
    pub(crate) fn new(engine: Engine) -> Self {
        let patience = PROVIDER_PATIENCE.as_millis().to_string();
        let settings = [
            ("LOCKGATE_ADMIN_TOKEN", ADMIN_TOKEN),
            ("LOCKGATE_KEK", KEK),
            ("LOCKGATE_LEASE_MS", "1000"),
            ("LOCKGATE_PROVIDER_TIMEOUT_MS", &patience),
            ("LOCKGATE_PROVIDER_IDLE_MS", &patience),
            // Scheduled work is done when a test asks for it: its checks reach the mock providers too.
            ("LOCKGATE_TICK_MS", "0"),
        ];
        Self {
            engine,
            settings: settings
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            arguments: Vec::new(),
            ports: 1,
            data: None,
        }
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn unset(mut self, name: &str) -> Self {
        self.settings.remove(name);
        self
    }

    /// Runs in a folder that an earlier gateway left.
    pub(crate) fn data(mut self, data: &Arc<DataDir>) -> Self {
        self.data = Some(data.clone());
        self
    }

    /// Serves from several isolates or instances at once: threads with a runtime of their own; instances that take few
    /// requests each, so that a few dozen make several; worker services on consecutive ports.
    pub(crate) fn several(mut self) -> Self {
        let (flag, count) = match self.engine {
            Engine::Native => ("--threads", "2"),
            Engine::Wasi => ("--instance-concurrency", "6"),
            Engine::Cloudflare => {
                self.ports = 3;
                ("--workers", "3")
            }
        };
        self.arguments.extend([flag.to_owned(), count.to_owned()]);
        self
    }

    /// Has the key-value store hide new entries for this long.
    pub(crate) fn kv_hides_new(mut self, duration: Duration) -> Self {
        self.arguments.extend([
            "--kv-hide-new-ms".to_owned(),
            duration.as_millis().to_string(),
        ]);
        self
    }

    /// Takes the settings that the files of this folder are named after out of them, by a binding like a Secrets Store's.
    pub(crate) fn secrets_store(mut self, folder: &Path) -> Self {
        let folder = folder.display().to_string();
        self.arguments
            .extend(["--secrets-store".to_owned(), folder]);
        self
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(self) -> Gateway {
        match self.attempt() {
            Started::Listening(gateway) => gateway,
            Started::Refused { status, printed } => {
                panic!("the gateway did not start ({status}):\n{printed}")
            }
        }
    }

    /// Starts it; it may refuse.
    pub(crate) fn attempt(self) -> Started {
        let data = self.data.unwrap_or_else(|| {
            Arc::new(DataDir {
                holder: tempfile::Builder::new()
                    .prefix("lockgate-e2e-")
                    .tempdir()
                    .unwrap(),
            })
        });
        std::fs::create_dir_all(data.path()).unwrap();
        let port = free_ports(self.ports);
        let mut command = Command::new(root().join("scripts/serve"));
        command
            .arg(self.engine.name())
            .args(["--port", &port.to_string(), "--data-dir"])
            .arg(data.path())
            .args(&self.arguments)
            .current_dir(root())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, _) in std::env::vars() {
            let foreign = ["LOCKGATE_", "STRIPE_", "STANDARD_", "OPENAI_", "SPIN_"];
            // These say where the artefacts are, and are no settings of the gateway.
            let tool = name.starts_with("LOCKGATE_BUILD_") || name == "LOCKGATE_WASI_HOST";
            if !tool && foreign.iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.envs(&self.settings);
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(
            File::options()
                .create(true)
                .append(true)
                .open(data.log())
                .unwrap(),
        ));
        let (lines, printed) = mpsc::channel();
        let out = child.stdout.take().unwrap();
        let err = child.stderr.take().unwrap();
        let pumps = [pump(out, log.clone(), lines.clone()), pump(err, log, lines)];
        let mut seen = String::new();
        let deadline = Instant::now() + Duration::from_secs(90);
        loop {
            match printed.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => {
                    if line.contains("listening on http://") {
                        break;
                    }
                    seen.push_str(&line);
                    seen.push('\n');
                }
                Err(mpsc::RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
                Err(_) => {
                    child.kill().ok();
                    let status = child.wait().unwrap();
                    for pump in pumps {
                        pump.join().ok();
                    }
                    seen.extend(printed.try_iter().map(|line| line + "\n"));
                    return Started::Refused {
                        status,
                        printed: seen,
                    };
                }
            }
        }
        Started::Listening(Gateway {
            engine: self.engine,
            urls: (port..port + self.ports)
                .map(|port| format!("http://127.0.0.1:{port}"))
                .collect(),
            token: self
                .settings
                .get("LOCKGATE_ADMIN_TOKEN")
                .cloned()
                .unwrap_or_default(),
            process: Some(Process {
                child: Mutex::new(Some(child)),
                data,
            }),
        })
    }
}

/// What became of a start.
pub(crate) enum Started {
    Listening(Gateway),
    Refused { status: ExitStatus, printed: String },
}

fn pump(
    source: impl std::io::Read + Send + 'static,
    log: Arc<Mutex<File>>,
    lines: mpsc::Sender<String>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(source);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(read) if read > 0) {
            log.lock().unwrap().write_all(&line).ok();
            // Nobody listens any more once the start is over.
            lines
                .send(String::from_utf8_lossy(&line).trim_end().to_owned())
                .ok();
            line.clear();
        }
    })
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .unwrap()
        .port()
}

/// The first of so many consecutive ports that were free a moment ago.
fn free_ports(count: u16) -> u16 {
    loop {
        let first = free_port();
        let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        if first.checked_add(count).is_some() && (first..first + count).all(free) {
            return first;
        }
    }
}

/// The process behind a gateway that the suite started.
struct Process {
    child: Mutex<Option<Child>>,
    data: Arc<DataDir>,
}

/// A gateway that listens.
pub(crate) struct Gateway {
    pub(crate) engine: Engine,
    /// One base URL, or one for each isolate that has a port of its own.
    pub(crate) urls: Vec<String>,
    token: String,
    process: Option<Process>,
}

impl Gateway {
    /// One that somebody else runs.
    pub(crate) fn running(engine: Engine, url: &str, token: &str) -> Self {
        Self {
            engine,
            urls: vec![url.trim_end_matches('/').to_owned()],
            token: token.to_owned(),
            process: None,
        }
    }

    /// The first base URL.
    pub(crate) fn url(&self) -> &str {
        &self.urls[0]
    }

    /// The base URL for the call of this number, so that calls are spread over the isolates that have a port of their own.
    pub(crate) fn url_of(&self, number: usize) -> &str {
        &self.urls[number % self.urls.len()]
    }

    /// How many isolates serve at once, at the most, where a crowd of this width calls a gateway that has several.
    pub(crate) fn isolates(&self, width: usize) -> usize {
        match self.engine {
            Engine::Native => 2,
            // An instance takes six requests at once; one that has gone may have been replaced.
            Engine::Wasi => width.div_ceil(6) + 8,
            Engine::Cloudflare => self.urls.len(),
        }
    }

    /// Its data folder.
    pub(crate) fn data(&self) -> &Arc<DataDir> {
        &self.process.as_ref().expect("a gateway of the suite").data
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        let process = self.process.as_ref().expect("a gateway of the suite");
        process.child.lock().unwrap().as_ref().unwrap().id()
    }

    /// A call of the management plane, with the admin token.
    pub(crate) fn api(&self, workspace: &str, call: Call) -> Reply {
        call.bearer(&self.token)
            .header("lockgate-workspace", workspace)
            .run(self.url())
    }

    /// Creates something and returns what the gateway answered.
    pub(crate) fn create(&self, workspace: &str, kind: &str, body: &Value) -> Value {
        self.api(workspace, Call::post(&format!("/api/{kind}")).json(body))
            .expect(201)
            .json()
    }

    /// Creates a workspace and returns its name.
    pub(crate) fn workspace(&self) -> String {
        let name = unique("e2e");
        self.create("default", "workspaces", &json!({ "name": name }));
        name
    }

    /// Asks it to end, as a service manager does, without waiting.
    pub(crate) fn terminate(&self) {
        let status = Command::new("kill")
            .args(["-TERM", &self.pid().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Ends it as a crash does, with no chance to finish anything.
    pub(crate) fn kill(&self) {
        let process = self.process.as_ref().expect("a gateway of the suite");
        let child = process.child.lock().unwrap().take();
        let mut child = child.expect("it runs");
        // workerd runs beneath the script that serves it; the other engines have taken the script's place.
        let below = format!("/proc/{0}/task/{0}/children", child.id());
        for id in std::fs::read_to_string(below).unwrap().split_whitespace() {
            let status = Command::new("kill").args(["-KILL", id]).status();
            assert!(status.unwrap().success());
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends it and waits; returns its data folder, and fails where it panicked or did not go.
    pub(crate) fn stop(self) -> Arc<DataDir> {
        let data = self.data().clone();
        self.end();
        let printed = data.printed();
        for line in printed.lines() {
            assert!(!is_panic(line), "the gateway panicked: {line}");
        }
        data
    }

    /// Waits for the process to end by itself.
    pub(crate) fn wait(&self, limit: Duration) -> Option<ExitStatus> {
        let process = self.process.as_ref()?;
        let deadline = Instant::now() + limit;
        loop {
            let mut slot = process.child.lock().unwrap();
            if let Some(status) = slot.as_mut().and_then(|child| child.try_wait().unwrap()) {
                *slot = None;
                return Some(status);
            }
            drop(slot);
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it and waits.
    pub(crate) fn end(&self) {
        let Some(process) = &self.process else { return };
        if process.child.lock().unwrap().is_none() {
            return;
        }
        self.terminate();
        if self.wait(Duration::from_secs(20)).is_none()
            && let Some(mut child) = process.child.lock().unwrap().take()
        {
            child.kill().ok();
            child.wait().ok();
            eprintln!(
                "{}: the gateway ignored SIGTERM for 20 s",
                self.engine.name()
            );
        }
    }

    /// Lines of its log that tell of a panic.
    pub(crate) fn panics(&self) -> Vec<String> {
        let Some(process) = &self.process else {
            return Vec::new();
        };
        process
            .data
            .printed()
            .lines()
            .filter(|line| is_panic(line))
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.end();
    }
}

fn is_panic(line: &str) -> bool {
    ["panicked at", "RuntimeError: unreachable", "wasm trap"]
        .iter()
        .any(|mark| line.contains(mark))
}

/// A name that no other test and no earlier run has used.
pub(crate) fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    format!(
        "{prefix}-{:x}-{}",
        now.as_millis(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

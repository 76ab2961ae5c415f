//! Starts the host on the fixture, and an upstream for its outbound requests.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// The built fixture; the first call builds it.
fn fixture() -> &'static Path {
    static FIXTURE: OnceLock<PathBuf> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixture");
        let built = std::process::Command::new(env!("CARGO"))
            .args([
                "build",
                "--release",
                "--locked",
                "--target",
                "wasm32-wasip2",
            ])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixture"))
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("RUSTFLAGS")
            .status()
            .unwrap();
        assert!(built.success(), "the fixture does not build");
        target.join("wasm32-wasip2/release/wasi_host_fixture.wasm")
    })
}

/// A running host; killed when dropped.
pub(crate) struct Host {
    pub(crate) base: String,
    pub(crate) client: Client<HttpConnector, Full<Bytes>>,
    pub(crate) child: Child,
    _data: tempfile::TempDir,
}

impl Host {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let manifest = include_str!("spin.toml").replace("FIXTURE", fixture().to_str().unwrap());
        std::fs::write(data.path().join("spin.toml"), manifest).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_wasi-host"))
            .args(["--port", "0", "--manifest"])
            .arg(data.path().join("spin.toml"))
            .arg("--data-dir")
            .arg(data.path().join("data"))
            .arg("--cache-dir")
            .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"))
            .args(arguments)
            .env("SPIN_VARIABLE_GREETING", "good day")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .await
            .unwrap();
        let base = line
            .trim_end()
            .strip_prefix("listening on ")
            .expect("a line with the address")
            .to_owned();
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            base,
            client,
            child,
            _data: data,
        }
    }

    pub(crate) fn address(&self) -> &str {
        self.base.strip_prefix("http://").unwrap()
    }

    pub(crate) async fn send(&self, path: &str) -> http::Response<Incoming> {
        self.client
            .get(format!("{}{path}", self.base).parse().unwrap())
            .await
            .unwrap()
    }

    /// Status and body of a GET.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let response = self.send(path).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The body of a GET that answers 200.
    pub(crate) async fn body(&self, path: &str) -> String {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) fn terminate(&self) {
        let pid = self.child.id().unwrap().to_string();
        assert!(
            std::process::Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits until the key is there.
    pub(crate) async fn key(&self, key: &str) {
        for _ in 0..200 {
            if self
                .body(&format!("/t/kv?get,{key}"))
                .await
                .contains("Some")
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{key} was not written");
    }
}

/// Speaks just enough HTTP, so that it can also break it.
pub(crate) struct Upstream {
    pub(crate) base: String,
    /// What happened, for the tests to look at.
    pub(crate) seen: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&log)));
            }
        });
        Self { base, seen }
    }

    /// Waits until `event` was seen.
    pub(crate) async fn saw(&self, event: &str) {
        for _ in 0..100 {
            if self.seen.lock().unwrap().iter().any(|seen| seen == event) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("upstream did not see {event:?} within a second");
    }
}

async fn serve(stream: TcpStream, log: Arc<Mutex<Vec<String>>>) {
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    log.lock().unwrap().push("connection".to_owned());
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let path = head.split(' ').nth(1).unwrap().to_owned();
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        match path.as_str() {
            "/echo" => {
                let body = read_body(&mut stream, &head).await;
                let headers = head
                    .lines()
                    .skip(1)
                    .filter(|line| !line.is_empty())
                    .collect::<Vec<_>>()
                    .join("|");
                let body = format!("{headers} {body}");
                let answer = format!(
                    "HTTP/1.1 201 Created\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            "/events" => {
                stream.write_all(chunked.as_bytes()).await.unwrap();
                for event in 0..5 {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    stream
                        .write_all(chunk(&format!("data: {event}\n\n")).as_bytes())
                        .await
                        .unwrap();
                }
                stream.write_all(b"0\r\n\r\n").await.unwrap();
            }
            "/broken" => {
                stream
                    .write_all(format!("{chunked}{}", chunk("data: 0\n\n")).as_bytes())
                    .await
                    .unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                return;
            }
            "/stalled" => {
                stream
                    .write_all(format!("{chunked}{}", chunk("data: 0\n\n")).as_bytes())
                    .await
                    .unwrap();
                let mut rest = Vec::new();
                _ = stream.read_to_end(&mut rest).await;
                log.lock().unwrap().push("given up".to_owned());
                return;
            }
            "/endless" => {
                stream.write_all(chunked.as_bytes()).await.unwrap();
                while stream
                    .write_all(chunk("data: more\n\n").as_bytes())
                    .await
                    .is_ok()
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                log.lock().unwrap().push("left".to_owned());
                return;
            }
            "/silent" => {
                let mut rest = Vec::new();
                _ = stream.read_to_end(&mut rest).await;
                log.lock().unwrap().push("given up".to_owned());
                return;
            }
            other => panic!("{other}"),
        }
    }
}

async fn read_body(stream: &mut BufReader<TcpStream>, head: &str) -> String {
    let head = head.to_ascii_lowercase();
    let mut body = Vec::new();
    if let Some(length) = head
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next())
    {
        body.resize(length.parse().unwrap(), 0);
        stream.read_exact(&mut body).await.unwrap();
    } else if head.contains("transfer-encoding: chunked") {
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.unwrap();
            let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
            let start = body.len();
            body.resize(start + length + 2, 0);
            stream.read_exact(&mut body[start..]).await.unwrap();
            body.truncate(start + length);
            if length == 0 {
                break;
            }
        }
    }
    String::from_utf8(body).unwrap()
}

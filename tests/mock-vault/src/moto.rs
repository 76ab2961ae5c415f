//! AWS as [moto](https://docs.getmoto.org/en/latest/docs/server_mode.html) plays it: its server, started on a free port and ended
//! with the value. Written by others, so that it can contradict the gateway; with
//! [`Moto::check_signatures`] it verifies signatures with botocore's own code and enforces IAM policies.
//!
//! What it lacks of KMS: it goes on decrypting under disabled keys, never throttles, and does not hold `SourceKeyId` against the
//! blob.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// How long it may take to start; on a busy machine Python needs seconds to load it.
const START: Duration = Duration::from_secs(120);
/// How its own log names the address.
const RUNNING: &str = "Running on http://";

/// A server that runs until it is dropped.
pub struct Moto {
    child: Child,
    /// `127.0.0.1:<port>`.
    address: String,
}

impl Moto {
    /// Starts one.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    #[must_use]
    #[expect(clippy::panic, reason = "documented; what a test wants")]
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|problem| panic!("{problem}"))
    }

    fn try_start() -> Result<Self, String> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let program = root.join(".tools/python/bin/moto_server");
        if !program.exists() {
            return Err(
                "moto's server is not installed; `scripts/test --prepare` installs it".into(),
            );
        }
        let mut child = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("moto's server does not run: {error}"))?;
        let (tell, told) = mpsc::channel();
        let log = child.stderr.take();
        // Its log is read to its end, or else it would stop when the pipe is full.
        std::thread::spawn(move || {
            let mut before = String::new();
            let mut found = false;
            for line in log.into_iter().flat_map(|log| BufReader::new(log).lines()) {
                let Ok(line) = line else { break };
                if found {
                    continue;
                }
                if let Some((_, address)) = line.split_once(RUNNING) {
                    found = true;
                    let _ = tell.send(Ok(address.trim().to_owned()));
                }
                before.push_str(&line);
                before.push('\n');
            }
            if !found {
                let _ = tell.send(Err(before));
            }
        });
        let ended = match told.recv_timeout(START) {
            Ok(Ok(address)) => return Ok(Self { child, address }),
            Ok(Err(log)) => format!("moto's server ended: {log}"),
            Err(_) => format!("moto's server has not started within {START:?}"),
        };
        let _ = child.kill();
        let _ = child.wait();
        Err(ended)
    }

    /// `http://127.0.0.1:<port>`, without a slash at the end: the endpoint of every service in every region.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on each request has to be signed with credentials that it knows, and be allowed by their policies; this way of
    /// making calls ends with it.
    pub fn check_signatures(&self) {
        let headers = [("content-type", "text/plain")];
        let _ = self.post("/moto-api/reset-auth", &headers, "0");
    }

    /// Calls an operation of KMS, unsigned.
    ///
    /// # Panics
    /// If the answer is not JSON, as it is for every error that moto makes itself.
    #[must_use]
    #[expect(clippy::panic, reason = "documented; what a test wants")]
    pub fn kms(&self, region: &str, operation: &str, fields: &Value) -> Value {
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", &format!("TrentService.{operation}")),
            ("authorization", &unsigned(region, "kms")),
        ];
        let answer = self.post("/", &headers, &fields.to_string());
        let json = answer.as_deref().map(serde_json::from_str);
        match json {
            Ok(Ok(json)) => json,
            _ => panic!("{operation}: {answer:?}"),
        }
    }

    /// A new symmetric key, by its ARN.
    ///
    /// # Panics
    /// If moto makes none.
    #[must_use]
    #[expect(clippy::panic, reason = "documented; what a test wants")]
    pub fn create_key(&self, region: &str) -> String {
        let made = self.kms(region, "CreateKey", &Value::Object(serde_json::Map::new()));
        let arn = made.pointer("/KeyMetadata/Arn").and_then(Value::as_str);
        arn.unwrap_or_else(|| panic!("no key: {made}")).to_owned()
    }

    /// Calls an operation of IAM or STS, unsigned; `form` is `Action=…&Version=…`, its values percent-encoded. The answer is XML.
    ///
    /// # Panics
    /// If there is no answer.
    #[must_use]
    #[expect(clippy::panic, reason = "documented; what a test wants")]
    pub fn query(&self, service: &str, form: &str) -> String {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", &unsigned("us-east-1", service)),
        ];
        let answer = self.post("/", &headers, form);
        answer.unwrap_or_else(|error| panic!("{service}: {error}"))
    }

    fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body);
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let body = answer.split_once("\r\n\r\n");
        Ok(body.map(|(_, body)| body).unwrap_or_default().to_owned())
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// moto takes service and region from here; the signature does not matter until it checks them.
fn unsigned(region: &str, service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=none"
    )
}

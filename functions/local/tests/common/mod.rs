//! The binary as a person runs it: its output, its exit code, its folder.
#![allow(dead_code)] // Not every test file uses all of it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

/// The binary with nothing of this machine's environment but what a program needs to run.
pub(crate) fn lockgate(folder: &Path, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockgate"));
    command
        .env_clear()
        .env("LOCKGATE_DATA_DIR", folder)
        .envs(environment.iter().copied());
    command
}

/// A gateway that serves, on a port that the system chose.
pub(crate) struct Gateway {
    child: Child,
    rest: BufReader<ChildStdout>,
    /// What it printed until it was ready.
    pub(crate) printed: String,
    /// `http://…`
    pub(crate) url: String,
}

impl Gateway {
    pub(crate) fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        Self::started(lockgate(folder, environment))
    }

    /// One whose standard error can be read.
    pub(crate) fn heard(
        folder: &Path,
        environment: &[(&str, &str)],
    ) -> (Self, BufReader<ChildStderr>) {
        let mut command = lockgate(folder, environment);
        command.stderr(Stdio::piped());
        let mut gateway = Self::started(command);
        let errors = gateway.child.stderr.take().unwrap();
        (gateway, BufReader::new(errors))
    }

    #[expect(
        clippy::zombie_processes,
        reason = "the test fails where it ends early"
    )]
    fn started(mut command: Command) -> Self {
        let mut child = command
            .args(["gateway", "run", "--port", "0", "--threads", "2"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut rest = BufReader::new(child.stdout.take().unwrap());
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            assert!(rest.read_line(&mut line).unwrap() > 0, "ended: {printed}");
            if let Some(url) = line.trim().strip_prefix("listening on ") {
                let url = url.to_owned();
                return Self {
                    child,
                    rest,
                    printed,
                    url,
                };
            }
            printed.push_str(&line);
        }
    }

    /// What stands after `start` on its line of the output.
    pub(crate) fn after(&self, start: &str) -> &str {
        let line = self.printed.lines().find(|line| line.contains(start));
        line.and_then(|line| line.split(start).nth(1))
            .unwrap_or_else(|| panic!("{start:?} is not in {}", self.printed))
    }

    /// Sends a request on a connection of its own; answers status and body.
    pub(crate) fn send(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer[9..12].parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        (status, body.to_owned())
    }

    pub(crate) fn json(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.send(method, path, token, body);
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }

    /// Runs another command of the binary against it.
    pub(crate) fn cli(&self, folder: &Path, arguments: &[&str], input: &str) -> Output {
        let mut child = lockgate(folder, &[("LOCKGATE_URL", &self.url)])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that reads nothing may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// Ends it as a supervisor would, and checks that it went in good order.
    pub(crate) fn stop(self) -> String {
        self.signal();
        self.wait()
    }

    /// Waits until it has ended, and answers what it printed while it served.
    pub(crate) fn wait(mut self) -> String {
        assert!(self.child.wait().unwrap().success());
        let mut rest = String::new();
        self.rest.read_to_string(&mut rest).unwrap();
        rest
    }

    pub(crate) fn signal(&self) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Standard output of a command that must have gone well.
pub(crate) fn good(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The schemas that the gateway serves.
pub(crate) struct Documented(Value);

impl Documented {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        let (status, document) = gateway.json("GET", "/api/openapi.json", "", "");
        assert_eq!(status, 200);
        Self(document["components"]["schemas"].clone())
    }

    /// That an answer has the fields that the schema says.
    pub(crate) fn is(&self, schema: &str, answer: &Value) {
        let names = |value: &Value| -> BTreeSet<String> {
            let object = value
                .as_object()
                .unwrap_or_else(|| panic!("{schema}: {value}"));
            object.keys().cloned().collect()
        };
        let required = &self.0[schema]["required"];
        let required: BTreeSet<String> = serde_json::from_value(required.clone()).unwrap();
        assert_eq!(names(answer), required, "{schema}");
        assert_eq!(names(&self.0[schema]["properties"]), required, "{schema}");
    }
}

/// Standard output and standard error of a command that must have ended with this exit code.
pub(crate) fn bad(output: &Output, code: i32) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

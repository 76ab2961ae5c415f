//! Servers as processes: each with a process group of its own that ends with its owner, and the CPU time it has used.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::sync::mpsc;

/// How long a server may take until it listens: a first start may compile its components.
const START: Duration = Duration::from_secs(120);
/// How long it may take to end when asked to, before it is killed.
const END: Duration = Duration::from_secs(5);

/// Settings of gateways and engines, which no server is to take over from whoever runs the measurements.
const FOREIGN: [&str; 5] = ["LOCKGATE_", "STRIPE_", "STANDARD_", "OPENAI_", "SPIN_"];
/// Where builds are: these do stay.
const KEPT: [&str; 2] = ["LOCKGATE_BUILD_OUT", "LOCKGATE_WASI_HOST"];

/// A command that no setting from outside reaches.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if FOREIGN.iter().any(|prefix| name.starts_with(prefix)) && !KEPT.contains(&&*name) {
            command.env_remove(&*name);
        }
    }
    command
}

/// A process and all that it started, until this is dropped.
pub(crate) struct Process {
    name: String,
    child: Child,
    group: Pid,
    log: PathBuf,
    lines: mpsc::UnboundedReceiver<String>,
    members: Vec<u32>,
}

impl Process {
    /// Starts it in a process group of its own; what it says on standard error goes to a file in `folder`.
    pub(crate) fn start(name: &str, mut command: Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{}.log", name.replace(' ', "-")));
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let out = child.stdout.take();
        let (sender, lines) = mpsc::unbounded_channel();
        let process = Self {
            name: name.to_owned(),
            group: Pid::from_child(&child),
            members: vec![child.id()],
            child,
            log,
            lines,
        };
        // Reads on after the start is over: a full pipe would stop the server.
        std::thread::spawn(move || {
            for line in out
                .into_iter()
                .flat_map(|out| BufReader::new(out).lines().map_while(Result::ok))
            {
                drop(sender.send(line));
            }
        });
        Ok(process)
    }

    /// Waits for a line of its output that `find` takes for the sign of being ready.
    pub(crate) async fn ready<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> Result<T> {
        let deadline = tokio::time::Instant::now() + START;
        let mut said = String::new();
        loop {
            match tokio::time::timeout_at(deadline, self.lines.recv()).await {
                Ok(Some(line)) => {
                    if let Some(found) = find(&line) {
                        self.members = members(self.group)?;
                        return Ok(found);
                    }
                    said.push_str(&line);
                    said.push('\n');
                }
                Ok(None) => bail!("{} ended at its start:\n{said}{}", self.name, self.tail()),
                Err(_) => bail!("{} did not start:\n{said}{}", self.name, self.tail()),
            }
        }
    }

    /// The end of what it said on standard error.
    pub(crate) fn tail(&self) -> String {
        let said = std::fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let skipped = said.lines().count().saturating_sub(15);
        said.lines().skip(skipped).collect::<Vec<_>>().join("\n")
    }

    /// The CPU time, user and system, that all its processes have used so far, to 10 ms.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.members.iter().map(|pid| cpu(*pid)).sum()
    }

    fn gone(&mut self) -> bool {
        let ended = !matches!(self.child.try_wait(), Ok(None));
        ended && test_kill_process_group(self.group).is_err()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for signal in [Signal::TERM, Signal::KILL] {
            // Fails where there is nobody left, which `gone` finds too.
            let _ = kill_process_group(self.group, signal);
            let deadline = Instant::now() + END;
            while Instant::now() < deadline {
                if self.gone() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// The URL's address in a line such as `listening on http://127.0.0.1:8787`.
pub(crate) fn listening(line: &str) -> Option<std::net::SocketAddr> {
    line.split_once("listening on http://")?
        .1
        .trim()
        .parse()
        .ok()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}

/// The CPU time that a process with all its threads has used so far.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is no longer there"))?;
    let fields = fields(&stat);
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).context("unknown /proc format")?;
    let millis = (user + system) * 1000 / rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis(millis))
}

/// The processes of a group.
fn members(group: Pid) -> Result<Vec<u32>> {
    let group = group.as_raw_nonzero().to_string();
    let mut members = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|n| n.parse().ok()) else {
            continue;
        };
        // One that has ended meanwhile is nobody's.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if fields(&stat).get(2) == Some(&group.as_str()) {
            members.push(pid);
        }
    }
    Ok(members)
}

/// The fields of `/proc/<pid>/stat` from the third on; the second is a name in parentheses that may hold anything.
fn fields(stat: &str) -> Vec<&str> {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_ascii_whitespace().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_with_blanks_and_parentheses() {
        let stat = "7 (a b) c) S 1 42 42 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0";
        let fields = fields(stat);
        assert_eq!(
            (fields[0], fields[2], fields[11], fields[12]),
            ("S", "42", "150", "50")
        );
    }

    #[tokio::test]
    async fn a_group_is_seen_whole_and_ends_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = command("sh");
        shell.args([
            "-c",
            "sleep 60 & echo listening on http://127.0.0.1:1; sleep 60",
        ]);
        let mut process = Process::start("test", shell, folder.path()).unwrap();
        process.ready(listening).await.unwrap();
        let group = process.group;
        assert!(process.members.len() >= 2, "{:?}", process.members);
        process.cpu().unwrap();
        drop(process);
        assert!(members(group).unwrap().is_empty());
    }
}

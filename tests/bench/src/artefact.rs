//! What is measured of the artefacts themselves: their sizes, and a Worker's cold start.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::engine::{self, Engine, Places, Provider};
use crate::load::{Client, Target, chat};
use crate::measure::Extent;
use crate::process::{Process, free_port};
use crate::report::{Aim, Line, median};

/// The gzipped sizes of an engine's wasm files.
pub(crate) fn sizes(engine: Engine, places: &Places) -> Result<Vec<Line>> {
    const LIMIT: f64 = 400.0;
    let (files, floor): (&[_], _) = match engine {
        Engine::Native => (&[], None),
        Engine::Wasi => {
            let folder = places.root.join("build/spin");
            let floor = gzipped(&places.noop_component())?;
            (
                &["proxy.wasm", "keys.wasm", "billing.wasm"].map(|name| (name, folder.join(name))),
                Some(floor),
            )
        }
        Engine::Cloudflare => (
            &[("index_bg.wasm", places.worker().join("index_bg.wasm"))],
            None,
        ),
    };
    let mut lines = Vec::new();
    for (name, file) in files {
        let line = Line::new(
            engine,
            format!("{name}, gzipped"),
            "KB",
            floor,
            gzipped(file)?,
        );
        lines.push(line.aim(Some(Aim::Under(LIMIT))));
    }
    Ok(lines)
}

/// A file's size after gzip, in units of 1,000 bytes.
fn gzipped(file: &Path) -> Result<f64> {
    let gzip = Command::new("gzip")
        .arg("-9c")
        .arg(file)
        .stderr(Stdio::inherit())
        .output()
        .context("gzip is missing")?;
    ensure!(gzip.status.success(), "cannot compress {}", file.display());
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let bytes = gzip.stdout.len() as f64;
    Ok(bytes / 1000.0)
}

/// What a fresh workerd took, in milliseconds.
#[derive(Clone, Copy)]
struct Start {
    /// From the start of the process until it listens.
    listening: f64,
    /// From the first request until its whole answer is there.
    answer: f64,
}

/// Starts workerd afresh, floor and gateway in turn. The gateway has its keys and its objects from before, as a Worker
/// that starts again has; its isolate has nothing.
pub(crate) async fn cold_starts(
    places: &Places,
    folder: &Path,
    extent: Extent,
) -> Result<Vec<Line>> {
    let engine = Engine::Cloudflare;
    eprintln!("{}: cold starts", engine.name());
    let folder = &folder.join("cold");
    std::fs::create_dir_all(folder)?;
    let provider = Provider::start(places, folder).await?;
    let served = engine::gateway(engine, places, &provider, folder, true).await?;
    let gateway = served.target.clone();
    drop(served.process);
    let port = free_port()?;
    let floor = Target {
        address: engine::local(port),
        key: provider.target.key.clone(),
    };

    let (mut floors, mut gateways) = (Vec::new(), Vec::new());
    for _ in 0..extent.starts {
        let noop = engine::noop_worker(places, &provider, port)?;
        floors.push(start("cold floor", noop, folder, &floor).await?);
        let worker = engine::served_before(places, folder, "on")?;
        gateways.push(start("cold gateway", worker, folder, &gateway).await?);
    }
    let line = |what, of: fn(&Start) -> f64| -> Result<Line> {
        let middle = |starts: &[Start]| {
            median(&mut starts.iter().map(of).collect::<Vec<_>>()).context("no starts")
        };
        let floor = middle(&floors)?;
        Ok(Line::new(
            engine,
            what,
            "ms",
            Some(floor),
            middle(&gateways)?,
        ))
    };
    Ok(vec![
        line("cold start: process start to listening", |start| {
            start.listening
        })?,
        line("cold start: first request to its answer", |start| {
            start.answer
        })?,
        // The aim is held against the whole, the engine's own start included: the floor's figure says how much that is.
        line("cold start: process start to first answer", |start| {
            start.listening + start.answer
        })?
        .aim(Some(Aim::AtMost(50.0))),
    ])
}

async fn start(name: &str, command: Command, folder: &Path, target: &Target) -> Result<Start> {
    let body = chat("mock-model", 1_000, false);
    let began = Instant::now();
    let mut process = Process::start(name, command, folder)?;
    process.ready(engine::workerd_listens).await?;
    let listening = began.elapsed();
    let mut client = Client::new(target.clone());
    let began = Instant::now();
    client
        .ask(&body, |_| {})
        .await
        .with_context(|| format!("{name}\n{}", process.tail()))?;
    Ok(Start {
        listening: millis(listening),
        answer: millis(began.elapsed()),
    })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

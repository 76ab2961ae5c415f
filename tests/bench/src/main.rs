//! Measures the gateway beside the least that its engine can do, in one run; `scripts/bench` builds what it needs and
//! starts it. Floors, loads and aims are in [`engine`], [`measure`] and [`artefact`].
//!
//! Servers, mock provider and this process, which is the load generator, share the machine, so every figure is taken from
//! floor and gateway in turn and compared within its round.
#![forbid(unsafe_code)]

mod artefact;
mod engine;
mod load;
mod measure;
mod process;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::engine::{Engine, Places};
use crate::measure::Extent;
use crate::report::{Line, Report};

/// Measures the gateway beside its engine's floor: CPU and throughput, streams, time to the first event, sizes, cold
/// start. Exits with 0 whether or not the aims are met, and with 1 if something could not be measured.
#[derive(Parser)]
#[command(name = "scripts/bench")]
struct Options {
    #[arg(default_value = "all")]
    engine: Wanted,
    /// Seconds of each measurement; an engine has 22 in each of 5 rounds
    #[arg(long, value_parser = seconds)]
    seconds: Option<f64>,
    /// Short measurements, for a look: half a second each unless --seconds says otherwise
    #[arg(long)]
    quick: bool,
    /// Also write the results to this file, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wanted {
    Native,
    Wasi,
    Cloudflare,
    All,
}

impl Wanted {
    fn includes(self, engine: Engine) -> bool {
        match self {
            Self::Native => engine == Engine::Native,
            Self::Wasi => engine == Engine::Wasi,
            Self::Cloudflare => engine == Engine::Cloudflare,
            Self::All => true,
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("between 0.1 and 600".to_owned()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    // Dropping the measurement, however it ends, ends every process that it started.
    let report = tokio::select! {
        report = measure_all(&options) => report?,
        _ = interrupt.recv() => return Ok(stopped(2)),
        _ = terminate.recv() => return Ok(stopped(15)),
        _ = hang_up.recv() => return Ok(stopped(1)),
    };
    print!("\n{}", report.table());
    if let Some(file) = &options.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(file, json).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(if report.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The exit code after a signal, as shells count.
fn stopped(signal: u8) -> ExitCode {
    eprintln!("stopped by signal {signal}; nothing is reported");
    ExitCode::from(128 + signal)
}

async fn measure_all(options: &Options) -> Result<Report> {
    let quick = options.quick;
    let seconds = options.seconds.unwrap_or(if quick { 0.5 } else { 2.0 });
    let extent = Extent {
        window: Duration::from_secs_f64(seconds),
        lead: Duration::from_millis(if quick { 250 } else { 500 }),
        rounds: 5,
        first_events: if quick { 200 } else { 500 },
        starts: if quick { 5 } else { 11 },
    };
    let places = Places::find()?;
    let averages = std::fs::read_to_string("/proc/loadavg")?;
    let mut report = Report {
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        load_average: averages
            .split(' ')
            .next()
            .and_then(|last_minute| last_minute.parse().ok())
            .unwrap_or_default(),
        seconds,
        rounds: extent.rounds,
        lines: Vec::new(),
        failures: Vec::new(),
    };
    for engine in Engine::ALL {
        if !options.engine.includes(engine) {
            continue;
        }
        // Each part for itself: what fails takes nothing else with it.
        for part in [Part::Served, Part::Sizes, Part::ColdStart] {
            match measure_part(part, engine, &places, extent).await {
                Ok(lines) => report.lines.extend(lines),
                Err(error) => {
                    eprintln!("{}: {error:#}", engine.name());
                    report
                        .failures
                        .push(format!("{}, {}: {error:#}", engine.name(), part.name()));
                }
            }
        }
    }
    Ok(report)
}

/// What is measured of an engine, by what it needs to run.
#[derive(Clone, Copy)]
enum Part {
    Served,
    Sizes,
    ColdStart,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Served => "under load",
            Self::Sizes => "sizes",
            Self::ColdStart => "cold start",
        }
    }
}

async fn measure_part(
    part: Part,
    engine: Engine,
    places: &Places,
    extent: Extent,
) -> Result<Vec<Line>> {
    let folder = tempfile::Builder::new()
        .prefix("lockgate-bench-")
        .tempdir()?;
    match part {
        Part::Served => measure::engine(engine, places, folder.path(), extent).await,
        Part::Sizes => artefact::sizes(engine, places),
        Part::ColdStart if engine == Engine::Cloudflare => {
            artefact::cold_starts(places, folder.path(), extent).await
        }
        Part::ColdStart => Ok(Vec::new()),
    }
}

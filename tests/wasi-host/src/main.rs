//! `wasi-host`: serves the components of a `spin.toml` for tests and benchmarks (see the library). A test tool.
#![forbid(unsafe_code)]

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use wasi_host::app::{App, Limits};
use wasi_host::manifest::Manifest;
use wasi_host::server;

/// How long requests in flight may take after SIGTERM.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves the components of a spin.toml as Spin would. A test tool.
#[derive(Parser)]
struct Arguments {
    /// The manifest; components' sources are relative to it
    #[arg(long, default_value = "spin.toml")]
    manifest: PathBuf,
    /// The port on 127.0.0.1; 0 picks a free one
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// The folder of kv.sqlite and database.sqlite
    #[arg(long)]
    data_dir: PathBuf,
    /// The folder of compiled components; the default is build/wasi-host-cache beside the manifest
    #[arg(long)]
    cache_dir: Option<PathBuf>,
    /// For this long after a key was written, key-value answers that it is not there
    #[arg(long, default_value_t = 0)]
    kv_hide_new_ms: u64,
    /// Live instances of all components together; requests wait when there are no more
    #[arg(long, default_value_t = 1000)]
    instances: usize,
    /// Requests an instance serves before it is dropped
    #[arg(long, default_value_t = 128)]
    instance_requests: usize,
    /// Requests an instance serves at once
    #[arg(long, default_value_t = 16)]
    instance_concurrency: usize,
    /// Milliseconds without work after which an instance is dropped
    #[arg(long, default_value_t = 1000)]
    instance_idle_ms: u64,
    /// Threads that run guests; the default is the number of cores
    #[arg(long)]
    threads: Option<usize>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = arguments.threads {
        runtime.worker_threads(threads.max(1));
    }
    runtime.enable_all().build()?.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> Result<()> {
    // Before anything else, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let manifest = Manifest::load(&arguments.manifest, |name| std::env::var(name).ok())?;
    let cache = arguments.cache_dir.clone().unwrap_or_else(|| {
        arguments
            .manifest
            .parent()
            .unwrap_or_else(|| std::path::Path::new(""))
            .join("build/wasi-host-cache")
    });
    let limits = Limits {
        instances: arguments.instances.max(1),
        requests: arguments.instance_requests.max(1),
        concurrent: arguments.instance_concurrency.max(1),
        idle: Duration::from_millis(arguments.instance_idle_ms),
    };
    let hide_new = Duration::from_millis(arguments.kv_hide_new_ms);
    let app = Arc::new(App::load(
        manifest,
        &arguments.data_dir,
        &cache,
        hide_new,
        limits,
    )?);

    let listener = TcpListener::bind(("127.0.0.1", arguments.port))
        .await
        .with_context(|| format!("cannot listen on port {}", arguments.port))?;
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "listening on http://{}", listener.local_addr()?)?;
        out.flush()?;
    }
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    server::serve(app, listener, stop, DRAIN).await
}

//! `lockgate gateway run`.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Parser};
use lockgate_host_native::{Listeners, Options, Shared, server};

use crate::dispatch::dispatch;

/// Where to listen and where to keep things.
#[derive(Args)]
pub(crate) struct Run {
    /// Port to listen on; 0 lets the system choose.
    #[arg(long, default_value_t = 41002)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Folder for the databases and the local key.
    #[arg(long, env = "LOCKGATE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Threads that serve; by default one for each core.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

impl Run {
    /// As without arguments, settings of the environment included.
    pub(crate) fn by_default() -> Self {
        #[derive(Parser)]
        struct Alone {
            #[command(flatten)]
            run: Run,
        }
        Alone::parse_from(["lockgate"]).run
    }
}

/// Serves until told to stop.
pub(crate) fn run(run: Run) -> anyhow::Result<()> {
    let data_dir = run
        .data_dir
        .or_else(default_data_dir)
        .context("no home folder is known: say where to keep things with --data-dir")?;
    let shared = Shared::open(Options::new(&data_dir))?;
    let address = SocketAddr::new(run.listen, run.port);
    let threads = run.threads.map_or_else(
        || std::thread::available_parallelism().map_or(1, usize::from),
        usize::from,
    );
    let listeners =
        Listeners::bind(address, threads).with_context(|| format!("cannot listen on {address}"))?;
    let running = server::start(listeners, shared, dispatch)?;
    println!("listening on http://{}", running.address());
    running.until_signal()?;
    Ok(())
}

/// `$XDG_DATA_HOME/lockgate`, by default `~/.local/share/lockgate`.
fn default_data_dir() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("XDG_DATA_HOME")
        .or_else(|| Some(std::env::home_dir()?.join(".local/share")))
        .map(|base| base.join("lockgate"))
}

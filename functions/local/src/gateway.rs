//! `lockgate gateway run`: the local gateway in the foreground.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Parser};
use lockgate_host::{Background, Clock};
use lockgate_host_native::{Folder, Listeners, NativeHost, Shared, environment, server};
use lockgate_workspace::Settings;
use tokio::sync::oneshot;

use crate::dispatch::dispatch;
use crate::first_start::{Welcome, prepare};
use crate::inside::Inside;
use crate::output::say;
use crate::own_secrets::{self, AdminToken};
use crate::refusal::Refused;
use crate::{data_dir, greeting};

/// How long work that the first start left in the background may take.
const SETTLE: Duration = Duration::from_secs(10);

/// How often the scheduled work is done, in ms; 0 for never.
const TICK: &str = "LOCKGATE_TICK_MS";
const DEFAULT_TICK: Duration = Duration::from_secs(60);
/// The first time it is done is no later than this.
const FIRST_TICK: Duration = Duration::from_secs(10);

/// Where to listen and where to keep things.
#[derive(Args)]
pub(crate) struct Run {
    /// Port to listen on; 0 lets the system choose.
    #[arg(long, default_value_t = 41002)]
    port: u16,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Folder for the databases, the local key-encryption key and the admin token [default: the user's data folder].
    #[arg(long, env = "LOCKGATE_DATA_DIR", hide_env_values = true)]
    data_dir: Option<PathBuf>,
    /// Threads that serve [default: one for each core].
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

impl Run {
    /// As without arguments; the environment counts all the same.
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
    let mut variables = environment();
    own_secrets::check(&variables)?;
    let tick = tick(&variables)?;
    let folder = Folder::take(&data_dir::or_default(run.data_dir)?)?;
    let address = SocketAddr::new(run.listen, run.port);
    let threads = run.threads.map_or_else(cores, usize::from);
    let listeners =
        Listeners::bind(address, threads).with_context(|| format!("cannot listen on {address}"))?;
    let token = own_secrets::complete(&mut variables, &folder)?;
    let shared = Shared::open(folder, variables.clone())?;
    let welcome = first(&shared, &token, &variables, listeners.address())?;
    drop(variables);
    for line in greeting::lines(
        listeners.address(),
        shared.folder().path(),
        &token,
        &welcome,
    ) {
        say(&line);
    }
    drop((welcome, token));
    let running =
        server::start_beside(listeners, shared, dispatch, move |host| beside(host, tick))?;
    let listening = format!("listening on http://{}", running.address());
    Ok(running.until_signal(|| say(&listening))?)
}

/// How often the scheduled work is to be done.
fn tick(variables: &HashMap<String, String>) -> Result<Option<Duration>, Refused> {
    let Some(text) = variables.get(TICK).filter(|text| !text.is_empty()) else {
        return Ok(Some(DEFAULT_TICK));
    };
    match text.trim().parse() {
        Ok(0) => Ok(None),
        Ok(ms) => Ok(Some(Duration::from_millis(ms))),
        Err(_) => Err(Refused(format!(
            "{TICK}: “{text}” is not a whole number of milliseconds; 0 turns the timer off"
        ))),
    }
}

/// What goes on beside the requests.
async fn beside(host: NativeHost, tick: Option<Duration>) {
    let look = look_at_vault(&host);
    match tick {
        Some(tick) => {
            tokio::join!(look, scheduled(host.clone(), tick));
        }
        None => look.await,
    }
}

/// Warns on standard error where a managed vault cannot be used: nobody would find out before the first request or new key.
async fn look_at_vault(host: &NativeHost) {
    // The settings were read before; whoever needs them is told what is wrong with them.
    let Ok(settings) = Settings::get(host).await else {
        return;
    };
    let vaults = &settings.vaults;
    let Err(error) = vaults.current(host).await else {
        return;
    };
    let known = if vaults.bridged() {
        "those there are can be used only where a bridge has them"
    } else {
        "those there are cannot be opened"
    };
    // Whoever closed standard error does not want it.
    let _ = writeln!(
        std::io::stderr(),
        "warning: {error}; until that changes new provider keys cannot be saved, and {known}"
    );
}

/// Does the scheduled work again and again. A run that fails is told on standard error, and the next one comes all the same.
async fn scheduled(host: NativeHost, every: Duration) {
    let mut wait = every.min(FIRST_TICK);
    loop {
        host.sleep(wait).await;
        wait = every;
        let (running, ended) = oneshot::channel::<()>();
        let worker = host.clone();
        // In the background, so that stopping waits for a run under way, and one that panics ends only itself.
        host.spawn(async move {
            if let Err(refusal) = lockgate_keys::scheduled(&worker).await {
                let (code, message) = (refusal.code.text, &refusal.message);
                // Whoever closed standard error does not want it.
                let _ = writeln!(std::io::stderr(), "scheduled work: {code}: {message}");
            }
            drop(running);
        });
        // It never sends: that it is gone is what is waited for.
        let _ = ended.await;
    }
}

/// Checks the settings and does what is to be done before serving, on a runtime that ends with it.
fn first(
    shared: &Arc<Shared>,
    token: &AdminToken,
    variables: &HashMap<String, String>,
    address: SocketAddr,
) -> anyhow::Result<Welcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let work = async {
        let host = NativeHost::new(Arc::clone(shared));
        let settings = Settings::load(&host)
            .await
            .map_err(|error| Refused(error.to_string()))?;
        let api = Inside {
            host: &host,
            token: &token.secret,
        };
        let mut welcome = prepare(&api, shared.folder(), variables, address).await?;
        welcome.notes.insert(0, greeting::vault(&settings.vaults));
        host.finish(SETTLE).await;
        Ok(welcome)
    };
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

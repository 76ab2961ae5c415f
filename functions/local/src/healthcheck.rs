//! `lockgate healthcheck`: whether a gateway serves, for containers without other tools.

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use lockgate_host::{Method, Outbound, OutboundBody};
use lockgate_host_native::Caller;

/// How long the gateway may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Which gateway.
#[derive(Args)]
pub(crate) struct Check {
    /// The gateway's address.
    #[arg(long, env = "LOCKGATE_URL", default_value = "http://127.0.0.1:41002")]
    url: String,
}

pub(crate) fn run(check: &Check) -> anyhow::Result<()> {
    let url = format!("{}/api/healthz", check.url.trim_end_matches('/'));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outbound = Outbound {
        method: Method::GET,
        url: &url,
        forward: None,
        set: &[],
        credential: None,
        body: OutboundBody::Empty,
        head_timeout: TIMEOUT,
        idle_timeout: TIMEOUT,
    };
    let (status, _) = runtime.block_on(async { Caller::new()?.call(outbound, 64 * 1024).await })?;
    ensure!(status == 200, "{url} answered {status}");
    Ok(())
}

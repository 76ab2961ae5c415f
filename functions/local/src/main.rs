//! The lockgate binary: the local gateway and its command line (FEATURES.md I2).
#![forbid(unsafe_code)]

mod agent;
mod arguments;
mod config;
mod data_dir;
mod dispatch;
mod first_start;
mod gateway;
mod gateway_key;
mod greeting;
mod healthcheck;
mod inside;
mod kek_file;
mod logs;
mod money;
mod output;
mod own_secrets;
mod price;
mod provider_key;
mod refusal;
mod remote;
mod role;
mod simulate;
mod standing;
mod usage;
mod vault;
mod wallet;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::refusal::Refused;
use crate::remote::Target;

/// A bring-your-own-key AI gateway. Without a command it runs the local gateway.
#[derive(Parser)]
#[command(name = "lockgate", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// The local gateway.
    #[command(subcommand)]
    Gateway(Gateway),
    /// Providers' keys of a running gateway.
    ProviderKey(On<provider_key::Command>),
    /// Gateway keys, which applications hold.
    GatewayKey(On<gateway_key::Command>),
    /// Roles, which say who may use which provider key.
    Role(On<role::Command>),
    /// Agents, on whose behalf requests are sent.
    Agent(On<agent::Command>),
    /// Ask what a request would get, without sending it.
    Simulate(simulate::Simulate),
    /// Configurations from files: routes, targets and what else a document says.
    Config(On<config::Command>),
    /// The request log of a running gateway.
    Logs(On<logs::Command>),
    /// What requests used and cost.
    Usage(usage::Usage),
    /// What models cost.
    Price(On<price::Command>),
    /// What the workspace has left for requests on the platform's keys.
    Wallet(wallet::Wallet),
    /// The keys that provider keys are sealed under (KEKs), and the vault that has them.
    Vault(On<vault::Command>),
    /// Exit with 0 if a gateway serves.
    Healthcheck(healthcheck::Check),
}

#[derive(Subcommand)]
enum Gateway {
    /// Serve in the foreground until SIGTERM or Ctrl-C; a second signal ends at once.
    Run(gateway::Run),
}

/// A command for a running gateway.
#[derive(Args)]
struct On<C: Subcommand> {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: C,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        None => gateway::run(gateway::Run::by_default()),
        Some(Command::Gateway(Gateway::Run(run))) => gateway::run(run),
        Some(Command::ProviderKey(on)) => provider_key::run(on.target, on.command),
        Some(Command::GatewayKey(on)) => gateway_key::run(on.target, on.command),
        Some(Command::Role(on)) => role::run(on.target, on.command),
        Some(Command::Agent(on)) => agent::run(on.target, on.command),
        Some(Command::Simulate(simulate)) => simulate::run(simulate),
        Some(Command::Config(on)) => config::run(on.target, on.command),
        Some(Command::Logs(on)) => logs::run(on.target, on.command),
        Some(Command::Usage(usage)) => usage::run(usage),
        Some(Command::Price(on)) => price::run(on.target, on.command),
        Some(Command::Wallet(wallet)) => wallet::run(wallet),
        Some(Command::Vault(on)) => vault::run(on.target, on.command),
        Some(Command::Healthcheck(check)) => healthcheck::run(&check),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lockgate: {error:#}");
            // 2 is for what whoever called has to mend, as with arguments that make no sense.
            ExitCode::from(if error.is::<Refused>() { 2 } else { 1 })
        }
    }
}

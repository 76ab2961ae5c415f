//! The lockgate binary: the local gateway and its command line (FEATURES.md I2).
#![forbid(unsafe_code)]

mod data_dir;
mod dispatch;
mod first_start;
mod gateway;
mod greeting;
mod inside;
mod own_secrets;
mod refusal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A bring-your-own-key AI gateway.
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
    Gateway(GatewayCommand),
}

#[derive(Subcommand)]
enum GatewayCommand {
    /// Serve in the foreground, until SIGTERM or Ctrl-C. This is what runs without any arguments.
    Run(gateway::Run),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        None => gateway::run(gateway::Run::by_default()),
        Some(Command::Gateway(GatewayCommand::Run(run))) => gateway::run(run),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lockgate: {error:#}");
            let mend = error.downcast_ref::<refusal::Refused>().is_some();
            ExitCode::from(if mend { 2 } else { 1 })
        }
    }
}

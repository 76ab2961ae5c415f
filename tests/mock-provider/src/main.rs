//! Runs the mock provider on its own, for tests that are not in Rust and for benchmarks.
#![forbid(unsafe_code)]

use clap::Parser;
use mock_provider::{MockProvider, Options};

/// A provider that records what it receives and misbehaves on request. A test tool.
#[derive(Parser)]
struct Arguments {
    /// Port on 127.0.0.1; 0 is any free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Do not keep what is received; for benchmarks.
    #[arg(long)]
    no_record: bool,
}

fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let provider = MockProvider::try_start(Options {
        port: arguments.port,
        record: !arguments.no_record,
    })?;
    println!("listening on {}", provider.base_url());
    // Until it is killed.
    loop {
        std::thread::park();
    }
}

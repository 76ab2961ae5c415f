//! Runs the guest under Wasmtime: `access-wasm <guest.wasm>` prints instructions (a unit of fuel each) and time.

use std::time::{Duration, Instant};

use wasmtime::error::Context;
use wasmtime::{Config, Engine, Instance, Module, Result, Store, TypedFunc};

const MEASURED: [&str; 4] = ["ask_all", "ask_one", "compile", "read_roles"];
const WORLDS: [&str; 2] = ["typical", "worst"];

struct Guest {
    store: Store<()>,
    instance: Instance,
}

impl Guest {
    fn new(path: &str, fuel: bool) -> Result<Self> {
        let mut config = Config::new();
        config.consume_fuel(fuel);
        let engine = Engine::new(&config)?;
        let module = Module::from_file(&engine, path)?;
        let mut store = Store::new(&engine, ());
        if fuel {
            store.set_fuel(u64::MAX)?;
        }
        let instance = Instance::new(&mut store, &module, &[])?;
        Ok(Self { store, instance })
    }

    fn function(&mut self, name: &str) -> Result<TypedFunc<(u32, u32), u32>> {
        self.instance.get_typed_func(&mut self.store, name)
    }

    /// The instructions of so many runs, and of the call itself.
    fn instructions(&mut self, name: &str, world: u32, times: u32) -> Result<u64> {
        let function = self.function(name)?;
        self.store.set_fuel(u64::MAX)?;
        function.call(&mut self.store, (world, times))?;
        Ok(u64::MAX - self.store.get_fuel()?)
    }

    /// The shortest time that one run took, of many: what else the machine does only adds to it.
    fn time(&mut self, name: &str, world: u32) -> Result<Duration> {
        let function = self.function(name)?;
        let mut best = Duration::MAX;
        for _ in 0..200 {
            let times = 20;
            let start = Instant::now();
            function.call(&mut self.store, (world, times))?;
            best = best.min(start.elapsed() / times);
        }
        Ok(best)
    }
}

fn main() -> Result<()> {
    let path = std::env::args()
        .nth(1)
        .context("name the guest's .wasm file")?;
    let mut counted = Guest::new(&path, true)?;
    let mut timed = Guest::new(&path, false)?;
    for (world, title) in (0..).zip(WORLDS) {
        for name in MEASURED {
            counted.instructions(name, world, 1)?;
            let none = counted.instructions(name, world, 0)?;
            let instructions = counted.instructions(name, world, 1)? - none;
            timed.time(name, world)?;
            let time = timed.time(name, world)?;
            println!(
                "{title:8} {name:10} {instructions:>10} instructions {:>10.2} µs",
                time.as_secs_f64() * 1e6
            );
        }
    }
    Ok(())
}

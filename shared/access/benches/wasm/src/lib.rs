//! What is measured, behind functions that a host can call. `world` is 0 for the typical and 1 for the worst.
#![cfg(target_arch = "wasm32")]

#[path = "../../access/world.rs"]
mod world;

use std::hint::black_box;

use lockgate_access::{Policy, Role};
use world::{MODEL, World};

struct Measured {
    world: World,
    policy: Policy,
    json: String,
}

impl Measured {
    fn new(world: World) -> Self {
        Self {
            policy: Policy::new(&world.roles, &world.circumstances(), &world.keys()),
            json: serde_json::to_string(&world.roles).unwrap_or_default(),
            world,
        }
    }
}

thread_local! {
    static WORLDS: [Measured; 2] = [World::typical(), World::worst()].map(Measured::new);
}

fn each(world: usize, times: u32, run: impl Fn(&Measured) -> usize) -> usize {
    WORLDS.with(|worlds| {
        let measured = &worlds[world];
        (0..times)
            .map(|_| black_box(run(black_box(measured))))
            .sum()
    })
}

/// Asks for all keys.
#[unsafe(no_mangle)]
pub extern "C" fn ask_all(world: usize, times: u32) -> usize {
    each(world, times, |measured| {
        let mut ask = measured.policy.ask(black_box(Some(MODEL)));
        (0..50).filter(|key| ask.allows(*key)).count()
    })
}

/// Asks for one key.
#[unsafe(no_mangle)]
pub extern "C" fn ask_one(world: usize, times: u32) -> usize {
    each(world, times, |measured| {
        usize::from(
            measured
                .policy
                .ask(black_box(Some(MODEL)))
                .allows(black_box(21)),
        )
    })
}

/// Compiles the roles.
#[unsafe(no_mangle)]
pub extern "C" fn compile(world: usize, times: u32) -> usize {
    each(world, times, |Measured { world, .. }| {
        usize::from(Policy::new(&world.roles, &world.circumstances(), &world.keys()).has_roles())
    })
}

/// Reads the stored roles.
#[unsafe(no_mangle)]
pub extern "C" fn read_roles(world: usize, times: u32) -> usize {
    each(world, times, |measured| {
        serde_json::from_str::<Vec<Role>>(&measured.json).map_or(0, |roles| roles.len())
    })
}

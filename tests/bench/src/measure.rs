//! What is measured on an engine: floor and gateway in turn, round after round, under each load.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use crate::engine::{self, Engine, Key, Places, Provider, Server};
use crate::load::{self, Client, Cpu, Load, Sample, Target, Unit, chat};
use crate::process::cpu;
use crate::report::{Aim, Line, Ratio, median};

/// How much is measured.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// One measurement's window.
    pub(crate) window: Duration,
    /// How long a server is loaded before its window opens.
    pub(crate) lead: Duration,
    pub(crate) rounds: usize,
    /// Requests for the time to the first event.
    pub(crate) first_events: usize,
    /// Starts of a fresh workerd.
    pub(crate) starts: usize,
}

/// The two gateways: `LOCKGATE_STREAM_CHECK` on, as it is by default, and off.
struct Servers {
    floor: Server,
    checked: Server,
    unchecked: Server,
}

/// Measures one engine.
pub(crate) async fn engine(
    engine: Engine,
    places: &Places,
    folder: &Path,
    extent: Extent,
) -> Result<Vec<Line>> {
    let provider = Provider::start(places, folder).await?;
    let servers = Servers {
        floor: engine::floor(engine, places, &provider, folder)
            .await
            .context("the floor")?,
        checked: engine::gateway(engine, places, &provider, folder, true)
            .await
            .context("the gateway")?,
        unchecked: engine::gateway(engine, places, &provider, folder, false)
            .await
            .context("the gateway with streams unchecked")?,
    };
    let mut lines = Vec::new();
    for load in loads() {
        eprintln!("{}: {}", engine.name(), load.name);
        lines.extend(
            alternate(engine, &provider, &servers, &load, extent)
                .await
                .context(load.name)?,
        );
    }
    for load in routed_loads() {
        eprintln!("{}: {}", engine.name(), load.name);
        lines.extend(
            routed(engine, &provider, &servers.checked, &load, extent)
                .await
                .context(load.name)?,
        );
    }
    eprintln!("{}: time to the first event", engine.name());
    lines.extend(first_events(engine, &provider, &servers, extent).await?);
    Ok(lines)
}

fn loads() -> [Load; 7] {
    let plain = |name, body| Load {
        name,
        connections: 32,
        unit: Unit::Requests,
        body,
        floor: None,
    };
    let stream = |name, model| Load {
        name,
        connections: 8,
        unit: Unit::Events,
        body: chat(model, 1_000, true),
        floor: None,
    };
    // From Anthropic's dialect to OpenAI's; the floor passes as many events on in OpenAI's.
    let translated = |name, model: &str| Load {
        name,
        connections: 8,
        unit: Unit::Events,
        body: chat(&format!("anthropic/{model}"), 1_000, true),
        floor: Some(chat(model, 1_000, true)),
    };
    [
        plain("1 KB request", chat("mock-model", 1_000, false)),
        plain("100 KB request", chat("mock-model", 100_000, false)),
        plain("100 KB answer", chat("mock-bytes-100000", 1_000, false)),
        stream("2,000 events, written one by one", "mock-events-2000-0"),
        stream("2,000 events in bursts", "mock-burst-2000"),
        translated(
            "2,000 events translated, written one by one",
            "mock-events-2000-0",
        ),
        translated("2,000 events translated, in bursts", "mock-burst-2000"),
    ]
}

/// The loads of a key with a configuration, limits and a budget, beside those of a key without any, on the same gateway.
fn routed_loads() -> [Load; 3] {
    let load = |name, connections, unit, model, bytes| Load {
        name,
        connections,
        unit,
        body: chat(&format!("routed-{model}"), bytes, unit == Unit::Events),
        floor: Some(chat(model, bytes, unit == Unit::Events)),
    };
    let plain = Unit::Requests;
    [
        load(
            "1 KB request, routed and limited",
            32,
            plain,
            engine::ROUTED[0],
            1_000,
        ),
        load(
            "100 KB request, routed and limited",
            32,
            plain,
            engine::ROUTED[0],
            100_000,
        ),
        load(
            "2,000 events in bursts, routed and limited",
            8,
            Unit::Events,
            engine::ROUTED[1],
            1_000,
        ),
    ]
}

/// CPU per request with routing, limits and logging, to the same without a configuration and limits.
const ROUTED_AIM: Aim = Aim::RatioAtMost(1.3);

/// CPU per request, gateway to floor.
fn cpu_aim(engine: Engine) -> Aim {
    Aim::RatioAtMost(match engine {
        Engine::Native | Engine::Wasi => 1.5,
        Engine::Cloudflare => 1.7,
    })
}

/// Events a second, gateway to floor.
fn events_aim(engine: Engine, checked: bool) -> Option<Aim> {
    match (engine, checked) {
        (Engine::Native, _) | (Engine::Cloudflare, false) => Some(Aim::RatioAtLeast(0.8)),
        (Engine::Cloudflare, true) => Some(Aim::RatioAtLeast(0.3)),
        (Engine::Wasi, _) => None,
    }
}

/// CPU seconds for 1,000 translated events: 30,000 events a second on a core natively, 15,000 on workerd.
fn translation_aim(engine: Engine) -> Option<Aim> {
    match engine {
        Engine::Native => Some(Aim::AtMost(1.0 / 30.0)),
        Engine::Cloudflare => Some(Aim::AtMost(1.0 / 15.0)),
        Engine::Wasi => None,
    }
}

/// One of those that are compared: who is asked, and what.
struct Side<'a> {
    name: &'static str,
    server: &'a Server,
    target: Target,
    load: &'a Load,
}

impl<'a> Side<'a> {
    fn new(name: &'static str, server: &'a Server, key: Key, load: &'a Load) -> Self {
        Self {
            name,
            server,
            target: server.target(key),
            load,
        }
    }
}

/// Floor, gateway, floor, gateway, …: the samples of each round, in the order of the sides.
async fn rounds(
    provider: &Provider,
    sides: &[Side<'_>],
    extent: Extent,
) -> Result<Vec<Vec<Sample>>> {
    // The first round only warms up.
    let mut rounds = Vec::new();
    for round in 0..=extent.rounds {
        let mut samples = Vec::new();
        for side in sides {
            let now = || {
                Ok(Cpu {
                    server: side.server.process.cpu()?,
                    provider: provider.process.cpu()?,
                    load: cpu(std::process::id())?,
                })
            };
            let window = if round == 0 {
                extent.lead
            } else {
                extent.window
            };
            let tail = || format!("{}\n{}", side.name, side.server.process.tail());
            let sample = load::run(&side.target, side.load, (extent.lead, window), now)
                .await
                .with_context(tail)?;
            ensure!(
                round == 0 || sample.rate > 0.0,
                "nothing came back in {window:?}: {}",
                tail()
            );
            samples.push(sample);
        }
        if round > 0 {
            rounds.push(samples);
        }
    }
    Ok(rounds)
}

/// What is compared of two sides, with the aims for it.
struct Compared {
    engine: Engine,
    what: String,
    unit: Unit,
    rate: Option<Aim>,
    cpu: Option<Aim>,
}

/// Throughput and CPU of the side `at` beside the first.
fn compared(rounds: &[Vec<Sample>], at: usize, of: Compared) -> Result<[Line; 2]> {
    let pairs: Vec<(Sample, Sample)> = rounds
        .iter()
        .filter_map(|samples| Some((*samples.first()?, *samples.get(at)?)))
        .collect();
    let line = |unit, figure: fn(&Sample) -> f64| -> Result<Line> {
        let middle = |side: fn(&(Sample, Sample)) -> &Sample| {
            let mut figures: Vec<f64> = pairs.iter().map(|pair| figure(side(pair))).collect();
            median(&mut figures).context("no rounds")
        };
        let (floor, gateway) = (middle(|pair| &pair.0)?, middle(|pair| &pair.1)?);
        let mut line = Line::new(of.engine, of.what.clone(), unit, Some(floor), gateway);
        line.ratio = Ratio::of(
            pairs
                .iter()
                .map(|(floor, gateway)| (figure(floor), figure(gateway))),
        );
        Ok(line)
    };
    let busy = |side: fn(&(Sample, Sample)) -> f64| {
        median(&mut pairs.iter().map(side).collect::<Vec<_>>())
    };
    let busy = busy(|pair| pair.0.busy).zip(busy(|pair| pair.1.busy));
    let (per_second, per_thousand) = match of.unit {
        Unit::Requests => ("requests/s", "CPU s/1,000 requests"),
        Unit::Events => ("events/s", "CPU s/1,000 events"),
    };
    let mut rate = line(per_second, |sample| sample.rate)?.aim(of.rate);
    rate.busy = busy.map(|(floor, gateway)| floor.max(gateway));
    Ok([rate, line(per_thousand, |sample| sample.cpu)?.aim(of.cpu)])
}

/// One load at the floor and at the gateways, and what came of it.
async fn alternate(
    engine: Engine,
    provider: &Provider,
    servers: &Servers,
    load: &Load,
    extent: Extent,
) -> Result<Vec<Line>> {
    let floor_load = load.of_floor();
    let key = match load.translated() {
        true => Key::Translating,
        false => Key::Plain,
    };
    let mut sides = vec![
        Side::new("floor", &servers.floor, key, &floor_load),
        Side::new("gateway", &servers.checked, key, load),
    ];
    if load.unit == Unit::Events && !load.translated() {
        sides.push(Side::new(
            "gateway, unchecked",
            &servers.unchecked,
            key,
            load,
        ));
    }
    let rounds = rounds(provider, &sides, extent).await?;
    let mut lines = Vec::new();
    for at in 1..sides.len() {
        let checked = at == 1;
        let what = match (load.unit, checked) {
            (Unit::Requests, _) => load.name.to_owned(),
            (Unit::Events, _) if load.translated() => load.name.to_owned(),
            (Unit::Events, true) => format!("{}, checked", load.name),
            (Unit::Events, false) => format!("{}, unchecked", load.name),
        };
        let (rate, cpu) = match load.unit {
            Unit::Requests => (None, Some(cpu_aim(engine))),
            Unit::Events if load.translated() => (None, translation_aim(engine)),
            Unit::Events => (events_aim(engine, checked), None),
        };
        lines.extend(compared(
            &rounds,
            at,
            Compared {
                engine,
                what,
                unit: load.unit,
                rate,
                cpu,
            },
        )?);
    }
    Ok(lines)
}

/// One load with a plain key and with one that has a configuration, limits and a budget, on the same gateway. What stands in
/// the column of the floor is the plain key's.
async fn routed(
    engine: Engine,
    provider: &Provider,
    server: &Server,
    load: &Load,
    extent: Extent,
) -> Result<Vec<Line>> {
    let plain = load.of_floor();
    let sides = [
        Side::new("a plain key", server, Key::Plain, &plain),
        Side::new("a routed key", server, Key::Routed, load),
    ];
    let rounds = rounds(provider, &sides, extent).await?;
    let lines = compared(
        &rounds,
        1,
        Compared {
            engine,
            what: load.name.to_owned(),
            unit: load.unit,
            rate: None,
            cpu: Some(ROUTED_AIM),
        },
    )?;
    Ok(lines.into())
}

/// The time to the first event at one connection, beyond that of asking the mock provider itself. One request to each in
/// turn, so that all of them see the machine alike.
async fn first_events(
    engine: Engine,
    provider: &Provider,
    servers: &Servers,
    extent: Extent,
) -> Result<Vec<Line>> {
    const WARM_UP: usize = 30;
    let body: Bytes = chat("mock-events-5-0", 1_000, true);
    let mut direct = Client::new(provider.target.clone());
    let mut others = [&servers.floor, &servers.checked, &servers.unchecked]
        .map(|server| (Client::new(server.target.clone()), Vec::new()));
    for round in 0..WARM_UP + extent.first_events {
        let itself = direct.first_event(&body).await?;
        for (client, added) in &mut others {
            let through = client.first_event(&body).await?;
            if round >= WARM_UP {
                added.push((through.as_secs_f64() - itself.as_secs_f64()) * 1000.0);
            }
        }
    }
    let [floor, checked, unchecked] =
        others.map(|(_, mut added)| median(&mut added).context("no requests"));
    let floor = floor?;
    let line = |what: &str, added| Line::new(engine, what, "ms", Some(floor), added);
    Ok(vec![
        line("added to the first event, checked", checked?).aim(Some(Aim::Under(1.0))),
        line("added to the first event, unchecked", unchecked?).aim(Some(Aim::Under(1.0))),
    ])
}

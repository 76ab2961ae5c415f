//! What is measured on an engine: floor and gateway in turn, round after round, under each load.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

use crate::engine::{self, Engine, Places, Provider, Server};
use crate::load::{self, Client, Cpu, Load, Sample, Unit, chat};
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

/// One load: floor, gateway, floor, gateway, … and what came of it.
async fn alternate(
    engine: Engine,
    provider: &Provider,
    servers: &Servers,
    load: &Load,
    extent: Extent,
) -> Result<Vec<Line>> {
    let mut run = vec![("floor", &servers.floor), ("gateway", &servers.checked)];
    if load.unit == Unit::Events && !load.translated() {
        run.push(("gateway, unchecked", &servers.unchecked));
    }
    let floor_load = load.of_floor();
    let once = async |server: &Server, load: &Load, window| {
        let now = || {
            Ok(Cpu {
                server: server.process.cpu()?,
                provider: provider.process.cpu()?,
                load: cpu(std::process::id())?,
            })
        };
        let target = server.target(load.translated());
        load::run(&target, load, (extent.lead, window), now).await
    };
    // The first round only warms up.
    let mut rounds: Vec<Vec<Sample>> = Vec::new();
    for round in 0..=extent.rounds {
        let mut samples = Vec::new();
        for (name, server) in &run {
            let window = if round == 0 {
                extent.lead
            } else {
                extent.window
            };
            let load = if *name == "floor" { &floor_load } else { load };
            let sample = once(server, load, window)
                .await
                .with_context(|| format!("{name}\n{}", server.process.tail()))?;
            ensure!(
                round == 0 || sample.rate > 0.0,
                "{name}: nothing came back in {window:?}\n{}",
                server.process.tail()
            );
            samples.push(sample);
        }
        if round > 0 {
            rounds.push(samples);
        }
    }

    let mut lines = Vec::new();
    for at in 1..run.len() {
        let checked = at == 1;
        let pairs: Vec<(Sample, Sample)> = rounds
            .iter()
            .filter_map(|samples| Some((*samples.first()?, *samples.get(at)?)))
            .collect();
        let what = match (load.unit, checked) {
            (Unit::Requests, _) => load.name.to_owned(),
            (Unit::Events, _) if load.translated() => load.name.to_owned(),
            (Unit::Events, true) => format!("{}, checked", load.name),
            (Unit::Events, false) => format!("{}, unchecked", load.name),
        };
        let line = |unit, of: fn(&Sample) -> f64| -> Result<Line> {
            let middle = |side: fn(&(Sample, Sample)) -> &Sample| {
                let mut figures: Vec<f64> = pairs.iter().map(|pair| of(side(pair))).collect();
                median(&mut figures).context("no rounds")
            };
            let (floor, gateway) = (middle(|pair| &pair.0)?, middle(|pair| &pair.1)?);
            let mut line = Line::new(engine, what.clone(), unit, Some(floor), gateway);
            line.ratio = Ratio::of(
                pairs
                    .iter()
                    .map(|(floor, gateway)| (of(floor), of(gateway))),
            );
            Ok(line)
        };
        let busy = |side: fn(&(Sample, Sample)) -> f64| {
            median(&mut pairs.iter().map(side).collect::<Vec<_>>())
        };
        let busy = busy(|pair| pair.0.busy).zip(busy(|pair| pair.1.busy));
        let (per_second, per_thousand, rate_aim, aim) = match load.unit {
            Unit::Requests => (
                "requests/s",
                "CPU s/1,000 requests",
                None,
                Some(cpu_aim(engine)),
            ),
            Unit::Events if load.translated() => (
                "events/s",
                "CPU s/1,000 events",
                None,
                translation_aim(engine),
            ),
            Unit::Events => (
                "events/s",
                "CPU s/1,000 events",
                events_aim(engine, checked),
                None,
            ),
        };
        let mut rate = line(per_second, |sample| sample.rate)?.aim(rate_aim);
        rate.busy = busy.map(|(floor, gateway)| floor.max(gateway));
        lines.push(rate);
        lines.push(line(per_thousand, |sample| sample.cpu)?.aim(aim));
    }
    Ok(lines)
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

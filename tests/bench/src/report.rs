//! What was measured, beside what the project aims at, as a table and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::engine::Engine;

/// What a line is held to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    /// Gateway to floor, at most.
    RatioAtMost(f64),
    /// Gateway to floor, at least.
    RatioAtLeast(f64),
    /// The gateway's figure itself stays under this, in the line's unit.
    Under(f64),
    /// The gateway's figure itself is at most this, in the line's unit.
    AtMost(f64),
}

/// The median of the rounds' ratios and how far they were apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Ratio {
    /// Of each round's own pair, so that what slows the machine for a while slows both sides of it.
    pub(crate) fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        let mut ratios: Vec<f64> = pairs
            .into_iter()
            .filter(|(floor, _)| *floor > 0.0)
            .map(|(floor, gateway)| gateway / floor)
            .collect();
        ratios.sort_by(f64::total_cmp);
        Some(Self {
            median: median(&mut ratios)?,
            least: *ratios.first()?,
            most: *ratios.last()?,
        })
    }
}

/// The middle of some figures; sorts them.
pub(crate) fn median(figures: &mut [f64]) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let upper = *figures.get(figures.len() / 2)?;
    if figures.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *figures.get(figures.len() / 2 - 1)?;
    Some(lower.midpoint(upper))
}

/// One line of the table.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) engine: Engine,
    /// The load, or what else was measured.
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) floor: Option<f64>,
    pub(crate) gateway: f64,
    pub(crate) ratio: Option<Ratio>,
    pub(crate) aim: Option<Aim>,
    /// Whether the aim was met, where there is one.
    pub(crate) met: Option<bool>,
    /// The share of a core that the busier of mock provider and load generator took, in the busier of the two runs.
    pub(crate) busy: Option<f64>,
}

impl Line {
    /// A line without an aim; [`Line::aim`] adds one.
    pub(crate) fn new(
        engine: Engine,
        what: impl Into<String>,
        unit: &'static str,
        floor: Option<f64>,
        gateway: f64,
    ) -> Self {
        Self {
            engine,
            what: what.into(),
            unit,
            floor,
            gateway,
            ratio: None,
            aim: None,
            met: None,
            busy: None,
        }
    }

    pub(crate) fn aim(mut self, aim: Option<Aim>) -> Self {
        let ratio = self.ratio.map(|ratio| ratio.median);
        self.aim = aim;
        self.met = match aim {
            None => None,
            Some(Aim::RatioAtMost(most)) => ratio.map(|ratio| ratio <= most),
            Some(Aim::RatioAtLeast(least)) => ratio.map(|ratio| ratio >= least),
            Some(Aim::Under(limit)) => Some(self.gateway < limit),
            Some(Aim::AtMost(most)) => Some(self.gateway <= most),
        };
        self
    }
}

/// Everything of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Cores that all processes shared.
    pub(crate) cores: usize,
    /// The machine's load average of the minute before the start.
    pub(crate) load_average: f64,
    pub(crate) seconds: f64,
    pub(crate) rounds: usize,
    pub(crate) lines: Vec<Line>,
    /// Engines that could not be measured, with the reason.
    pub(crate) failures: Vec<String>,
}

/// A throughput says little about the server when one of the others has its core for itself.
const SATURATED: f64 = 0.9;
/// From this load average on, somebody else is at work too.
const BUSY_MACHINE: f64 = 1.0;

impl Report {
    /// The table with what has to be said about it.
    pub(crate) fn table(&self) -> String {
        let mut rows =
            vec![["", "unit", "floor", "gateway", "ratio", "rounds", "aim", ""].map(str::to_owned)];
        let mut engine = None;
        for line in &self.lines {
            if engine != Some(line.engine) {
                engine = Some(line.engine);
                let mut row: [String; 8] = Default::default();
                row[0] = format!("{}, floor: {}", line.engine.name(), line.engine.floor());
                rows.push(row);
            }
            rows.push(row(line));
        }
        let mut widths = [0; 8];
        for row in &rows {
            // The headings of the engines may run over the columns beside them.
            let heading = row.iter().skip(1).all(String::is_empty);
            for (width, cell) in widths.iter_mut().zip(row).skip(usize::from(heading)) {
                *width = cell.chars().count().max(*width);
            }
        }
        let mut table = String::new();
        for row in &rows {
            let mut text = String::new();
            for (at, (width, cell)) in widths.iter().zip(row).enumerate() {
                // Words to the left, figures to the right.
                let _ = match at {
                    2..=4 => write!(text, "{cell:>width$}  "),
                    _ => write!(text, "{cell:<width$}  "),
                };
            }
            table.push_str(text.trim_end());
            table.push('\n');
        }
        let met = |wanted| {
            let lines = self.lines.iter();
            lines.filter(|line| line.met == Some(wanted)).count()
        };
        let _ = writeln!(
            table,
            "\n{} aims met, {} missed. {} rounds of {} s; figures are medians, a ratio is the median of the rounds' own ratios.\n\
             Server, mock provider and load generator share {} cores (load average at the start: {}): requests/s and events/s\n\
             can be compared within this run only. CPU is the server's processes alone, user and system.",
            met(true),
            met(false),
            self.rounds,
            self.seconds,
            self.cores,
            self.load_average,
        );
        if self.load_average > BUSY_MACHINE {
            table.push_str(
                "The machine was busy with other work at the start: take throughput, times and the spread of the rounds for noise.\n",
            );
        }
        if self.lines.iter().any(saturated) {
            table.push_str(
                "* the mock provider or the load generator took a whole core: this throughput is as much theirs as the server's.\n",
            );
        }
        for failure in &self.failures {
            let _ = writeln!(table, "FAILED: {failure}");
        }
        table
    }
}

fn saturated(line: &Line) -> bool {
    line.busy.is_some_and(|busy| busy > SATURATED)
}

fn row(line: &Line) -> [String; 8] {
    let mark = if saturated(line) { "*" } else { "" };
    [
        format!("  {}", line.what),
        line.unit.to_owned(),
        line.floor.map(figure).unwrap_or_default(),
        figure(line.gateway),
        line.ratio
            .map(|ratio| format!("{:.2}×{mark}", ratio.median))
            .unwrap_or_default(),
        line.ratio
            .map(|ratio| format!("{:.2}–{:.2}", ratio.least, ratio.most))
            .unwrap_or_default(),
        match line.aim {
            None => String::new(),
            Some(Aim::RatioAtMost(most)) => format!("≤ {most}×"),
            Some(Aim::RatioAtLeast(least)) => format!("≥ {least}×"),
            Some(Aim::Under(limit)) => format!("< {limit} {}", line.unit),
            Some(Aim::AtMost(most)) => format!("≤ {} {}", figure(most), line.unit),
        },
        match line.met {
            None => "",
            Some(true) => "met",
            Some(false) => "MISSED",
        }
        .to_owned(),
    ]
}

/// Three digits that count, whole numbers from a hundred on.
fn figure(figure: f64) -> String {
    match figure.abs() {
        100.0.. => format!("{figure:.0}"),
        10.0.. => format!("{figure:.1}"),
        1.0.. => format!("{figure:.2}"),
        _ => format!("{figure:.4}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_middle() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0]), Some(3.0));
        assert_eq!(median(&mut [9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn each_round_is_compared_with_itself() {
        // The machine became ten times slower in between: the ratios do not show it.
        let ratio = Ratio::of([(1.0, 2.0), (10.0, 20.0), (1.0, 1.5)]).unwrap();
        assert_eq!(
            ratio,
            Ratio {
                median: 2.0,
                least: 1.5,
                most: 2.0
            }
        );
        assert_eq!(Ratio::of([(0.0, 1.0)]), None);
    }

    #[test]
    fn aims() {
        let line = |ratio: Option<f64>| {
            let mut line = Line::new(Engine::Native, "x", "ms", Some(1.0), 0.5);
            line.ratio = ratio.map(|median| Ratio {
                median,
                least: median,
                most: median,
            });
            line
        };
        let met = |ratio, aim| line(ratio).aim(Some(aim)).met;
        assert_eq!(met(Some(1.5), Aim::RatioAtMost(1.5)), Some(true));
        assert_eq!(met(Some(1.6), Aim::RatioAtMost(1.5)), Some(false));
        assert_eq!(met(Some(0.7), Aim::RatioAtLeast(0.8)), Some(false));
        assert_eq!(met(None, Aim::RatioAtLeast(0.8)), None);
        assert_eq!(met(None, Aim::Under(0.5)), Some(false));
        assert_eq!(met(None, Aim::AtMost(0.5)), Some(true));
        assert_eq!(line(None).aim(None).met, None);
    }
}

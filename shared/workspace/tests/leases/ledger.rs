//! One ledger by itself: what it grants, refuses and takes back, case by case and by properties.

use std::collections::BTreeMap;

use lockgate_workspace::allowance::{Draw, Drawn, Ledger, Measure, Window};
use proptest::prelude::*;

const MINUTE: u64 = 60_000;
const DAY: u64 = 86_400_000;
/// Half a minute before a UTC day, which is the first of a month, ends: 2027-02-01.
const EPOCH_MS: u64 = 20_850 * DAY - MINUTE / 2;

fn draw(grant: &str, least: u64, most: u64, lease_ms: u64) -> Draw {
    Draw {
        grant: grant.into(),
        least,
        most,
        lease_ms,
    }
}

fn units(drawn: Drawn) -> u64 {
    match drawn {
        Drawn::Granted { units, .. } => units,
        _ => 0,
    }
}

fn counts(limit: u64) -> Ledger {
    Ledger::new(Window::Minute, Measure::Count, limit)
}

#[test]
fn draws_shrink_near_the_limit_and_end_one_at_a_time() {
    let mut ledger = counts(100);
    let mut sizes = Vec::new();
    while let Drawn::Granted { units, .. } =
        ledger.draw(EPOCH_MS, &draw(&sizes.len().to_string(), 1, 50, 1_000))
    {
        sizes.push(units);
    }
    assert_eq!(sizes.iter().sum::<u64>(), 100);
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
    assert!(sizes[0] == 12 && sizes.ends_with(&[1; 15]), "{sizes:?}");
}

#[test]
fn sixty_four_at_once_against_ten_are_ten() {
    for measure in [Measure::Count, Measure::Amount] {
        for lease_ms in [0, 1_000] {
            let mut ledger = Ledger::new(Window::Minute, measure, 10);
            let drawn = (0..64)
                .map(|n| ledger.draw(EPOCH_MS, &draw(&format!("grant {n}"), 1, 64, lease_ms)));
            assert_eq!(drawn.map(units).sum::<u64>(), 10);
            assert_eq!(ledger.available(EPOCH_MS), 0);
        }
    }
}

#[test]
fn a_refusal_waits_for_what_is_outstanding_and_then_says_how_long() {
    let mut ledger = counts(2);
    assert_eq!(units(ledger.draw(1_000, &draw("a", 1, 1, 1_000))), 1);
    assert_eq!(units(ledger.draw(1_050, &draw("b", 1, 1, 1_000))), 1);
    let wait = Drawn::Wait { retry_ms: 900 };
    assert_eq!(ledger.refusal(1_200, 1), Some(wait));
    assert_eq!(ledger.draw(1_200, &draw("c", 1, 1, 1_000)), wait);
    assert_eq!(ledger.draw(1_200, &draw("c", 3, 3, 1_000)), Drawn::TooLarge);
    // What was not used comes back, once.
    ledger.report(1_300, "a", 1, 0);
    ledger.report(1_300, "a", 1, 0);
    ledger.report(1_300, "unknown", 1, 0);
    assert_eq!(ledger.available(1_300), 1);
    assert_eq!(ledger.draw(1_300, &draw("a", 1, 1, 1_000)), Drawn::Over);
    assert_eq!(units(ledger.draw(1_300, &draw("d", 1, 1, 0))), 1);
    assert_eq!(ledger.outstanding(1_300), 1);
    assert_eq!(ledger.outstanding(2_150), 0);
    // What is never reported counts from the end of its lease; what was used, from then on.
    ledger.report(1_400, "d", 0, 1);
    let full = Drawn::Exhausted { retry_ms: 58_300 };
    assert_eq!(ledger.draw(3_000, &draw("e", 1, 1, 1_000)), full);
    let last = Drawn::Exhausted { retry_ms: 1 };
    assert_eq!(ledger.refusal(61_299, 1), Some(last));
    assert_eq!(ledger.refusal(61_300, 1), None);
    assert_eq!(ledger.available(62_199), 1);
    assert_eq!(ledger.available(62_200), 2);
}

#[test]
fn a_late_report_corrects_until_units_are_taken_for_spent() {
    for (measure, hold) in [(Measure::Count, 10_000), (Measure::Amount, 600_000)] {
        let ends = EPOCH_MS + 1_100;
        let mut ledger = Ledger::new(Window::Minute, measure, 10);
        assert_eq!(units(ledger.draw(EPOCH_MS, &draw("a", 8, 8, 1_000))), 8);
        let mut late = ledger.clone();
        late.report(ends + hold - 1, "a", 6, 2);
        assert_eq!(late.available(ends + hold - 1), 8);
        let mut too_late = ledger.clone();
        too_late.report(ends + hold, "a", 6, 2);
        assert_eq!(too_late.available(ends + hold), 2);
        // A request was used within the lease; what an amount came to, nobody knows until it is given up.
        let counts_from = if measure == Measure::Count {
            ends
        } else {
            ends + hold
        };
        let until = (counts_from + MINUTE).next_multiple_of(100);
        assert_eq!(too_late.available(until - 1), 2);
        assert_eq!(too_late.available(until), 10);
        assert_eq!(ledger.available(until), 10, "without any message");
    }
}

#[test]
fn what_requests_hold_counts_and_is_not_waited_for() {
    let mut ledger = Ledger::new(Window::Day, Measure::Amount, 10);
    let early = EPOCH_MS - DAY / 2;
    assert_eq!(units(ledger.draw(early, &draw("a", 8, 8, 1_000))), 8);
    assert!(matches!(ledger.refusal(early, 3), Some(Drawn::Wait { .. })));
    ledger.report(early + 400, "a", 1, 0);
    assert_eq!(
        (
            ledger.available(early + 400),
            ledger.outstanding(early + 400)
        ),
        (3, 0)
    );
    assert!(matches!(
        ledger.refusal(early + 400, 4),
        Some(Drawn::Exhausted { .. })
    ));
    // Cumulative, in whatever order they come.
    ledger.report(early + 90_000, "a", 3, 5);
    ledger.report(early + 90_001, "a", 2, 4);
    assert_eq!(ledger.available(early + 90_001), 5);
    assert_eq!(
        ledger.draw(early + 90_002, &draw("a", 1, 1, 1_000)),
        Drawn::Over
    );
}

#[test]
fn what_was_used_beyond_the_estimate_counts_in_full() {
    for window in [Window::Minute, Window::Day, Window::Month] {
        let mut ledger = Ledger::new(window, Measure::Amount, 100);
        let early = EPOCH_MS - DAY / 2;
        assert_eq!(units(ledger.draw(early, &draw("a", 10, 10, 1_000))), 10);
        ledger.report(early + 5_000, "a", 0, 70);
        ledger.report(early + 5_100, "a", 0, 70);
        assert_eq!(ledger.available(early + 5_100), 30);
        assert_eq!(units(ledger.draw(early + 5_100, &draw("b", 10, 10, 0))), 10);
        ledger.report(early + 5_200, "b", 0, 500);
        assert_eq!(ledger.available(early + 5_200), 0);
        assert_eq!(ledger.available(early + 40 * DAY), 100);
    }
}

#[test]
fn an_amount_counts_in_the_day_in_which_it_was_drawn() {
    let midnight = 20_850 * DAY;
    let mut ledger = Ledger::new(Window::Day, Measure::Amount, 100);
    assert_eq!(
        units(ledger.draw(midnight - 5_000, &draw("a", 90, 90, 1_000))),
        90
    );
    ledger.report(midnight - 4_000, "a", 0, 0);
    assert_eq!(ledger.available(midnight - 1), 10);
    assert_eq!(
        units(ledger.draw(midnight, &draw("b", 100, 100, 1_000))),
        100
    );
    ledger.report(midnight + 4_000, "a", 0, 90);
    ledger.report(midnight + 4_000, "b", 99, 1);
    assert_eq!(ledger.available(midnight + 4_000), 99);
}

#[test]
fn a_lease_ends_before_the_day_does() {
    let midnight = 20_850 * DAY;
    let mut ledger = Ledger::new(Window::Day, Measure::Count, 100);
    let granted = |units, lease_ms| Drawn::Granted { units, lease_ms };
    let early = ledger.draw(midnight - 10_000, &draw("a", 1, 9, 1_000));
    assert_eq!(early, granted(9, 1_000));
    let late = ledger.draw(midnight - 600, &draw("b", 1, 9, 1_000));
    assert_eq!(late, granted(9, 499));
    let last = ledger.draw(midnight - 50, &draw("c", 1, 9, 1_000));
    assert_eq!(last, granted(1, 0));
    assert_eq!(ledger.available(midnight - 1), 81);
    assert_eq!(ledger.available(midnight), 100);
    assert_eq!(ledger.reset_ms(midnight - 40), 40);
}

#[test]
fn a_clock_that_goes_back_frees_nothing_and_blocks_nothing_for_ever() {
    for window in [Window::Minute, Window::Day, Window::Month] {
        for reported in [false, true] {
            let mut ledger = Ledger::new(window, Measure::Count, 2);
            let (day, year) = (20_850 * DAY, 365 * DAY);
            // The clock was a year ahead.
            assert_eq!(units(ledger.draw(day + year, &draw("a", 2, 2, 1_000))), 2);
            if reported {
                ledger.report(day + year + 1, "a", 0, 2);
            }
            let before = day + year - 30_000;
            assert_eq!(units(ledger.draw(before, &draw("b", 1, 1, 1_000))), 0);
            assert_eq!(ledger.refusal(day, 1), None, "only a draw takes note of it");
            assert_eq!(units(ledger.draw(day, &draw("c", 1, 1, 1_000))), 0);
            assert_eq!(ledger.available(day + 31 * DAY), 2);
        }
    }
}

#[test]
fn a_ledger_stays_small() {
    let mut ledger = Ledger::new(Window::Day, Measure::Amount, 1_000_000);
    let early = EPOCH_MS - DAY / 2;
    for n in 0..1_000 {
        let at = early + n * 500;
        let id = format!("grant_{n:016}");
        assert_eq!(units(ledger.draw(at, &draw(&id, 100, 100, 1_000))), 100);
        ledger.report(at + 400, &id, 40, 60);
    }
    let text = serde_json::to_string(&ledger).unwrap();
    assert!(text.len() < 2_000, "{} bytes: {text}", text.len());
    assert_eq!(ledger.available(early + 500_000), 1_000_000 - 60_000);
}

/// A message to the ledger, some time after the last.
#[derive(Debug, Clone)]
enum Step {
    Draw(u8, u64, u64, u64),
    /// Of a grant, what more is returned, and what more is spent, of what is held and beyond it.
    Report(u8, u64, u64, u64),
    /// The last report of a grant comes again.
    Again(u8),
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let draw = (
        0..60u8,
        1..6u64,
        0..30u64,
        prop_oneof![Just(0), 0..3_000u64],
    )
        .prop_map(|(id, least, more, lease)| Step::Draw(id, least, least + more, lease));
    let beyond = prop_oneof![4 => Just(0), 1 => 0..9u64];
    let report = (0..60u8, 0..20u64, 0..20u64, beyond)
        .prop_map(|(id, returned, spent, beyond)| Step::Report(id, returned, spent, beyond));
    let again = (0..60u8).prop_map(Step::Again);
    let gap = prop_oneof![6 => 0..500u64, 1 => 0..30_000u64];
    let step = prop_oneof![3 => draw, 3 => report, 1 => again];
    proptest::collection::vec((gap, step), 1..150)
}

/// What an isolate knows of a grant.
#[derive(Debug, Default, Clone)]
struct Known {
    units: u64,
    returned: u64,
    spent: u64,
    beyond: u64,
    drawn_at: u64,
    ends_at: u64,
    /// What was used, by the time at which it was at the latest.
    uses: Vec<(u64, u64)>,
    reported: bool,
    told: (u64, u64),
    overtaken: (u64, u64),
}

impl Known {
    fn held(&self) -> u64 {
        self.units - self.returned - self.spent
    }

    /// What is reported: what was used beyond the estimates only when nothing is held.
    fn report(&self) -> (u64, u64) {
        let beyond = if self.held() == 0 { self.beyond } else { 0 };
        (self.returned, self.spent + beyond)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// At any moment, what is used or held and still counts is within the limit, but for what was used beyond the
    /// estimates; a message that comes again changes nothing; the state survives being stored; and when everything is
    /// reported, exactly what was spent is missing.
    #[test]
    fn no_more_is_out_than_the_limit(
        limit in 1..60u64,
        window in prop_oneof![Just(Window::Minute), Just(Window::Day), Just(Window::Month)],
        measure in prop_oneof![Just(Measure::Count), Just(Measure::Amount)],
        steps in steps(),
    ) {
        let (mut ledger, mut time) = (Ledger::new(window, measure, limit), EPOCH_MS);
        let mut known: BTreeMap<String, Known> = BTreeMap::new();
        let hold = if measure == Measure::Count { 10_000 } else { 600_000 };
        for (gap, step) in steps {
            time += gap;
            match step {
                Step::Draw(id, least, most, lease) => {
                    let id = id.to_string();
                    // A message does not come again for so long that the grant may be forgotten.
                    if known.get(&id).is_some_and(|grant| time >= grant.drawn_at + 10_000) {
                        continue;
                    }
                    let asks = draw(&id, least, most, lease);
                    let refusal = ledger.refusal(time, least);
                    let drawn = ledger.draw(time, &asks);
                    let stored = ledger.clone();
                    prop_assert_eq!(ledger.draw(time, &asks), drawn);
                    prop_assert_eq!(&stored, &ledger);
                    let outstanding = ledger.outstanding(time);
                    match drawn {
                        Drawn::Granted { units, lease_ms } => {
                            let margin = if lease_ms == 0 { 0 } else { (lease_ms / 10).max(100) };
                            let first = !known.contains_key(&id);
                            prop_assert!(!first || (least <= units && units <= most && refusal.is_none()));
                            known.entry(id).or_insert(Known {
                                units,
                                drawn_at: time,
                                ends_at: time + lease_ms + margin,
                                ..Known::default()
                            });
                        }
                        Drawn::Exhausted { .. } =>
                            prop_assert!(ledger.available(time) + outstanding < least),
                        Drawn::Wait { retry_ms } => {
                            prop_assert!(ledger.available(time) < least && retry_ms <= 3_300);
                            prop_assert!(ledger.available(time) + outstanding >= least);
                        }
                        Drawn::TooLarge => prop_assert!(least > limit),
                        Drawn::Over => prop_assert!(known.contains_key(&id)),
                    }
                }
                Step::Report(id, returned, spent, beyond) => {
                    let id = id.to_string();
                    let Some(grant) = known.get_mut(&id).filter(|g| time < g.ends_at + hold) else {
                        continue;
                    };
                    grant.returned += returned.min(grant.held());
                    let spent = spent.min(grant.held());
                    grant.spent += spent;
                    let used_at = match measure {
                        Measure::Count => time.min(grant.ends_at),
                        Measure::Amount => time,
                    };
                    grant.uses.push((used_at, spent));
                    // What was reported as over is not added to.
                    if grant.told.0 + grant.told.1 < grant.units && measure == Measure::Amount {
                        grant.beyond += beyond;
                    }
                    let (returned, spent) = grant.report();
                    ledger.report(time, &id, returned, spent);
                    let once = ledger.clone();
                    ledger.report(time, &id, returned, spent);
                    prop_assert_eq!(&once, &ledger);
                    grant.overtaken = grant.told;
                    grant.told = (returned, spent);
                    grant.reported = true;
                }
                Step::Again(id) => {
                    let id = id.to_string();
                    if let Some(grant) = known.get(&id).filter(|g| g.reported) {
                        let before = ledger.available(time);
                        ledger.report(time, &id, grant.overtaken.0, grant.overtaken.1);
                        prop_assert_eq!(ledger.available(time), before);
                    }
                }
            }
            // What is held may be used, or have been, until then.
            let used = |grant: &Known| {
                let held_until = match measure {
                    Measure::Count => grant.ends_at,
                    Measure::Amount => grant.ends_at + hold,
                };
                let held = (held_until, grant.held());
                let uses = grant.uses.iter().copied().chain([held]);
                let counts = |at: u64| match window {
                    Window::Minute => at + MINUTE > time,
                    _ => grant.drawn_at / DAY == time / DAY,
                };
                uses.filter(|(at, _)| counts(*at)).map(|(_, units)| units).sum::<u64>()
            };
            let used: u64 = known.values().map(used).sum();
            prop_assert!(used <= limit, "{} of {} are in use", used, limit);
            let text = serde_json::to_string(&ledger).unwrap();
            prop_assert_eq!(serde_json::from_str::<Ledger>(&text).unwrap(), ledger.clone());
        }
        if window != Window::Minute {
            for (id, grant) in known.iter_mut().filter(|(_, g)| time < g.ends_at + hold) {
                grant.returned += grant.held();
                let (returned, spent) = grant.report();
                ledger.report(time, id, returned, spent);
            }
            let today = known.values().filter(|g| g.drawn_at / DAY == time / DAY);
            let spent: u64 = today.map(|g| g.report().1 + g.held()).sum();
            prop_assert_eq!(ledger.available(time), limit.saturating_sub(spent));
        }
        prop_assert_eq!(ledger.available(time + 40 * DAY), limit);
        prop_assert_eq!(ledger.reset_ms(time + 40 * DAY), 0);
    }
}

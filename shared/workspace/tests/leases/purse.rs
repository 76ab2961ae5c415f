//! A purse by itself: what it hands to requests, and what it reports.

use lockgate_workspace::allowance::Drawn;
use lockgate_workspace::purse::{Each, Hold, Purse, needs};
use lockgate_workspace::question::{DrawnAll, DrawnPart, GrantReport, Limit};
use lockgate_workspace::resource::{Budget, Limits, Period};
use proptest::prelude::*;

const LIMITS: Limits = Limits {
    requests_per_minute: Some(100),
    tokens_per_minute: Some(10_000),
    requests_per_day: None,
};

fn need(tokens: u64) -> Each<u64> {
    needs(&LIMITS, None, tokens, 7).unwrap()
}

fn answer(parts: [(Limit, Drawn); 2]) -> DrawnAll {
    let part = |(limit, drawn)| DrawnPart {
        limit,
        drawn,
        whole: 10_000,
        available: 50,
        reset_ms: 60_000,
    };
    DrawnAll {
        parts: parts.map(part).into(),
    }
}

fn granted(requests: u64, tokens: u64, lease_ms: u64) -> DrawnAll {
    let drawn = |units| Drawn::Granted { units, lease_ms };
    answer([
        (Limit::RequestsPerMinute, drawn(requests)),
        (Limit::TokensPerMinute, drawn(tokens)),
    ])
}

/// Draws at 1,000, and takes what a request of so many tokens needs.
fn drawn(purse: &mut Purse, requests: u64, tokens: u64, own: u64) -> Hold {
    let asked = purse.asks(1_000);
    let granted = granted(requests, tokens, 500);
    purse
        .drawn((asked, 1_010), "grant", &need(own), &granted)
        .unwrap()
}

fn used(tokens: u64) -> Each<u64> {
    Each {
        minute: 1,
        tokens,
        ..Each::default()
    }
}

/// What a report says of requests and of tokens: returned and spent.
fn said(report: &GrantReport) -> [(u64, u64); 2] {
    let part = |limit| {
        let part = report.parts.iter().find(|part| part.limit == limit);
        part.map(|part| (part.returned, part.spent)).unwrap()
    };
    [part(Limit::RequestsPerMinute), part(Limit::TokensPerMinute)]
}

#[test]
fn a_key_without_limits_needs_nothing() {
    assert_eq!(needs(&Limits::default(), None, 5, 5), None);
    let budget = Budget {
        amount_microusd: 5,
        period: Period::Day,
    };
    let needs = needs(&Limits::default(), Some(&budget), 5, 0).unwrap();
    assert_eq!((needs.minute, needs.tokens, needs.budget), (0, 0, 1));
}

#[test]
fn requests_take_from_a_grant_while_its_lease_holds_and_there_is_enough() {
    let mut purse = Purse::new(LIMITS, None);
    assert_eq!(purse.take(999, &need(10)), None);
    let own = drawn(&mut purse, 4, 100, 10);
    assert_eq!(own.taken(), &need(10));
    assert!(purse.take(1_499, &need(80)).is_some());
    assert_eq!(purse.take(1_499, &need(11)), None, "10 tokens are left");
    assert!(purse.take(1_499, &need(10)).is_some());
    assert_eq!(purse.take(1_499, &need(1)), None);
    purse.settle(1_499, &own, &used(1));
    assert_eq!(purse.take(1_500, &need(9)), None, "the lease is over");
    assert!(
        purse.take(1_499, &need(9)).is_none(),
        "the clock stepped back"
    );
    let reports = purse.reports("key");
    assert_eq!(reports.len(), 1);
    assert_eq!(said(&reports[0]), [(1, 1), (9, 1)]);
    assert_eq!(purse.take(1_499, &need(1)), None);
}

#[test]
fn what_is_not_needed_can_be_taken_again_or_goes_back() {
    let mut purse = Purse::new(LIMITS, None);
    let first = drawn(&mut purse, 2, 100, 100);
    assert_eq!(purse.take(1_100, &need(60)), None);
    purse.settle(1_100, &first, &used(30));
    let second = purse.take(1_200, &need(60)).unwrap();
    // It was not sent.
    purse.settle(1_300, &second, &Each::default());
    let third = purse.take(1_400, &need(70)).unwrap();
    let reports = purse.reports("key");
    assert_eq!(said(&reports[0]), [(0, 1), (0, 30)]);
    assert!(purse.reports("key").is_empty(), "nothing new");
    purse.settle(90_000, &third, &used(70));
    assert_eq!(said(&purse.reports("key")[0]), [(0, 2), (0, 100)]);
    assert!(!purse.has_news());
}

#[test]
fn what_was_used_beyond_the_estimate_is_reported_once_nothing_is_held() {
    let mut purse = Purse::new(LIMITS, None);
    let first = drawn(&mut purse, 2, 100, 50);
    let second = purse.take(1_100, &need(40)).unwrap();
    // 50 were taken and 10 are free; 140 nobody has drawn.
    purse.settle(1_200, &first, &used(200));
    assert_eq!(said(&purse.reports("key")[0]), [(0, 1), (0, 60)]);
    purse.settle(1_300, &second, &used(15));
    assert_eq!(said(&purse.reports("key")[0]), [(0, 2), (25, 215)]);
    purse.settle(1_300, &second, &used(15));
    assert!(purse.reports("key").is_empty(), "it is forgotten");
}

#[test]
fn what_did_not_arrive_is_said_again() {
    let mut purse = Purse::new(LIMITS, None);
    let hold = drawn(&mut purse, 2, 100, 50);
    let first = purse.reports("key").remove(0);
    purse.untold(first.clone());
    assert_eq!(purse.reports("key"), [first]);
    purse.settle(1_100, &hold, &used(50));
    let last = purse.reports("key").remove(0);
    assert!(!purse.has_news());
    purse.untold(last.clone());
    assert!(purse.has_news() && !purse.is_idle());
    assert_eq!(purse.reports("key"), [last]);
    // What may have been granted to a question without an answer is not used.
    purse.lost(purse.draws("key", "another", &need(5), false));
    let lost = purse.reports("key").remove(0);
    assert_eq!(lost.grant, "another");
    assert_eq!(said(&lost), [(u64::MAX, 0); 2]);
}

#[test]
fn more_is_drawn_where_more_is_used() {
    let mut purse = Purse::new(LIMITS, None);
    let most = |purse: &Purse| {
        let draws = purse.draws("key", "grant", &need(10), false);
        [draws.wants[0].most, draws.wants[1].most]
    };
    assert_eq!(most(&purse), [1, 10]);
    drawn(&mut purse, 9, 100, 10);
    assert!(purse.take(1_100, &need(20)).is_some());
    assert_eq!(most(&purse), [5, 70]);
    purse.flushed();
    assert_eq!(most(&purse), [5, 70]);
    purse.flushed();
    assert_eq!(most(&purse), [1, 10]);
}

#[test]
fn at_the_limit_it_looks_before_it_draws() {
    let mut purse = Purse::new(LIMITS, None);
    let wait = Drawn::Wait { retry_ms: 5 };
    let drawn = Drawn::Granted {
        units: 1,
        lease_ms: 500,
    };
    let refused = answer([
        (Limit::RequestsPerMinute, drawn),
        (Limit::TokensPerMinute, wait),
    ]);
    let asked = purse.asks(1_000);
    assert!(
        purse
            .drawn((asked, 1_001), "a", &need(1), &refused)
            .is_none()
    );
    assert!(purse.is_at_its_limit() && !purse.has_news());
    let asked = purse.asks(1_000);
    purse.heard(asked, &granted(1, 1, 500));
    assert!(!purse.is_at_its_limit());
    let standing = purse.standing(Limit::TokensPerMinute, 1_250).unwrap();
    assert_eq!((standing.remaining, standing.reset_ms), (50, 59_750));
    assert_eq!(purse.standing(Limit::Budget, 1_250), None);
}

#[test]
fn other_limits_and_a_clock_that_steps_back_end_every_lease() {
    let mut purse = Purse::new(LIMITS, None);
    drawn(&mut purse, 5, 100, 10);
    purse.under(&LIMITS, None);
    assert!(purse.take(1_100, &need(1)).is_some());
    let asked = purse.asks(1_100);
    let other = Limits {
        requests_per_minute: Some(1),
        ..LIMITS
    };
    purse.under(&other, None);
    assert!(purse.take(1_100, &need(1)).is_none());
    // It was drawn under the old ones.
    let own = purse.drawn((asked, 1_110), "b", &need(1), &granted(5, 50, 500));
    assert!(own.is_some() && purse.take(1_110, &need(1)).is_none());
    let asked = purse.asks(1_110);
    purse.asks(1_000);
    let own = purse.drawn((asked, 1_120), "c", &need(1), &granted(5, 50, 500));
    assert!(own.is_some() && purse.take(1_120, &need(1)).is_none());
    let own = drawn(&mut purse, 5, 100, 10);
    assert!(purse.take(1_011, &need(1)).is_some());
    assert!(purse.take(1_010, &need(1)).is_none());
    purse.settle(1_012, &own, &used(1));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// However requests come and go, every unit of a grant ends up either returned or spent, and what was used beyond
    /// them counts in full.
    #[test]
    fn nothing_is_lost_or_made_up(
        tokens in 1..500u64,
        requests in proptest::collection::vec((0..400u64, 1..60u64, 0..90u64, 0..900u64, any::<bool>()), 0..20),
    ) {
        let mut purse = Purse::new(LIMITS, None);
        let mut under_way = vec![(drawn(&mut purse, 30, tokens, 1), 1_010, 1, true)];
        let (mut now, mut spent, mut sent_requests) = (1_010, 0, 0);
        let mut told = [(0, 0); 2];
        for (gap, estimate, actual, lasts, sent) in requests {
            now += gap / 8;
            if let Some(hold) = purse.take(now, &need(estimate)) {
                under_way.push((hold, now + lasts, actual, sent));
            }
            if gap % 5 == 0 {
                for report in purse.reports("key") {
                    told = said(&report);
                    prop_assert!(told[0].0 + told[0].1 <= 30);
                    let held = under_way.len() as u64;
                    prop_assert_eq!(told[0].0 + told[0].1 + held, 30);
                }
            }
            under_way.retain(|(hold, ends, actual, sent)| {
                if *ends > now {
                    return true;
                }
                let came_to = if *sent { used(*actual) } else { Each::default() };
                purse.settle(now, hold, &came_to);
                spent += came_to.tokens;
                sent_requests += came_to.minute;
                false
            });
        }
        for (hold, ends, actual, _) in under_way.drain(..) {
            now = now.max(ends);
            purse.settle(now, &hold, &used(actual));
            spent += actual;
            sent_requests += 1;
        }
        for report in purse.reports("key") {
            told = said(&report);
        }
        prop_assert_eq!(told[0], (30 - sent_requests, sent_requests));
        prop_assert_eq!(told[1].1, spent);
        prop_assert!(told[1].0 + told[1].1 >= tokens);
        purse.flushed();
        purse.flushed();
        prop_assert!(purse.is_idle() && !purse.has_news());
    }
}

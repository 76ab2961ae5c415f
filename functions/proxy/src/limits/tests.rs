//! What tickets give back, and what is said to clients.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::Cell;

use lockgate_workspace::question::DrawnAll;
use lockgate_workspace::resource::{Budget, Limits};

use super::*;

/// Half an hour before a month ends.
const NOW: u64 = 20_850 * 86_400_000 - 1_800_000;

fn identity(limits: Limits, budget: Option<Budget>) -> Identity {
    Identity {
        gateway_key: "gk_1".into(),
        name: "ci".into(),
        agent: "bot".into(),
        agent_id: "agent_1".into(),
        agent_tags: Default::default(),
        roles: Vec::new(),
        pins: Vec::new(),
        gateway: None,
        gateway_tags: None,
        configuration: None,
        team: None,
        limits,
        budget,
    }
}

const LIMITS: Limits = Limits {
    requests_per_minute: Some(10),
    tokens_per_minute: Some(1_000),
    requests_per_day: None,
};

fn part(limit: Limit, drawn: Drawn, whole: u64, available: u64) -> DrawnPart {
    DrawnPart {
        limit,
        drawn,
        whole,
        available,
        reset_ms: 60_000,
    }
}

struct Counting(Rc<Cell<u32>>);

impl Desk for Counting {
    fn monotonic_ms(&self) -> u64 {
        1_100
    }

    fn news(&self, workspace: &str) {
        assert_eq!(workspace, "ws_1");
        self.0.set(self.0.get() + 1);
    }
}

/// A ticket for a request that took 300 tokens out of 400, and what is left of it once `end` is done with it: of
/// requests and of tokens, returned and spent.
fn after(end: impl FnOnce(Ticket)) -> [(u64, u64); 2] {
    let mut purse = Purse::new(LIMITS, None);
    let needs = purse::needs(&LIMITS, None, 300, 0).unwrap();
    let granted = |units| Drawn::Granted {
        units,
        lease_ms: 500,
    };
    let answer = DrawnAll {
        parts: vec![
            part(Limit::RequestsPerMinute, granted(3), 10, 7),
            part(Limit::TokensPerMinute, granted(400), 1_000, 600),
        ],
    };
    let asked = purse.asks(1_000);
    let hold = purse.drawn((asked, 1_010), "grant", &needs, &answer);
    let owned = Rc::new(Owned {
        workspace: "ws_1".into(),
        gateway_key: "gk_1".into(),
        purse: RefCell::new(purse),
    });
    let news = Rc::new(Cell::new(0));
    end(Ticket(Some(Box::new(Taken {
        owned: owned.clone(),
        hold: hold.unwrap(),
        sent: false,
        desk: Box::new(Counting(news.clone())),
    }))));
    assert_eq!(news.get(), 1, "it is reported");
    let reports = owned.purse.borrow_mut().reports("gk_1");
    let parts = reports[0].parts.iter();
    let said: Vec<_> = parts.map(|part| (part.returned, part.spent)).collect();
    said.try_into().unwrap()
}

#[test]
fn a_ticket_gives_back_what_was_not_used_whatever_becomes_of_it() {
    assert_eq!(after(drop), [(3, 0), (400, 0)]);
    let sent = |mut ticket: Ticket| ticket.sent();
    assert_eq!(after(sent), [(2, 1), (100, 300)]);
    assert_eq!(after(|t| t.settle(50, 9)), [(2, 1), (350, 50)]);
    assert_eq!(after(|t| t.settle(0, 0)), [(2, 1), (400, 0)]);
    assert_eq!(after(|t| t.settle(900, 0)), [(2, 1), (0, 900)]);
}

#[test]
fn what_is_left_is_said_in_openais_headers() {
    after(|ticket| {
        let headers = ticket.headers();
        let told: Vec<_> = headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
        assert_eq!(
            told,
            [
                "x-ratelimit-limit-requests: 10",
                "x-ratelimit-remaining-requests: 9",
                "x-ratelimit-reset-requests: 59.9s",
                "x-ratelimit-limit-tokens: 1000",
                "x-ratelimit-remaining-tokens: 700",
                "x-ratelimit-reset-tokens: 59.9s",
            ]
        );
    });
    assert_eq!(Ticket(None).headers(), []);
}

#[test]
fn the_day_stands_in_for_the_minute_and_a_limit_that_is_gone_for_nothing() {
    let mut purse = Purse::new(LIMITS, None);
    let none = Drawn::Exhausted { retry_ms: 1 };
    let asked = purse.asks(1_000);
    let said = |parts| DrawnAll { parts };
    let day = part(Limit::RequestsPerDay, none, 50, 0);
    let gone = part(Limit::TokensPerMinute, none, u64::MAX, u64::MAX);
    purse.heard(asked, &said(vec![day, gone]));
    let told = headers(&purse, 1_000);
    let names: Vec<_> = told.iter().map(|(name, _)| *name).collect();
    assert_eq!(names[0], "x-ratelimit-limit-requests");
    assert_eq!((told.len(), told[0].1.as_str()), (3, "50"));
    purse.heard(
        asked,
        &said(vec![part(Limit::RequestsPerMinute, none, 5, 0)]),
    );
    assert_eq!(headers(&purse, 1_000)[0].1, "5");
}

fn refusal(limit: Limit, drawn: Drawn, whole: u64, left: u64, need: u64) -> Refusal {
    let budget = Budget {
        amount_microusd: whole,
        period: Period::Month,
    };
    let identity = identity(LIMITS, Some(budget));
    let needs = Each {
        minute: 1,
        day: 1,
        tokens: need,
        budget: need,
    };
    reached(&identity, &needs, &part(limit, drawn, whole, left), NOW)
}

#[test]
fn a_limit_that_is_reached_says_which_and_when_to_come_back() {
    let exhausted = Drawn::Exhausted { retry_ms: 41_001 };
    let minute = refusal(Limit::RequestsPerMinute, exhausted, 10, 0, 0);
    assert_eq!(minute.code, Code::RATE_LIMITED);
    assert_eq!(minute.retry_after, Some(42));
    assert_eq!(
        minute.message,
        "Gateway key “ci” has reached its limit of 10 requests per minute."
    );
    assert!(minute.remedy.contains("in 42 s"), "{}", minute.remedy);
    let wait = Drawn::Wait { retry_ms: 0 };
    let day = refusal(Limit::RequestsPerDay, wait, 10, 0, 0);
    assert!(day.message.contains("10 requests per day"));
    assert_eq!(day.retry_after, Some(1));
    let tokens = refusal(Limit::TokensPerMinute, exhausted, 1_000, 40, 300);
    assert!(
        tokens
            .message
            .contains("may take 300, as estimated, and 40 are left")
    );
    let large = refusal(Limit::TokensPerMinute, Drawn::TooLarge, 1_000, 40, 3_000);
    assert_eq!(
        (large.code, large.retry_after),
        (Code::RATE_LIMITED, Some(60))
    );
    assert!(large.message.contains("may take 3000 tokens") && large.message.contains("1000"));
    assert!(large.remedy.contains("max_tokens"));
    assert_eq!(large.headers, [("x-should-retry", "false".into())]);
}

#[test]
fn a_budget_that_is_used_up_says_how_much_and_when_it_begins_anew() {
    let exhausted = Drawn::Exhausted { retry_ms: 41_001 };
    let used = refusal(Limit::Budget, exhausted, 5_000_000, 1_500, 20_000);
    assert_eq!((used.code, used.retry_after), (Code::BUDGET_EXCEEDED, None));
    assert!(used.headers.is_empty());
    for says in [
        "5 USD a month",
        "0.02 USD",
        "0.0015 USD",
        "2027-02-01T00:00:00",
    ] {
        assert!(used.message.contains(says), "{says}: {}", used.message);
    }
    let large = refusal(Limit::Budget, Drawn::TooLarge, 5_000_000, 0, 7_250_000);
    assert_eq!(large.code, Code::BUDGET_EXCEEDED);
    assert!(large.message.contains("7.25 USD") && large.message.contains("5 USD a month"));
}

#[test]
fn durations_are_written_as_openai_writes_them() {
    for (ms, written) in [
        (0, "0s"),
        (120, "120ms"),
        (1_000, "1s"),
        (1_500, "1.5s"),
        (59_990, "59.99s"),
        (360_000, "6m0s"),
        (85_656_648, "23h47m36.648s"),
        (86_400_000, "24h0m0s"),
    ] {
        assert_eq!(duration(ms), written);
    }
}

#[test]
fn what_did_not_arrive_is_told_again_though_its_purse_was_forgotten() {
    let report = |workspace: &str| GrantReport {
        gateway_key: format!("gk_of_{workspace}"),
        grant: "grant".into(),
        parts: Vec::new(),
    };
    let kept = || PURSES.with_borrow(HashMap::len);
    untold("ws_1", vec![report("ws_1")]);
    untold("ws_2", vec![report("ws_2")]);
    assert_eq!(kept(), 2);
    // Somebody is about to draw.
    let owned = PURSES.with_borrow(|purses| purses.get("gk_of_ws_1").cloned());
    assert_eq!(reports("ws_1"), [report("ws_1")]);
    assert_eq!(kept(), 2);
    assert!(reports("ws_1").is_empty());
    drop(owned);
    assert!(reports("ws_1").is_empty());
    assert_eq!(kept(), 1);
    assert_eq!(reports("ws_2"), [report("ws_2")]);
}

//! What a gateway key may still use, counted in the isolate out of what the authority has granted (FEATURES F3).
//!
//! The counting itself is [`lockgate_workspace::purse`]. Here is who has which purse, what a request holds of it while it is
//! under way, and what is said to the client: `x-ratelimit-*` in the form of OpenAI's rate limits guide, 429 with
//! `Retry-After`, and 402 where a budget is used up.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal, shown};
use lockgate_workspace::allowance::{Drawn, Window};
use lockgate_workspace::purse::{self, Each, Hold, Owner, Purse, Standing, Stopped, acquire};
use lockgate_workspace::question::{Denial, DrawnPart, GrantReport, Limit};
use lockgate_workspace::resource::{Limits, Period, Timestamp};
use lockgate_workspace::snapshot::Identity;
use lockgate_workspace::{AskError, Settings};

use crate::admission::Caller;
use crate::log;

/// Seconds until a request that needs more than the whole limit is told to come back: a minute later the limit may be another
/// one.
const TOO_LARGE_S: u64 = 60;

/// What a request needs of its key's limits, beside being one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Need {
    /// Tokens, as estimated.
    pub(crate) tokens: u64,
    /// Micro-USD, as estimated.
    pub(crate) microusd: u64,
}

/// The purse of a gateway key.
#[derive(Debug)]
struct Owned {
    workspace: String,
    gateway_key: String,
    purse: RefCell<Purse>,
}

thread_local! {
    /// By gateway key.
    static PURSES: RefCell<HashMap<String, Rc<Owned>>> = RefCell::default();
}

/// The purse of the caller's key, for the limits that it has now.
fn owned(caller: &lockgate_routing::Caller) -> Rc<Owned> {
    let identity = &caller.identity;
    PURSES.with_borrow_mut(|purses| {
        if let Some(owned) = purses.get(&identity.gateway_key) {
            let mut purse = owned.purse.borrow_mut();
            purse.under(&identity.limits, identity.budget.as_ref());
            return owned.clone();
        }
        let owned = Rc::new(Owned {
            workspace: caller.snapshot.workspace.clone(),
            gateway_key: identity.gateway_key.clone(),
            purse: RefCell::new(Purse::new(identity.limits, identity.budget)),
        });
        purses.insert(identity.gateway_key.clone(), owned.clone());
        owned
    })
}

/// What a ticket needs of the engine, whichever it is.
trait Desk {
    fn monotonic_ms(&self) -> u64;
    /// There is something to report of a workspace.
    fn news(&self, workspace: &str);
}

struct At<H: Host> {
    host: H,
    settings: Rc<Settings>,
}

impl<H: Host> Desk for At<H> {
    fn monotonic_ms(&self) -> u64 {
        self.host.monotonic_ms()
    }

    fn news(&self, workspace: &str) {
        log::more(&self.host, &self.settings, workspace);
    }
}

/// What a request holds of its key's limits. Dropped unsettled, it gives back what it holds where nothing was sent, and
/// counts as all of it where something was.
pub(crate) struct Ticket(Option<Box<Taken>>);

struct Taken {
    owned: Rc<Owned>,
    hold: Hold,
    sent: bool,
    desk: Box<dyn Desk>,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hold = self.0.as_ref().map(|taken| &taken.hold);
        f.debug_tuple("Ticket").field(&hold).finish()
    }
}

impl Ticket {
    /// Something is about to be sent to a provider.
    pub(crate) fn sent(&mut self) {
        if let Some(taken) = &mut self.0 {
            taken.sent = true;
        }
    }

    /// What the request came to in the end.
    pub(crate) fn settle(mut self, tokens: u64, microusd: u64) {
        if let Some(taken) = self.0.take() {
            taken.settle(&Each {
                minute: 1,
                day: 1,
                tokens,
                budget: microusd,
            });
        }
    }

    /// What is left of the limits, as OpenAI's headers say it.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let Some(taken) = &self.0 else {
            return Vec::new();
        };
        headers(&taken.owned.purse.borrow(), taken.desk.monotonic_ms())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(taken) = self.0.take() {
            let all = if taken.sent {
                *taken.hold.taken()
            } else {
                Each::default()
            };
            taken.settle(&all);
        }
    }
}

impl Taken {
    fn settle(&self, spent: &Each<u64>) {
        let now = self.desk.monotonic_ms();
        let mut purse = self.owned.purse.borrow_mut();
        purse.settle(now, &self.hold, spent);
        drop(purse);
        self.desk.news(&self.owned.workspace);
    }
}

/// Lets a request through the limits of its key, or says which one it has reached; waits where others may give back what
/// is missing, at most one lease.
pub(crate) async fn admit<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    caller: &Caller,
    need: Need,
) -> Result<Ticket, Refusal> {
    let identity = &caller.who.identity;
    let budget = identity.budget.as_ref();
    let Some(needs) = purse::needs(&identity.limits, budget, need.tokens, need.microusd) else {
        return Ok(Ticket(None));
    };
    let owned = owned(&caller.who);
    let owner = Owner {
        workspace: &owned.workspace,
        gateway_key: &owned.gateway_key,
    };
    let news = || log::more(host, settings, &owned.workspace);
    let acquired = acquire(host, settings, owner, &owned.purse, &needs, news).await;
    match acquired {
        Ok(hold) => Ok(Ticket(Some(Box::new(Taken {
            owned: owned.clone(),
            hold,
            sent: false,
            desk: Box::new(At {
                host: host.clone(),
                settings: settings.clone(),
            }),
        })))),
        Err(Stopped::Limit(part)) => {
            let mut refusal = reached(identity, &needs, &part, host.now_ms());
            let told = headers(&owned.purse.borrow(), host.monotonic_ms()).into_iter();
            let told = told.map(|(name, value)| (name, value.into()));
            refusal.headers.extend(told);
            Err(refusal)
        }
        Err(Stopped::Unanswered(AskError::Denied(Denial::NotFound { .. }))) => Err(Refusal::new(
            Code::GATEWAY_KEY_REVOKED,
            "This gateway key was revoked while the request was on its way.",
        )
        .remedy("Use another one, or make one under Gateway keys.")),
        Err(Stopped::Unanswered(error)) => Err(error.into()),
    }
}

/// What is to be reported of a workspace's grants now. None of them is drawn from any more.
pub(crate) fn reports(workspace: &str) -> Vec<GrantReport> {
    let mut reports = Vec::new();
    PURSES.with_borrow_mut(|purses| {
        purses.retain(|gateway_key, owned| {
            if owned.workspace != workspace {
                return true;
            }
            let mut purse = owned.purse.borrow_mut();
            purse.flushed();
            reports.append(&mut purse.reports(gateway_key));
            // Whoever is just about to draw has it, too.
            !purse.is_idle() || Rc::strong_count(owned) > 1
        });
    });
    reports
}

/// These reports did not reach the authority.
pub(crate) fn untold(workspace: &str, reports: Vec<GrantReport>) {
    PURSES.with_borrow_mut(|purses| {
        for report in reports {
            let owned = purses.entry(report.gateway_key.clone());
            let owned = owned.or_insert_with(|| {
                Rc::new(Owned {
                    workspace: workspace.to_owned(),
                    gateway_key: report.gateway_key.clone(),
                    purse: RefCell::new(Purse::new(Limits::default(), None)),
                })
            });
            owned.purse.borrow_mut().untold(report);
        }
    });
}

/// The limit that a request has reached, in words.
fn reached(identity: &Identity, needs: &Each<u64>, part: &DrawnPart, now_ms: u64) -> Refusal {
    let key = shown(&identity.name);
    let (whole, left, need) = (part.whole, part.available, *needs.of(part.limit));
    let mut refusal = match part.limit {
        Limit::Budget => over_budget(identity, part, need, now_ms),
        Limit::TokensPerMinute if part.drawn == Drawn::TooLarge => Refusal::new(
            Code::RATE_LIMITED,
            format!(
                "This request alone may take {need} tokens, as estimated, and gateway key “{key}” has {whole} tokens per minute."
            ),
        )
        .remedy("Send less, lower max_tokens, or have the key's limit raised."),
        limit => {
            let what = match limit {
                Limit::TokensPerMinute => "tokens per minute",
                Limit::RequestsPerDay => "requests per day",
                _ => "requests per minute",
            };
            let mut message =
                format!("Gateway key “{key}” has reached its limit of {whole} {what}.");
            if limit == Limit::TokensPerMinute {
                message.push_str(&format!(
                    " This request may take {need}, as estimated, and {left} are left."
                ));
            }
            let refusal = Refusal::new(Code::RATE_LIMITED, message);
            match retry_after(part) {
                Some(seconds) => refusal.remedy(format!(
                    "Send it again in {seconds} s, or have the key's limit raised."
                )),
                None => refusal.remedy("Have the key's limit raised."),
            }
        }
    };
    match retry_after(part) {
        // The time of a budget is its period's end, which the message says.
        Some(_) if part.limit == Limit::Budget => {}
        Some(seconds) => refusal.retry_after = Some(seconds),
        // The SDKs of OpenAI and Anthropic try a 429 again unless they are told that it is no use.
        None => {
            refusal.headers.push(("x-should-retry", "false".into()));
            refusal.retry_after = Some(TOO_LARGE_S).filter(|_| part.limit != Limit::Budget);
        }
    }
    refusal
}

fn over_budget(identity: &Identity, part: &DrawnPart, need: u64, now_ms: u64) -> Refusal {
    let key = shown(&identity.name);
    let period = identity.budget.map_or(Period::Day, |budget| budget.period);
    let (word, window) = match period {
        Period::Day => ("day", Window::Day),
        Period::Month => ("month", Window::Month),
    };
    let (whole, left, need) = (usd(part.whole), usd(part.available), usd(need));
    if part.drawn == Drawn::TooLarge {
        return Refusal::new(
            Code::BUDGET_EXCEEDED,
            format!(
                "This request alone may cost {need}, as estimated, and the budget of gateway key “{key}” is {whole} a {word}."
            ),
        )
        .remedy("Send less, lower max_tokens, use a cheaper model, or have the key's budget raised.");
    }
    let anew = Timestamp(window.border(now_ms).unwrap_or(now_ms));
    Refusal::new(
        Code::BUDGET_EXCEEDED,
        format!(
            "Gateway key “{key}” has a budget of {whole} a {word}: this request may cost {need}, as estimated, and {left} is left. The budget begins anew at {anew}."
        ),
    )
    .remedy("Wait until then, use a cheaper model, or have the key's budget raised.")
}

/// Seconds after which there may be enough, where there ever can be.
fn retry_after(part: &DrawnPart) -> Option<u64> {
    match part.drawn {
        Drawn::TooLarge => None,
        Drawn::Wait { retry_ms } | Drawn::Exhausted { retry_ms } => {
            Some(retry_ms.div_ceil(1_000).max(1))
        }
        Drawn::Granted { .. } | Drawn::Over => Some(1),
    }
}

/// An amount for people: no more digits than it has.
fn usd(microusd: u64) -> String {
    let (whole, rest) = (microusd / 1_000_000, microusd % 1_000_000);
    if rest == 0 {
        return format!("{whole} USD");
    }
    let rest = format!("{rest:06}");
    format!("{whole}.{} USD", rest.trim_end_matches('0'))
}

/// OpenAI's headers for the requests of a minute, or of a day where there is no such limit, and for tokens.
fn headers(purse: &Purse, now: u64) -> Vec<(&'static str, String)> {
    let standing = |limit| {
        let standing = purse.standing(limit, now);
        // A limit that the key has no more is none.
        standing.filter(|standing| standing.whole < u64::MAX)
    };
    let minute = standing(Limit::RequestsPerMinute);
    let requests = minute.or_else(|| standing(Limit::RequestsPerDay));
    let mut headers = Vec::with_capacity(6);
    let mut put = |names: [&'static str; 3], standing: Option<Standing>| {
        if let (Some(standing), [limit, remaining, reset]) = (standing, names) {
            headers.push((limit, standing.whole.to_string()));
            headers.push((remaining, standing.remaining.to_string()));
            headers.push((reset, duration(standing.reset_ms)));
        }
    };
    put(
        [
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        ],
        requests,
    );
    put(
        [
            "x-ratelimit-limit-tokens",
            "x-ratelimit-remaining-tokens",
            "x-ratelimit-reset-tokens",
        ],
        standing(Limit::TokensPerMinute),
    );
    headers
}

/// A length of time as Go writes it, and OpenAI with it: `120ms`, `1s`, `6m0s`, `23h59m59.5s`.
fn duration(ms: u64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let (seconds, rest) = (ms / 1_000 % 60, ms % 1_000);
    let rest = format!(".{rest:03}");
    let rest = rest.trim_end_matches('0').trim_end_matches('.');
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{rest}s"),
        (0, _) => format!("{minutes}m{seconds}{rest}s"),
        _ => format!("{hours}h{minutes}m{seconds}{rest}s"),
    }
}

#[cfg(test)]
#[path = "limits/tests.rs"]
mod tests;

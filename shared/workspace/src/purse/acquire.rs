//! How a request gets what it needs of its key's limits: out of the isolate's purse, else from the authority.
//!
//! A request is refused only by what the authority says, after it has been told what this isolate holds and no request
//! uses. Where others may give back what is missing, it waits, at most one lease.

use std::cell::RefCell;
use std::time::Duration;

use lockgate_host::Host;

use super::{Each, Hold, Purse};
use crate::allowance::Drawn;
use crate::lease::Lengths;
use crate::question::{DataQuestion, DrawnAll, DrawnPart, Draws, GrantReport, Records, Reply};
use crate::{AskError, Settings, ask, new_id};

/// The longest pause before the authority is asked again, ms.
const PAUSE_MS: u64 = 100;

/// While one request draws, what it brings is likely enough for others: they look again after so long, ms, rather than
/// contend for the store.
const GLANCE_MS: u64 = 2;
/// They do so for this long, ms.
const GLANCES_MS: u64 = 500;

/// Why a request gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// By this limit.
    Limit(DrawnPart),
    /// The authority gave no answer, or knows no such key in force.
    Unanswered(AskError),
}

impl From<AskError> for Stopped {
    fn from(error: AskError) -> Self {
        Self::Unanswered(error)
    }
}

/// Whose purse it is.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The workspace's id.
    pub workspace: &'a str,
    /// The gateway key's id.
    pub gateway_key: &'a str,
}

/// Takes what a request needs. `news` is called whenever something was drawn, or may have been, that is to be reported.
///
/// # Errors
/// [`Stopped`].
pub async fn acquire<H: Host>(
    host: &H,
    settings: &Settings,
    owner: Owner<'_>,
    purse: &RefCell<Purse>,
    needs: &Each<u64>,
    news: impl Fn(),
) -> Result<Hold, Stopped> {
    let began = host.monotonic_ms();
    let patience = Lengths::new(settings.lease_ms).settle_ms();
    let mut told = false;
    loop {
        if let Some(hold) = purse.borrow_mut().take(host.monotonic_ms(), needs) {
            return Ok(hold);
        }
        let now = host.monotonic_ms();
        let shared = settings.lease_ms > 0 && purse.borrow().is_being_filled(now);
        if shared && now.saturating_sub(began) < GLANCES_MS {
            host.sleep(Duration::from_millis(GLANCE_MS)).await;
            continue;
        }
        let mut refused = None;
        if purse.borrow().is_at_its_limit() {
            let (answer, _) = question(host, settings, owner, purse, needs, None).await?;
            refused = worst(&answer);
        }
        let (part, wait) = match refused {
            Some(refused) => refused,
            None => {
                let news: &dyn Fn() = &news;
                let (answer, hold) =
                    question(host, settings, owner, purse, needs, Some(news)).await?;
                if let Some(hold) = hold {
                    return Ok(hold);
                }
                // Everything granted, and yet not enough, is no answer.
                worst(&answer).ok_or(AskError::Mismatch)?
            }
        };
        let patient = host.monotonic_ms().saturating_sub(began) < patience;
        if (!told || wait.is_some() && patient) && purse.borrow().has_news() {
            // What is free here may be just what is missing.
            told = true;
            if report(host, settings, owner, purse).await {
                continue;
            }
        }
        match wait {
            Some(retry_ms) if patient => {
                let pause = Duration::from_millis(retry_ms.clamp(1, PAUSE_MS));
                host.sleep(pause).await;
            }
            _ => return Err(Stopped::Limit(part)),
        }
    }
}

/// The part of an answer that refuses for longest, and how long to wait where that may help.
fn worst(answer: &DrawnAll) -> Option<(DrawnPart, Option<u64>)> {
    let refusing = answer.parts.iter().filter_map(|part| {
        let (rank, retry_ms) = match part.drawn {
            Drawn::Granted { .. } => return None,
            Drawn::Over => (0, 0),
            Drawn::Wait { retry_ms } => (0, retry_ms),
            Drawn::Exhausted { retry_ms } => (1, retry_ms),
            Drawn::TooLarge => (2, 0),
        };
        Some((rank, retry_ms, *part))
    });
    let (rank, retry_ms, part) = refusing.max_by_key(|(rank, retry_ms, _)| (*rank, *retry_ms))?;
    Some((part, (rank == 0).then_some(retry_ms)))
}

/// A draw whose answer is not there yet. Where none comes, whatever was granted is given back. Only when it is over there is
/// something to report: a flush before that would find nothing.
struct Pending<'a> {
    purse: &'a RefCell<Purse>,
    draws: Option<Draws>,
    news: &'a dyn Fn(),
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let mut purse = self.purse.borrow_mut();
        purse.filling = None;
        if let Some(draws) = self.draws.take() {
            purse.lost(draws);
        }
        drop(purse);
        (self.news)();
    }
}

/// Asks the authority, and takes what is needed of what it grants. Without `news` it is only asked what it would grant.
async fn question<H: Host>(
    host: &H,
    settings: &Settings,
    owner: Owner<'_>,
    purse: &RefCell<Purse>,
    needs: &Each<u64>,
    news: Option<&dyn Fn()>,
) -> Result<(DrawnAll, Option<Hold>), AskError> {
    let grant = new_id(host, "grant");
    let asked = purse.borrow_mut().asks(host.monotonic_ms());
    let look = news.is_none();
    let draws = purse.borrow().draws(owner.gateway_key, &grant, needs, look);
    if !look {
        purse.borrow_mut().filling = Some(asked.at);
    }
    let mut pending = news.map(|news| Pending {
        purse,
        draws: Some(draws.clone()),
        news,
    });
    let answered = ask(host, settings, owner.workspace, DataQuestion::Draw(draws)).await?;
    let Reply::Drawn(answer) = answered.reply else {
        return Err(AskError::Mismatch);
    };
    let mut purse = purse.borrow_mut();
    let hold = match &mut pending {
        Some(pending) => {
            pending.draws = None;
            let now = host.monotonic_ms();
            purse.drawn((asked, now), &grant, needs, &answer)
        }
        None => {
            purse.heard(asked, &answer);
            None
        }
    };
    drop(purse);
    Ok((answer, hold))
}

/// Reports under way. Where it is not known that they have arrived, they are sent again.
struct Telling<'a> {
    purse: &'a RefCell<Purse>,
    reports: Vec<GrantReport>,
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let mut purse = self.purse.borrow_mut();
        for report in std::mem::take(&mut self.reports) {
            purse.untold(report);
        }
    }
}

/// Tells the authority what has become of the purse's grants; whether it has heard it.
async fn report<H: Host>(
    host: &H,
    settings: &Settings,
    owner: Owner<'_>,
    purse: &RefCell<Purse>,
) -> bool {
    let reports = purse.borrow_mut().reports(owner.gateway_key);
    let question = DataQuestion::Report {
        records: Records::new("[]".into()),
        incidents: Vec::new(),
        grants: reports.clone(),
        splits: Vec::new(),
        admit: None,
    };
    let mut telling = Telling { purse, reports };
    let heard = ask(host, settings, owner.workspace, question).await.is_ok();
    if heard {
        telling.reports.clear();
    }
    heard
}

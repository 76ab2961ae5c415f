//! The audit log, newest first, and the check of its chain (FEATURES F5).

use lockgate_host::Host;
use lockgate_refusal::Refusal;
use lockgate_workspace::AskError;
use lockgate_workspace::question::{Question, Reply};
use lockgate_workspace::resource::Verified;

use crate::Call;
use crate::respond::{self, Page};

/// What the log can be filtered by.
const FILTERS: &[&str] = &["action", "actor", "resource"];
/// Rows that are checked in one transaction: writers need not wait for the whole chain, and a Durable Object holds them all.
const STRETCH: u32 = 250;

pub(crate) async fn list<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let page = Page::read(call.query, FILTERS)?;
    let (mut action, mut actor, mut resource) = (None, None, None);
    for (name, value) in form_urlencoded::parse(call.query.unwrap_or_default().as_bytes()) {
        match &*name {
            "action" => action = Some(value.into_owned()),
            "actor" => actor = Some(value.into_owned()),
            "resource" => resource = Some(value.into_owned()),
            // `limit` and `cursor`; everything else has been refused.
            _ => {}
        }
    }
    let wanted = page.question();
    let question = Question::ListAudit {
        limit: wanted.limit,
        before: wanted.after.map(|(seq, _)| seq),
        action,
        actor,
        resource,
    };
    match call.ask(question).await? {
        Reply::Audit(rows) => Ok(page.reply(rows, |row| (row.seq, ""))),
        _ => Err(AskError::Mismatch.into()),
    }
}

pub(crate) async fn verify<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    call.page()?;
    let mut from = (1, None);
    let mut rows = 0;
    loop {
        let question = Question::VerifyAudit {
            from: from.0,
            previous: from.1,
            limit: STRETCH,
        };
        let Reply::Verified { verified, next } = call.ask(question).await? else {
            return Err(AskError::Mismatch.into());
        };
        rows += verified.rows;
        match next {
            Some((seq, hash)) => from = (seq, Some(hash)),
            None => return Ok(respond::one(200, &Verified { rows, ..verified })),
        }
    }
}

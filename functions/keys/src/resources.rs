//! What roles, agents, gateways, configurations and admin tokens have in common: they are listed, shown and removed alike.

use lockgate_host::Host;
use lockgate_refusal::Refusal;
use lockgate_workspace::AskError;
use lockgate_workspace::question::{Kind, Question, Reply};

use crate::Call;
use crate::respond::{self, one_value, removed};

pub(crate) async fn list<H: Host>(
    call: &Call<'_, H>,
    kind: Kind,
) -> Result<respond::Reply, Refusal> {
    let page = call.page()?;
    match call.ask(Question::List(kind, page.question())).await? {
        Reply::Resources(items) => Ok(page.reply_of(items, |one| one.place(), |one| one.value())),
        _ => Err(AskError::Mismatch.into()),
    }
}

pub(crate) async fn get<H: Host>(
    call: &Call<'_, H>,
    kind: Kind,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    shown(200, call.ask(Question::Get(kind, id.into())).await?)
}

pub(crate) async fn delete<H: Host>(
    call: &Call<'_, H>,
    kind: Kind,
    id: &str,
) -> Result<respond::Reply, Refusal> {
    let question = Question::Delete {
        kind,
        reference: id.into(),
        expect: call.expect,
    };
    call.ask(question).await?;
    Ok(removed())
}

/// The answer that shows one.
pub(crate) fn shown(status: u16, reply: Reply) -> Result<respond::Reply, Refusal> {
    match reply {
        Reply::Resource(resource) => Ok(one_value(status, resource.value())),
        _ => Err(AskError::Mismatch.into()),
    }
}

//! `GET /api/requests`: the request log, newest first.

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::AskError;
use lockgate_workspace::question::{Question, Reply, RequestFilter};
use lockgate_workspace::resource::Timestamp;

use crate::Call;
use crate::respond;

pub(crate) async fn list<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let page = call.page()?;
    let filter = filter(call.query)?;
    match call
        .ask(Question::ListRequests(filter, page.question()))
        .await?
    {
        Reply::Requests(items) => Ok(page.reply(items, |r| (r.at.0, &r.id))),
        _ => Err(AskError::Mismatch.into()),
    }
}

fn filter(query: Option<&str>) -> Result<RequestFilter, Refusal> {
    let mut filter = RequestFilter::default();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let text = Some(value.to_string());
        let time = || {
            Timestamp::parse(&value).map(Some).ok_or_else(|| {
                Refusal::new(
                    Code::INVALID_REQUEST,
                    format!("`{name}` is a time such as 2027-01-31T00:00:00Z."),
                )
                .param(name.to_string())
            })
        };
        match &*name {
            "gateway_key" => filter.gateway_key = text,
            "agent" => filter.agent = text,
            "route" => filter.route = text,
            "provider" => filter.provider = text,
            "model" => filter.model = text,
            "credential" => filter.credential = text,
            "status" => {
                filter.status = Some(value.parse().map_err(|_| {
                    Refusal::new(Code::INVALID_REQUEST, "`status` is a number such as 200.")
                        .param("status")
                })?);
            }
            "since" => filter.since = time()?,
            "until" => filter.until = time()?,
            "limit" | "cursor" => {}
            _ => {
                return Err(Refusal::new(
                    Code::UNKNOWN_FIELD,
                    format!("There is no filter `{}`.", name.chars().take(60).collect::<String>()),
                )
                .param(name.to_string())
                .remedy("Known: gateway_key, agent, route, provider, model, credential, status, since, until, limit, cursor."));
            }
        }
    }
    Ok(filter)
}

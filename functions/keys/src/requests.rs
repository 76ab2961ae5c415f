//! `GET /api/requests`: the request log, newest first.

use lockgate_host::Host;
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::AskError;
use lockgate_workspace::question::{Question, Reply, RequestFilter};
use lockgate_workspace::resource::Timestamp;

use crate::Call;
use crate::respond::{self, Page};

/// What the log can be filtered by.
const FILTERS: &[&str] = &[
    "gateway_key",
    "agent",
    "route",
    "provider",
    "model",
    "credential",
    "status",
    "since",
    "until",
];

pub(crate) async fn list<H: Host>(call: &Call<'_, H>) -> Result<respond::Reply, Refusal> {
    let page = Page::read(call.query, FILTERS)?;
    let filter = filter(call.query)?;
    match call
        .ask(Question::ListRequests(filter, page.question()))
        .await?
    {
        Reply::Requests(items) => Ok(page.reply(items, |r| (r.at.0, &r.id))),
        _ => Err(AskError::Mismatch.into()),
    }
}

/// The filter that a query describes.
pub(crate) fn filter(query: Option<&str>) -> Result<RequestFilter, Refusal> {
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
            // What is no filter of the log; what is not known has been refused.
            _ => {}
        }
    }
    Ok(filter)
}

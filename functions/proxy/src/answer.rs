//! The answer to the client: the provider's, as it is or translated, with headers that say what happened.

use std::borrow::Cow;
use std::rc::Rc;

use lockgate_dialects::Reply;
use lockgate_dialects::embed::{self, Embeddings};
use lockgate_host::{Answer, AnswerBody, Headers, Host, Inbound};
use lockgate_providers::Surface;
use lockgate_refusal::Refusal;
use lockgate_workspace::Settings;

use crate::failure::{self, Who};
use crate::log::{self, Draft};
use crate::stream::{Ending, Voice};
use crate::target::{Target, Way};
use crate::translate::{self, Translation};

/// Bytes of a plain answer that is translated.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// What an answer needs to know of its request.
pub(crate) struct Asked<'a> {
    pub(crate) surface: Surface,
    pub(crate) target: &'a Target<'a>,
    pub(crate) who: Who,
    pub(crate) stream: bool,
    /// Whether it wants a stream's usage, where that is a choice.
    pub(crate) stream_usage: bool,
    /// The client's body, where it was translated.
    pub(crate) body: &'a str,
    /// The request for embeddings, where that is what was translated.
    pub(crate) embeddings: Embeddings<'a>,
    /// What was changed or left out.
    pub(crate) warnings: Vec<String>,
}

type Set = Vec<(&'static str, Cow<'static, str>)>;

pub(crate) async fn answer<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    asked: Asked<'_>,
    reply: Inbound<H>,
    draft: &Draft,
) -> Result<Answer<H>, Refusal> {
    let mut set = headers(&asked, draft);
    let status = reply.status;
    let (from, body) = match asked.target.way {
        Way::Translate(_) | Way::Embed => {
            let (headers, body, kind) = translated(host, settings, &asked, reply, draft).await?;
            set.push(("content-type", kind.into()));
            (headers, body)
        }
        Way::Through | Way::Count => through(host, settings, &asked, reply, draft),
    };
    draft.answered(status);
    if !matches!(body, AnswerBody::Watched(..) | AnswerBody::Transformed(..)) {
        log::push(host, settings, draft.clone());
    }
    Ok(Answer {
        status,
        from: Some(from),
        set,
        body,
    })
}

/// The provider's body as it is; a stream of events with an eye on its end.
fn through<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    asked: &Asked<'_>,
    reply: Inbound<H>,
    draft: &Draft,
) -> (H::Headers, AnswerBody<H>) {
    let body = if is_events(&reply) && settings.stream_check {
        let voice = Voice::of_surface(asked.surface);
        let ending = Ending {
            host: host.clone(),
            settings: settings.clone(),
            draft: draft.clone(),
            who: asked.who.clone(),
            voice,
            marked: voice != Voice::Chat
                || matches!(asked.surface, Surface::Chat | Surface::Completions)
                    && asked.target.manifest.quirks.done_marker,
        };
        AnswerBody::Watched(reply.body, Box::new(ending))
    } else {
        AnswerBody::Through(reply.body)
    };
    (reply.headers, body)
}

async fn translated<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    asked: &Asked<'_>,
    reply: Inbound<H>,
    draft: &Draft,
) -> Result<(H::Headers, AnswerBody<H>, &'static str), Refusal> {
    let target = asked.target;
    let from = target.manifest.dialect;
    let id: String = draft
        .request_id()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let client = Reply {
        id: id.strip_prefix("req").unwrap_or(&id),
        model: &asked.who.model,
        created: host.now_ms() / 1_000,
        stream_usage: asked.stream_usage,
        request: asked.body,
    };
    if let Way::Translate(to) = target.way
        && asked.stream
        && is_events(&reply)
        && let Some(translation) = Translation::new(
            host,
            settings,
            draft,
            asked.who.clone(),
            (from, to),
            &client,
        )
    {
        let body = AnswerBody::Transformed(reply.body, Box::new(translation));
        return Ok((reply.headers, body, "text/event-stream"));
    }
    let whole = host
        .read(reply.body, MAX_ANSWER_BYTES)
        .await
        .map_err(|error| failure::unreadable(&error.to_string(), target))?;
    let body = whole.as_ref();
    let (bytes, kind) = match target.way {
        Way::Translate(to) if asked.stream => (
            translate::replayed(from, to, body, &client, target)?,
            "text/event-stream",
        ),
        Way::Translate(to) => (
            translate::answer(from, to, body, &client, target)?,
            "application/json",
        ),
        _ => {
            let text = std::str::from_utf8(body).unwrap_or_default();
            let bytes = embed::translate_answer(from, text, &asked.embeddings, &client)
                .map_err(|problem| failure::unreadable(&problem.to_string(), target))?;
            (bytes, "application/json")
        }
    };
    Ok((reply.headers, AnswerBody::Bytes(bytes), kind))
}

fn is_events<H: Host>(reply: &Inbound<H>) -> bool {
    reply.headers.get("content-type").is_some_and(|kind| {
        let kind = kind.trim_start();
        kind.starts_with("text/event-stream")
            || kind.starts_with("application/vnd.amazon.eventstream")
    })
}

/// What happened (FEATURES C6).
pub(crate) fn headers(asked: &Asked<'_>, draft: &Draft) -> Set {
    let mut set: Set = vec![
        ("lockgate-request-id", draft.request_id().to_owned().into()),
        ("lockgate-provider", asked.who.slug.into()),
        ("lockgate-credential", "byok".into()),
        ("lockgate-key", header_value(&asked.who.key).into()),
        ("lockgate-attempts", "1".into()),
    ];
    if let Some(route) = asked.target.route {
        set.push(("lockgate-route", header_value(route).into()));
    }
    if !asked.who.model.is_empty() {
        set.push(("lockgate-model", header_value(&asked.who.model).into()));
    }
    for warning in &asked.warnings {
        set.push(("lockgate-warning", header_value(warning).into()));
    }
    set
}

/// Names are the users' own and may hold what a header cannot: such characters are percent-encoded.
pub(crate) fn header_value(text: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && c != '%' || c == ' ';
    if text.chars().all(plain) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut buffer = [0; 4];
    for c in text.chars() {
        if plain(c) {
            out.push(c);
        } else {
            for byte in c.encode_utf8(&mut buffer).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::header_value;

    #[test]
    fn names_fit_into_headers() {
        assert_eq!(header_value("prod us-1"), "prod us-1");
        assert_eq!(header_value("Schlüssel\n%"), "Schl%C3%BCssel%0A%25");
    }
}

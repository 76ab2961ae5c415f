//! The answer to the client: the provider's, as it is or translated, with headers that say what happened.

use std::borrow::Cow;

use lockgate_dialects::Reply;
use lockgate_dialects::embed::{self, Embeddings};
use lockgate_host::{Answer, AnswerBody, Headers, Host, Inbound};
use lockgate_providers::Surface;
use lockgate_refusal::Refusal;
use lockgate_workspace::resource::Tokens;

use crate::account::Account;
use crate::estimate;
use crate::failure::{self, Who};
use crate::log::Draft;
use crate::metered::Metered;
use crate::stream::{Ending, Plain, Voice};
use crate::target::{Target, Way};
use crate::translate::{self, Translation};
use crate::usage::{self, Form};

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
    /// Whether the gateway has asked for a stream's usage where the client did not.
    pub(crate) usage_added: bool,
    /// The client's body, where it was translated.
    pub(crate) body: &'a str,
    /// The request for embeddings, where that is what was translated.
    pub(crate) embeddings: Embeddings<'a>,
    /// What was changed or left out.
    pub(crate) warnings: Vec<String>,
}

type Set = Vec<(&'static str, Cow<'static, str>)>;

/// The answer out of the provider's. Nothing of it has reached the client while this can still fail; then `open` was not
/// called.
pub(crate) async fn answer<H: Host>(
    host: &H,
    asked: Asked<'_>,
    reply: Inbound<H>,
    draft: &Draft,
    exact: bool,
    open: impl FnOnce() -> Account<H>,
) -> Result<Answer<H>, Refusal> {
    let mut set = headers(&asked, draft);
    let status = reply.status;
    let (from, body) = match asked.target.way {
        Way::Translate(to) if asked.stream && is_events(&reply) => {
            set.push(("content-type", "text/event-stream".into()));
            draft.answered(status);
            let id = plain_id(draft);
            let client = client(host, &asked, &id);
            let dialects = (asked.target.manifest.dialect, to);
            let translation = Translation::new(open, asked.who.clone(), dialects, &client);
            let translation = translation
                .ok_or_else(|| failure::unreadable("a stream where there is none", asked.target))?;
            let body = AnswerBody::Transformed(reply.body, Box::new(translation));
            (reply.headers, body)
        }
        Way::Translate(_) | Way::Embed => {
            let (headers, bytes, kind, tokens) = translated(host, &asked, reply, draft).await?;
            set.push(("content-type", kind.into()));
            draft.answered(status);
            close(open(), asked.surface, tokens, &bytes);
            (headers, AnswerBody::Bytes(bytes))
        }
        Way::Through | Way::Count => {
            if exact && is_json(&reply) {
                let (headers, bytes) = (reply.headers, host.read(reply.body, MAX_ANSWER_BYTES));
                let bytes = bytes
                    .await
                    .map_err(|error| failure::unreadable(&error.to_string(), asked.target))?;
                let bytes = bytes.as_ref();
                draft.answered(status);
                let tokens = form(&asked).and_then(|form| usage::whole(form, bytes));
                close(open(), asked.surface, tokens, bytes);
                (headers, AnswerBody::Bytes(bytes.to_vec()))
            } else {
                draft.answered(status);
                through(&asked, reply, open())
            }
        }
    };
    // The platform's account and its limits are nobody else's business.
    let from = if asked.who.managed {
        let kind = from.get("content-type");
        if let Some(kind) = kind.filter(|_| !set.iter().any(|(name, _)| *name == "content-type")) {
            set.push(("content-type", kind.into_owned().into()));
        }
        None
    } else {
        Some(from)
    };
    Ok(Answer {
        status,
        from,
        set,
        body,
    })
}

/// How the answer tells usage, if it does.
fn form(asked: &Asked<'_>) -> Option<Form> {
    Form::of(asked.surface, &asked.who.model)
}

/// Closes the account of a plain answer; where it does not say what was used, its length does.
fn close<H: Host>(account: Account<H>, surface: Surface, tokens: Option<Tokens>, answer: &[u8]) {
    match tokens {
        Some(tokens) => account.used(tokens),
        // It is still being made (`background`), and is not counted when it is read.
        None if surface == Surface::Responses => account.delivered(None),
        None => account.delivered(Some(estimate::of_bytes(answer.len()))),
    }
}

/// The provider's body as it is, with an eye on its end.
fn through<H: Host>(
    asked: &Asked<'_>,
    reply: Inbound<H>,
    account: Account<H>,
) -> (H::Headers, AnswerBody<H>) {
    let surface = asked.surface;
    let body = if is_events(&reply) {
        let (exact, checked) = (account.exact(), account.settings.stream_check);
        let voice = Voice::of_surface(surface);
        let ending = Ending {
            account,
            who: asked.who.clone(),
            surface,
            voice,
            marked: voice != Voice::Chat
                || matches!(surface, Surface::Chat | Surface::Completions)
                    && asked.target.manifest.quirks.done_marker,
        };
        if exact {
            let metered = Metered::new(ending, asked.usage_added);
            AnswerBody::Transformed(reply.body, Box::new(metered))
        } else if checked {
            AnswerBody::Watched(reply.body, Box::new(ending))
        } else {
            ending.account.delivered(None);
            AnswerBody::Through(reply.body)
        }
    } else if is_json(&reply) {
        let form = form(asked);
        AnswerBody::Followed(reply.body, Box::new(Plain { account, form }))
    } else {
        account.delivered(None);
        AnswerBody::Through(reply.body)
    };
    (reply.headers, body)
}

/// The request's id with nothing in it but letters and digits.
fn plain_id(draft: &Draft) -> String {
    let id = draft.request_id().chars();
    id.filter(char::is_ascii_alphanumeric).collect()
}

/// What the client's dialect needs to know.
fn client<'a, H: Host>(host: &H, asked: &'a Asked<'_>, id: &'a str) -> Reply<'a> {
    Reply {
        id: id.strip_prefix("req").unwrap_or(id),
        model: &asked.who.model,
        created: host.now_ms() / 1_000,
        stream_usage: asked.stream_usage,
        request: asked.body,
    }
}

/// A plain answer in the client's dialect, its type, and what was used.
async fn translated<H: Host>(
    host: &H,
    asked: &Asked<'_>,
    reply: Inbound<H>,
    draft: &Draft,
) -> Result<(H::Headers, Vec<u8>, &'static str, Option<Tokens>), Refusal> {
    let target = asked.target;
    let from = target.manifest.dialect;
    let id = plain_id(draft);
    let client = client(host, asked, &id);
    let whole = host
        .read(reply.body, MAX_ANSWER_BYTES)
        .await
        .map_err(|error| failure::unreadable(&error.to_string(), target))?;
    let body = whole.as_ref();
    let ((bytes, tokens), kind) = match target.way {
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
            let tokens = usage::whole(Form::Chat, &bytes);
            ((bytes, tokens), "application/json")
        }
    };
    Ok((reply.headers, bytes, kind, tokens))
}

fn is_json<H: Host>(reply: &Inbound<H>) -> bool {
    let kind = reply.headers.get("content-type");
    kind.is_some_and(|kind| kind.trim_start().starts_with("application/json"))
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
    ];
    if let Some(route) = asked.target.route {
        set.push(("lockgate-route", header_value(route).into()));
    }
    set.extend(told(draft));
    for warning in &asked.warnings {
        set.push(("lockgate-warning", header_value(warning).into()));
    }
    set
}

/// The same, as far as a refusal needs it too: who was asked last, at whose cost, how often, what was passed over on the way,
/// and what is left of the key's limits.
pub(crate) fn told(draft: &Draft) -> Set {
    let mut set: Set = Vec::with_capacity(8);
    let attempts = draft.attempts();
    let mut rest = attempts;
    draft.each_attempt(|attempt| {
        rest -= 1;
        if let (Some(code), true) = (attempt.code, rest > 0) {
            let warning = format!(
                "provider key {} of {} was passed over: {code}",
                attempt.key(),
                attempt.provider
            );
            set.push(("lockgate-warning", header_value(&warning).into()));
        }
    });
    if let Some((credential, key)) = draft.payer() {
        set.push(("lockgate-credential", credential.into()));
        set.push(("lockgate-key", header_value(&key).into()));
        if let Some(model) = draft.model() {
            set.push(("lockgate-model", header_value(&model).into()));
        }
    }
    set.push(("lockgate-attempts", attempts.to_string().into()));
    let limits = draft.limits().into_iter();
    set.extend(limits.map(|(name, value)| (name, Cow::Owned(value))));
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

//! The answer to the client: the provider's body as it arrives, with headers that say what happened; a stream that the
//! provider breaks off ends with an error event, never as if it had finished.

use std::rc::Rc;

use lockgate_host::{Answer, AnswerBody, End, Headers, Host, Inbound, Watch};
use lockgate_refusal::{Code, Refusal, Shape};
use lockgate_workspace::Settings;

use crate::log::{self, Draft};
use crate::surface::Target;

/// The last event of a complete stream in OpenAI's dialect.
const DONE: &[u8] = b"[DONE]";

pub(crate) fn answer<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    target: &Target<'_>,
    reply: Inbound<H>,
    draft: &Draft,
) -> Answer<H> {
    draft.answered(reply.status);
    let set = vec![
        ("lockgate-request-id", draft.request_id().to_owned().into()),
        ("lockgate-provider", target.manifest.slug.into()),
        ("lockgate-model", header_value(target.model).into()),
        ("lockgate-credential", "byok".into()),
        ("lockgate-key", header_value(&draft.provider_key()).into()),
        ("lockgate-attempts", "1".into()),
    ];
    let events = reply
        .headers
        .get("content-type")
        .is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"));
    let body = if events && settings.stream_check {
        let ending = Ending {
            host: host.clone(),
            settings: settings.clone(),
            draft: draft.clone(),
            title: target.manifest.title,
            slug: target.manifest.slug,
            done_marker: target.manifest.quirks.done_marker,
        };
        AnswerBody::Watched(reply.body, Box::new(ending))
    } else {
        log::push(host, settings, draft.clone());
        AnswerBody::Through(reply.body)
    };
    Answer {
        status: reply.status,
        from: Some(reply.headers),
        set,
        body,
    }
}

/// Names are the users' own and may hold what a header cannot: such characters are percent-encoded.
fn header_value(text: &str) -> String {
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

/// Looks at how a stream ended, logs it, and adds the error event where it was broken off.
struct Ending<H: Host> {
    host: H,
    settings: Rc<Settings>,
    draft: Draft,
    title: &'static str,
    slug: &'static str,
    done_marker: bool,
}

impl<H: Host> Watch for Ending<H> {
    fn ended(self: Box<Self>, tail: &[u8], _bytes: u64, end: End) -> Option<Vec<u8>> {
        let done = memchr::memmem::rfind(tail, DONE).is_some();
        let (outcome, refusal) = match end {
            End::ClientLeft => ("client_left", None),
            // What follows `[DONE]` no client reads.
            End::Complete if done || !self.done_marker => ("complete", None),
            End::Broken(_) | End::Idle if done => ("complete", None),
            End::Complete | End::Broken(_) => (
                "broken",
                Some(Refusal::new(
                    Code::PROVIDER_ERROR,
                    format!("{} broke the stream off before its end.", self.title),
                )),
            ),
            End::Idle => (
                "idle",
                Some(Refusal::new(
                    Code::PROVIDER_TIMEOUT,
                    format!(
                        "{} sent nothing for {} ms in the middle of the stream.",
                        self.title,
                        self.settings.provider_idle.as_millis()
                    ),
                )),
            ),
        };
        let refusal = refusal.map(|refusal| {
            refusal
                .provider(self.slug)
                .remedy("What came before this is incomplete; try again.")
        });
        self.draft
            .ended(outcome, refusal.as_ref().map(|r| r.code.text));
        let event = refusal.map(|refusal| {
            let object = refusal.object(Shape::OpenAi, self.draft.request_id());
            format!("data: {object}\n\n").into_bytes()
        });
        log::push(&self.host, &self.settings, self.draft.clone());
        event
    }
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

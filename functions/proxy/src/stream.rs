//! Streams that pass as they are, with an eye on how they end; and how each surface says that one failed.

use lockgate_host::{End, Host, Seen, Watch};
use lockgate_providers::{Dialect, Surface};
use lockgate_refusal::{Code, Refusal, Shape};
use lockgate_workspace::Settings;
use memchr::memmem;

use lockgate_workspace::resource::Tokens;

use crate::account::Account;
use crate::failure::Who;
use crate::usage::{self, Form};

/// How a surface's streams end, and how they say that something went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// OpenAI's Chat Completions and what is like it.
    Chat,
    /// OpenAI's Responses.
    Responses,
    /// Anthropic's Messages.
    Messages,
}

impl Voice {
    pub(crate) fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Anthropic => Self::Messages,
            Dialect::OpenAiResponses => Self::Responses,
            _ => Self::Chat,
        }
    }

    pub(crate) fn of_surface(surface: Surface) -> Self {
        match surface {
            Surface::Messages => Self::Messages,
            Surface::Responses => Self::Responses,
            _ => Self::Chat,
        }
    }

    /// Whether a stream whose last bytes these are has come to its end. The last event of Responses repeats the whole
    /// answer and may be longer than `tail`: then its usage, which comes after the output, tells.
    fn done(self, tail: &[u8]) -> bool {
        let has = |words: &[u8]| memmem::rfind(tail, words).is_some();
        match self {
            Self::Chat => has(b"[DONE]"),
            Self::Messages => has(b"\"message_stop\""),
            Self::Responses => {
                has(b"\"response.completed\"")
                    || has(b"\"response.incomplete\"")
                    || has(b"\"usage\":{")
            }
        }
    }

    /// Whether the provider itself has said at the end of the stream that it failed.
    fn failed(self, tail: &[u8]) -> bool {
        let has = |words: &[u8]| memmem::rfind(tail, words).is_some();
        match self {
            Self::Chat => false,
            Self::Messages => has(b"event: error"),
            Self::Responses => has(b"\"response.failed\"") || has(b"event: error"),
        }
    }

    /// The number of the event after those that end in `tail`, for Responses, which numbers them.
    fn next_number(self, tail: &[u8]) -> u64 {
        const NAME: &[u8] = b"\"sequence_number\":";
        if self != Self::Responses {
            return 0;
        }
        let after = |at| tail.get(at + NAME.len()..).unwrap_or_default();
        let digits = memmem::rfind(tail, NAME).map(after).unwrap_or_default();
        let end = digits.iter().position(|byte| !byte.is_ascii_digit());
        let digits = digits
            .get(..end.unwrap_or(digits.len()))
            .unwrap_or_default();
        let last: Option<u64> = std::str::from_utf8(digits)
            .ok()
            .and_then(|n| n.parse().ok());
        last.map_or(0, |last| last.saturating_add(1))
    }

    /// Appends an error event, which is number `number` where the surface numbers them. Responses' own has its fields at the
    /// top; `error` is what the SDKs look at.
    pub(crate) fn error(self, refusal: &Refusal, request_id: &str, number: u64, out: &mut Vec<u8>) {
        let (name, object) = match self {
            Self::Chat => (None, refusal.object(Shape::OpenAi, request_id)),
            Self::Messages => (Some("error"), refusal.object(Shape::Anthropic, request_id)),
            Self::Responses => {
                let mut object = refusal.object(Shape::OpenAi, request_id);
                for field in ["code", "message", "param"] {
                    let value = object["error"][field].clone();
                    object[field] = value;
                }
                object["type"] = "error".into();
                object["sequence_number"] = number.into();
                (Some("error"), object)
            }
        };
        lockgate_dialects::sse_event(out, name, |out| {
            // A vector takes every byte, and the object has only strings and null.
            let _ = serde_json::to_writer(out, &object);
        });
    }
}

pub(crate) fn broken(who: &Who) -> Refusal {
    Refusal::new(
        Code::PROVIDER_ERROR,
        format!("{} broke the stream off before its end.", who.title),
    )
    .provider(who.slug)
    .remedy("What came before this is incomplete; try again.")
}

pub(crate) fn silent(who: &Who, settings: &Settings) -> Refusal {
    Refusal::new(
        Code::PROVIDER_TIMEOUT,
        format!(
            "{} sent nothing for {} ms in the middle of the stream.",
            who.title,
            settings.provider_idle.as_millis()
        ),
    )
    .provider(who.slug)
    .remedy("What came before this is incomplete; try again.")
}

/// Looks at how a stream ended, accounts for it, and adds the error event where it was broken off.
pub(crate) struct Ending<H: Host> {
    pub(crate) account: Account<H>,
    pub(crate) who: Who,
    pub(crate) surface: Surface,
    pub(crate) voice: Voice,
    /// Whether a stream without the end marker was broken off.
    pub(crate) marked: bool,
}

/// What was counted of a stream on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// What the provider said was used.
    pub(crate) tokens: Option<Tokens>,
    /// Tokens of output that were passed on, by the number and length of the events.
    pub(crate) output: u64,
}

impl<H: Host> Ending<H> {
    /// How the stream tells usage.
    pub(crate) fn form(&self) -> Option<Form> {
        Form::of(self.surface, &self.who.model)
    }

    /// The stream has ended; answers last words. `counted` is there where somebody has counted on the way.
    pub(crate) fn finish(
        self,
        seen: Seen<'_>,
        counted: Option<Counted>,
        end: End,
    ) -> Option<Vec<u8>> {
        let tail = seen.tail;
        let done = self.voice.done(tail);
        let (outcome, refusal) = match end {
            End::ClientLeft => ("client_left", None),
            // What follows the end marker no client reads.
            End::Complete if done || !self.marked => ("complete", None),
            End::Broken(_) | End::Idle if done => ("complete", None),
            _ if self.voice.failed(tail) => ("provider_error", None),
            End::Complete | End::Broken(_) => ("broken", Some(broken(&self.who))),
            End::Idle => ("idle", Some(silent(&self.who, &self.account.settings))),
        };
        let draft = &self.account.draft;
        draft.ended(outcome, refusal.as_ref().map(|r| r.code.text));
        let event = refusal.map(|refusal| {
            let mut event = Vec::new();
            let number = self.voice.next_number(tail);
            self.voice
                .error(&refusal, draft.request_id(), number, &mut event);
            event
        });
        let said = counted.and_then(|counted| counted.tokens);
        // An event longer than is kept on the way has an end all the same.
        let said = said.or_else(|| usage::streamed(self.form()?, seen));
        match said {
            Some(tokens) => self.account.used(tokens),
            // Pictures and sound are not counted on the way.
            None if matches!(self.surface, Surface::Images | Surface::Audio) => {
                self.account.delivered(None);
            }
            None => self
                .account
                .delivered(counted.map(|counted| counted.output)),
        }
        event
    }
}

impl<H: Host> Watch for Ending<H> {
    fn ended(self: Box<Self>, seen: Seen<'_>, end: End) -> Option<Vec<u8>> {
        self.finish(seen, None, end)
    }
}

/// Reads the usage of a plain answer that passes as it is.
pub(crate) struct Plain<H: Host> {
    pub(crate) account: Account<H>,
    /// How it tells usage, if it does.
    pub(crate) form: Option<Form>,
}

impl<H: Host> Watch for Plain<H> {
    fn ended(self: Box<Self>, seen: Seen<'_>, end: End) -> Option<Vec<u8>> {
        let (outcome, form) = match end {
            End::Complete => ("complete", self.form),
            // What a text that is cut off ends with is not its end.
            End::ClientLeft => ("client_left", None),
            End::Idle => ("idle", None),
            End::Broken(_) => ("broken", None),
        };
        self.account.draft.ended(outcome, None);
        match form.and_then(|form| usage::whole(form, seen.tail)) {
            Some(tokens) => self.account.used(tokens),
            None => self.account.delivered(None),
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_surface_says_that_a_stream_failed() {
        let refusal = Refusal::new(Code::PROVIDER_ERROR, "It broke.");
        let said = |voice: Voice| {
            let mut out = Vec::new();
            voice.error(&refusal, "req_1", 7, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert!(said(Voice::Chat).starts_with("data: {\"error\":{"));
        assert!(said(Voice::Messages).starts_with("event: error\ndata: {"));
        assert!(said(Voice::Messages).contains("\"type\":\"error\""));
        let responses = said(Voice::Responses);
        assert!(responses.starts_with("event: error\ndata: {"));
        assert!(responses.contains("\"code\":\"provider_error\""));
        assert!(responses.contains("\"sequence_number\":7"));
        assert!(responses.ends_with("}\n\n"));
    }

    #[test]
    fn events_of_responses_are_numbered_on() {
        let tail = b"data: {\"sequence_number\":4}\n\ndata: {\"sequence_number\":5,\"x\":1}\n\n";
        assert_eq!(Voice::Responses.next_number(tail), 6);
        assert_eq!(Voice::Responses.next_number(b""), 0);
        assert_eq!(Voice::Responses.next_number(b"\"sequence_number\":"), 0);
        assert_eq!(Voice::Messages.next_number(tail), 0);
    }
}

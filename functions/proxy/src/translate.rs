//! Between the client's dialect and the provider's: the request, the plain answer, the stream.

use lockgate_dialects::{
    self as dialects, Answer, Encoded, Frames, Outcome, Problem, Reply, Sse, StreamTranslator,
    Unsupported,
    embed::{self, Embeddings},
    surface,
};
use lockgate_host::{End, Flow, Host, Transform};
use lockgate_providers::{Dialect, Manifest};
use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::resource::Tokens;

use crate::account::Account;
use crate::failure::{self, Who};
use crate::stream::{self, Voice};
use crate::target::Target;
use crate::usage;

/// Writes the client's request in the provider's dialect; the second part says whether it wants a stream's usage.
pub(crate) fn request(
    from: Dialect,
    body: &str,
    target: &Target<'_>,
) -> Result<(Encoded, bool), Refusal> {
    let mut request = surface::decode_request(from, body).map_err(wrong)?;
    // The provider always says, so that it is known; the client is told where it wants to be.
    let told = std::mem::replace(&mut request.stream_usage, true);
    let encoded = dialects::encode_request(target.manifest.dialect, &request, &for_target(target))
        .map_err(|unsupported| refuse(unsupported, target.manifest))?;
    Ok((encoded, told))
}

/// Writes a request for embeddings in the provider's dialect; the second part is the request, which its answer needs.
pub(crate) fn embeddings<'b>(
    body: &'b str,
    target: &Target<'_>,
) -> Result<(Encoded, Embeddings<'b>), Refusal> {
    let request = embed::decode_request(body).map_err(wrong)?;
    let encoded = embed::encode_request(target.manifest.dialect, &request, &for_target(target))
        .map_err(|unsupported| refuse(unsupported, target.manifest))?;
    Ok((encoded, request))
}

fn for_target<'a>(target: &Target<'a>) -> dialects::Target<'a> {
    let max_output = target
        .manifest
        .model(target.model)
        .and_then(|model| model.max_output);
    dialects::Target {
        model: target.model,
        max_output: max_output.map(u64::from),
        quirks: &target.manifest.quirks,
        title: target.manifest.title,
    }
}

pub(crate) fn wrong(problem: Problem) -> Refusal {
    let refusal = Refusal::new(
        Code::INVALID_REQUEST,
        format!("The request cannot be translated: {problem}."),
    );
    if problem.path.is_empty() {
        refusal
    } else {
        refusal.param(problem.path)
    }
}

fn refuse(unsupported: Unsupported, manifest: &Manifest) -> Refusal {
    Refusal::new(Code::UNSUPPORTED_FEATURE, unsupported.to_string())
        .provider(manifest.slug)
        .param(unsupported.field)
        .remedy("Leave it out, or name a model of a provider that can (docs/dialects.md).")
}

/// Reads the provider's plain answer.
fn read<'b>(from: Dialect, body: &'b [u8], target: &Target<'_>) -> Result<Answer<'b>, Refusal> {
    let text =
        std::str::from_utf8(body).map_err(|_| failure::unreadable("it is not text", target))?;
    dialects::decode_answer(from, text)
        .map_err(|problem| failure::unreadable(&problem.to_string(), target))
}

/// Writes the provider's plain answer in the client's dialect; the second part is what was used.
pub(crate) fn answer(
    from: Dialect,
    to: Dialect,
    body: &[u8],
    reply: &Reply<'_>,
    target: &Target<'_>,
) -> Result<(Vec<u8>, Option<Tokens>), Refusal> {
    let answer = read(from, body, target)?;
    let bytes = surface::encode_answer(to, &answer, reply);
    Ok((bytes, answer.usage.map(usage::tokens)))
}

/// Writes a plain answer as a stream, for a client that asked for one and a provider that does not stream.
pub(crate) fn replayed(
    from: Dialect,
    to: Dialect,
    body: &[u8],
    reply: &Reply<'_>,
    target: &Target<'_>,
) -> Result<(Vec<u8>, Option<Tokens>), Refusal> {
    let answer = read(from, body, target)?;
    let mut out = Vec::new();
    if let Some(mut encoder) = surface::stream_encoder(to, reply) {
        dialects::replay(&answer, |event| encoder.event(event, &mut out));
    }
    Ok((out, answer.usage.map(usage::tokens)))
}

/// A stream on its way from the provider's dialect to the client's. It ends as the provider's did: where that failed, broke
/// or fell silent, with an error event and without the dialect's end.
pub(crate) struct Translation<H: Host> {
    /// Until the stream has ended.
    account: Option<Account<H>>,
    who: Who,
    voice: Voice,
    translator: StreamTranslator,
}

impl<H: Host> Translation<H> {
    /// `None` where there is no such stream.
    pub(crate) fn new(
        open: impl FnOnce() -> Account<H>,
        who: Who,
        (from, to): (Dialect, Dialect),
        reply: &Reply<'_>,
    ) -> Option<Self> {
        let frames = match from {
            Dialect::Bedrock => Frames::EventStream(dialects::bedrock::EventStream::default()),
            _ => Frames::Sse(Sse::default()),
        };
        let decoder = dialects::stream_decoder(from)?;
        let encoder = surface::stream_encoder(to, reply)?;
        Some(Self {
            account: Some(open()),
            who,
            voice: Voice::of(to),
            translator: StreamTranslator::new(frames, decoder, encoder),
        })
    }
}

impl<H: Host> Transform for Translation<H> {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Flow {
        self.translator.push(piece, out);
        match self.translator.outcome() {
            // After the provider's end its body is read to the end of HTTP, so that the connection can be used again.
            Outcome::Open | Outcome::Complete => Flow::More,
            Outcome::Failed(_) | Outcome::Nonsense(_) => Flow::Enough,
        }
    }

    fn ended(&mut self, end: End, out: &mut Vec<u8>) {
        if end == End::Complete {
            self.translator.ended(out);
        }
        let Some(account) = self.account.take() else {
            return;
        };
        let (outcome, refusal) = match (self.translator.outcome().clone(), end) {
            (Outcome::Complete, _) => ("complete", None),
            (_, End::ClientLeft) => ("client_left", None),
            (Outcome::Failed(failure), _) => (
                "provider_error",
                Some(failure::in_stream(failure, &self.who)),
            ),
            (Outcome::Nonsense(what), _) => (
                "broken",
                Some(
                    Refusal::new(
                        Code::PROVIDER_ERROR,
                        format!(
                            "{} sent something in the stream that makes no sense: {what}.",
                            self.who.title
                        ),
                    )
                    .provider(self.who.slug),
                ),
            ),
            (Outcome::Open, End::Idle) => {
                ("idle", Some(stream::silent(&self.who, &account.settings)))
            }
            (Outcome::Open, End::Complete | End::Broken(_)) => {
                ("broken", Some(stream::broken(&self.who)))
            }
        };
        let draft = &account.draft;
        draft.ended(outcome, refusal.as_ref().map(|refusal| refusal.code.text));
        if let Some(refusal) = refusal {
            let number = self.translator.next_number();
            self.voice.error(&refusal, draft.request_id(), number, out);
        }
        let output = self.translator.output();
        match self.translator.usage().map(usage::tokens) {
            Some(used) if *self.translator.outcome() == Outcome::Complete => account.used(used),
            // Some say at the beginning what the input was, and count the output at the end.
            Some(used) => account.used(Tokens {
                output: used.output.max(output),
                estimated: true,
                ..used
            }),
            None => account.delivered(Some(output)),
        }
    }
}

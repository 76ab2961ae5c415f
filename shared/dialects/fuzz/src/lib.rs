//! What the fuzz targets share: inputs taken apart, and what must hold for every stream.
#![forbid(unsafe_code)]

use lockgate_dialects::bedrock::EventStream;
use lockgate_dialects::{
    DecodeStream, Delta, Dialect, EncodeStream, Event, Frame, Frames, Outcome, Problem, Reply, Sse,
    StreamTranslator, Target, stream_decoder, stream_encoder,
};
use lockgate_providers::Quirks;

/// The dialects, in the order of the numbers that inputs begin with.
pub const DIALECTS: [Dialect; 6] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiResponses,
    Dialect::Anthropic,
    Dialect::Gemini,
    Dialect::Cohere,
    Dialect::Bedrock,
];

/// An input's first byte as a dialect, and the rest of it.
#[must_use]
pub fn dialect(input: &[u8]) -> Option<(Dialect, &[u8])> {
    let (first, rest) = input.split_first()?;
    Some((*DIALECTS.get(usize::from(*first) % DIALECTS.len())?, rest))
}

/// Whom answers are for.
pub const REPLY: Reply<'static> = Reply {
    id: "0123456789abcdef",
    model: "model",
    created: 1_700_000_000,
    stream_usage: true,
    request: "{}",
};

/// Whom requests are for.
#[must_use]
pub fn target(quirks: &Quirks) -> Target<'_> {
    Target {
        model: "model",
        max_output: Some(64_000),
        quirks,
        title: "Someone",
    }
}

fn frames(dialect: Dialect) -> Frames {
    match dialect {
        Dialect::Bedrock => Frames::EventStream(EventStream::default()),
        _ => Frames::Sse(Sse::default()),
    }
}

fn run(mut translator: StreamTranslator, stream: &[u8], piece: usize) -> (Vec<u8>, Outcome) {
    let mut out = Vec::new();
    for piece in stream.chunks(piece.max(1)) {
        translator.push(piece, &mut out);
    }
    translator.ended(&mut out);
    (out, translator.outcome().clone())
}

/// Translates a stream whole and in pieces of that size, which must make no difference.
pub fn translate(from: Dialect, to: Dialect, stream: &[u8], piece: usize) {
    let translator = || {
        Some(StreamTranslator::new(
            frames(from),
            stream_decoder(from)?,
            stream_encoder(to, &REPLY)?,
        ))
    };
    if let (Some(whole), Some(cut)) = (translator(), translator()) {
        let whole = run(whole, stream, stream.len());
        assert_eq!(run(cut, stream, piece), whole);
    }
}

/// Reads frames, whole and in pieces of that size, which must make no difference.
pub fn read(frames: impl Fn() -> Frames, stream: &[u8], piece: usize) {
    let translator = || StreamTranslator::new(frames(), Box::new(Tell), Box::new(Write));
    let whole = run(translator(), stream, stream.len());
    assert_eq!(run(translator(), stream, piece), whole);
}

/// Tells each frame's type and data.
struct Tell;

impl DecodeStream for Tell {
    fn frame(&mut self, frame: Frame<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), Problem> {
        for text in [frame.event, frame.data] {
            emit(Event::Delta {
                choice: 0,
                part: u32::from(frame.exception),
                delta: Delta::Text(text.into()),
            });
        }
        Ok(())
    }
}

/// Writes what was told.
struct Write;

impl EncodeStream for Write {
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{event:?}\n").as_bytes());
    }
}

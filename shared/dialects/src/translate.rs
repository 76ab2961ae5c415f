//! A stream from one dialect to another: bytes to frames to events to bytes.

use crate::answer::Usage;
use crate::error::Failure;
use crate::event::{Delta, Event};
use crate::json::Problem;
use crate::sse::{Frame, Sse};

/// Reads a dialect's stream, frame by frame.
pub trait DecodeStream {
    /// Takes a frame and tells the events in it. After [`Event::End`] or [`Event::Failed`] no frame counts.
    ///
    /// # Errors
    /// The frame makes no sense: the stream is then as good as broken.
    fn frame(&mut self, frame: Frame<'_>, emit: &mut dyn FnMut(Event<'_>)) -> Result<(), Problem>;

    /// The provider's body has ended as HTTP prescribes. A dialect without an end marker of its own (Google) tells
    /// [`Event::End`] here if everything needed has come; the others do nothing.
    fn ended(&mut self, _emit: &mut dyn FnMut(Event<'_>)) {}
}

/// Writes a dialect's stream.
pub trait EncodeStream {
    /// Takes an event and appends what it is in the dialect, maybe nothing. [`Event::Failed`] appends nothing: an error
    /// event is written by whoever knows the request.
    fn event(&mut self, event: Event<'_>, out: &mut Vec<u8>);

    /// The number of the next event, where the dialect numbers them (OpenAI's Responses).
    fn next_number(&self) -> u64 {
        0
    }
}

/// How frames are carried.
#[derive(Debug)]
pub enum Frames {
    /// Server-sent events.
    Sse(Sse),
    /// AWS event-stream messages.
    EventStream(crate::bedrock::EventStream),
}

/// How far a stream came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is under way.
    Open,
    /// The provider said that it was all, and so it was said to the client.
    Complete,
    /// The provider said that it failed.
    Failed(Failure),
    /// It cannot be understood.
    Nonsense(String),
}

/// Translates a stream. It ends with the outcome it had when the provider's body did: only [`Outcome::Complete`] has
/// sent the client an end.
pub struct StreamTranslator {
    frames: Frames,
    decoder: Box<dyn DecodeStream>,
    encoder: Box<dyn EncodeStream>,
    state: State,
}

struct State {
    outcome: Outcome,
    usage: Option<Usage>,
    output: u64,
}

impl StreamTranslator {
    /// A translator that reads `frames` with `decoder` and writes with `encoder`.
    #[must_use]
    pub fn new(
        frames: Frames,
        decoder: Box<dyn DecodeStream>,
        encoder: Box<dyn EncodeStream>,
    ) -> Self {
        Self {
            frames,
            decoder,
            encoder,
            state: State {
                outcome: Outcome::Open,
                usage: None,
                output: 0,
            },
        }
    }

    /// Takes the next piece of the provider's body and appends what the client is to get. Nothing happens once the
    /// outcome is no longer [`Outcome::Open`].
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let Self {
            frames,
            decoder,
            encoder,
            state,
        } = self;
        if state.outcome != Outcome::Open {
            return;
        }
        let each = |frame: Frame<'_>| {
            if state.outcome != Outcome::Open {
                return;
            }
            let read = decoder.frame(frame, &mut |event| state.take(event, &mut **encoder, out));
            if let Err(problem) = read {
                state.give_up(problem.to_string());
            }
        };
        match frames {
            Frames::Sse(sse) => {
                if sse.push(piece, each).is_err() {
                    state.give_up("an event is too long".to_owned());
                }
            }
            Frames::EventStream(messages) => {
                if let Err(problem) = messages.push(piece, each) {
                    state.give_up(problem.to_string());
                }
            }
        }
    }

    /// The provider's body has ended as HTTP prescribes.
    pub fn ended(&mut self, out: &mut Vec<u8>) {
        let Self {
            decoder,
            encoder,
            state,
            ..
        } = self;
        if state.outcome == Outcome::Open {
            decoder.ended(&mut |event| state.take(event, &mut **encoder, out));
        }
    }

    /// How far it came.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.state.outcome
    }

    /// The number of the next event for the client, where its dialect numbers them.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.encoder.next_number()
    }

    /// How many tokens of output came, by their bytes.
    #[must_use]
    pub fn output(&self) -> u64 {
        self.state.output
    }

    /// What the provider said it cost.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.state.usage
    }
}

/// About as many tokens as a piece of output has, and one at least.
fn tokens(delta: &Delta<'_>) -> u64 {
    let bytes = match delta {
        Delta::Text(text) | Delta::Arguments(text) => text.len(),
        Delta::Signature(_) | Delta::Citation(_) => 0,
    };
    (bytes.div_ceil(3) as u64).max(1)
}

impl State {
    fn take(&mut self, event: Event<'_>, encoder: &mut dyn EncodeStream, out: &mut Vec<u8>) {
        if self.outcome != Outcome::Open {
            return;
        }
        match &event {
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Failed(failure) => {
                self.outcome = Outcome::Failed(failure.clone());
                return;
            }
            Event::End => self.outcome = Outcome::Complete,
            Event::Delta { delta, .. } => self.output += tokens(delta),
            _ => {}
        }
        encoder.event(event, out);
    }

    fn give_up(&mut self, why: String) {
        if self.outcome == Outcome::Open {
            self.outcome = Outcome::Nonsense(why);
        }
    }
}

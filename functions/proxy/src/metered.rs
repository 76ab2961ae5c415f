//! Streams that pass as they are but for what exact accounting needs (FEATURES E5): usage is asked of the provider where the
//! client did not, read on the way, and the extra chunk removed.
//!
//! Events are passed on whole, as where nothing is counted. That chunk is all that is removed: where usage was asked for,
//! OpenAI gives every other chunk a `"usage":null`, which clients know and which stays, since taking it out would mean to
//! write each of them anew.

use bytes::Bytes;
use lockgate_dialects::Object;
use lockgate_host::{End, Flow, Host, Seen, TAIL_BYTES, Transform, WholeEvents};
use lockgate_providers::Surface;
use memchr::memmem;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::estimate;
use crate::stream::{Counted, Ending};
use crate::usage::{Form, Told, value_after, value_end};

/// Bytes of a delta that are its form and not its text.
const FORM_BYTES: usize = 48;

/// A field that is there, be it `null`.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    stream_options: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Options<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    include_usage: Option<&'a RawValue>,
}

/// What a body says of usage can be read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("its `stream_options` can be read in two ways")]
pub(crate) struct Unclear;

/// The body of a streamed Chat Completions request with `stream_options.include_usage` set, and no other byte changed;
/// `None` where it is, or where the provider will refuse what there is.
pub(crate) fn with_usage(body: &[u8]) -> Result<Option<Vec<u8>>, Unclear> {
    let text = std::str::from_utf8(body).map_err(|_| Unclear)?;
    // A field that is there twice is refused.
    let asked: Asked<'_> = serde_json::from_str(text).map_err(|_| Unclear)?;
    let Some(options) = asked.stream_options.map(RawValue::get) else {
        let field = "\"stream_options\":{\"include_usage\":true}";
        return Ok(with_field(text, text, field));
    };
    if options == "null" {
        return Ok(replaced(text, options, "{\"include_usage\":true}"));
    }
    if !options.starts_with('{') {
        return Ok(None);
    }
    let inner: Options<'_> = serde_json::from_str(options).map_err(|_| Unclear)?;
    Ok(match inner.include_usage.map(RawValue::get) {
        None => with_field(text, options, "\"include_usage\":true"),
        Some(off @ ("false" | "null")) => replaced(text, off, "true"),
        Some(_) => None,
    })
}

/// The text with `field` as the first of `object`, which is a part of it.
fn with_field(text: &str, object: &str, field: &str) -> Option<Vec<u8>> {
    let inside = object.get(object.find('{')? + 1..)?;
    let comma = match inside.trim_start().starts_with('}') {
        true => "",
        false => ",",
    };
    replaced(text, inside.get(..0)?, &[field, comma].concat())
}

/// The text with `new` in the place of `old`, which is a part of it.
fn replaced(text: &str, old: &str, new: &str) -> Option<Vec<u8>> {
    let start = (old.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let (before, after) = (text.get(..start)?, text.get(start + old.len()..)?);
    Some([before, new, after].concat().into_bytes())
}

/// A stream whose usage is read on its way.
pub(crate) struct Metered<H: Host> {
    meter: Meter,
    /// Until the stream has ended.
    ending: Option<Ending<H>>,
}

impl<H: Host> Metered<H> {
    /// `added` is whether the chunk with the usage is there only because the gateway has asked for it.
    pub(crate) fn new(ending: Ending<H>, added: bool) -> Self {
        Self {
            meter: Meter::new(ending.surface, ending.form(), added),
            ending: Some(ending),
        }
    }
}

impl<H: Host> Transform for Metered<H> {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Flow {
        self.meter.push(piece, out);
        Flow::More
    }

    fn ended(&mut self, end: End, out: &mut Vec<u8>) {
        let Some(ending) = self.ending.take() else {
            return;
        };
        let rest = self.meter.rest(&end);
        match ending.finish(self.meter.seen(), Some(self.meter.counted()), end) {
            // An unfinished event before it is dropped, or where its beginning has gone out, ended.
            Some(event) => {
                if self.meter.inside {
                    out.extend_from_slice(b"\n\n");
                }
                out.extend(event);
            }
            None => out.extend(rest),
        }
    }
}

/// Counts in a stream, and takes out the chunk that nobody asked for.
struct Meter {
    events: WholeEvents,
    told: Told,
    /// The member whose value is a piece of the output.
    delta: &'static [u8],
    /// Tokens of output, as far as can be told.
    output: u64,
    added: bool,
    /// Whether what was passed on ends inside of an event.
    inside: bool,
    /// The last bytes, and maybe some before them.
    tail: Vec<u8>,
    bytes: u64,
}

impl Meter {
    fn new(surface: Surface, form: Option<Form>, added: bool) -> Self {
        Self {
            events: WholeEvents::default(),
            told: Told::new(form),
            delta: match surface {
                Surface::Completions => b"\"text\"",
                _ => b"\"delta\"",
            },
            output: 0,
            added,
            inside: false,
            tail: Vec::new(),
            bytes: 0,
        }
    }

    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.bytes += piece.len() as u64;
        self.keep(piece);
        let whole = self.events.push(Bytes::copy_from_slice(piece));
        let mut rest = whole.as_ref();
        while let Some((event, after)) = split(rest) {
            rest = after;
            if self.passes(event) {
                out.extend_from_slice(event);
            }
            self.inside = false;
        }
        // Comments that stand alone, or a part of an event that is too long to be held.
        if !rest.is_empty() {
            self.inside = !rest.starts_with(b":");
            out.extend_from_slice(rest);
        }
    }

    /// Looks into an event; answers whether the client gets it.
    fn passes(&mut self, event: &[u8]) -> bool {
        if self.told.event(event) && self.added && is_extra(event) {
            return false;
        }
        if self.output == 0 && goes_on(event) {
            self.output = u64::MAX;
        }
        self.output = self.output.saturating_add(output(event, self.delta));
        true
    }

    /// What is left of a stream that has ended: nearly always nothing.
    fn rest(&mut self, end: &End) -> Bytes {
        let rest = self.events.finish();
        if *end == End::Complete && !self.passes(&rest) {
            return Bytes::new();
        }
        rest
    }

    fn keep(&mut self, piece: &[u8]) {
        let last = piece.len().saturating_sub(TAIL_BYTES);
        self.tail
            .extend_from_slice(piece.get(last..).unwrap_or_default());
        if self.tail.len() > 4 * TAIL_BYTES {
            self.tail.drain(..self.tail.len() - TAIL_BYTES);
        }
    }

    fn seen(&self) -> Seen<'_> {
        let start = self.tail.len().saturating_sub(TAIL_BYTES);
        Seen {
            head: &[],
            tail: self.tail.get(start..).unwrap_or_default(),
            bytes: self.bytes,
        }
    }

    fn counted(&self) -> Counted {
        Counted {
            tokens: self.told.tokens(self.output),
            output: self.output,
        }
    }
}

/// Splits off the first event, its blank line included.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let breaks = memchr::memchr2_iter(b'\n', b'\r', bytes);
    let mut ends = breaks.filter_map(|at| {
        let after = bytes.get(at + 1..)?;
        match (bytes.get(at)?, after) {
            (b'\n', [b'\n', ..]) | (b'\r', [b'\r', ..]) => Some(at + 2),
            (b'\n', [b'\r', b'\n', ..]) => Some(at + 3),
            _ => None,
        }
    });
    bytes.split_at_checked(ends.next()?)
}

/// Whether an event that tells usage has nothing else to tell.
fn is_extra(event: &[u8]) -> bool {
    let data = || {
        let mut lines = event.split(|byte| matches!(byte, b'\n' | b'\r'));
        let data = lines.find_map(|line| line.strip_prefix(b"data:"))?;
        let mut chunk = Object::parse(std::str::from_utf8(data).ok()?).ok()?;
        chunk.array("choices").ok()?
    };
    data().is_some_and(|choices| choices.is_empty())
}

/// Whether an event says that the provider goes on where nobody reads (Responses with `background`). What is delivered here
/// then says nothing about what will have been made.
fn goes_on(event: &[u8]) -> bool {
    const NAME: &[u8] = b"\"background\"";
    let value = || value_after(event, memmem::find(event, NAME)? + NAME.len());
    value().is_some_and(|value| event.get(value) == Some(&b't'))
}

/// Tokens of output in an event, by its deltas: one each at least, and where a provider sends many at once, by the length.
fn output(event: &[u8], name: &[u8]) -> u64 {
    let mut tokens = 0;
    let mut rest = event;
    while let Some(at) = memmem::find(rest, name) {
        let end = at + name.len();
        let inside = at.checked_sub(1).and_then(|at| rest.get(at)) == Some(&b'\\');
        let next = match value_after(rest, end).filter(|_| !inside) {
            Some(value) => {
                let Some(end) = value_end(rest, value) else {
                    break;
                };
                // `{}` and `""` have nothing in them.
                if end - value > 2 {
                    let text = (end - value).saturating_sub(FORM_BYTES);
                    tokens += estimate::of_bytes(text).max(1);
                }
                end
            }
            None => end,
        };
        rest = rest.get(next..).unwrap_or_default();
    }
    tokens
}

#[cfg(test)]
mod tests;

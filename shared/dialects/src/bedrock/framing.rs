//! Messages of `application/vnd.amazon.eventstream`, from bytes cut anywhere:
//! <https://smithy.io/2.0/aws/amazon-eventstream.html>.
//!
//! A message is its length, the length of its headers and a checksum of these two; the headers; the payload; a checksum
//! of all before it. Numbers are big-endian, checksums CRC-32.

use crate::json::{Problem, Writer};
use crate::sse::Frame;

/// Both lengths and their checksum.
const PRELUDE: usize = 12;
/// The least that a message is: a prelude and the checksum at the end.
const LEAST: usize = PRELUDE + 4;
/// A message longer than this ends the stream, so that memory stays bounded.
const MOST: usize = 16 << 20;
/// The type of a header whose value is text.
const TEXT: u8 = 7;

/// Reads event-stream messages.
#[derive(Debug, Default)]
pub struct EventStream {
    /// The beginning of a message whose end has not come.
    held: Vec<u8>,
}

impl EventStream {
    /// Takes the next piece and calls `each` for every message that it completes. An exception's frame has its type as the
    /// event; an error without a payload has its message as one.
    ///
    /// # Errors
    /// A length or checksum is wrong, or a message too long to be kept: nothing after it can be read.
    pub fn push(&mut self, piece: &[u8], mut each: impl FnMut(Frame<'_>)) -> Result<(), Problem> {
        let mut rest = piece;
        while !rest.is_empty() {
            if self.held.is_empty()
                && let Some(length) = length(rest)?
                && let Some((message, after)) = rest.split_at_checked(length)
            {
                read(message, &mut each)?;
                rest = after;
                continue;
            }
            let wanted = length(&self.held)?.unwrap_or(PRELUDE);
            let missing = wanted.saturating_sub(self.held.len()).min(rest.len());
            let (taken, after) = rest.split_at_checked(missing).unwrap_or((rest, &[]));
            self.held.extend_from_slice(taken);
            rest = after;
            if length(&self.held)? == Some(self.held.len()) {
                read(&self.held, &mut each)?;
                self.held.clear();
            }
        }
        Ok(())
    }
}

/// How long the message is that begins here; `None` before its prelude has come.
fn length(message: &[u8]) -> Result<Option<usize>, Problem> {
    let Some(prelude) = message.get(..PRELUDE) else {
        return Ok(None);
    };
    let total = number(prelude, 0);
    if !(LEAST..=MOST).contains(&total) || number(prelude, 4) > total - LEAST {
        return Err(Problem::new("has a message of an impossible length"));
    }
    if number(prelude, 8) != checksum(prelude.get(..8).unwrap_or_default()) {
        return Err(Problem::new("has a message whose prelude is damaged"));
    }
    Ok(Some(total))
}

fn number(bytes: &[u8], at: usize) -> usize {
    let four = bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk::<4>().copied());
    u32::from_be_bytes(four.unwrap_or_default()) as usize
}

fn checksum(bytes: &[u8]) -> usize {
    crc32fast::hash(bytes) as usize
}

/// A whole message, whose prelude is right.
fn read(message: &[u8], each: &mut impl FnMut(Frame<'_>)) -> Result<(), Problem> {
    let damaged = || Problem::new("has a message that is damaged");
    let (before, _) = message.split_last_chunk::<4>().ok_or_else(damaged)?;
    if number(message, before.len()) != checksum(before) {
        return Err(damaged());
    }
    let after_prelude = before.get(PRELUDE..).unwrap_or_default();
    let (headers, payload) = after_prelude
        .split_at_checked(number(message, 4))
        .ok_or_else(damaged)?;
    let headers = Headers::read(headers)?;
    let payload =
        std::str::from_utf8(payload).map_err(|_| Problem::new("has a message that is no text"))?;
    match headers.message {
        "exception" => each(Frame {
            event: headers.exception,
            data: payload,
            exception: true,
        }),
        "error" => {
            let mut said = Vec::new();
            Writer::new(&mut said)
                .open()
                .text_field("message", headers.error_message)
                .close();
            let said = String::from_utf8_lossy(&said);
            each(Frame {
                event: headers.error_code,
                data: if payload.is_empty() { &said } else { payload },
                exception: true,
            });
        }
        _ => each(Frame {
            event: headers.event,
            data: payload,
            exception: false,
        }),
    }
    Ok(())
}

/// The headers that mean something here.
#[derive(Default)]
struct Headers<'m> {
    message: &'m str,
    event: &'m str,
    exception: &'m str,
    error_code: &'m str,
    error_message: &'m str,
}

impl<'m> Headers<'m> {
    fn read(mut rest: &'m [u8]) -> Result<Self, Problem> {
        let mut headers = Self::default();
        while !rest.is_empty() {
            let (name, value) = header(&mut rest)
                .ok_or_else(|| Problem::new("has a message whose headers make no sense"))?;
            let slot = match name {
                b":message-type" => &mut headers.message,
                b":event-type" => &mut headers.event,
                b":exception-type" => &mut headers.exception,
                b":error-code" => &mut headers.error_code,
                b":error-message" => &mut headers.error_message,
                _ => continue,
            };
            *slot = value
                .and_then(|value| std::str::from_utf8(value).ok())
                .unwrap_or_default();
        }
        Ok(headers)
    }
}

/// Takes one header off the front: its name, and its value where that is text.
fn header<'m>(rest: &mut &'m [u8]) -> Option<(&'m [u8], Option<&'m [u8]>)> {
    let mut take = |count: usize| {
        let (taken, after) = rest.split_at_checked(count)?;
        *rest = after;
        Some(taken)
    };
    let length = usize::from(*take(1)?.first()?);
    let name = take(length)?;
    let kind = *take(1)?.first()?;
    let size = match kind {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        6 | TEXT => usize::from(u16::from_be_bytes(*take(2)?.first_chunk()?)),
        9 => 16,
        _ => return None,
    };
    let value = take(size)?;
    Some((name, (kind == TEXT).then_some(value)))
}

/// One message, as Bedrock sends it: an event of this type, or an exception.
#[must_use]
pub fn message(event_type: &str, payload: &[u8], exception: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 128);
    write(&mut out, event_type, exception, payload);
    out
}

/// Appends a message.
pub(super) fn write(out: &mut Vec<u8>, event_type: &str, exception: bool, payload: &[u8]) {
    let start = out.len();
    out.extend_from_slice(&[0; PRELUDE]);
    let (name, kind) = if exception {
        (":exception-type", "exception")
    } else {
        (":event-type", "event")
    };
    for (name, value) in [
        (name, event_type),
        (":content-type", "application/json"),
        (":message-type", kind),
    ] {
        out.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(name.as_bytes());
        out.push(TEXT);
        let value = value.as_bytes();
        let value = value
            .get(..value.len().min(usize::from(u16::MAX)))
            .unwrap_or_default();
        out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(value);
    }
    let headers = out.len() - start - PRELUDE;
    out.extend_from_slice(payload);
    let total = out.len() - start + 4;
    let big = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let mut prelude = [0; PRELUDE];
    let (lengths, sum) = prelude.split_at_mut(8);
    for (slot, byte) in lengths
        .iter_mut()
        .zip(big(total).into_iter().chain(big(headers)))
    {
        *slot = byte;
    }
    sum.copy_from_slice(&crc32fast::hash(lengths).to_be_bytes());
    if let Some(slot) = out.get_mut(start..start + PRELUDE) {
        slot.copy_from_slice(&prelude);
    }
    let sum = crc32fast::hash(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&sum.to_be_bytes());
}

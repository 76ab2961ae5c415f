//! Server-sent events, from bytes cut anywhere: <https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation>.
//!
//! An event whose bytes came in one piece is handed on without a copy. `id` and `retry` mean nothing to a gateway and are skipped.

use std::borrow::Cow;

use memchr::memchr2;

/// One event of a stream, whatever carries it: server-sent events, or AWS's event-stream messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'f> {
    /// Its type; empty where none is given.
    pub event: &'f str,
    /// Its data.
    pub data: &'f str,
    /// Whether the provider marks it as an exception (AWS only).
    pub exception: bool,
}

/// A line or an event longer than this ends the stream, so that memory stays bounded.
const MAX_HELD: usize = 16 << 20;

/// The event is longer than the gateway keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Reads server-sent events.
#[derive(Debug, Default)]
pub struct Sse {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// The last byte was a carriage return, so a line feed that follows belongs to it.
    after_cr: bool,
    /// Whether anything has come, so that a byte order mark is looked for only at the beginning.
    begun: bool,
    event: Vec<u8>,
    /// Data of the event under way that came in earlier pieces or lines.
    data: Vec<u8>,
    has_data: bool,
}

impl Sse {
    /// Takes the next piece and calls `each` for every event that it completes.
    ///
    /// # Errors
    /// An event that is too long to be kept.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(Frame<'_>),
    ) -> Result<(), TooLong> {
        let mut rest = piece;
        // The only data line of the event under way, while it stands in this piece.
        let mut lent: Option<&[u8]> = None;
        while let Some(at) = memchr2(b'\n', b'\r', rest) {
            let (line, after) = rest.split_at(at);
            let feed = after.first() == Some(&b'\n');
            rest = after.get(1..).unwrap_or_default();
            if feed && std::mem::take(&mut self.after_cr) && line.is_empty() && self.line.is_empty()
            {
                continue;
            }
            self.after_cr = !feed;
            if self.line.is_empty() {
                self.whole_line(line, &mut lent, &mut each);
            } else {
                self.line.extend_from_slice(line);
                let line = std::mem::take(&mut self.line);
                self.keep(&mut lent);
                let mut own = None;
                self.whole_line(&line, &mut own, &mut each);
                self.keep(&mut own);
            }
        }
        if !rest.is_empty() {
            self.after_cr = false;
            self.line.extend_from_slice(rest);
        }
        self.keep(&mut lent);
        if self.line.len() + self.data.len() + self.event.len() > MAX_HELD {
            return Err(TooLong);
        }
        Ok(())
    }

    /// Copies the lent line, whose piece is about to go.
    fn keep(&mut self, lent: &mut Option<&[u8]>) {
        if let Some(data) = lent.take() {
            self.data.extend_from_slice(data);
        }
    }

    fn whole_line<'p>(
        &mut self,
        line: &'p [u8],
        lent: &mut Option<&'p [u8]>,
        each: &mut impl FnMut(Frame<'_>),
    ) {
        let line = if self.begun {
            line
        } else {
            self.begun = true;
            line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
        };
        if line.is_empty() {
            return self.dispatch(lent.take(), each);
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(at) => {
                let value = line.get(at + 1..).unwrap_or_default();
                (
                    line.get(..at).unwrap_or_default(),
                    value.strip_prefix(b" ").unwrap_or(value),
                )
            }
            None => (line, &[][..]),
        };
        match name {
            b"data" if self.has_data => {
                self.keep(lent);
                self.data.push(b'\n');
                self.data.extend_from_slice(value);
            }
            b"data" => {
                self.has_data = true;
                *lent = Some(value);
            }
            b"event" => {
                self.event.clear();
                self.event.extend_from_slice(value);
            }
            _ => {}
        }
    }

    fn dispatch(&mut self, lent: Option<&[u8]>, each: &mut impl FnMut(Frame<'_>)) {
        if std::mem::take(&mut self.has_data) {
            each(Frame {
                event: &lossy(&self.event),
                data: &lossy(lent.unwrap_or(&self.data)),
                exception: false,
            });
        }
        self.event.clear();
        self.data.clear();
    }
}

fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Appends one event to `out`; `write` writes its data, which must have no line break.
pub fn event(out: &mut Vec<u8>, name: Option<&str>, write: impl FnOnce(&mut Vec<u8>)) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    write(out);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<(String, String)> {
        let mut sse = Sse::default();
        let mut events = Vec::new();
        for piece in pieces {
            sse.push(piece, |frame| {
                events.push((frame.event.to_owned(), frame.data.to_owned()));
            })
            .unwrap();
        }
        events
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let stream = "\u{feff}: hi\nevent: a\ndata: 1\n\ndata:2\r\ndata:  3\r\n\r\nid: 7\nretry: 1\n\nevent: gone\n\ndata\n\ndata: ä\r\r";
        let expected = [("a", "1"), ("", "2\n 3"), ("", ""), ("", "ä")]
            .map(|(event, data)| (event.to_owned(), data.to_owned()));
        assert_eq!(read(&[stream.as_bytes()]), expected);
        let bytes = stream.as_bytes();
        for a in 0..=bytes.len() {
            for b in a..=bytes.len() {
                assert_eq!(read(&[&bytes[..a], &bytes[a..b], &bytes[b..]]), expected);
            }
        }
    }

    #[test]
    fn an_event_without_its_blank_line_is_no_event() {
        assert_eq!(read(&[b"data: 1\n"]), []);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut sse = Sse::default();
        let piece = vec![b'x'; 1 << 20];
        let results: Vec<_> = (0..20).map(|_| sse.push(&piece, |_| {})).collect();
        assert!(results.first().unwrap().is_ok());
        assert_eq!(results.last().unwrap(), &Err(TooLong));
    }
}

//! Server-sent events passed on whole, for the engines that pump a [`Watched`](crate::AnswerBody::Watched) body.
//!
//! A stream that breaks in the middle of an event must not leave half of it with the client: the error event that
//! follows would be read as its rest. So what comes after the last event's blank line is held until the event is
//! complete, and dropped where it never will be. Nearly always a piece ends where an event does, and passes untouched.
//! The format: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.

use bytes::{Bytes, BytesMut};

/// An unfinished event longer than this is passed on all the same, so that memory stays bounded.
const MAX_HELD: usize = 1 << 20;

/// Holds back the unfinished event at the end of a stream.
#[derive(Debug, Default)]
pub struct WholeEvents {
    held: BytesMut,
}

impl WholeEvents {
    /// Takes the next piece and returns what may be passed on, which is empty while an event is unfinished.
    pub fn push(&mut self, piece: Bytes) -> Bytes {
        if self.held.is_empty() {
            let end = finished(&piece, 0);
            if end == piece.len() {
                return piece;
            }
            self.held
                .extend_from_slice(piece.get(end..).unwrap_or_default());
            return piece.slice(..end);
        }
        // No event ends inside what is held, so a blank line begins at its last bytes at the earliest.
        let from = self.held.len().saturating_sub(2);
        self.held.extend_from_slice(&piece);
        let end = match finished(&self.held, from) {
            0 if self.held.len() > MAX_HELD => self.held.len(),
            end => end,
        };
        self.held.split_to(end).freeze()
    }

    /// What is still held when the stream has ended as it should.
    pub fn finish(&mut self) -> Bytes {
        self.held.split().freeze()
    }
}

/// Bytes up to and including the last blank line, none of which ends before `from`, and comment lines that stand alone
/// after it (keep-alives).
fn finished(bytes: &[u8], from: usize) -> usize {
    let mut end = bytes.len();
    // Pieces end with an event nearly always, so looking back from the end finds it at once.
    while end > from && !ends_event(bytes.get(..end).unwrap_or_default()) {
        end -= 1;
    }
    if end <= from {
        end = 0;
    }
    let mut rest = bytes.get(end..).unwrap_or_default();
    while rest.first() == Some(&b':') {
        let Some(line) = rest.iter().position(|b| *b == b'\n') else {
            break;
        };
        end += line + 1;
        rest = rest.get(line + 1..).unwrap_or_default();
    }
    end
}

fn ends_event(bytes: &[u8]) -> bool {
    bytes.ends_with(b"\n\n") || bytes.ends_with(b"\n\r\n") || bytes.ends_with(b"\r\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let mut events = WholeEvents::default();
        let passed = pieces
            .iter()
            .map(|piece| events.push(Bytes::copy_from_slice(piece)).to_vec())
            .collect();
        (passed, events.finish().to_vec())
    }

    #[test]
    fn events_are_passed_whole() {
        let (passed, held) = pass(&[b"data: 1\n\ndata: ", b"2\n", b"\ndata: 3", b"\r\n\r\n"]);
        assert_eq!(
            passed,
            [&b"data: 1\n\n"[..], b"", b"data: 2\n\n", b"data: 3\r\n\r\n"]
        );
        assert!(held.is_empty());
        let (passed, held) = pass(&[b"data: [DONE]\n"]);
        assert_eq!((passed, held), (vec![vec![]], b"data: [DONE]\n".to_vec()));
    }

    #[test]
    fn keep_alives_do_not_wait() {
        let (passed, _) = pass(&[b": ping\n", b": p", b"ing\n"]);
        assert_eq!(passed, [&b": ping\n"[..], b"", b": ping\n"]);
    }

    #[test]
    fn every_split_gives_the_same_bytes() {
        let stream: &[u8] =
            b": hi\n\nevent: x\r\ndata: \xc3\xa4\r\n\r\n: k\ndata: y\n\ndata: z\r\rrest";
        for a in 0..=stream.len() {
            for b in a..=stream.len() {
                let (passed, held) = pass(&[&stream[..a], &stream[a..b], &stream[b..]]);
                assert_eq!([passed.concat(), held].concat(), stream);
            }
        }
    }

    #[test]
    fn an_endless_event_is_let_through() {
        let mut events = WholeEvents::default();
        let mut passed = 0;
        for _ in 0..40 {
            passed += events.push(Bytes::from(vec![b'x'; 64 << 10])).len();
        }
        assert!(passed > 0);
    }
}

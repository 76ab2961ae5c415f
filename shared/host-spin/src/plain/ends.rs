//! The first and last bytes of a body that is not kept.

use lockgate_host::{HEAD_BYTES, Seen, TAIL_BYTES};

/// Keeps the first [`HEAD_BYTES`] and last [`TAIL_BYTES`] bytes, and a count of all, of what is pushed through it.
#[derive(Default)]
pub(crate) struct Ends {
    head: Vec<u8>,
    kept: Vec<u8>,
    bytes: u64,
}

/// The ends of a body that is at hand.
pub(crate) fn of(whole: &[u8]) -> Seen<'_> {
    Seen {
        head: whole.get(..HEAD_BYTES).unwrap_or(whole),
        tail: last(whole),
        bytes: whole.len() as u64,
    }
}

fn last(bytes: &[u8]) -> &[u8] {
    let from = bytes.len().saturating_sub(TAIL_BYTES);
    bytes.get(from..).unwrap_or_default()
}

impl Ends {
    /// Takes note of `chunk`.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let missing = HEAD_BYTES.saturating_sub(self.head.len());
        if missing > 0 {
            self.head
                .extend_from_slice(chunk.get(..missing).unwrap_or(chunk));
        }
        self.bytes = self.bytes.saturating_add(chunk.len() as u64);
        match chunk.len().checked_sub(TAIL_BYTES) {
            Some(skipped) => {
                self.kept.clear();
                self.kept.extend(chunk.iter().skip(skipped));
            }
            None => {
                // Cut back only when twice as much has gathered, so that a small event does not move 4 KB each time.
                if self.kept.len() + chunk.len() > 2 * TAIL_BYTES {
                    let surplus = self.kept.len().saturating_sub(TAIL_BYTES);
                    self.kept.drain(..surplus);
                }
                self.kept.extend_from_slice(chunk);
            }
        }
    }

    /// What there was.
    pub(crate) fn seen(&self) -> Seen<'_> {
        Seen {
            head: &self.head,
            tail: last(&self.kept),
            bytes: self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_last_bytes_are_kept_whatever_the_chunks() {
        for size in [
            1,
            7,
            100,
            HEAD_BYTES,
            TAIL_BYTES - 1,
            TAIL_BYTES,
            TAIL_BYTES + 1,
            3 * TAIL_BYTES,
        ] {
            let all: Vec<u8> = (0..5 * TAIL_BYTES + 13).map(|i| (i % 251) as u8).collect();
            let mut ends = Ends::default();
            let mut fed = 0;
            for chunk in all.chunks(size) {
                ends.push(chunk);
                fed += chunk.len();
                let (seen, expected) = (ends.seen(), &all[..fed]);
                let tail = &expected[fed.saturating_sub(TAIL_BYTES)..];
                assert_eq!(seen.tail, tail, "chunks of {size}, after {fed}");
                assert_eq!(seen.head, &expected[..fed.min(HEAD_BYTES)]);
                assert_eq!(seen.bytes, fed as u64);
                let whole = of(expected);
                assert_eq!((whole.head, whole.tail), (seen.head, seen.tail));
            }
            assert!(ends.kept.capacity() <= 4 * TAIL_BYTES);
        }
    }

    #[test]
    fn nothing_is_nothing() {
        for seen in [Ends::default().seen(), of(b"")] {
            assert_eq!((seen.head, seen.tail, seen.bytes), (&[][..], &[][..], 0));
        }
    }
}

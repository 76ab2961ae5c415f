//! The last bytes of a stream that is not kept.

use lockgate_host::TAIL_BYTES;

/// Keeps the last [`TAIL_BYTES`] bytes, and a count of all, of what is pushed through it.
#[derive(Default)]
pub(crate) struct Tail {
    kept: Vec<u8>,
    bytes: u64,
}

impl Tail {
    /// Takes note of `chunk`.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
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

    /// The last bytes, at most [`TAIL_BYTES`].
    pub(crate) fn last(&self) -> &[u8] {
        let from = self.kept.len().saturating_sub(TAIL_BYTES);
        self.kept.get(from..).unwrap_or_default()
    }

    /// How many bytes there were in all.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept_whatever_the_chunks() {
        for size in [
            1,
            7,
            100,
            TAIL_BYTES - 1,
            TAIL_BYTES,
            TAIL_BYTES + 1,
            3 * TAIL_BYTES,
        ] {
            let all: Vec<u8> = (0..5 * TAIL_BYTES + 13).map(|i| (i % 251) as u8).collect();
            let mut tail = Tail::default();
            let mut fed = 0;
            for chunk in all.chunks(size) {
                tail.push(chunk);
                fed += chunk.len();
                let expected = &all[fed.saturating_sub(TAIL_BYTES)..fed];
                assert_eq!(tail.last(), expected, "chunks of {size}, after {fed}");
            }
            assert_eq!(tail.bytes(), all.len() as u64);
            assert!(tail.kept.capacity() <= 4 * TAIL_BYTES);
        }
    }

    #[test]
    fn nothing_is_nothing() {
        let tail = Tail::default();
        assert_eq!((tail.last(), tail.bytes()), (&[][..], 0));
    }
}

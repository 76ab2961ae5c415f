//! The first and last bytes of a body that is not kept, for those who watch it.

use std::collections::VecDeque;

use bytes::Bytes;
use lockgate_host::{HEAD_BYTES, Seen, TAIL_BYTES};

/// The first and last pieces of a body: references, so that nothing is copied while it passes.
#[derive(Default)]
pub(crate) struct Ends {
    /// The first pieces, at least [`HEAD_BYTES`] of them where there were as many.
    head: Vec<Bytes>,
    /// The last, at least [`TAIL_BYTES`].
    tail: VecDeque<Bytes>,
    tail_len: usize,
    bytes: u64,
}

impl Ends {
    pub(crate) fn push(&mut self, piece: &Bytes) {
        if piece.is_empty() {
            return;
        }
        if self.bytes < HEAD_BYTES as u64 {
            self.head.push(piece.clone());
        }
        self.bytes += piece.len() as u64;
        self.tail_len += piece.len();
        self.tail.push_back(piece.clone());
        while let Some(oldest) = self.tail.front()
            && self.tail_len - oldest.len() >= TAIL_BYTES
        {
            self.tail_len -= oldest.len();
            self.tail.pop_front();
        }
    }

    /// Shows what there was; only a head or tail that came in several pieces is copied.
    pub(crate) fn show<T>(&mut self, to: impl FnOnce(Seen<'_>) -> T) -> T {
        let (head_copy, tail_copy);
        let head = match self.head.as_slice() {
            [] => &[],
            [only] => only.as_ref(),
            pieces => {
                head_copy = pieces.concat();
                &head_copy
            }
        };
        let tail = match &*self.tail.make_contiguous() {
            [] => &[],
            [only] => only.as_ref(),
            pieces => {
                tail_copy = pieces.concat();
                tail_copy.as_slice()
            }
        };
        let tail_start = tail.len().saturating_sub(TAIL_BYTES);
        to(Seen {
            head: head.get(..HEAD_BYTES).unwrap_or(head),
            tail: tail.get(tail_start..).unwrap_or_default(),
            bytes: self.bytes,
        })
    }
}

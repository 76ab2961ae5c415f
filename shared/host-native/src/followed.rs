//! A provider's body that passes as it is, while somebody wants to know what its beginning and end were.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::SizeHint;
use lockgate_host::{End, Watch};

use crate::body::Source;
use crate::ends::Ends;
use crate::upstream::Upstream;
use crate::watched::Cut;

/// A body that is being followed. Its pieces, its length and a break reach the client as they would unwatched.
pub(crate) struct Followed {
    source: Option<Upstream>,
    watch: Option<Box<dyn Watch>>,
    ends: Ends,
}

impl Followed {
    pub(crate) fn new(source: Source, watch: Box<dyn Watch>) -> Self {
        Self {
            source: Some(source.into()),
            watch: Some(watch),
            ends: Ends::default(),
        }
    }

    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        let end = loop {
            match ready!(source.poll_piece(cx)) {
                // It stood for trailers.
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => {
                    self.ends.push(&piece);
                    return Poll::Ready(Some(Ok(piece)));
                }
                Err(end) => break end,
            }
        };
        let cut = match &end {
            End::Complete | End::ClientLeft => None,
            End::Idle => Some(Err(Cut::Idle)),
            End::Broken(why) => Some(Err(Cut::Broken(why.clone()))),
        };
        // Dropping the source first: a provider that fell silent is let go before anything else is done.
        self.source = None;
        self.ended(end);
        Poll::Ready(cut)
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.source.as_ref().is_none_or(Upstream::is_end)
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.source
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Upstream::size_hint)
    }

    fn ended(&mut self, end: End) {
        if let Some(watch) = self.watch.take() {
            // It has no last words: the client was told the length, or sees that the connection broke.
            self.ends.show(|seen| watch.ended(seen, end));
        }
    }
}

impl Drop for Followed {
    /// Where the length is known nobody asks for more than that, so the end is found here.
    fn drop(&mut self) {
        let end = if self.is_end_stream() {
            End::Complete
        } else {
            End::ClientLeft
        };
        self.source = None;
        self.ended(end);
    }
}

//! The connection, which can be told to drop in the middle of what is being written.
//!
//! hyper writes whole chunks only. To end one in its middle, the body sends a marker inside a chunk and arms the
//! wire: everything before the marker is written, then the connection closes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

const MARKER: &[u8] = b"\0\x01the mock provider cuts the connection here\x01\0";

/// How many bytes [`cut_after`] adds.
pub(crate) const CUT_BYTES: usize = 64;

/// `data`, and after it the place where the connection drops.
pub(crate) fn cut_after(data: &[u8]) -> Vec<u8> {
    let mut frame = [data, MARKER].concat();
    frame.resize(data.len() + CUT_BYTES, 0);
    frame
}

/// Arms the wire of one connection.
#[derive(Clone, Default)]
pub(crate) struct Cutter {
    armed: Arc<AtomicBool>,
    resets: Arc<AtomicBool>,
}

impl Cutter {
    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::Relaxed);
    }

    /// Has the connection end with a reset, whenever it ends.
    pub(crate) fn reset(&self) {
        self.resets.store(true, Ordering::Relaxed);
    }
}

/// A TCP connection under a [`Cutter`].
pub(crate) struct Wire {
    stream: TcpStream,
    cutter: Cutter,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> (Self, Cutter) {
        let cutter = Cutter::default();
        let wire = Self {
            stream,
            cutter: cutter.clone(),
        };
        (wire, cutter)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.cutter.resets.load(Ordering::Relaxed) {
            // One that fails leaves an ordinary end, which clients take for the same.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = buf;
        if self.cutter.armed.load(Ordering::Relaxed) {
            let at = buf.windows(MARKER.len()).position(|part| part == MARKER);
            match at {
                Some(0) => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
                Some(at) => buf = buf.get(..at).unwrap_or_default(),
                None => {}
            }
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! Guests' standard output and error: lines on the host's standard error, each with the component's name before it.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// A longer line is written in pieces.
const MAX_LINE: usize = 64 * 1024;

/// A stream of one instance.
pub(crate) struct PrefixedStderr {
    component: Arc<str>,
}

impl PrefixedStderr {
    pub(crate) fn new(component: &str) -> Self {
        Self {
            component: component.into(),
        }
    }
}

impl IsTerminal for PrefixedStderr {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for PrefixedStderr {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(LineWriter {
            component: Arc::clone(&self.component),
            line: Vec::new(),
        })
    }
}

/// Collects a line, so that those of different instances do not mix.
struct LineWriter {
    component: Arc<str>,
    line: Vec<u8>,
}

impl LineWriter {
    fn emit(&mut self) -> io::Result<()> {
        let mut out = Vec::with_capacity(self.line.len() + self.component.len() + 4);
        write!(out, "[{}] ", self.component)?;
        out.append(&mut self.line);
        out.push(b'\n');
        io::stderr().lock().write_all(&out)
    }
}

impl AsyncWrite for LineWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        for piece in data.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            self.line.extend_from_slice(text);
            if ended || self.line.len() > MAX_LINE {
                self.emit()?;
            }
        }
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            // Nobody is left to be told that standard error is gone.
            _ = self.emit();
        }
    }
}

//! A provider whose every byte and pause a test writes itself, for what the shared mock provider has no model name for.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the provider was sent.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The open connection to the gateway, and where to note times.
pub(crate) struct Line {
    socket: TcpStream,
    notes: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Line {
    /// Sends raw bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Sends the head of a chunked event stream, with more header lines.
    pub(crate) fn event_stream(&mut self, more: &str) -> io::Result<()> {
        self.send(
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n{more}\r\n"
            )
            .as_bytes(),
        )
    }

    /// Sends one chunk.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut wire = format!("{:x}\r\n", bytes.len()).into_bytes();
        wire.extend_from_slice(bytes);
        wire.extend_from_slice(b"\r\n");
        self.send(&wire)
    }

    /// Ends a chunked body properly.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.send(b"0\r\n\r\n")
    }

    /// Sends a whole JSON answer. That the connection ends with it is said: the next request might otherwise be sent into
    /// one that is just being closed.
    pub(crate) fn answer(&mut self, status: &str, more: &str, body: &str) -> io::Result<()> {
        let close = if more.to_ascii_lowercase().contains("connection:") {
            ""
        } else {
            "connection: close\r\n"
        };
        self.send(
            format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{close}{more}\r\n{body}",
                body.len()
            )
            .as_bytes(),
        )
    }

    /// Notes that something happened now.
    pub(crate) fn note(&self, what: &str) {
        self.notes
            .lock()
            .unwrap()
            .push((what.to_owned(), Instant::now()));
    }

    /// Waits until the gateway closes its side, and tells whether it did.
    pub(crate) fn closed_within(&mut self, limit: Duration) -> bool {
        self.socket.set_read_timeout(Some(limit)).ok();
        let mut space = [0_u8; 256];
        loop {
            match self.socket.read(&mut space) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => {
                    return !matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    );
                }
            }
        }
    }
}

/// A scripted provider; each connection carries one request.
pub(crate) struct Script {
    port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    notes: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Script {
    /// Serves every request with `play`.
    pub(crate) fn start(
        play: impl Fn(&Received, &mut Line) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Self {
            port,
            received: Arc::default(),
            notes: Arc::default(),
        };
        let (received, notes) = (script.received.clone(), script.notes.clone());
        let play = Arc::new(play);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (received, notes, play) = (received.clone(), notes.clone(), play.clone());
                std::thread::spawn(move || -> io::Result<()> {
                    socket.set_nodelay(true)?;
                    let mut line = Line { socket, notes };
                    let request = read_request(&mut line.socket)?;
                    received.lock().unwrap().push(request.clone());
                    play(&request, &mut line)
                });
            }
        });
        script
    }

    /// The base URL as a provider key wants it.
    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// What came, in order.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// When `what` was noted, in order.
    pub(crate) fn times(&self, what: &str) -> Vec<Instant> {
        self.notes
            .lock()
            .unwrap()
            .iter()
            .filter(|(name, _)| name == what)
            .map(|(_, at)| *at)
            .collect()
    }
}

fn read_request(socket: &mut TcpStream) -> io::Result<Received> {
    let mut buffer = Vec::new();
    let mut space = [0_u8; 16 * 1024];
    loop {
        let mut slots = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Request::new(&mut slots);
        if let httparse::Status::Complete(head) = parsed.parse(&buffer).map_err(io::Error::other)? {
            let headers: Vec<(String, String)> = parsed
                .headers
                .iter()
                .map(|header| {
                    (
                        header.name.to_ascii_lowercase(),
                        String::from_utf8_lossy(header.value).into_owned(),
                    )
                })
                .collect();
            let length = headers
                .iter()
                .find(|(name, _)| name == "content-length")
                .and_then(|(_, value)| value.parse::<usize>().ok());
            let chunked = headers.iter().any(|(name, _)| name == "transfer-encoding");
            let whole = match length {
                Some(length) => buffer.len() >= head + length,
                None => !chunked || buffer.ends_with(b"0\r\n\r\n"),
            };
            if whole {
                return Ok(Received {
                    headers,
                    body: buffer.split_off(head),
                });
            }
        }
        let read = socket.read(&mut space)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.extend_from_slice(&space[..read]);
    }
}

//! A small HTTP/1.1 client on a plain socket: what is sent is exactly what a test wrote, and each piece of an
//! answer carries the time it arrived. Kept by hand because tests break rules that client libraries keep.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a socket may be silent before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a request's body is framed.
enum Framing {
    /// With `content-length`, or no body at all.
    Sized,
    /// With `transfer-encoding: chunked`, in pieces of this many bytes.
    Chunked(usize),
}

/// A request in the making.
pub(crate) struct Call {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
    framing: Framing,
}

impl Call {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: None,
            framing: Framing::Sized,
        }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers
            .push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.text(&body.to_string())
    }

    /// A JSON body, byte for byte.
    pub(crate) fn text(self, body: &str) -> Self {
        self.header("content-type", "application/json")
            .bytes(body.as_bytes().to_vec())
    }

    pub(crate) fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }

    pub(crate) fn chunked(mut self, piece: usize) -> Self {
        self.framing = Framing::Chunked(piece);
        self
    }

    fn head(&self, authority: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if !self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            head.extend_from_slice(format!("host: {authority}\r\n").as_bytes());
        }
        for (name, value) in &self.headers {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        match (&self.framing, &self.body) {
            (Framing::Chunked(_), _) => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            (Framing::Sized, Some(body)) => {
                head.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
            }
            (Framing::Sized, None) => {}
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// Sends the request and waits for the head of the answer.
    pub(crate) fn open(self, base: &str) -> io::Result<Stream> {
        let authority = authority(base);
        let mut socket = TcpStream::connect(authority)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut wire = self.head(authority);
        let body = self.body.unwrap_or_default();
        match self.framing {
            Framing::Sized if body.len() <= 64 * 1024 => {
                wire.extend_from_slice(&body);
                socket.write_all(&wire)?;
            }
            framing => {
                socket.write_all(&wire)?;
                // A server may refuse a large body before it has read it, so the answer is read meanwhile; a write
                // that fails then is no failure of the call.
                let mut writer = socket.try_clone()?;
                std::thread::spawn(move || write_body(&mut writer, &body, &framing));
            }
        }
        Stream::read_head(socket)
    }

    /// Sends the request and reads the whole answer.
    pub(crate) fn run(self, base: &str) -> Reply {
        let what = format!("{} {}", self.method, self.target);
        match self.open(base).and_then(Stream::collect) {
            Ok(reply) => reply,
            Err(error) => panic!("{what}: no whole answer: {error}"),
        }
    }
}

fn write_body(socket: &mut TcpStream, body: &[u8], framing: &Framing) -> io::Result<()> {
    match framing {
        Framing::Sized => socket.write_all(body),
        Framing::Chunked(piece) => {
            for part in body.chunks(*piece) {
                socket.write_all(format!("{:x}\r\n", part.len()).as_bytes())?;
                socket.write_all(part)?;
                socket.write_all(b"\r\n")?;
            }
            socket.write_all(b"0\r\n\r\n")
        }
    }
}

/// `host:port` of a base URL.
pub(crate) fn authority(base: &str) -> &str {
    base.trim_start_matches("http://").trim_end_matches('/')
}

/// How an answer's body ends.
enum Ends {
    Length(usize),
    Chunked,
    Close,
    Done,
}

/// An answer whose head has arrived.
pub(crate) struct Stream {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    socket: TcpStream,
    buffer: Vec<u8>,
    ends: Ends,
}

impl Stream {
    fn read_head(mut socket: TcpStream) -> io::Result<Self> {
        let mut buffer = Vec::new();
        loop {
            let mut slots = [httparse::EMPTY_HEADER; 256];
            let mut parsed = httparse::Response::new(&mut slots);
            let status = parsed.parse(&buffer).map_err(io::Error::other)?;
            if let (httparse::Status::Complete(length), Some(code)) = (status, parsed.code) {
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
                buffer.drain(..length);
                if code == 100 {
                    continue;
                }
                let ends = ends(code, &headers);
                return Ok(Self {
                    status: code,
                    headers,
                    socket,
                    buffer,
                    ends,
                });
            }
            if fill(&mut socket, &mut buffer)? == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the connection ended before the head of the answer",
                ));
            }
        }
    }

    /// The next piece of the body with the time it arrived; `None` at its proper end, an error where it breaks off.
    pub(crate) fn piece(&mut self) -> io::Result<Option<(Instant, Vec<u8>)>> {
        loop {
            match self.ends {
                Ends::Done => return Ok(None),
                Ends::Length(0) => self.ends = Ends::Done,
                Ends::Length(left) if !self.buffer.is_empty() => {
                    let take = left.min(self.buffer.len());
                    self.ends = Ends::Length(left - take);
                    return Ok(Some((Instant::now(), self.buffer.drain(..take).collect())));
                }
                Ends::Close if !self.buffer.is_empty() => {
                    return Ok(Some((Instant::now(), std::mem::take(&mut self.buffer))));
                }
                Ends::Chunked => match httparse::parse_chunk_size(&self.buffer) {
                    Ok(httparse::Status::Complete((line, size))) => {
                        let size = usize::try_from(size).map_err(io::Error::other)?;
                        let whole = line + size + 2;
                        if self.buffer.len() >= whole {
                            let data = self.buffer[line..line + size].to_vec();
                            self.buffer.drain(..whole);
                            if size == 0 {
                                self.ends = Ends::Done;
                                continue;
                            }
                            return Ok(Some((Instant::now(), data)));
                        }
                    }
                    Ok(httparse::Status::Partial) => {}
                    Err(_) => return Err(io::Error::other("malformed chunk")),
                },
                _ => {}
            }
            if matches!(self.ends, Ends::Done | Ends::Length(0)) {
                continue;
            }
            if fill(&mut self.socket, &mut self.buffer)? == 0 {
                if matches!(self.ends, Ends::Close) {
                    self.ends = Ends::Done;
                    continue;
                }
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the body broke off",
                ));
            }
        }
    }

    /// Reads what is left.
    pub(crate) fn collect(mut self) -> io::Result<Reply> {
        let mut body = Vec::new();
        while let Some((_, piece)) = self.piece()? {
            body.extend_from_slice(&piece);
        }
        Ok(Reply {
            status: self.status,
            headers: self.headers,
            body,
            ended_at: Instant::now(),
        })
    }

    /// Leaves without reading the rest.
    pub(crate) fn leave(self) {
        // Unread data makes the kernel send a reset; a client that has read what came sends an ordinary FIN.
        self.socket.shutdown(Shutdown::Both).ok();
    }
}

fn fill(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut space = [0_u8; 16 * 1024];
    let read = socket.read(&mut space)?;
    buffer.extend_from_slice(&space[..read]);
    Ok(read)
}

fn ends(status: u16, headers: &[(String, String)]) -> Ends {
    if status == 204 || status == 304 {
        return Ends::Done;
    }
    if find(headers, "transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        return Ends::Chunked;
    }
    match find(headers, "content-length").and_then(|value| value.parse().ok()) {
        Some(length) => Ends::Length(length),
        None => Ends::Close,
    }
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) ended_at: Instant,
}

impl Reply {
    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{} is not JSON ({error}): {}", self.status, self.text())
        })
    }

    /// Asserts the status and gives the reply back.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "answer: {}", self.text());
        self
    }

    /// Asserts a refusal of the gateway's own, in the shape API.md gives, and returns the error object.
    pub(crate) fn refusal(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "answer: {}", self.text());
        let body = self.json();
        let error = &body["error"];
        assert_eq!(error["code"], code, "answer: {body}");
        for field in ["message", "type"] {
            assert!(
                error[field].as_str().is_some_and(|text| !text.is_empty()),
                "`{field}` is missing: {body}"
            );
        }
        assert!(error.get("param").is_some(), "`param` is missing: {body}");
        let lockgate = &error["lockgate"];
        let id = lockgate["request_id"].as_str().unwrap_or_default();
        assert!(!id.is_empty(), "no request id: {body}");
        assert!(
            lockgate["docs"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "`lockgate.docs` is missing: {body}"
        );
        for field in ["route", "provider"] {
            assert!(
                lockgate.get(field).is_some(),
                "`lockgate.{field}` is missing: {body}"
            );
        }
        assert!(
            lockgate["remedy"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "no remedy: {body}"
        );
        assert!(
            self.header("content-type")
                .is_some_and(|value| value.starts_with("application/json")),
            "content-type: {:?}",
            self.header("content-type")
        );
        if let Some(sent) = self.header("lockgate-request-id") {
            assert_eq!(sent, id, "header and body name the same request");
        }
        error.clone()
    }
}

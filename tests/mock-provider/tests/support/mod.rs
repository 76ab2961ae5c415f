//! A client that sees what is on the wire: chunks as they were cut, and when each arrived.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use mock_provider::MockProvider;
use serde_json::Value;

pub(crate) const SOON: Duration = Duration::from_secs(5);

/// An answer as far as it arrived.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// The chunks of a chunked body, or the whole of another, with the time each was complete.
    pub(crate) chunks: Vec<(Vec<u8>, Instant)>,
    /// Whether it ended as HTTP says.
    pub(crate) whole: bool,
    /// What had arrived of a chunk that was never complete.
    pub(crate) rest: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn body(&self) -> Vec<u8> {
        let chunks = self.chunks.iter();
        chunks.flat_map(|(chunk, _)| chunk.clone()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body()).unwrap()
    }

    /// The data of each event, for streams without surprises.
    pub(crate) fn events(&self) -> Vec<String> {
        let text = self.text();
        let events = text.split("\n\n").filter(|event| !event.is_empty());
        events
            .map(|event| event.strip_prefix("data: ").unwrap().to_owned())
            .collect()
    }

    /// The contents of a chat stream put together.
    pub(crate) fn content(&self) -> String {
        let events = self.events();
        let events = events.iter().filter(|event| *event != "[DONE]");
        events
            .filter_map(|event| {
                let event: Value = serde_json::from_str(event).unwrap();
                Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())
            })
            .collect()
    }
}

/// A connection on which one request after another can be made.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(provider: &MockProvider) -> Self {
        let stream = TcpStream::connect(provider.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: mock\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).unwrap();
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads more; false at the end of the connection or after `timeout` of silence.
    fn fill(&mut self) -> bool {
        let mut part = vec![0; 256 * 1024];
        match self.stream.read(&mut part) {
            Ok(0) | Err(_) => false,
            Ok(read) => {
                self.buffer.extend_from_slice(&part[..read]);
                true
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
                self.buffer.drain(..end + 2);
                return Some(line);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            if !self.fill() {
                return None;
            }
        }
        Some(self.buffer.drain(..length).collect())
    }

    pub(crate) fn head(&mut self) -> Option<Answer> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").unwrap();
            headers.push((name.to_owned(), value.to_owned()));
        }
        Some(Answer {
            status,
            headers,
            chunks: Vec::new(),
            whole: false,
            rest: Vec::new(),
        })
    }

    pub(crate) fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = self.line()?;
        let size = usize::from_str_radix(&size, 16).unwrap();
        let mut chunk = self.exactly(size + 2)?;
        chunk.truncate(size);
        Some(chunk)
    }

    /// Reads an answer to its end, or to where it breaks off.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head().expect("an answer's head");
        if let Some(length) = answer.header("content-length") {
            let body = self.exactly(length.parse().unwrap());
            answer.whole = body.is_some();
            let body = body.unwrap_or_else(|| std::mem::take(&mut self.buffer));
            answer.chunks.push((body, Instant::now()));
            return answer;
        }
        while let Some(chunk) = self.chunk() {
            if chunk.is_empty() {
                answer.whole = true;
                return answer;
            }
            answer.chunks.push((chunk, Instant::now()));
        }
        answer.rest = std::mem::take(&mut self.buffer);
        answer
    }

    /// Whether the provider has closed the connection.
    pub(crate) fn closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.stream.read(&mut byte), Ok(0))
    }

    /// Whether the provider has reset the connection.
    pub(crate) fn reset(&mut self) -> bool {
        let mut byte = [0];
        let read = self.stream.read(&mut byte);
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    }

    pub(crate) fn silent_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut byte = [0];
        let read = self.stream.read(&mut byte);
        self.stream.set_read_timeout(Some(SOON)).unwrap();
        read.is_err()
    }
}

/// The body of a chat request.
pub(crate) fn chat_body(model: &str, stream: bool) -> Vec<u8> {
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}],"stream":{stream}}}"#
    )
    .into_bytes()
}

/// Sends a chat request on a new connection.
pub(crate) fn ask(provider: &MockProvider, model: &str, stream: bool) -> Client {
    let mut client = Client::new(provider);
    client.send(
        "POST",
        "/v1/chat/completions",
        "authorization: Bearer sk-test\r\ncontent-type: application/json\r\n",
        &chat_body(model, stream),
    );
    client
}

pub(crate) fn chat(provider: &MockProvider, model: &str, stream: bool) -> Answer {
    ask(provider, model, stream).answer()
}

/// Any request on a new connection.
pub(crate) fn request(
    provider: &MockProvider,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let mut client = Client::new(provider);
    client.send(method, path, headers, body.as_bytes());
    client.answer()
}

//! What the tests share: a provider of raw sockets, a gateway in this process, and a client of raw sockets.
#![allow(dead_code)]

use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use lockgate_host::{
    AnswerBody, End, Fetch, FetchError, Inbound, Method, Outbound, OutboundBody, Seen, Watch,
};
use lockgate_host_native::server::{Running, start};
use lockgate_host_native::{Answer, Folder, Incoming, Listeners, NativeHost, Shared};

/// Far beyond what anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A provider: each connection is given to `play` on a thread of its own.
pub(crate) fn provider(play: impl Fn(Peer) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let play = Arc::new(play);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let play = Arc::clone(&play);
            thread::spawn(move || play(Peer::new(stream.unwrap())));
        }
    });
    address
}

/// One end of a connection.
pub(crate) struct Peer {
    reader: BufReader<TcpStream>,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            reader: BufReader::new(stream),
        }
    }

    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn send(&mut self, text: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(text.as_ref()).unwrap();
    }

    pub(crate) fn try_send(&mut self, text: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.reader.get_mut().write_all(text.as_ref())
    }

    /// A head, up to and without the empty line; empty where the peer has closed.
    pub(crate) fn head(&mut self) -> String {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
                return head;
            }
            head.push_str(&line);
        }
    }

    pub(crate) fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// One chunk of a chunked body; empty for the last.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let mut size = String::new();
        self.reader.read_line(&mut size).unwrap();
        let length = usize::from_str_radix(size.trim(), 16).unwrap();
        let bytes = self.exactly(length);
        assert_eq!(self.exactly(2), b"\r\n");
        bytes
    }

    /// Everything until the peer closes or resets.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.reader.read_to_end(&mut bytes);
        bytes
    }

    /// Waits until the peer has closed and says how long that took.
    pub(crate) fn closed(&mut self) -> Duration {
        let begun = Instant::now();
        let mut byte = [0];
        loop {
            match self.reader.read(&mut byte) {
                Ok(0) => return begun.elapsed(),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("still open after {PATIENCE:?}")
                }
                Err(_) => return begun.elapsed(),
            }
        }
    }
}

/// A gateway in this process, and its folder.
pub(crate) struct Gateway {
    pub(crate) running: Option<Running>,
    pub(crate) address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    _folder: tempfile::TempDir,
}

impl Gateway {
    pub(crate) fn serve<F, Fut>(handler: F) -> Self
    where
        F: Fn(NativeHost, Incoming) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Answer> + 'static,
    {
        let folder = tempfile::tempdir().unwrap();
        let shared = Shared::open(
            Folder::take(&folder.path().join("data")).unwrap(),
            std::collections::HashMap::new(),
        )
        .unwrap();
        let listeners = Listeners::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = listeners.address();
        let running = Some(start(listeners, Arc::clone(&shared), handler).unwrap());
        Self {
            running,
            address,
            shared,
            _folder: folder,
        }
    }

    pub(crate) fn connect(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// Sends a GET and returns the connection.
    pub(crate) fn get(&self, path: &str) -> Peer {
        let mut peer = self.connect();
        peer.send(format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n"));
        peer
    }
}

/// A GET to the provider, to be changed where a test needs more.
pub(crate) fn ask(url: &str) -> Outbound<'_, NativeHost> {
    Outbound {
        method: Method::GET,
        url,
        forward: None,
        set: &[],
        credential: None,
        body: OutboundBody::Empty,
        head_timeout: PATIENCE,
        idle_timeout: PATIENCE,
    }
}

/// A short answer of text.
pub(crate) fn text(status: u16, text: impl Into<String>) -> Answer {
    Answer {
        status,
        from: None,
        set: Vec::new(),
        body: AnswerBody::Bytes(text.into().into_bytes()),
    }
}

/// Asks the provider and passes the answer through `body`.
pub(crate) async fn relay(
    host: NativeHost,
    outbound: Outbound<'_, NativeHost>,
    body: impl FnOnce(<NativeHost as Fetch>::Body) -> AnswerBody<NativeHost>,
) -> Answer {
    match host.fetch(outbound).await {
        Ok(Inbound {
            status,
            headers,
            body: unread,
        }) => Answer {
            status,
            from: Some(headers),
            set: Vec::new(),
            body: body(unread),
        },
        Err(error) => {
            let status = match error {
                FetchError::Timeout => 504,
                FetchError::Unreachable(_) => 503,
                FetchError::Broken(_) => 502,
                FetchError::Forbidden(_) => 403,
            };
            text(status, error.to_string())
        }
    }
}

/// What a watcher heard.
#[derive(Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) head: Vec<u8>,
    pub(crate) tail: Vec<u8>,
    pub(crate) bytes: u64,
    pub(crate) end: End,
}

/// A watcher that reports, and adds `last` words.
pub(crate) struct Reporter {
    pub(crate) to: Sender<Heard>,
    pub(crate) last: Option<&'static str>,
}

impl Watch for Reporter {
    fn ended(self: Box<Self>, seen: Seen<'_>, end: End) -> Option<Vec<u8>> {
        let _ = self.to.send(Heard {
            head: seen.head.to_vec(),
            tail: seen.tail.to_vec(),
            bytes: seen.bytes,
            end,
        });
        self.last.map(|last| last.as_bytes().to_vec())
    }
}

/// A gateway whose every answer is the provider's, watched; and what the watchers hear.
pub(crate) fn watching(
    provider: SocketAddr,
    idle_timeout: Duration,
    last: Option<&'static str>,
) -> (Gateway, Receiver<Heard>) {
    observing(provider, idle_timeout, last, |body, reporter| {
        AnswerBody::Watched(body, reporter)
    })
}

/// The same, followed.
pub(crate) fn following(
    provider: SocketAddr,
    idle_timeout: Duration,
) -> (Gateway, Receiver<Heard>) {
    let last = Some("nobody wants to hear");
    observing(provider, idle_timeout, last, |body, reporter| {
        AnswerBody::Followed(body, reporter)
    })
}

fn observing(
    provider: SocketAddr,
    idle_timeout: Duration,
    last: Option<&'static str>,
    observe: fn(<NativeHost as Fetch>::Body, Box<Reporter>) -> AnswerBody<NativeHost>,
) -> (Gateway, Receiver<Heard>) {
    let (to, heard) = channel();
    let gateway = Gateway::serve(move |host, _request| {
        let to = to.clone();
        async move {
            let url = format!("http://{provider}/");
            let outbound = Outbound {
                idle_timeout,
                ..ask(&url)
            };
            relay(host, outbound, |body| {
                observe(body, Box::new(Reporter { to, last }))
            })
            .await
        }
    });
    (gateway, heard)
}

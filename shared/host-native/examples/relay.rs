//! The engine alone, to be measured beside a bare hyper proxy: a gateway that decides nothing.
//!
//! `relay PORT http://HOST:PORT [watched|through]` reads each request's body, sends it on to the same path with another
//! credential and the usual headers, and passes the answer back; by default it watches streams of events.

use std::sync::Arc;
use std::time::Duration;

use lockgate_host::{
    Answer, AnswerBody, Credential, End, Fetch, Headers, Outbound, OutboundBody, Secret, Seen,
    Watch,
};
use lockgate_host_native::{Folder, Incoming, Listeners, NativeHost, Shared, environment, server};

struct Silent;

impl Watch for Silent {
    fn ended(self: Box<Self>, _seen: Seen<'_>, _end: End) -> Option<Vec<u8>> {
        None
    }
}

const EVENTS: &str = "text/event-stream";
const FORWARDED: &[&str] = &[
    "content-type",
    "accept",
    "anthropic-version",
    "anthropic-beta",
    "openai-beta",
    "idempotency-key",
    "user-agent",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().ok_or("which port?")?.parse()?;
    let upstream: Arc<str> = arguments.next().ok_or("which upstream?")?.into();
    let watched = arguments.next().is_none_or(|how| how == "watched");
    let folder = tempfile::tempdir()?;
    let shared = Shared::open(Folder::take(folder.path())?, environment())?;
    let threads = std::thread::available_parallelism()?.get();
    let listeners = Listeners::bind(([127, 0, 0, 1], port).into(), threads)?;
    let secret = Arc::new(Secret::from("sk-none".to_owned()));
    let running = server::start(listeners, shared, move |host, request| {
        relay(
            host,
            request,
            Arc::clone(&upstream),
            Arc::clone(&secret),
            watched,
        )
    })?;
    println!("listening on http://{}", running.address());
    Ok(running.until_signal(|| ())?)
}

async fn relay(
    host: NativeHost,
    request: Incoming,
    upstream: Arc<str>,
    secret: Arc<Secret>,
    watched: bool,
) -> Answer<NativeHost> {
    let failed = |status, text: String| Answer {
        status,
        from: None,
        set: Vec::new(),
        body: AnswerBody::Bytes(text.into_bytes()),
    };
    if request.headers.get("authorization").is_none() {
        return failed(401, "no key".to_owned());
    }
    let body = match host.read(request.body, 32 * 1024 * 1024).await {
        Ok(body) => body,
        Err(error) => return failed(400, error.to_string()),
    };
    let outbound = Outbound {
        method: request.method,
        url: &format!("{upstream}{}", request.path),
        forward: Some((&request.headers, FORWARDED)),
        set: &[],
        credential: Some(Credential {
            header: "authorization",
            prefix: "Bearer ",
            secret: &secret,
        }),
        body: OutboundBody::Payload(body),
        head_timeout: Duration::from_secs(60),
        idle_timeout: Duration::from_secs(60),
    };
    match host.fetch(outbound).await {
        Ok(inbound) => Answer {
            body: if watched && inbound.headers.get("content-type").as_deref() == Some(EVENTS) {
                AnswerBody::Watched(inbound.body, Box::new(Silent))
            } else {
                AnswerBody::Through(inbound.body)
            },
            status: inbound.status,
            from: Some(inbound.headers),
            set: vec![
                ("lockgate-provider", "none".into()),
                ("lockgate-attempts", "1".into()),
            ],
        },
        Err(error) => failed(502, error.to_string()),
    }
}

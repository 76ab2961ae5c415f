//! What is answered to a request: by its path, its key and the behaviour its model names.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::behaviour::Behaviour;
use crate::openai::{self, Request, Surface, UNICODE_WORDS, WORDS, Writer};
use crate::play::{Script, Step};
use crate::wire::CUT_BYTES;

/// A response, before it is performed.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) script: Script,
    /// How long to wait before the head; `None` is for ever.
    pub(crate) delay: Option<Duration>,
}

impl Answer {
    fn new(status: u16, content_type: &'static str, script: Script) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self {
            // Statuses are checked where they are read.
            status: StatusCode::from_u16(status).unwrap_or_default(),
            headers,
            script,
            delay: Some(Duration::ZERO),
        }
    }

    pub(crate) fn json(status: u16, body: Bytes) -> Self {
        Self::new(status, "application/json", Script::whole(body))
    }

    fn stream(steps: impl Iterator<Item = Step> + Send + 'static) -> Self {
        Self::new(
            200,
            "text/event-stream; charset=utf-8",
            Script::chunked(steps),
        )
    }

    pub(crate) fn error(status: u16, message: &str) -> Self {
        let (kind, code) = openai::error_names(status);
        Self::json(status, openai::error(message, kind, code))
    }

    fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        self
    }
}

/// The answer to a request that is not the mock's own administration.
pub(crate) fn answer(method: &str, path: &str, secret: Option<&str>, body: &[u8]) -> Answer {
    if let Some(refusal) = secret.and_then(refusal) {
        return refusal;
    }
    match (method, Surface::of(path)) {
        ("POST", Some(surface)) => match serde_json::from_slice::<Request<'_>>(body) {
            Ok(request) => by_behaviour(surface, &request),
            Err(error) => Answer::error(400, &format!("The request is not valid JSON: {error}")),
        },
        ("GET", None) => match path.rsplit_once("/models") {
            Some((_, "")) => Answer::json(200, openai::models()),
            Some((_, id)) if id.starts_with('/') => {
                let model = openai::model(id.trim_start_matches('/'));
                Answer::json(200, model.to_string().into())
            }
            _ => Answer::error(404, &format!("There is nothing at GET {path}.")),
        },
        _ => Answer::error(404, &format!("There is nothing at {method} {path}.")),
    }
}

/// What a key that is not valid is told. Like real providers, it names the key in part; asked to, in full.
fn refusal(secret: &str) -> Option<Answer> {
    let shown = if secret.contains("echo") {
        secret.to_owned()
    } else {
        let head: String = secret.chars().take(8).collect();
        let skip = secret.chars().count().saturating_sub(4);
        let tail: String = secret.chars().skip(skip).collect();
        format!("{head}********{tail}")
    };
    if secret.contains("revoked") {
        Some(Answer::error(
            401,
            &format!("Incorrect API key provided: {shown}."),
        ))
    } else if secret.contains("forbidden") {
        Some(Answer::error(
            403,
            &format!("The key {shown} has no access to this."),
        ))
    } else {
        None
    }
}

fn by_behaviour(surface: Surface, request: &Request<'_>) -> Answer {
    let model = &*request.model;
    let Some(behaviour) = Behaviour::of(model) else {
        return Answer::error(404, &format!("The mock has no behaviour `{model}`."));
    };
    let plain = || plain(surface, request);
    match behaviour {
        Behaviour::Plain => plain(),
        Behaviour::Status(status) => {
            let message = format!("The mock was asked for the status {status}.");
            let answer = Answer::error(status, &message);
            if status == 429 {
                answer.header("retry-after", "7")
            } else {
                answer
            }
        }
        Behaviour::Quota => {
            let message =
                "You exceeded your current quota, please check your plan and billing details.";
            let code = "insufficient_quota";
            Answer::json(429, openai::error(message, code, Some(code)))
        }
        Behaviour::SlowHead(delay) => Answer {
            delay: Some(delay),
            ..plain()
        },
        Behaviour::Silent => Answer {
            delay: None,
            ..plain()
        },
        Behaviour::Html502 => {
            let page = Bytes::from_static(b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>\r\n");
            Answer::new(502, "text/html", Script::whole(page))
        }
        Behaviour::Redirect => Answer::new(302, "text/plain", Script::whole(Bytes::new()))
            .header("location", "/redirected"),
        Behaviour::Cookies => plain()
            .header("set-cookie", "mock_session=1; Path=/; HttpOnly")
            .header("set-cookie", "__cf_bm=mock; Path=/; Secure")
            .header("server", "mock")
            .header("connection", "keep-alive, x-hop")
            .header("keep-alive", "timeout=5")
            .header("x-hop", "1")
            .header("x-provider-header", "1")
            .header("x-ratelimit-remaining-requests", "99"),
        Behaviour::BigHeaders { count, bytes } => {
            let mut answer = plain();
            let value = HeaderValue::from_str(&"h".repeat(bytes));
            for number in 0..count {
                let name = HeaderName::try_from(format!("x-big-{number}"));
                if let (Ok(name), Ok(value)) = (name, &value) {
                    answer.headers.append(name, value.clone());
                }
            }
            answer
        }
        Behaviour::TruncatedJson => {
            let whole = whole(surface, request, &WORDS.concat());
            let (half, _) = halves(&whole);
            let length = half.len() + CUT_BYTES;
            let mut answer = Answer::json(200, Bytes::new());
            answer.script = Script {
                length: Some(length as u64),
                ..Script::chunked(std::iter::once(Step::Cut(half)))
            };
            answer
        }
        Behaviour::Bytes(bytes) => Answer::json(200, whole(surface, request, &"x".repeat(bytes))),
        _ if !request.stream || surface == Surface::Embeddings => {
            unfinished(behaviour, &whole(surface, request, &WORDS.concat()))
        }
        _ => streamed(behaviour, Writer::new(surface, request)),
    }
}

/// The whole answer of a request that is not streamed.
fn whole(surface: Surface, request: &Request<'_>, content: &str) -> Bytes {
    match surface {
        Surface::Embeddings => openai::embeddings(request),
        _ => Writer::new(surface, request).completion(content, WORDS.len()),
    }
}

fn plain(surface: Surface, request: &Request<'_>) -> Answer {
    if request.stream && surface != Surface::Embeddings {
        let writer = Writer::new(surface, request);
        let opening = writer.opening().into_iter();
        let closing = writer.closing(WORDS.len());
        let events = WORDS.map(|word| writer.event(word));
        Answer::stream(opening.chain(events).chain(closing).map(Step::Flushed))
    } else {
        Answer::json(200, whole(surface, request, &WORDS.concat()))
    }
}

fn halves(body: &Bytes) -> (Bytes, Bytes) {
    let mut half = body.clone();
    let rest = half.split_off(body.len() / 2);
    (half, rest)
}

/// What a behaviour of streams does to an answer that is not streamed: the same in the middle of the JSON.
fn unfinished(behaviour: Behaviour, whole: &Bytes) -> Answer {
    let (half, _) = halves(whole);
    let steps = match behaviour {
        Behaviour::InvalidJson => return Answer::json(200, half),
        Behaviour::Break(_) => vec![Step::Cut(half)],
        Behaviour::Cut(_) => vec![Step::Data(half)],
        Behaviour::Stall(_) => vec![Step::Flushed(half), Step::Stall],
        _ => return Answer::json(200, whole.clone()),
    };
    Answer::new(200, "application/json", Script::chunked(steps.into_iter()))
}

fn streamed(behaviour: Behaviour, writer: Writer) -> Answer {
    match behaviour {
        Behaviour::Events { count, gap } => {
            let closing = writer.closing(count);
            let events = numbered(writer, count, gap);
            Answer::stream(events.chain(closing.into_iter().map(Step::Flushed)))
        }
        Behaviour::Burst(count) => {
            let closing = writer.closing(count);
            let events = numbered(writer, count, Duration::ZERO);
            let steps = events.chain(closing.into_iter().map(Step::Flushed));
            Answer::stream(steps.map(|step| match step {
                Step::Flushed(event) => Step::Data(event),
                other => other,
            }))
        }
        Behaviour::Break(count) => {
            let (half, _) = halves(&writer.event("never complete"));
            let events = numbered(writer, count, Duration::ZERO);
            Answer::stream(events.chain([Step::Cut(half)]))
        }
        Behaviour::Cut(count) => Answer::stream(numbered(writer, count, Duration::ZERO)),
        Behaviour::Stall(count) => {
            let events = numbered(writer, count, Duration::ZERO);
            Answer::stream(events.chain([Step::Stall]))
        }
        Behaviour::Split { ids } => Answer::stream(in_pieces(&awkward(&writer, ids))),
        Behaviour::InvalidJson => {
            let mut events = vec![
                writer.event(WORDS[0]),
                Bytes::from_static(b"data: {\"choices\": [{\"delta\n\n"),
                writer.event(WORDS[1]),
            ];
            events.extend(writer.closing(2));
            Answer::stream(events.into_iter().map(Step::Flushed))
        }
        // The others do not depend on whether the answer is streamed.
        _ => Answer::stream(std::iter::empty()),
    }
}

/// `count` events whose contents are their numbers, one each `gap`, the first at once.
fn numbered(writer: Writer, count: usize, gap: Duration) -> impl Iterator<Item = Step> + Send {
    (0..count).flat_map(move |number| {
        let wait = (number > 0 && !gap.is_zero()).then(|| {
            let times = u32::try_from(number).unwrap_or(u32::MAX);
            Step::At(gap.saturating_mul(times))
        });
        let event = writer.event(&format!("{number} "));
        wait.into_iter().chain([Step::Flushed(event)])
    })
}

/// A stream that is valid SSE in every unusual way that providers have.
fn awkward(writer: &Writer, ids: bool) -> Vec<u8> {
    let mut text = b": keep-alive\n\n".to_vec();
    text.extend(writer.opening().into_iter().flatten());
    for (number, word) in UNICODE_WORDS.iter().enumerate() {
        let event = writer.event(word);
        let data = event.trim_ascii_end();
        if ids {
            text.extend(format!("id: {number}\nretry: 3000\n").into_bytes());
        }
        match number {
            0 => text.extend([data, b"\r\n\r\n"].concat()),
            // No space after the colon.
            1 => text.extend([b"data:", data.get(6..).unwrap_or_default(), b"\n\n"].concat()),
            2 => text.extend([b": keep-alive\r\n\r\n", data, b"\r\n\r\n"].concat()),
            // A comment inside an event, and empty lines between events.
            3 => text.extend([data, b"\n:\n\n\n\n"].concat()),
            _ => text.extend([data, b"\n\n"].concat()),
        }
    }
    text.extend(writer.closing(UNICODE_WORDS.len()).concat());
    text
}

/// Pieces of a few bytes, each written on its own and a little apart, so that they arrive as they were cut. Every
/// character of several bytes is cut after its first.
fn in_pieces(text: &[u8]) -> impl Iterator<Item = Step> + Send + use<> {
    const LENGTHS: [usize; 8] = [1, 2, 3, 5, 7, 11, 1, 31];
    let mut rest = Bytes::copy_from_slice(text);
    let mut steps = Vec::new();
    for (number, length) in (1_u64..).zip(LENGTHS.into_iter().cycle()) {
        if rest.is_empty() {
            break;
        }
        let lead = rest.iter().position(|byte| *byte >= 0xc0);
        let length = lead.map_or(length, |at| length.min(at + 1));
        steps.push(Step::Flushed(rest.split_to(length.min(rest.len()))));
        if !rest.is_empty() {
            steps.push(Step::At(Duration::from_millis(number)));
        }
    }
    steps.into_iter()
}

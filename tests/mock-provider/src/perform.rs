//! Performs the behaviour that a model's name asks for, in any dialect.

use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};

use crate::answer::Answer;
use crate::ask::Refusal;
use crate::behaviour::Behaviour;
use crate::play::{Script, Step};
use crate::reply::{Reply, UNICODE_WORDS, Wish};
use crate::voice::{Dialect, EVENT_STREAM, Voice};
use crate::wire::CUT_BYTES;

/// The behaviour that a model's name asks for.
pub(crate) fn behaviour(model: &str) -> Result<Behaviour, Refusal> {
    Behaviour::of(model)
        .ok_or_else(|| Refusal::new(404, format!("The mock has no behaviour `{model}`.")))
}

/// The answer to a chat request.
pub(crate) fn chat(
    dialect: Dialect,
    wish: &Wish,
    voice: Box<dyn Voice>,
) -> Result<Answer, Refusal> {
    let behaviour = behaviour(&wish.model)?;
    let plain = || {
        let reply = Reply::to(wish, behaviour);
        if wish.stream {
            let events = voice.events(&reply).into_iter();
            Answer::stream(voice.content_type(), events.map(Step::Flushed))
        } else {
            Answer::json(200, voice.whole(&reply))
        }
    };
    if let Some(answer) = whatever_is_asked(dialect, behaviour, &plain) {
        return answer;
    }
    let hello = || voice.whole(&Reply::to(wish, behaviour));
    Ok(match behaviour {
        Behaviour::TruncatedJson => truncated(&hello()),
        Behaviour::Bytes(bytes) => {
            let long = "x".repeat(bytes);
            Answer::json(200, voice.whole(&Reply::text(&[&long])))
        }
        _ if wish.stream && behaviour.streams() => streamed(behaviour, voice),
        _ => unfinished(behaviour, hello()).unwrap_or_else(plain),
    })
}

/// The answer to a request that is never streamed.
pub(crate) fn unary(dialect: Dialect, model: &str, whole: &Bytes) -> Result<Answer, Refusal> {
    let behaviour = behaviour(model)?;
    let plain = || Answer::json(200, whole.clone());
    if let Some(answer) = whatever_is_asked(dialect, behaviour, &plain) {
        return answer;
    }
    Ok(match behaviour {
        Behaviour::TruncatedJson => truncated(whole),
        _ => unfinished(behaviour, whole.clone()).unwrap_or_else(plain),
    })
}

/// What a behaviour does to every request alike.
fn whatever_is_asked(
    dialect: Dialect,
    behaviour: Behaviour,
    plain: &dyn Fn() -> Answer,
) -> Option<Result<Answer, Refusal>> {
    Some(Ok(match behaviour {
        Behaviour::Status(status) => {
            let message = format!("The mock was asked for the status {status}.");
            let answer = dialect.refuse(&Refusal::new(status, message));
            // Google and AWS send no such header.
            if status == 429 && !matches!(dialect, Dialect::Gemini | Dialect::Bedrock) {
                answer.header("retry-after", "7")
            } else {
                answer
            }
        }
        Behaviour::Limited(seconds) => {
            let message = "The mock was asked for a limit.";
            let answer = dialect.refuse(&Refusal::new(429, message));
            match seconds {
                Some(seconds) => answer.header("retry-after", seconds),
                None => answer,
            }
        }
        Behaviour::Reset => Answer {
            reset: true,
            ..plain()
        },
        Behaviour::Quota => return Some(Err(dialect.quota())),
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
        _ => return None,
    }))
}

fn halves(body: &Bytes) -> (Bytes, Bytes) {
    let mut half = body.clone();
    let rest = half.split_off(body.len() / 2);
    (half, rest)
}

fn truncated(whole: &Bytes) -> Answer {
    let (half, _) = halves(whole);
    let length = half.len() + CUT_BYTES;
    let mut answer = Answer::json(200, Bytes::new());
    answer.script = Script {
        length: Some(length as u64),
        ..Script::chunked(std::iter::once(Step::Cut(half)))
    };
    answer
}

/// What a behaviour of streams does to an answer that is not streamed: the same in the middle of the JSON.
fn unfinished(behaviour: Behaviour, whole: Bytes) -> Option<Answer> {
    let (half, _) = halves(&whole);
    let steps = match behaviour {
        Behaviour::InvalidJson => return Some(Answer::json(200, half)),
        Behaviour::Break(_) => vec![Step::Cut(half)],
        Behaviour::Cut(_) => vec![Step::Data(half)],
        Behaviour::Stall(_) => vec![Step::Flushed(half), Step::Stall],
        _ => return None,
    };
    let script = Script::chunked(steps.into_iter());
    Some(Answer::new(200, "application/json", script))
}

/// A stream of numbered texts, as a behaviour has it.
fn streamed(behaviour: Behaviour, voice: Box<dyn Voice>) -> Answer {
    let content_type = voice.content_type();
    let stream = |steps: Box<dyn Iterator<Item = Step> + Send>| Answer::stream(content_type, steps);
    let at_once = Duration::ZERO;
    match behaviour {
        Behaviour::Events { count, gap } => stream(Box::new(finished(voice, count, gap))),
        Behaviour::Burst(count) => {
            let steps = finished(voice, count, at_once).map(|step| match step {
                Step::Flushed(event) => Step::Data(event),
                other => other,
            });
            stream(Box::new(steps))
        }
        Behaviour::Break(count) => {
            let (half, _) = halves(&voice.text(count, "never complete"));
            stream(Box::new(
                numbered(voice, count, at_once).chain([Step::Cut(half)]),
            ))
        }
        Behaviour::Cut(count) => stream(Box::new(numbered(voice, count, at_once))),
        Behaviour::Stall(count) => stream(Box::new(
            numbered(voice, count, at_once).chain([Step::Stall]),
        )),
        Behaviour::ErrorMid(count) => {
            let failure = Step::Flushed(voice.failure(count));
            stream(Box::new(numbered(voice, count, at_once).chain([failure])))
        }
        Behaviour::Split { ids } => stream(Box::new(in_pieces(&awkward(&*voice, ids)))),
        // The one that is left: an event in the middle that is not JSON.
        _ => {
            let mut events = voice.opening();
            events.push(voice.text(0, "Hello"));
            events.push(if content_type == EVENT_STREAM {
                Bytes::from_static(b"data: {\"choices\": [{\"delta\n\n")
            } else {
                Bytes::from_static(b"not a message of an event stream")
            });
            events.push(voice.text(1, " again"));
            events.extend(voice.closing(2, &|| "Hello again".to_owned()));
            stream(Box::new(events.into_iter().map(Step::Flushed)))
        }
    }
}

/// The content of a numbered event.
fn content(number: usize) -> String {
    format!("{number} ")
}

/// `count` events whose contents are their numbers, one each `gap`, the first at once.
fn numbered(
    voice: Box<dyn Voice>,
    count: usize,
    gap: Duration,
) -> impl Iterator<Item = Step> + Send {
    let opening = voice.opening().into_iter().map(Step::Flushed);
    opening.chain((0..count).flat_map(move |number| {
        let wait = (number > 0 && !gap.is_zero()).then(|| {
            let times = u32::try_from(number).unwrap_or(u32::MAX);
            Step::At(gap.saturating_mul(times))
        });
        let event = voice.text(number, &content(number));
        wait.into_iter().chain([Step::Flushed(event)])
    }))
}

/// The same, with what a stream ends with.
fn finished(
    voice: Box<dyn Voice>,
    count: usize,
    gap: Duration,
) -> impl Iterator<Item = Step> + Send {
    let closing = voice.closing(count, &|| (0..count).map(content).collect());
    numbered(voice, count, gap).chain(closing.into_iter().map(Step::Flushed))
}

/// The text of a stream of events that is valid and awkward: lines that end in all allowed ways, comments,
/// fields without a space, empty lines.
fn awkward(voice: &dyn Voice, ids: bool) -> Vec<u8> {
    let opening = voice.opening().concat();
    let said = || UNICODE_WORDS.concat();
    let closing = voice.closing(UNICODE_WORDS.len(), &said).concat();
    let events = UNICODE_WORDS.iter().enumerate();
    let events = events.map(|(number, word)| (number, voice.text(number, word)));
    if voice.content_type() != EVENT_STREAM {
        let events: Vec<u8> = events.flat_map(|(_, event)| event.to_vec()).collect();
        return [opening, events, closing].concat();
    }
    let mut text = b": keep-alive\n\n".to_vec();
    text.extend(opening);
    for (number, event) in events {
        if ids {
            text.extend(format!("id: {number}\nretry: 3000\n").into_bytes());
        }
        let event = String::from_utf8_lossy(&event);
        let event = event.trim_end();
        let event = match number {
            0 => format!("{}\r\n\r\n", event.replace('\n', "\r\n")),
            // No space after the colons.
            1 => format!(
                "{}\n\n",
                event
                    .replacen("event: ", "event:", 1)
                    .replacen("data: ", "data:", 1)
            ),
            2 => format!(
                ": keep-alive\r\n\r\n{}\r\n\r\n",
                event.replace('\n', "\r\n")
            ),
            // A comment inside an event, and empty lines between events.
            3 => format!("{event}\n:\n\n\n\n"),
            _ => format!("{event}\n\n"),
        };
        text.extend(event.into_bytes());
    }
    text.extend(closing);
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

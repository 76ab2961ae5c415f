//! The records as JSON, for tests that are not in Rust.

use std::time::Instant;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::record::{Outcome, Recorded, Recorder};

/// Where it is; nothing under it is recorded.
pub(crate) const PATH: &str = "/_mock/requests";

pub(crate) fn answer(method: &str, recorder: &Recorder) -> Answer {
    match method {
        "GET" => {
            let origin = recorder.origin;
            let all = recorder.all();
            let list: Vec<Value> = all.iter().map(|one| shown(one, origin)).collect();
            Answer::json(200, Value::from(list).to_string().into())
        }
        "DELETE" => {
            let forgotten = recorder.take().len();
            Answer::json(200, json!({"forgotten": forgotten}).to_string().into())
        }
        _ => Answer::error(405, "GET or DELETE."),
    }
}

/// Times are in milliseconds since the start of the mock.
fn shown(recorded: &Recorded, origin: Instant) -> Value {
    let ms = |at: Instant| at.duration_since(origin).as_secs_f64() * 1000.0;
    json!({
        "id": recorded.id,
        "method": recorded.method,
        "path": recorded.path,
        "query": recorded.query,
        "headers": recorded.headers,
        "body": std::str::from_utf8(&recorded.body).ok(),
        "body_base64": BASE64.encode(&recorded.body),
        "started_seq": recorded.started_seq,
        "started_ms": ms(recorded.started_at),
        "head_ms": recorded.head_at.map(ms),
        "ended_ms": recorded.ended_at.map(ms),
        "outcome": recorded.outcome.map(|outcome| match outcome {
            Outcome::Completed => "completed",
            Outcome::ClientLeft => "client_left",
            Outcome::Broken => "broken",
        }),
        "secret": recorded.secret,
    })
}

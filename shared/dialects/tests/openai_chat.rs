//! Chat Completions: what each thing becomes, and that nothing is lost on the way there and back.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "openai_chat/answers.rs"]
mod answers;
#[path = "openai_chat/arbitrary.rs"]
mod arbitrary;
#[path = "openai_chat/requests.rs"]
mod requests;
#[path = "openai_chat/streams.rs"]
mod streams;

use lockgate_dialects::{Json, Reply, Target};
use lockgate_providers::{Quirks, TokenLimit};

/// A follower that takes everything.
const QUIRKS: Quirks = Quirks {
    done_marker: true,
    stream_usage: true,
    max_tokens: TokenLimit::Both,
    developer_role: true,
    seed: Some("seed"),
    required_tool_choice: "required",
    reasoning: Some("reasoning_content"),
    reasoning_effort: true,
    json_schema: true,
    parallel_tool_calls: true,
    unsupported: &[],
};

fn target<'a>(model: &'a str, quirks: &'a Quirks) -> Target<'a> {
    Target {
        model,
        max_output: None,
        quirks,
        title: "Someone",
    }
}

fn reply(request: &str) -> Reply<'_> {
    Reply {
        id: "abc123",
        model: "asked-for",
        created: 1_700_000_000,
        stream_usage: true,
        request,
    }
}

fn json(text: &str) -> Json<'_> {
    Json::parse(text.into()).unwrap()
}

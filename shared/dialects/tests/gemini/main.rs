//! Google's Gemini API: what each thing becomes, and that nothing is lost on the way there and back.
#![allow(clippy::unwrap_used, clippy::panic)]

mod answers;
mod arbitrary;
mod requests_in;
mod requests_out;
mod streams;

use lockgate_dialects::{Json, Reply, Target};
use lockgate_providers::{Quirks, TokenLimit};

const QUIRKS: Quirks = Quirks {
    done_marker: false,
    stream_usage: true,
    max_tokens: TokenLimit::Both,
    developer_role: true,
    seed: Some("seed"),
    required_tool_choice: "required",
    reasoning: None,
    reasoning_effort: true,
    json_schema: true,
    parallel_tool_calls: true,
    unsupported: &[],
};

fn target(model: &str) -> Target<'_> {
    Target {
        model,
        max_output: Some(65_536),
        quirks: &QUIRKS,
        title: "Google Gemini",
    }
}

const REPLY: Reply<'_> = Reply {
    id: "abc123",
    model: "asked-for",
    created: 1_700_000_000,
    stream_usage: true,
    request: "{}",
};

fn json(text: &str) -> Json<'_> {
    Json::parse(text.into()).unwrap()
}

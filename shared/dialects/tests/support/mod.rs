//! What the tests of several dialects make their requests of.

use lockgate_dialects::{Content, Json, Part, Reply, Request, Role, Turn};

pub(crate) const REPLY: Reply<'static> = Reply {
    id: "0123456789abcdef",
    model: "asked-for",
    created: 1_700_000_000,
    stream_usage: true,
    request: "{}",
};

pub(crate) fn json(text: &str) -> Json<'_> {
    Json::parse(text.into()).unwrap()
}

pub(crate) fn turn<'a>(role: Role, parts: Vec<Part<'a>>) -> Turn<'a> {
    Turn {
        role,
        name: None,
        parts,
    }
}

pub(crate) fn said(role: Role, text: &str) -> Turn<'_> {
    turn(role, vec![Content::text(text).into()])
}

pub(crate) fn call<'a>(id: &'a str, name: &'a str, arguments: &'a str) -> Part<'a> {
    Content::ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        signature: None,
    }
    .into()
}

pub(crate) fn result<'a>(id: &'a str, parts: Vec<Part<'a>>, error: bool) -> Part<'a> {
    Content::ToolResult {
        id: id.into(),
        name: None,
        parts,
        error,
    }
    .into()
}

/// A request that says hello, to be changed.
pub(crate) fn hello() -> Request<'static> {
    Request {
        model: "m".into(),
        turns: vec![said(Role::User, "Hi")],
        ..Request::default()
    }
}

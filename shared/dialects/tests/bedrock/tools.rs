//! Tools and choices of them, as they are written.

use lockgate_dialects::{Request, Role, Tool, ToolChoice};

use crate::requests_out::{LLAMA, function, with_tools};
use crate::{CLAUDE, beside, call, encode, hello, json, result, sent, sent_to, turn};

#[test]
fn tools_are_as_they_were_but_must_have_a_schema() {
    let mut request = hello();
    request.tools = vec![
        Tool::Function {
            name: "f".into(),
            description: Some("d".into()),
            parameters: Some(json(r#"{ "type":"object" }"#)),
            strict: Some(true),
            cache: None,
        },
        function("g", Some("{ }")),
        function("h", None),
        Tool::Other {
            kind: "systemTool".into(),
            value: json(r#"{"systemTool":{"name":"nova_grounding"}}"#),
        },
    ];
    let bare = r#""inputSchema":{"json":{"type":"object"}}}}"#;
    assert_eq!(
        beside(&request, CLAUDE),
        format!(
            r#""toolConfig":{{"tools":[{{"toolSpec":{{"name":"f","description":"d","inputSchema":{{"json":{{ "type":"object" }}}},"strict":true}}}},{{"toolSpec":{{"name":"g",{bare},{{"toolSpec":{{"name":"h",{bare},{{"systemTool":{{"name":"nova_grounding"}}}}]}}"#
        )
    );
}

#[test]
fn choices_of_tools() {
    let tool = |name: &str| {
        format!(
            r#"{{"toolSpec":{{"name":"{name}","inputSchema":{{"json":{{"type":"object"}}}}}}}}"#
        )
    };
    let both = format!("[{},{}]", tool("f"), tool("g"));
    let some = |required| {
        Some(ToolChoice::Allowed {
            names: vec!["g".into()],
            required,
        })
    };
    let add = r#","additionalModelRequestFields":{"tool_choice":"#;
    for (choice, one_at_a_time, config, additional) in [
        (None, false, format!(r#"{{"tools":{both}}}"#), String::new()),
        (
            Some(ToolChoice::Auto),
            false,
            format!(r#"{{"tools":{both},"toolChoice":{{"auto":{{}}}}}}"#),
            String::new(),
        ),
        (
            Some(ToolChoice::Required),
            false,
            format!(r#"{{"tools":{both},"toolChoice":{{"any":{{}}}}}}"#),
            String::new(),
        ),
        (
            Some(ToolChoice::Named("g".into())),
            true,
            format!(r#"{{"tools":{both},"toolChoice":{{"tool":{{"name":"g"}}}}}}"#),
            format!(r#"{add}{{"disable_parallel_tool_use":true}}}}"#),
        ),
        (
            Some(ToolChoice::Auto),
            true,
            format!(r#"{{"tools":{both}}}"#),
            format!(r#"{add}{{"type":"auto","disable_parallel_tool_use":true}}}}"#),
        ),
        (
            some(true),
            false,
            format!(r#"{{"tools":[{}],"toolChoice":{{"any":{{}}}}}}"#, tool("g")),
            String::new(),
        ),
        (
            some(false),
            true,
            format!(r#"{{"tools":[{}]}}"#, tool("g")),
            format!(r#"{add}{{"type":"auto","disable_parallel_tool_use":true}}}}"#),
        ),
    ] {
        let request = Request {
            tool_choice: choice,
            parallel_tool_calls: one_at_a_time.then_some(false),
            ..with_tools(&["f", "g"])
        };
        assert_eq!(
            beside(&request, CLAUDE),
            format!(r#""toolConfig":{config}{additional}"#)
        );
    }
    let request = Request {
        parallel_tool_calls: Some(false),
        ..with_tools(&["f"])
    };
    let refusal = encode(&request, LLAMA).unwrap_err();
    assert_eq!(refusal.field, "parallel_tool_calls");
    // What it does anyway.
    let request = Request {
        parallel_tool_calls: Some(true),
        ..with_tools(&["f"])
    };
    assert_eq!(sent(&request), sent(&with_tools(&["f"])));
}

#[test]
fn no_tool_may_be_called() {
    let mut request = Request {
        tool_choice: Some(ToolChoice::None),
        ..with_tools(&["f"])
    };
    assert_eq!(sent_to(&request, LLAMA), sent(&hello()));
    // With calls in the conversation there must be tools, and Claude is told not to call them.
    request.turns.extend([
        turn(Role::Assistant, vec![call("a", "f", "{}")]),
        turn(Role::Tool, vec![result("a", Vec::new(), false)]),
    ]);
    let config = concat!(
        r#""toolConfig":{"tools":[{"toolSpec":{"name":"f","inputSchema":{"json":{"type":"object"}}}}]},"#,
        r#""additionalModelRequestFields":{"tool_choice":{"type":"none"}}}"#
    );
    assert!(sent(&request).ends_with(config));
    let refusal = encode(&request, LLAMA).unwrap_err();
    assert_eq!(refusal.field, "tool_choice");
    // The same where the tools are not given again.
    request.tools.clear();
    request.tool_choice = None;
    assert!(sent(&request).ends_with(config));
    let refusal = encode(&request, LLAMA).unwrap_err();
    assert_eq!(refusal.field, "tools");
}

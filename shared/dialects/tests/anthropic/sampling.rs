//! Thinking and sampling, which depend on the model and on each other.

use lockgate_dialects::{Reasoning, ReasoningMode, Request, Role, ToolChoice};

use crate::{encode, hello, json, said};

/// What the body has from `thinking` on, before the messages' end, and the warnings.
fn settings(request: &Request<'_>, model: &str) -> (String, Vec<String>) {
    let encoded = encode(request, model).unwrap();
    let body = String::from_utf8(encoded.body).unwrap();
    let (head, tail) = body
        .split_once(r#","messages":[{"role":"user","content":"Hi"}]"#)
        .unwrap();
    let (_, most) = head.split_once(r#""max_tokens":"#).unwrap();
    let tail = tail.strip_suffix('}').unwrap();
    (format!("{most}{tail}"), encoded.warnings)
}

fn thinking(reasoning: Reasoning<'static>) -> Request<'static> {
    Request {
        max_tokens: Some(20_000),
        reasoning: Some(reasoning),
        ..hello()
    }
}

fn effort(effort: &'static str) -> Request<'static> {
    thinking(Reasoning {
        effort: Some(effort.into()),
        ..Reasoning::default()
    })
}

fn budget(tokens: u64) -> Request<'static> {
    thinking(Reasoning {
        mode: ReasoningMode::On,
        budget_tokens: Some(tokens),
        ..Reasoning::default()
    })
}

fn plain(request: &Request<'_>, model: &str, expected: &str) {
    assert_eq!(
        settings(request, model),
        (expected.to_owned(), Vec::new()),
        "{model}"
    );
}

fn warned(request: &Request<'_>, model: &str, expected: &str, warning: &str) {
    assert_eq!(
        settings(request, model),
        (expected.to_owned(), vec![warning.to_owned()]),
        "{model}"
    );
}

#[test]
fn an_effort_is_said_as_the_model_takes_it() {
    let high = effort("high");
    let manual = r#"20000,"thinking":{"type":"enabled","budget_tokens":16384}"#;
    plain(&high, "claude-sonnet-4-5", manual);
    plain(
        &high,
        "claude-opus-4-5-20251101",
        &format!(r#"{manual},"output_config":{{"effort":"high"}}"#),
    );
    for model in [
        "claude-opus-4-6",
        "claude-opus-4-8",
        "claude-sonnet-5",
        "claude-fable-5-1",
        "other",
    ] {
        plain(
            &high,
            model,
            r#"20000,"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}"#,
        );
    }
    let minimal = r#"20000,"thinking":{"type":"adaptive"},"output_config":{"effort":"low"}"#;
    plain(&effort("minimal"), "claude-opus-4-8", minimal);
    warned(
        &effort("xhigh"),
        "claude-opus-4-6",
        r#"20000,"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}"#,
        "the effort xhigh was sent as high: there is no higher one for this model here",
    );
    warned(
        &high,
        "claude-3-5-sonnet-latest",
        "20000",
        "`reasoning_effort` was left out for Claude: this model does not think",
    );
}

#[test]
fn a_budget_is_said_as_the_model_takes_it() {
    let manual = r#"20000,"thinking":{"type":"enabled","budget_tokens":4096}"#;
    plain(&budget(4_096), "claude-sonnet-4-5", manual);
    plain(&budget(4_096), "claude-opus-4-6", manual);
    warned(
        &budget(4_096),
        "claude-opus-4-7",
        r#"20000,"thinking":{"type":"adaptive"},"output_config":{"effort":"medium"}"#,
        "`thinking.budget_tokens` was sent as the effort medium: this model takes no budget",
    );
}

#[test]
fn a_budget_fits_between_1024_and_the_longest_answer() {
    let set = |tokens: u64| {
        format!(
            "`thinking.budget_tokens` was set to {tokens}: it must be at least 1024 and less than `max_tokens`"
        )
    };
    let model = "claude-sonnet-4-5";
    let sent =
        |tokens: u64| format!(r#"20000,"thinking":{{"type":"enabled","budget_tokens":{tokens}}}"#);
    warned(&budget(5), model, &sent(1_024), &set(1_024));
    plain(&budget(19_999), model, &sent(19_999));
    warned(&budget(20_000), model, &sent(10_000), &set(10_000));

    let mut short = budget(5_000);
    short.max_tokens = Some(1_024);
    warned(
        &short,
        model,
        "1024",
        "`thinking.budget_tokens` was left out for Claude: `max_tokens` leaves less than 1024 tokens for it",
    );
    short.max_tokens = Some(1_025);
    warned(
        &short,
        model,
        r#"1025,"thinking":{"type":"enabled","budget_tokens":1024}"#,
        &set(1_024),
    );
    short.max_tokens = None;
    short.reasoning.as_mut().unwrap().budget_tokens = Some(30_000);
    warned(
        &short,
        model,
        r#"38192,"thinking":{"type":"enabled","budget_tokens":30000}"#,
        "`max_tokens` was set to 8192: Claude must be told one",
    );
}

#[test]
fn thinking_is_switched_off_where_it_can_be() {
    for request in [
        effort("none"),
        thinking(Reasoning {
            budget_tokens: Some(0),
            ..Reasoning::default()
        }),
        thinking(Reasoning {
            mode: ReasoningMode::Off,
            ..Reasoning::default()
        }),
    ] {
        plain(
            &request,
            "claude-sonnet-4-5",
            r#"20000,"thinking":{"type":"disabled"}"#,
        );
        plain(
            &request,
            "claude-opus-5",
            r#"20000,"thinking":{"type":"disabled"}"#,
        );
        plain(
            &request,
            "claude-sonnet-5-5",
            r#"20000,"thinking":{"type":"between_tools"}"#,
        );
        plain(&request, "claude-3-opus-latest", "20000");
        warned(
            &request,
            "claude-opus-5-5",
            "20000",
            "`reasoning_effort` was left out for Claude: this model always thinks",
        );
    }
}

#[test]
fn thoughts_are_told_where_a_summary_is_wanted() {
    let mut request = effort("low");
    request.reasoning.as_mut().unwrap().summary = Some("detailed".into());
    let expected = r#"20000,"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"low"}"#;
    plain(&request, "claude-opus-4-8", expected);
}

#[test]
fn what_excludes_thinking_comes_first() {
    let model = "claude-sonnet-4-5";
    let left_out = "`reasoning_effort` was left out for Claude:";
    let mut forced = effort("high");
    forced.tool_choice = Some(ToolChoice::Required);
    warned(
        &forced,
        model,
        "20000",
        &format!("{left_out} it cannot think before a call that it must make"),
    );
    let mut begun = effort("high");
    begun.turns.push(said(Role::Assistant, "Well,"));
    let encoded = encode(&begun, model).unwrap();
    assert!(
        !String::from_utf8(encoded.body)
            .unwrap()
            .contains("thinking")
    );
    assert_eq!(
        encoded.warnings,
        [format!(
            "{left_out} it cannot think before it goes on with an answer that was begun"
        )]
    );
}

#[test]
fn a_budget_needs_the_thoughts_before_the_calls() {
    use lockgate_dialects::Content;
    let calls = |first: Option<Content<'static>>| {
        let call = Content::ToolCall {
            id: "a".into(),
            name: "f".into(),
            arguments: "{}".into(),
            signature: None,
        };
        let result = Content::ToolResult {
            id: "a".into(),
            name: None,
            parts: Vec::new(),
            error: false,
        };
        let mut request = effort("high");
        let parts = first.into_iter().chain([call]).map(Into::into).collect();
        request.turns.push(crate::turn(Role::Assistant, parts));
        request
            .turns
            .push(crate::turn(Role::Tool, vec![result.into()]));
        request
    };
    let thought = Content::Reasoning {
        text: "hm".into(),
        signature: Some("sig".into()),
        id: None,
    };
    let thinks = |request: &Request<'_>, model: &str| {
        let encoded = encode(request, model).unwrap();
        let body = String::from_utf8(encoded.body).unwrap();
        (body.contains(r#""thinking":{"#), encoded.warnings.len())
    };
    assert_eq!(thinks(&calls(None), "claude-sonnet-4-5"), (false, 1));
    assert_eq!(
        thinks(&calls(Some(thought)), "claude-sonnet-4-5"),
        (true, 0)
    );
    assert_eq!(thinks(&calls(None), "claude-opus-4-8"), (true, 0));
}

#[test]
fn sampling_fits_the_model() {
    let with = |temperature: Option<&'static str>, top_p: Option<&'static str>| {
        let mut request = hello();
        request.sampling.temperature = temperature.map(json);
        request.sampling.top_p = top_p.map(json);
        request
    };
    plain(
        &with(Some("0.70"), Some("0.9")),
        "claude-3-5-sonnet-latest",
        r#"100,"temperature":0.70,"top_p":0.9"#,
    );
    warned(
        &with(Some("1.5"), None),
        "claude-sonnet-4-5",
        r#"100,"temperature":1"#,
        "`temperature` was set to 1, the highest here",
    );
    warned(
        &with(Some("0.5"), Some("0.9")),
        "claude-sonnet-4-5",
        r#"100,"temperature":0.5"#,
        "`top_p` was left out for Claude: this model does not take it beside `temperature`",
    );
    plain(
        &with(Some("0.5"), Some("1")),
        "claude-sonnet-4-5",
        r#"100,"temperature":0.5"#,
    );
    plain(&with(Some("1.0"), Some("1")), "claude-opus-4-8", "100");
    warned(
        &with(Some("0"), None),
        "claude-opus-4-8",
        "100",
        "`temperature` was left out for Claude: this model chooses by itself",
    );
}

#[test]
fn sampling_fits_thinking() {
    let mut request = budget(2_000);
    request.sampling.temperature = Some(json("0.2"));
    request.sampling.top_p = Some(json("0.95"));
    request.sampling.top_k = Some(json("5"));
    let (body, warnings) = settings(&request, "claude-3-7-sonnet-20250219");
    assert_eq!(
        body,
        r#"20000,"thinking":{"type":"enabled","budget_tokens":2000},"top_p":0.95"#
    );
    assert_eq!(
        warnings,
        [
            "`temperature` was left out for Claude: the model thinks",
            "`top_k` was left out for Claude: the model thinks",
        ]
    );
}

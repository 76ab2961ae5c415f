//! Requests and answers that the dialect can say, in their normal form.
//!
//! What is left out, because it comes back as something else: the model and whether to stream (the URL says them); names
//! and details (not sayable); instructions behind the first turn (joined to it); texts of white space only (not sent);
//! citations of earlier turns; thoughts without a proof, and marks behind thoughts; plain text in base64 (it becomes a text); a summary other than
//! `auto`, and where a budget is given (the thoughts are told anyway); `parallel_tool_calls: true` (the default) and beside
//! `auto`; a refusal (it becomes text); positions of citations; the signature of a call; tokens of reasoning.

use lockgate_dialects::{
    Answer, Cache, Choice, Citation, Content, Extra, Finish, Format, Json, Part, Reason, Reasoning,
    ReasoningMode, Request, Role, Sampling, Source, Tool, ToolChoice, Turn, Usage,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

type Made<T> = BoxedStrategy<T>;

fn text() -> Made<String> {
    "[ -~äß\u{1F600}\n\t\u{2028}]{0,12}[a-zé]".boxed()
}

fn id() -> Made<String> {
    "[a-zA-Z0-9_.:-]{1,12}".boxed()
}

fn name() -> Made<String> {
    "[a-zA-Z0-9_-]{1,12}".boxed()
}

fn json(text: String) -> Json<'static> {
    Json::parse(text.into()).unwrap()
}

fn object() -> Made<String> {
    prop_oneof![
        Just("{}".to_owned()),
        Just(r#"{"n":123456789012345678901234567890,"x":1.10e3,"z":null}"#.to_owned()),
        (text(), text()).prop_map(|(a, b)| serde_json::json!({ a: [b, true, {}] }).to_string()),
    ]
    .boxed()
}

fn number() -> Made<Json<'static>> {
    prop_oneof![
        Just("0".to_owned()),
        Just("1.0".to_owned()),
        (0u32..1000).prop_map(|n| format!("0.{n:03}")),
    ]
    .prop_map(json)
    .boxed()
}

fn cache() -> Made<Option<Cache<'static>>> {
    of(of(select(vec!["5m", "1h"])).prop_map(|ttl| Cache {
        ttl: ttl.map(Into::into),
    }))
    .boxed()
}

fn part(content: Made<Content<'static>>) -> Made<Part<'static>> {
    (content, cache())
        .prop_map(|(content, cache)| Part { content, cache })
        .boxed()
}

fn words() -> Made<Content<'static>> {
    text().prop_map(Content::text).boxed()
}

fn base64(media_type: &'static str) -> Source<'static> {
    Source::Base64 {
        media_type: media_type.into(),
        data: "QUJD".into(),
    }
}

/// Documents are named later, since no two may have the same name.
fn shown() -> Made<Content<'static>> {
    let image = select(vec![
        base64("image/png"),
        base64("image/webp"),
        Source::Url("s3://bucket/a/b.jpeg".into()),
    ]);
    let file = prop_oneof![
        select(vec![
            base64("application/pdf"),
            base64("text/markdown"),
            base64("application/vnd.ms-excel"),
            Source::Url("s3://bucket/a.pdf".into()),
            Source::Url("s3://bucket/a".into()),
        ]),
        text().prop_map(|text| Source::Text(text.into())),
    ];
    prop_oneof![
        3 => words(),
        1 => image.prop_map(|source| Content::Image { source, detail: None }),
        1 => file.prop_map(|source| Content::File { source, name: None }),
    ]
    .boxed()
}

fn call() -> Made<Content<'static>> {
    (id(), name(), object())
        .prop_map(|(id, name, arguments)| Content::ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            signature: None,
        })
        .boxed()
}

fn result() -> Made<Content<'static>> {
    (id(), vec(shown().prop_map(Part::from), 0..3), any::<bool>())
        .prop_map(|(id, parts, error)| Content::ToolResult {
            id: id.into(),
            name: None,
            parts,
            error,
        })
        .boxed()
}

fn thought(signature: Made<Option<String>>) -> Made<Content<'static>> {
    prop_oneof![
        (text(), signature).prop_map(|(text, signature)| Content::Reasoning {
            text: text.into(),
            signature: signature.map(Into::into),
            id: None,
        }),
        Just(Content::Redacted {
            data: "QUJD".into()
        }),
    ]
    .boxed()
}

fn turn(role: Role, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn {
        role,
        name: None,
        parts,
    }
}

/// What the user says, a text first, since a turn with a document needs one.
fn user() -> Made<Turn<'static>> {
    let sound = Just(Content::Audio {
        data: "QUJD".into(),
        format: "wav".into(),
    });
    let more = prop_oneof![6 => shown(), 1 => sound];
    (part(words()), vec(part(more.boxed()), 0..3))
        .prop_map(|(first, mut parts)| {
            parts.insert(0, first);
            turn(Role::User, parts)
        })
        .boxed()
}

/// What the user says, what the assistant answers, and results where it called tools.
fn round() -> Made<Vec<Turn<'static>>> {
    let assistant = prop_oneof![
        3 => part(words()),
        2 => part(call()),
        1 => thought(id().prop_map(Some).boxed()).prop_map(Part::from),
    ];
    (user(), vec(assistant, 1..4), vec(part(result()), 1..3))
        .prop_map(|(user, assistant, results)| {
            let is_call = |part: &Part<'_>| matches!(part.content, Content::ToolCall { .. });
            let calls = assistant.iter().any(is_call);
            let mut turns = vec![user, turn(Role::Assistant, assistant)];
            if calls {
                turns.push(turn(Role::Tool, results));
            }
            turns
        })
        .boxed()
}

fn turns() -> Made<Vec<Turn<'static>>> {
    (of(vec(part(words()), 1..3)), vec(round(), 0..3), of(user()))
        .prop_map(|(system, rounds, last)| {
            let mut turns: Vec<_> = system
                .map(|parts| turn(Role::System, parts))
                .into_iter()
                .collect();
            turns.extend(rounds.into_iter().flatten());
            turns.extend(last);
            let mut number = 0;
            for turn in &mut turns {
                name_documents(&mut turn.parts, &mut number);
            }
            turns
        })
        .boxed()
}

fn name_documents(parts: &mut [Part<'static>], number: &mut u32) {
    for part in parts {
        match &mut part.content {
            Content::File { name, .. } => {
                *number += 1;
                *name = Some(format!("Notes [{number}] (new)").into());
            }
            Content::ToolResult { parts, .. } => name_documents(parts, number),
            _ => {}
        }
    }
}

fn tool() -> Made<Tool<'static>> {
    let schema = select(vec![
        r#"{"type":"object"}"#,
        r#"{ "type": "object", "properties": {"n": {"type":"integer","maximum":9007199254740993}} }"#,
    ]);
    prop_oneof![
        4 => (name(), of(text()), schema, of(any::<bool>()), cache()).prop_map(
            |(name, description, schema, strict, cache)| Tool::Function {
                name: name.into(),
                description: description.map(Into::into),
                parameters: Some(json(schema.to_owned())),
                strict,
                cache,
            }
        ),
        1 => Just(Tool::Other {
            kind: "systemTool".into(),
            value: json(r#"{"systemTool":{"name":"nova_grounding"}}"#.to_owned()),
        }),
    ]
    .boxed()
}

fn choice() -> Made<(Option<ToolChoice<'static>>, Option<bool>)> {
    let forced = prop_oneof![
        Just(ToolChoice::Required),
        name().prop_map(|name| ToolChoice::Named(name.into())),
    ];
    prop_oneof![
        Just((Some(ToolChoice::Auto), None)),
        (of(forced), of(Just(false))),
    ]
    .boxed()
}

fn reasoning() -> Made<Reasoning<'static>> {
    let efforts = vec!["low", "medium", "high", "xhigh", "max"];
    let mode = prop_oneof![
        Just((ReasoningMode::Off, None)),
        Just((ReasoningMode::Adaptive, None)),
        (1_024u64..40_000).prop_map(|budget| (ReasoningMode::On, Some(budget))),
    ];
    (mode, of(select(efforts)), any::<bool>())
        .prop_map(|((mode, budget_tokens), effort, told)| Reasoning {
            mode,
            effort: effort.map(Into::into),
            budget_tokens,
            summary: (told && mode == ReasoningMode::Adaptive).then(|| "auto".into()),
        })
        .boxed()
}

fn extra() -> Made<Vec<Extra<'static>>> {
    let extra = |name: &'static str, value: &str| Extra {
        name: name.into(),
        value: json(value.to_owned()),
    };
    let guard = extra("guardrailConfig", r#"{"guardrailIdentifier":"g"}"#);
    let paths = extra("additionalModelResponseFieldPaths", r#"["/id"]"#);
    let more = extra(
        "additionalModelRequestFields",
        r#"{"anthropic_beta":["x"],"n":1e2}"#,
    );
    select(vec![
        Vec::new(),
        vec![guard.clone()],
        vec![paths, guard, more.clone()],
        vec![more],
    ])
    .prop_map(|mut extras: Vec<Extra<'static>>| {
        // It is read before the rest.
        extras.sort_by_key(|extra| extra.name != "additionalModelRequestFields");
        extras
    })
    .boxed()
}

fn metadata() -> Made<Json<'static>> {
    select(vec![r#"{"case":"7"}"#, r#"{"a b":"c,d.e","f":""}"#])
        .prop_map(|text| json(text.to_owned()))
        .boxed()
}

/// A request whose encoding for a model that takes everything reads as itself.
pub(crate) fn request() -> Made<Request<'static>> {
    let format = (of(name()), of(text())).prop_map(|(name, description)| Format::Schema {
        name: name.map(Into::into),
        description: description.map(Into::into),
        schema: json(r#"{"type":"object","title":"\"é\"","maximum":9007199254740993}"#.to_owned()),
        strict: Some(true),
    });
    let sampling = (of(number()), of(number()), of(Just(json("40".to_owned()))));
    let words = (
        vec(text(), 0..3),
        of(metadata()),
        of(select(vec!["default", "flex", "priority", "reserved"])),
    );
    (
        (turns(), vec(tool(), 1..3), any::<bool>(), choice()),
        (40_001u64..100_000, of(format), of(reasoning())),
        (sampling, words, extra()),
    )
        .prop_map(
            |(
                (turns, tools, offered, (tool_choice, parallel_tool_calls)),
                (max_tokens, format, reasoning),
                ((temperature, top_p, top_k), (stop, metadata, tier), extra),
            )| {
                // Where there are calls there must be tools.
                let offered = offered || turns.iter().any(|turn| turn.role == Role::Tool);
                let mut request = Request {
                    turns,
                    max_tokens: Some(max_tokens),
                    stop: stop.into_iter().map(Into::into).collect(),
                    format,
                    metadata,
                    service_tier: tier.map(Into::into),
                    stream_usage: true,
                    extra,
                    ..Request::default()
                };
                if offered {
                    request.tools = tools;
                    request.tool_choice = tool_choice;
                    request.parallel_tool_calls = parallel_tool_calls;
                }
                let thinks = reasoning
                    .as_ref()
                    .is_some_and(|r| r.mode != ReasoningMode::Off);
                if thinks && may_think(&request) {
                    request.reasoning = reasoning;
                } else {
                    request.reasoning = reasoning.filter(|r| r.mode == ReasoningMode::Off);
                    request.sampling = Sampling {
                        temperature,
                        top_p,
                        top_k,
                        ..Sampling::default()
                    };
                }
                request
            },
        )
        .boxed()
}

/// Whether nothing in a request excludes thinking.
fn may_think(request: &Request<'_>) -> bool {
    let forced = matches!(
        request.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Named(_))
    );
    let begun = request
        .turns
        .last()
        .is_some_and(|turn| turn.role == Role::Assistant);
    !forced && !begun
}

fn citation() -> Made<Citation<'static>> {
    (of(text()), of(0u64..9), of(text()), of(text()))
        .prop_map(|(url, document, title, quote)| Citation {
            url: url.map(Into::into),
            title: title.map(Into::into),
            quote: quote.map(Into::into),
            start: None,
            end: None,
            document,
        })
        .boxed()
}

fn usage() -> Made<Usage> {
    (
        0u64..1 << 40,
        of(0u64..1 << 40),
        of(0u64..1 << 40),
        0u64..1 << 40,
    )
        .prop_map(|(fresh, cached, cache_written, output)| Usage {
            input: fresh + cached.unwrap_or(0) + cache_written.unwrap_or(0),
            cached,
            cache_written,
            output,
            reasoning: None,
        })
        .boxed()
}

/// An answer whose encoding reads as itself, plain and, but for the service tier, as a stream.
pub(crate) fn answer() -> Made<Answer<'static>> {
    let cited = (text(), vec(citation(), 0..3)).prop_map(|(text, citations)| Content::Text {
        text: text.into(),
        citations,
    });
    let part =
        prop_oneof![3 => cited, 2 => call(), 1 => thought(of(id()).boxed())].prop_map(Part::from);
    let reason = select(vec![
        Reason::Stop,
        Reason::StopSequence,
        Reason::Length,
        Reason::ToolCalls,
        Reason::ContentFilter,
        Reason::Other,
    ]);
    let finish = (reason, of(text())).prop_map(|(reason, text)| Finish {
        reason,
        stop_sequence: text.map(Into::into),
    });
    let tier = of(select(vec!["default", "priority"]));
    (vec(part, 0..5), finish, of(usage()), tier)
        .prop_map(|(parts, finish, usage, tier)| Answer {
            choices: vec![Choice {
                parts,
                finish,
                logprobs: None,
            }],
            usage,
            service_tier: tier.map(Into::into),
            ..Answer::default()
        })
        .boxed()
}

//! Requests and answers that the dialect can say, in their normal form.
//!
//! What is left out, because it comes back as something else: names and details (not sayable); instructions behind the
//! first turn (joined to the first); texts of white space only (not sent); a summary other than `auto` (`display` says
//! whether, not how); an effort without a mode (it asks for adaptive thinking); `parallel_tool_calls` without a choice;
//! a refusal (it becomes text); positions of citations; the signature of a call.

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

fn source(media_type: &'static str) -> Made<Source<'static>> {
    prop_oneof![
        text().prop_map(|url| Source::Url(url.into())),
        Just(Source::Base64 {
            media_type: media_type.into(),
            data: "QUJD".into()
        }),
        id().prop_map(|id| Source::Id(id.into())),
    ]
    .boxed()
}

fn words() -> Made<Content<'static>> {
    text().prop_map(Content::text).boxed()
}

fn shown() -> Made<Content<'static>> {
    let file = prop_oneof![
        source("application/pdf"),
        text().prop_map(|text| Source::Text(text.into())),
    ];
    prop_oneof![
        3 => words(),
        1 => source("image/png").prop_map(|source| Content::Image { source, detail: None }),
        1 => (file, of(text())).prop_map(|(source, name)| Content::File {
            source,
            name: name.map(Into::into),
        }),
    ]
    .boxed()
}

fn call() -> Made<Content<'static>> {
    (id(), id(), object())
        .prop_map(|(id, name, arguments)| Content::ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            signature: None,
        })
        .boxed()
}

fn result() -> Made<Content<'static>> {
    (id(), vec(part(shown()), 0..3), any::<bool>())
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
        id().prop_map(|data| Content::Redacted { data: data.into() }),
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

/// What the user says, what the assistant answers, and results where it called tools.
fn round() -> Made<Vec<Turn<'static>>> {
    let assistant = prop_oneof![
        3 => part(words()),
        2 => part(call()),
        1 => thought(id().prop_map(Some).boxed()).prop_map(Part::from),
    ];
    (
        vec(vec(part(shown()), 1..3), 0..3),
        vec(assistant, 0..4),
        vec(part(result()), 1..3),
    )
        .prop_map(|(said, answered, results)| {
            let mut turns: Vec<_> = said
                .into_iter()
                .map(|parts| turn(Role::User, parts))
                .collect();
            let is_call = |part: &Part<'_>| matches!(part.content, Content::ToolCall { .. });
            let calls = answered.iter().any(is_call);
            if !answered.is_empty() {
                turns.push(turn(Role::Assistant, answered));
            }
            if calls {
                turns.push(turn(Role::Tool, results));
            }
            turns
        })
        .boxed()
}

fn turns() -> Made<Vec<Turn<'static>>> {
    (of(vec(part(words()), 1..3)), vec(round(), 0..4))
        .prop_map(|(system, rounds)| {
            let system = system.map(|parts| turn(Role::System, parts));
            system
                .into_iter()
                .chain(rounds.into_iter().flatten())
                .collect()
        })
        .boxed()
}

fn tool() -> Made<Tool<'static>> {
    let schema = prop_oneof![
        Just(r#"{"type":"object"}"#.to_owned()),
        Just(r#"{ "$defs": {}, "type":"object","properties":{"x":{"minimum":-1.50}} }"#.to_owned()),
    ];
    prop_oneof![
        4 => (id(), of(text()), schema, of(any::<bool>()), cache()).prop_map(
            |(name, description, schema, strict, cache)| Tool::Function {
                name: name.into(),
                description: description.map(Into::into),
                parameters: Some(json(schema)),
                strict,
                cache,
            }
        ),
        1 => id().prop_map(|name| Tool::Other {
            kind: "web_search_20250305".into(),
            value: json(serde_json::json!({"type": "web_search_20250305", "name": name}).to_string()),
        }),
    ]
    .boxed()
}

fn choice() -> Made<(Option<ToolChoice<'static>>, Option<bool>)> {
    let choice = prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::Required),
        id().prop_map(|name| ToolChoice::Named(name.into())),
    ];
    prop_oneof![
        Just((None, None)),
        Just((Some(ToolChoice::None), None)),
        (choice.prop_map(Some), of(any::<bool>())),
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
    (mode, of(select(efforts)))
        .prop_map(|((mode, budget_tokens), effort)| Reasoning {
            mode,
            effort: effort.map(Into::into),
            budget_tokens,
            summary: (mode != ReasoningMode::Off).then(|| "auto".into()),
        })
        .boxed()
}

fn extra() -> Made<Vec<Extra<'static>>> {
    let extra = |name: &'static str| {
        of(object()).prop_map(move |value| Extra {
            name: name.into(),
            value: json(value.unwrap_or_else(|| "true".to_owned())),
        })
    };
    prop_oneof![
        Just(Vec::new()),
        extra("container").prop_map(|extra| vec![extra]),
        (extra("inference_geo"), extra("cache_control")).prop_map(|(a, b)| vec![a, b]),
    ]
    .boxed()
}

/// A request whose encoding reads as itself.
pub(crate) fn request() -> Made<Request<'static>> {
    let format =
        Just(r#"{"type":"object","additionalProperties":false}"#.to_owned()).prop_map(|schema| {
            Format::Schema {
                name: None,
                description: None,
                schema: json(schema),
                strict: Some(true),
            }
        });
    let sampling = (of(number()), of(number()), of(Just(json("40".to_owned()))));
    let tools = prop_oneof![
        Just((Vec::new(), (None, None))),
        (vec(tool(), 1..3), choice()),
    ];
    let words = (
        vec(text(), 0..3),
        of(text()),
        of(select(vec!["auto", "default"])),
    );
    (
        (turns(), tools, 40_000u64..100_000, of(format)),
        (sampling, of(reasoning()), words, any::<bool>(), extra()),
    )
        .prop_map(
            |(
                (turns, (tools, (tool_choice, parallel_tool_calls)), max_tokens, format),
                ((temperature, top_p, top_k), reasoning, (stop, user, tier), stream, extra),
            )| {
                let request = Request {
                    model: "m".into(),
                    turns,
                    tools,
                    tool_choice,
                    parallel_tool_calls,
                    max_tokens: Some(max_tokens),
                    stop: stop.into_iter().map(Into::into).collect(),
                    format,
                    user: user.map(Into::into),
                    service_tier: tier.map(Into::into),
                    stream,
                    stream_usage: stream,
                    extra,
                    ..Request::default()
                };
                let thinks = reasoning
                    .as_ref()
                    .is_some_and(|r| r.mode != ReasoningMode::Off);
                if thinks && may_think(&request) {
                    Request {
                        reasoning,
                        ..request
                    }
                } else {
                    Request {
                        reasoning: reasoning.filter(|r| r.mode == ReasoningMode::Off),
                        sampling: Sampling {
                            temperature,
                            top_p,
                            top_k,
                            ..Sampling::default()
                        },
                        ..request
                    }
                }
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
    let calls = request.turns.iter().any(|turn| turn.role == Role::Tool);
    !forced && !begun && !calls
}

fn citation() -> Made<Citation<'static>> {
    let place = prop_oneof![
        text().prop_map(|url| (Some(url), None)),
        (0u64..9).prop_map(|document| (None, Some(document))),
    ];
    (place, of(text()), of(text()))
        .prop_map(|((url, document), title, quote)| Citation {
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
        of(0u64..9),
    )
        .prop_map(|(fresh, cached, cache_written, visible, reasoning)| Usage {
            input: fresh + cached.unwrap_or(0) + cache_written.unwrap_or(0),
            cached,
            cache_written,
            output: visible + reasoning.unwrap_or(0),
            reasoning,
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
    let finish = prop_oneof![
        select(vec![
            Reason::Stop,
            Reason::Length,
            Reason::ToolCalls,
            Reason::Refusal,
            Reason::Pause
        ])
        .prop_map(Finish::from),
        text().prop_map(|text| Finish {
            reason: Reason::StopSequence,
            stop_sequence: Some(text.into()),
        }),
    ];
    let tier = of(select(vec!["default", "priority", "batch"]));
    (id(), text(), vec(part, 0..5), finish, usage(), tier)
        .prop_map(|(id, model, parts, finish, usage, tier)| {
            let is_call = |part: &Part<'_>| matches!(part.content, Content::ToolCall { .. });
            let calls = finish.reason == Reason::Stop && parts.iter().any(is_call);
            let finish = if calls {
                Reason::ToolCalls.into()
            } else {
                finish
            };
            Answer {
                id: Some(id.into()),
                model: Some(model.into()),
                created: None,
                choices: vec![Choice {
                    parts,
                    finish,
                    logprobs: None,
                }],
                usage: Some(usage),
                service_tier: tier.map(Into::into),
            }
        })
        .boxed()
}

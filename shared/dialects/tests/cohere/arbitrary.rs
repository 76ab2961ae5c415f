//! Requests and answers that the dialect can say, in their normal form.
//!
//! What is left out, because it comes back as something else: names (not sayable); results of other than text (a document
//! becomes its text) or of nothing; calls before words (they stand behind them); tools of which some are strict and some not;
//! a choice without tools, `auto`, one tool or some (sent as `REQUIRED` or not at all); an effort (sent as a budget); names of schemas; a refusal (it becomes
//! text); the documents of citations; tokens of reasoning and of writing to a cache.

use lockgate_dialects::{
    Answer, Choice, Citation, Content, Extra, Format, Json, Part, Reason, Reasoning, ReasoningMode,
    Request, Role, Sampling, Source, Tool, ToolChoice, Turn, Usage,
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

fn json(text: String) -> Json<'static> {
    Json::parse(text.into()).unwrap()
}

fn number() -> Made<Json<'static>> {
    prop_oneof![
        Just("0.30".to_owned()),
        (10u32..990).prop_map(|n| format!("0.{n:03}")),
    ]
    .prop_map(json)
    .boxed()
}

fn words() -> Made<Part<'static>> {
    text().prop_map(|text| Content::text(text).into()).boxed()
}

fn shown() -> Made<Part<'static>> {
    let source = prop_oneof![
        text().prop_map(|text| Source::Url(format!("https://{text}").into())),
        Just(Source::Base64 {
            media_type: "image/png".into(),
            data: "QUJD".into()
        }),
    ];
    let detail = of(select(vec!["auto", "low", "high"]));
    prop_oneof![
        2 => words(),
        1 => (source, detail).prop_map(|(source, detail)| Content::Image {
            source,
            detail: detail.map(Into::into),
        }.into()),
    ]
    .boxed()
}

fn call() -> Made<Part<'static>> {
    (id(), id(), text())
        .prop_map(|(id, name, arguments)| {
            Content::ToolCall {
                id: id.into(),
                name: name.into(),
                arguments: arguments.into(),
                signature: None,
            }
            .into()
        })
        .boxed()
}

fn thought() -> Made<Part<'static>> {
    text()
        .prop_map(|text| {
            Content::Reasoning {
                text: text.into(),
                signature: None,
                id: None,
            }
            .into()
        })
        .boxed()
}

fn result() -> Made<Part<'static>> {
    (id(), vec(words(), 1..3))
        .prop_map(|(id, parts)| {
            Content::ToolResult {
                id: id.into(),
                name: None,
                parts,
                error: false,
            }
            .into()
        })
        .boxed()
}

fn turn(role: Role, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn {
        role,
        name: None,
        parts,
    }
}

fn round() -> Made<Vec<Turn<'static>>> {
    let said = vec(prop_oneof![3 => words(), 1 => thought()], 0..3);
    (
        of(vec(words(), 1..3)),
        vec(shown(), 1..4),
        (said, vec(call(), 0..3)),
        vec(result(), 1..3),
    )
        .prop_map(|(system, user, (mut said, calls), results)| {
            let mut turns: Vec<_> = system
                .map(|parts| turn(Role::System, parts))
                .into_iter()
                .collect();
            turns.push(turn(Role::User, user));
            let answered = !calls.is_empty();
            said.extend(calls);
            if !said.is_empty() {
                turns.push(turn(Role::Assistant, said));
            }
            if answered {
                turns.push(turn(Role::Tool, results));
            }
            turns
        })
        .boxed()
}

fn tools() -> Made<Vec<Tool<'static>>> {
    let schema = select(vec![
        r#"{"type":"object"}"#,
        r#"{ "type": "object", "properties": {"n": {"type":"integer","maximum":9007199254740993}} }"#,
    ]);
    (vec((id(), of(text()), schema), 1..3), of(any::<bool>()))
        .prop_map(|(tools, strict)| {
            tools
                .into_iter()
                .map(|(name, description, schema)| Tool::Function {
                    name: name.into(),
                    description: description.map(Into::into),
                    parameters: Some(json(schema.to_owned())),
                    strict,
                    cache: None,
                })
                .collect()
        })
        .boxed()
}

fn reasoning() -> Made<Reasoning<'static>> {
    prop_oneof![
        Just((ReasoningMode::Off, None)),
        of(1u64..40_000).prop_map(|budget| (ReasoningMode::On, budget)),
    ]
    .prop_map(|(mode, budget_tokens)| Reasoning {
        mode,
        budget_tokens,
        ..Reasoning::default()
    })
    .boxed()
}

fn extra() -> Made<Vec<Extra<'static>>> {
    let extra = |name: &'static str, value: &str| Extra {
        name: name.into(),
        value: json(value.to_owned()),
    };
    select(vec![
        Vec::new(),
        vec![extra("safety_mode", r#""STRICT""#)],
        vec![
            extra("documents", r#"[{"data":{"text":"x","n":1.0}}]"#),
            extra("priority", "3"),
        ],
    ])
    .boxed()
}

/// A request whose encoding reads as itself.
pub(crate) fn request() -> Made<Request<'static>> {
    let schema = r#"{"type":"object","required":["a"],"maximum":9007199254740993}"#;
    let format = select(vec![
        Format::Json,
        Format::Schema {
            name: None,
            description: None,
            schema: json(schema.to_owned()),
            strict: None,
        },
    ]);
    let choice = of(select(vec![ToolChoice::Required, ToolChoice::None]));
    let tools = prop_oneof![Just((Vec::new(), None)), (tools(), choice)];
    let sampling = (
        of(number()),
        of(number()),
        of(Just(json("40".to_owned()))),
        of(number()),
        of(number()),
        of(Just(json("18446744073709551615".to_owned()))),
    );
    (
        (vec(round(), 0..3), tools, of(1u64..100_000), of(format)),
        (sampling, of(reasoning()), vec(text(), 0..6)),
        (any::<bool>(), extra()),
    )
        .prop_map(
            |(
                (turns, (tools, tool_choice), max_tokens, format),
                ((temperature, top_p, top_k, frequency, presence, seed), reasoning, stop),
                (stream, extra),
            )| Request {
                model: "m".into(),
                turns: turns.into_iter().flatten().collect(),
                tools,
                tool_choice,
                max_tokens,
                stop: stop.into_iter().map(Into::into).collect(),
                sampling: Sampling {
                    temperature,
                    top_p,
                    top_k,
                    frequency_penalty: frequency,
                    presence_penalty: presence,
                    seed,
                    logit_bias: None,
                },
                format,
                reasoning,
                stream,
                stream_usage: true,
                extra,
                ..Request::default()
            },
        )
        .boxed()
}

fn citation() -> Made<Citation<'static>> {
    (of((0u64..99, 0u64..99)), of(text()), of(text()), of(text()))
        .prop_map(|(place, title, url, quote)| Citation {
            url: url.map(Into::into),
            title: title.map(Into::into),
            quote: quote.map(Into::into),
            start: place.map(|(start, _)| start),
            end: place.map(|(_, end)| end),
            document: None,
        })
        .boxed()
}

fn usage() -> Made<Usage> {
    (0u64..1 << 40, 0u64..1 << 40, of(0u64..1 << 40))
        .prop_map(|(fresh, output, cached)| Usage {
            input: fresh + cached.unwrap_or(0),
            cached,
            output,
            ..Usage::default()
        })
        .boxed()
}

/// An answer whose encoding reads as itself, plain and as a stream.
pub(crate) fn answer() -> Made<Answer<'static>> {
    let cited = (text(), vec(citation(), 0..3)).prop_map(|(text, citations)| {
        Content::Text {
            text: text.into(),
            citations,
        }
        .into()
    });
    let said = vec(prop_oneof![3 => cited, 1 => thought()], 0..4);
    let reason = select(vec![
        Reason::Stop,
        Reason::StopSequence,
        Reason::Length,
        Reason::ToolCalls,
        Reason::ContentFilter,
    ]);
    (id(), said, vec(call(), 0..3), reason, of(usage()))
        .prop_map(|(id, mut parts, calls, reason, usage)| {
            parts.extend(calls);
            Answer {
                id: Some(id.into()),
                choices: vec![Choice {
                    parts,
                    finish: reason.into(),
                    logprobs: None,
                }],
                usage,
                ..Answer::default()
            }
        })
        .boxed()
}

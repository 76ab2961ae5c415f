//! Requests and answers that the Responses API can say, in normal form.

use std::borrow::Cow;

use lockgate_dialects::{
    Answer, Choice, Citation, Content, Extra, Format, Json, Part, Reason, Reasoning, Request, Role,
    Sampling, Source, Tool, ToolChoice, Turn, Usage,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::json;

/// Any text, with quotes, escapes, line breaks and all planes of Unicode, and some that look like parts of the protocol.
pub(crate) fn any_text() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof![
        8 => "(?s).{1,12}".prop_map(Cow::Owned),
        1 => select(vec!["null", "{}", "\"logprobs\":[", " ", "data: [DONE]\n\n", "a\n\nb", "\u{0}\u{2028}"])
            .prop_map(Cow::Borrowed),
    ]
}

fn name() -> impl Strategy<Value = Cow<'static, str>> {
    "[a-zA-Z0-9_-]{1,12}".prop_map(Cow::Owned)
}

fn number() -> impl Strategy<Value = Json<'static>> {
    let digits = vec![
        "0",
        "-1",
        "0.10",
        "1e-3",
        "9007199254740993",
        "0.1000000000000000055511151231257827",
    ];
    select(digits).prop_map(json)
}

fn object() -> impl Strategy<Value = Json<'static>> {
    let objects = vec![
        "{}",
        r#"{"type":"object"}"#,
        r#"{ "b" : 9007199254740993 , "a":[1.10,-0e5,null,true] }"#,
        r#"{"type":"object","properties":{"x":{"type":"integer","maximum":18446744073709551616}},"required":[]}"#,
        "{\"\\u00e9\":\"\\n\\\"\",\n\t\"z\":{}}",
    ];
    select(objects).prop_map(json)
}

fn base64() -> impl Strategy<Value = Cow<'static, str>> {
    "([A-Za-z0-9+/]{4}){1,4}".prop_map(Cow::Owned)
}

fn text() -> BoxedStrategy<Part<'static>> {
    any_text()
        .prop_map(|text| Content::text(text).into())
        .boxed()
}

fn shown() -> impl Strategy<Value = Part<'static>> {
    let inline = |media: Vec<&'static str>| {
        (select(media), base64()).prop_map(|(media_type, data)| Source::Base64 {
            media_type: media_type.into(),
            data,
        })
    };
    let url = || {
        "https://example\\.com/[a-z0-9?=&%]{0,12}".prop_map(|url: String| Source::Url(url.into()))
    };
    let id = || name().prop_map(Source::Id);
    let image = prop_oneof![url(), id(), inline(vec!["image/png", "image/jpeg"])];
    let pdf = inline(vec!["application/pdf", "text/plain"]);
    let file = prop_oneof![
        (pdf, any_text().prop_map(Some)),
        (prop_oneof![url(), id()], option::of(any_text())),
    ];
    prop_oneof![
        (image, option::of(select(vec!["low", "high", "auto"]))).prop_map(|(source, detail)| {
            Content::Image {
                source,
                detail: detail.map(Cow::Borrowed),
            }
        }),
        file.prop_map(|(source, name)| Content::File { source, name }),
    ]
    .prop_map(Part::from)
}

fn call() -> impl Strategy<Value = Content<'static>> {
    (name(), option::weighted(0.9, object()), any_text()).prop_map(|(name, arguments, broken)| {
        Content::ToolCall {
            id: "".into(),
            name,
            // A model may write anything; only what is blank is written in another way.
            arguments: match arguments {
                Some(object) => Cow::Owned(object.as_str().to_owned()),
                None => Cow::Owned(format!("{{{broken}")),
            },
            signature: None,
        }
    })
}

fn thought() -> impl Strategy<Value = Content<'static>> {
    ("rs_[a-z0-9]{1,9}", option::of(any_text()), any_text()).prop_map(|(id, text, seal)| {
        Content::Reasoning {
            text: text.unwrap_or_default(),
            signature: Some(seal),
            id: Some(id.into()),
        }
    })
}

fn refusal() -> impl Strategy<Value = Content<'static>> {
    any_text().prop_map(|text| Content::Refusal { text })
}

fn citation() -> impl Strategy<Value = Citation<'static>> {
    (any_text(), any_text(), 0_u64..99, 0_u64..99).prop_map(|(url, title, start, end)| Citation {
        url: Some(url),
        title: Some(title),
        start: Some(start),
        end: Some(end),
        ..Citation::default()
    })
}

fn cited() -> impl Strategy<Value = Content<'static>> {
    (any_text(), vec(citation(), 0..3))
        .prop_map(|(text, citations)| Content::Text { text, citations })
}

/// Calls get ids of their own, and those are the results'.
fn numbered(parts: &mut [Content<'static>], first: usize) -> Vec<Cow<'static, str>> {
    let mut ids = Vec::new();
    for content in parts {
        if let Content::ToolCall { id, .. } = content {
            *id = format!("call_{}", first + ids.len()).into();
            ids.push(id.clone());
        }
    }
    ids
}

/// A question, and maybe an answer to it with calls and their results.
fn round() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let question = (
        select(vec![Role::User, Role::User, Role::System, Role::Developer]),
        vec(prop_oneof![3 => text(), 1 => shown().boxed()], 1..4),
    );
    let said = prop_oneof![4 => cited().boxed(), 1 => refusal().boxed(), 2 => thought().boxed(), 3 => call().boxed()];
    let answer = (
        vec(said, 0..5),
        vec(vec(prop_oneof![3 => text(), 1 => shown().boxed()], 0..3), 5),
    );
    (question, answer).prop_map(|((role, parts), (mut said, results))| {
        let ids = numbered(&mut said, 0);
        let mut turns = vec![Turn {
            role,
            name: None,
            parts,
        }];
        let answered: Vec<Part<'_>> = ids
            .into_iter()
            .zip(results)
            .map(|(id, parts)| {
                Part::from(Content::ToolResult {
                    id,
                    name: None,
                    parts,
                    error: false,
                })
            })
            .collect();
        let said = said.into_iter().map(Part::from).collect();
        for (role, parts) in [(Role::Assistant, said), (Role::Tool, answered)] {
            turns.push(Turn {
                role,
                name: None,
                parts,
            });
        }
        turns.retain(|turn| !turn.parts.is_empty());
        turns
    })
}

fn conversation() -> impl Strategy<Value = Vec<Turn<'static>>> {
    (vec(round(), 0..4), text()).prop_map(|(rounds, last)| {
        let mut turns: Vec<_> = rounds.into_iter().flatten().collect();
        turns.push(Turn {
            role: Role::User,
            name: None,
            parts: vec![last],
        });
        turns
    })
}

fn tools() -> impl Strategy<Value = Vec<Tool<'static>>> {
    let function = (
        name(),
        option::of(any_text()),
        option::of(object()),
        any::<bool>(),
    );
    let function = function.prop_map(|(name, description, parameters, strict)| Tool::Function {
        name,
        description,
        parameters,
        strict: Some(strict),
        cache: None,
    });
    let own = select(vec![
        ("custom", r#"{"type":"custom","name":"~run"}"#),
        (
            "web_search",
            r#"{ "type":"web_search", "search_context_size":"low" }"#,
        ),
        (
            "mcp",
            r#"{"type":"mcp","server_label":"x","server_url":"https://example.com"}"#,
        ),
    ]);
    let own = own.prop_map(|(kind, value)| Tool::Other {
        kind: kind.into(),
        value: json(value),
    });
    vec(prop_oneof![9 => function, 1 => own], 0..4)
}

fn choice() -> impl Strategy<Value = Option<ToolChoice<'static>>> {
    option::of(prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        name().prop_map(ToolChoice::Named),
        (vec(name(), 1..4), any::<bool>())
            .prop_map(|(names, required)| ToolChoice::Allowed { names, required }),
    ])
}

fn format() -> impl Strategy<Value = Option<Format<'static>>> {
    option::of(prop_oneof![
        Just(Format::Json),
        (
            name(),
            option::of(any_text()),
            object(),
            option::of(any::<bool>())
        )
            .prop_map(|(name, description, schema, strict)| Format::Schema {
                name: Some(name),
                description,
                schema,
                strict,
            }),
    ])
}

/// In the order of their names, which is how they are compared.
fn extras() -> impl Strategy<Value = Vec<Extra<'static>>> {
    let all = vec![
        ("background", "true"),
        ("conversation", r#"{"id":"conv_1"}"#),
        ("include", r#"["web_search_call.results"]"#),
        ("max_tool_calls", "3"),
        ("previous_response_id", r#""resp_1""#),
        ("prompt", r#"{"id":"pmpt_1"}"#),
        ("prompt_cache_key", r#""k""#),
        ("safety_identifier", r#""s""#),
        ("truncation", r#""auto""#),
        ("verbosity", r#""low""#),
    ];
    subsequence(all, 0..4).prop_map(|names| {
        names
            .into_iter()
            .map(|(name, value)| Extra {
                name: name.into(),
                value: json(value),
            })
            .collect()
    })
}

/// A request that the dialect can say.
pub(crate) fn request() -> impl Strategy<Value = Request<'static>> {
    let asked = (
        any_text(),
        conversation(),
        tools(),
        choice(),
        option::of(any::<bool>()),
    );
    let answer = (
        option::of(16_u64..),
        (option::of(number()), option::of(number())),
        (any::<bool>(), option::of(1_u64..20)),
        format(),
        option::of(select(vec![
            "none", "minimal", "low", "medium", "high", "xhigh", "max",
        ])),
        option::of(select(vec!["auto", "concise", "detailed"])),
    );
    let account = (
        option::of(object()),
        option::of(any_text()),
        option::of(select(vec!["auto", "default", "flex", "priority"])),
        any::<bool>(),
        any::<bool>(),
        extras(),
    );
    (asked, answer, account).prop_map(|(asked, answer, account)| {
        let (model, turns, tools, tool_choice, parallel_tool_calls) = asked;
        let (max_tokens, (temperature, top_p), (logprobs, top_logprobs), format, effort, summary) =
            answer;
        let (metadata, user, service_tier, store, stream, extra) = account;
        let some_tools = !tools.is_empty();
        Request {
            model,
            turns,
            tools,
            // Without tools it means nothing and is not written.
            tool_choice: tool_choice.filter(|_| some_tools),
            parallel_tool_calls,
            max_tokens,
            sampling: Sampling {
                temperature,
                top_p,
                ..Sampling::default()
            },
            logprobs: (logprobs || top_logprobs.is_some()).then_some(true),
            top_logprobs,
            format,
            reasoning: (effort.is_some() || summary.is_some()).then(|| Reasoning {
                effort: effort.map(Cow::Borrowed),
                summary: summary.map(Cow::Borrowed),
                ..Reasoning::default()
            }),
            metadata,
            user,
            service_tier: service_tier.map(Cow::Borrowed),
            store: Some(store),
            stream,
            stream_usage: true,
            extra,
            ..Request::default()
        }
    })
}

fn logprobs() -> impl Strategy<Value = Json<'static>> {
    let some = vec![
        r#"{"content":[{"token":"a","logprob":-0.10,"bytes":[97],"top_logprobs":[]}],"refusal":null}"#,
        r#"{"content":[{"token":"\"","logprob":-9999.0,"bytes":null,"top_logprobs":[]},{"token":"b"}],"refusal":null}"#,
    ];
    select(some).prop_map(json)
}

fn one_choice() -> impl Strategy<Value = Choice<'static>> {
    let part = prop_oneof![
        4 => cited().boxed(),
        1 => refusal().boxed(),
        2 => thought().boxed(),
        1 => any_text().prop_map(|data| Content::Redacted { data }).boxed(),
        3 => (call(), option::weighted(0.3, any_text())).prop_map(|(mut call, proof)| {
            if let Content::ToolCall { signature, .. } = &mut call {
                *signature = proof;
            }
            call
        }).boxed(),
    ];
    let cut = select(vec![
        None,
        None,
        Some(Reason::Length),
        Some(Reason::ContentFilter),
    ]);
    (vec(part, 0..6), option::weighted(0.3, logprobs()), cut).prop_map(
        |(mut parts, logprobs, cut)| {
            numbered(&mut parts, 0);
            let has = |wanted: fn(&Content<'_>) -> bool| parts.iter().any(wanted);
            let whole = if has(|part| matches!(part, Content::ToolCall { .. })) {
                Reason::ToolCalls
            } else if has(|part| matches!(part, Content::Refusal { .. })) {
                Reason::Refusal
            } else {
                Reason::Stop
            };
            // They are of a text.
            let said = has(|part| matches!(part, Content::Text { .. }));
            Choice {
                parts: parts.into_iter().map(Part::from).collect(),
                finish: cut.unwrap_or(whole).into(),
                logprobs: logprobs.filter(|_| said),
            }
        },
    )
}

fn usage() -> impl Strategy<Value = Usage> {
    let part = || (0_u64..1_000).prop_map(Some);
    (any::<u64>(), any::<u64>(), part(), part(), part()).prop_map(
        |(input, output, cached, cache_written, reasoning)| Usage {
            input,
            cached,
            cache_written,
            output,
            reasoning,
        },
    )
}

/// An answer that the dialect can say.
pub(crate) fn answer() -> impl Strategy<Value = Answer<'static>> {
    (
        "resp_[a-z0-9]{1,9}",
        any_text(),
        any::<u64>(),
        one_choice(),
        option::of(usage()),
        option::of(any_text()),
    )
        .prop_map(|(id, model, created, choice, usage, service_tier)| Answer {
            id: Some(id.into()),
            model: Some(model),
            created: Some(created),
            choices: vec![choice],
            usage,
            service_tier,
        })
}

//! Requests and answers that Chat Completions can say, in normal form.

use std::borrow::Cow;

use lockgate_dialects::{
    Answer, Choice, Citation, Content, Extra, Format, Json, Part, Reason, Reasoning, Request, Role,
    Sampling, Source, Tool, ToolChoice, Turn, Usage,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Any text, with quotes, escapes, line breaks and all planes of Unicode, and some that look like JSON.
pub(crate) fn any_text() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof![
        8 => "(?s).{1,12}".prop_map(Cow::Owned),
        1 => select(vec!["null", "{}", "\"quoted\"", " ", "data: [DONE]\n\n", "\\u0000", "\u{0}\u{2028}"])
            .prop_map(Cow::Borrowed),
    ]
}

fn name() -> impl Strategy<Value = Cow<'static, str>> {
    "[a-zA-Z0-9_-]{1,12}".prop_map(Cow::Owned)
}

pub(crate) fn number() -> impl Strategy<Value = Json<'static>> {
    let digits = vec![
        "0",
        "1",
        "-1",
        "0.10",
        "1e-3",
        "9007199254740993",
        "0.1000000000000000055511151231257827",
        "-0",
        "123456789012345678901234567890",
    ];
    select(digits).prop_map(json)
}

fn json(text: &'static str) -> Json<'static> {
    Json::parse(text.into()).unwrap()
}

pub(crate) fn object() -> impl Strategy<Value = Json<'static>> {
    let objects = vec![
        "{}",
        r#"{"type":"object"}"#,
        r#"{ "b" : 9007199254740993 , "a":[1.10,-0e5,null,true] }"#,
        r#"{"type":"object","properties":{"x":{"type":"integer","maximum":18446744073709551616}},"required":[]}"#,
        "{\"\\u00e9\":\"\\n\\\"\",\n\t\"z\":{}}",
    ];
    select(objects).prop_map(json)
}

fn value() -> impl Strategy<Value = Json<'static>> {
    prop_oneof![
        object(),
        number(),
        select(vec!["true", "\"text\"", "[ ]"]).prop_map(json)
    ]
}

fn text() -> impl Strategy<Value = Part<'static>> {
    any_text().prop_map(|text| Content::text(text).into())
}

fn base64() -> impl Strategy<Value = Cow<'static, str>> {
    "([A-Za-z0-9+/]{4}){1,4}".prop_map(Cow::Owned)
}

fn shown() -> impl Strategy<Value = Part<'static>> {
    let inline = |media: Vec<&'static str>| {
        (select(media), base64()).prop_map(|(media_type, data)| Source::Base64 {
            media_type: media_type.into(),
            data,
        })
    };
    let url =
        "https://example\\.com/[a-z0-9?=&%]{0,12}".prop_map(|url: String| Source::Url(url.into()));
    let image = prop_oneof![url, inline(vec!["image/png", "image/jpeg"])];
    let file = prop_oneof![
        (
            inline(vec!["application/pdf", "text/plain"]),
            any_text().prop_map(Some)
        ),
        (any_text().prop_map(Source::Id), option::of(any_text())),
    ];
    prop_oneof![
        (image, option::of(select(vec!["low", "high", "auto"]))).prop_map(|(source, detail)| {
            Content::Image {
                source,
                detail: detail.map(Cow::Borrowed),
            }
        }),
        file.prop_map(|(source, name)| Content::File { source, name }),
        (base64(), select(vec!["wav", "mp3"])).prop_map(|(data, format)| Content::Audio {
            data,
            format: format.into(),
        }),
    ]
    .prop_map(Part::from)
}

fn call() -> impl Strategy<Value = Content<'static>> {
    (name(), name(), option::weighted(0.9, object()), any_text()).prop_map(
        |(id, name, arguments, broken)| Content::ToolCall {
            id,
            name,
            // A model may write anything; only what is blank is written in another way.
            arguments: match arguments {
                Some(object) => Cow::Owned(object.as_str().to_owned()),
                None => Cow::Owned(format!("{{{broken}")),
            },
            signature: None,
        },
    )
}

fn turn(role: Role, parts: Vec<Part<'static>>, name: Option<Cow<'static, str>>) -> Turn<'static> {
    Turn { role, name, parts }
}

/// A question, and maybe an answer to it with calls and their results.
fn round() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let question = (
        select(vec![Role::User, Role::User, Role::System, Role::Developer]),
        vec(text(), 1..3),
        vec(shown(), 0..3),
        option::weighted(0.1, name()),
    )
        .prop_map(|(role, mut texts, shown, name)| {
            if role == Role::User {
                texts.extend(shown);
            }
            turn(role, texts, name)
        });
    let answer = (
        option::weighted(0.3, any_text()),
        vec(text(), 0..3),
        option::weighted(0.1, any_text()),
        vec((call(), vec(text(), 0..3)), 0..3),
        option::weighted(0.1, name()),
    );
    (question, option::of(answer)).prop_map(|(question, answer)| {
        let mut turns = vec![question];
        let Some((thought, texts, refusal, calls, name)) = answer else {
            return turns;
        };
        let thought = thought.map(|text| Content::Reasoning {
            text,
            signature: None,
            id: None,
        });
        let mut parts: Vec<Part<'_>> = thought.map(Part::from).into_iter().collect();
        parts.extend(texts);
        parts.extend(refusal.map(|text| Part::from(Content::Refusal { text })));
        let mut results = Vec::new();
        for (at, (mut call, parts_of_result)) in calls.into_iter().enumerate() {
            if let Content::ToolCall { id, .. } = &mut call {
                *id = Cow::Owned(format!("{id}_{at}"));
                results.push(Part::from(Content::ToolResult {
                    id: id.clone(),
                    name: None,
                    parts: parts_of_result,
                    error: false,
                }));
            }
            parts.push(call.into());
        }
        if !parts.is_empty() {
            turns.push(turn(Role::Assistant, parts, name));
        }
        if !results.is_empty() {
            turns.push(turn(Role::Tool, results, None));
        }
        turns
    })
}

fn conversation() -> impl Strategy<Value = Vec<Turn<'static>>> {
    (vec(round(), 0..4), text()).prop_map(|(rounds, last)| {
        let mut turns: Vec<_> = rounds.into_iter().flatten().collect();
        turns.push(turn(Role::User, vec![last], None));
        turns
    })
}

fn tools() -> impl Strategy<Value = Vec<Tool<'static>>> {
    let function = (
        name(),
        option::of(any_text()),
        option::of(object()),
        option::of(any::<bool>()),
    );
    let function = function.prop_map(|(name, description, parameters, strict)| Tool::Function {
        name,
        description,
        parameters,
        strict,
        cache: None,
    });
    let custom = Just(Tool::Other {
        kind: "custom".into(),
        value: json(r#"{"type":"custom","custom":{"name":"~run"}}"#),
    });
    vec(prop_oneof![9 => function, 1 => custom], 0..4)
}

fn choice() -> impl Strategy<Value = Option<ToolChoice<'static>>> {
    let one = prop_oneof![9 => name(), 1 => Just(Cow::Borrowed("~run"))].boxed();
    option::of(prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        one.clone().prop_map(ToolChoice::Named),
        (vec(one, 1..4), any::<bool>())
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

fn extras() -> impl Strategy<Value = Vec<Extra<'static>>> {
    let names = [
        "modalities",
        "prediction",
        "prompt_cache_key",
        "safety_identifier",
        "verbosity",
        "web_search_options",
    ];
    (proptest::sample::subsequence(names.to_vec(), 0..3), value()).prop_map(|(names, value)| {
        names
            .into_iter()
            .map(|name| Extra {
                name: name.into(),
                value: value.clone(),
            })
            .collect()
    })
}

fn sampling() -> impl Strategy<Value = Sampling<'static>> {
    let some = || option::weighted(0.3, number());
    (
        some(),
        some(),
        some(),
        some(),
        some(),
        option::weighted(0.3, object()),
    )
        .prop_map(
            |(temperature, top_p, frequency_penalty, presence_penalty, seed, logit_bias)| {
                Sampling {
                    temperature,
                    top_p,
                    top_k: None,
                    frequency_penalty,
                    presence_penalty,
                    seed,
                    logit_bias,
                }
            },
        )
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
        option::of(any::<u64>()),
        vec(any_text(), 0..4),
        sampling(),
        option::of(1_u64..128),
        (option::of(any::<bool>()), option::of(0_u64..20)),
        format(),
        option::of(select(vec![
            "none", "minimal", "low", "medium", "high", "xhigh", "max",
        ])),
    );
    let account = (
        option::of(object()),
        option::of(any_text()),
        option::of(select(vec!["auto", "default", "flex", "priority"])),
        option::of(any::<bool>()),
        any::<(bool, bool)>(),
        extras(),
    );
    (asked, answer, account).prop_map(|(asked, answer, account)| {
        let (model, turns, tools, tool_choice, parallel) = asked;
        let (max_tokens, stop, sampling, choices, (logprobs, top_logprobs), format, effort) =
            answer;
        let (metadata, user, service_tier, store, (stream, usage), extra) = account;
        let some_tools = !tools.is_empty();
        Request {
            model,
            turns,
            tools,
            // Without tools these mean nothing and are not written.
            tool_choice: tool_choice.filter(|_| some_tools),
            parallel_tool_calls: parallel.filter(|_| some_tools),
            max_tokens,
            stop,
            sampling,
            choices,
            logprobs,
            top_logprobs,
            format,
            reasoning: effort.map(|effort| Reasoning {
                effort: Some(effort.into()),
                ..Reasoning::default()
            }),
            metadata,
            user,
            service_tier: service_tier.map(Cow::Borrowed),
            store,
            stream,
            stream_usage: stream && usage,
            extra,
        }
    })
}

fn citation() -> impl Strategy<Value = Citation<'static>> {
    (
        any_text(),
        any_text(),
        option::of(any_text()),
        0_u64..99,
        0_u64..99,
    )
        .prop_map(|(url, title, quote, start, end)| Citation {
            url: Some(url),
            title: Some(title),
            quote,
            start: Some(start),
            end: Some(end),
            document: None,
        })
}

fn thoughts(signed: bool) -> BoxedStrategy<Vec<Part<'static>>> {
    let plain = option::of(any_text()).prop_map(|text| {
        let thought = text.map(|text| Content::Reasoning {
            text,
            signature: None,
            id: None,
        });
        thought.map(Part::from).into_iter().collect()
    });
    if !signed {
        return plain.boxed();
    }
    let proven = prop_oneof![
        (any_text(), any_text()).prop_map(|(text, signature)| Content::Reasoning {
            text,
            signature: Some(signature),
            id: None,
        }),
        any_text().prop_map(|data| Content::Redacted { data }),
    ];
    prop_oneof![plain, vec(proven.prop_map(Part::from), 1..3)].boxed()
}

fn logprobs() -> impl Strategy<Value = Json<'static>> {
    let some = vec![
        r#"{"content":[{"token":"a","logprob":-0.10,"bytes":[97],"top_logprobs":[]}],"refusal":null}"#,
        r#"{"content":null,"refusal":[{"token":"N","logprob":-9999.0,"bytes":null,"top_logprobs":[]}]}"#,
    ];
    select(some).prop_map(json)
}

fn one_choice() -> impl Strategy<Value = Choice<'static>> {
    (
        thoughts(true),
        option::of((any_text(), vec(citation(), 0..2))),
        option::weighted(0.1, any_text()),
        vec((call(), option::weighted(0.2, any_text())), 0..3),
        option::weighted(0.2, logprobs()),
        select(vec![
            None,
            None,
            Some(Reason::Length),
            Some(Reason::ContentFilter),
        ]),
    )
        .prop_map(|(mut parts, text, refusal, calls, logprobs, cut)| {
            let whole = if !calls.is_empty() {
                Reason::ToolCalls
            } else if refusal.is_some() {
                Reason::Refusal
            } else {
                Reason::Stop
            };
            // Citations come after the text, so nothing else may.
            let last = refusal.is_none() && calls.is_empty();
            parts.extend(text.map(|(text, citations)| {
                Part::from(Content::Text {
                    text,
                    citations: if last { citations } else { Vec::new() },
                })
            }));
            parts.extend(refusal.map(|text| Part::from(Content::Refusal { text })));
            for (at, (mut call, proof)) in calls.into_iter().enumerate() {
                if let Content::ToolCall { id, signature, .. } = &mut call {
                    *id = Cow::Owned(format!("{id}_{at}"));
                    *signature = proof;
                }
                parts.push(call.into());
            }
            Choice {
                parts,
                finish: cut.unwrap_or(whole).into(),
                logprobs,
            }
        })
}

fn usage() -> impl Strategy<Value = Usage> {
    let part = || option::of(0_u64..1_000);
    (
        1_000_000_u64..1 << 40,
        1_000_u64..1 << 40,
        part(),
        part(),
        part(),
    )
        .prop_map(|(input, output, cached, cache_written, reasoning)| Usage {
            input,
            cached,
            cache_written,
            output,
            reasoning,
        })
}

/// An answer that the dialect can say.
pub(crate) fn answer() -> impl Strategy<Value = Answer<'static>> {
    (
        any_text(),
        any_text(),
        any::<u64>(),
        vec(one_choice(), 1..4),
        option::of(usage()),
        option::of(any_text()),
    )
        .prop_map(
            |(id, model, created, choices, usage, service_tier)| Answer {
                id: Some(id),
                model: Some(model),
                created: Some(created),
                choices,
                usage,
                service_tier,
            },
        )
}

//! Requests and answers that Google can say, in the form in which its decoder tells them.
//!
//! What is told in another way than it was said, and so does not occur here: system turns become one, at the beginning; the
//! name of a file; a result's several texts (joined by line breaks) and a result that is an object with only a `result`,
//! `output` or `error`; texts and thoughts of an answer that follow each other (joined); a signature before its text
//! (after it); a refusal (text); reasoning switched off from Gemini 3 on (least effort).

use std::borrow::Cow;

use lockgate_dialects::{
    Answer, Choice, Citation, Content, Extra, Finish, Format, Json, Part, Reason, Reasoning,
    ReasoningMode, Request, Role, Sampling, Source, Tool, ToolChoice, Turn, Usage,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) fn any_text() -> impl Strategy<Value = Cow<'static, str>> {
    prop_oneof![
        8 => "(?s).{1,12}".prop_map(Cow::Owned),
        1 => select(vec!["null", "{}", "\"quoted\"", " ", "data: x\n\n", "\\u0000", "\u{0}\u{2028}"])
            .prop_map(Cow::Borrowed),
    ]
}

fn name() -> impl Strategy<Value = Cow<'static, str>> {
    "[a-zA-Z_][a-zA-Z0-9_-]{0,12}".prop_map(Cow::Owned)
}

fn base64() -> impl Strategy<Value = Cow<'static, str>> {
    "([A-Za-z0-9+/]{4}){1,4}".prop_map(Cow::Owned)
}

fn json(text: &'static str) -> Json<'static> {
    Json::parse(text.into()).unwrap()
}

fn number() -> impl Strategy<Value = Json<'static>> {
    let digits = vec![
        "0",
        "1",
        "-1",
        "0.10",
        "1e-3",
        "9007199254740993",
        "0.1000000000000000055511151231257827",
        "-0",
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

fn text() -> impl Strategy<Value = Part<'static>> {
    any_text().prop_map(|text| Content::text(text).into())
}

fn inline(media: Vec<&'static str>) -> impl Strategy<Value = Source<'static>> {
    (select(media), base64()).prop_map(|(media_type, data)| Source::Base64 {
        media_type: media_type.into(),
        data,
    })
}

fn image() -> impl Strategy<Value = Content<'static>> {
    let at = "https://example\\.com/[a-z0-9]{0,8}\\.(png|JPG)(\\?a=1)?"
        .prop_map(|url| Source::Url(url.into()));
    prop_oneof![at, inline(vec!["image/png", "image/jpeg"])].prop_map(|source| Content::Image {
        source,
        detail: None,
    })
}

fn shown() -> impl Strategy<Value = Part<'static>> {
    let at = prop_oneof![
        "https://example\\.com/[a-z0-9]{0,8}(\\.pdf)?".prop_map(|url| Source::Url(url.into())),
        "gs://bucket/[a-z0-9]{1,8}".prop_map(|url| Source::Url(url.into())),
        "files/[a-z0-9]{1,8}".prop_map(|id| Source::Id(id.into())),
        inline(vec!["application/pdf", "text/plain", "video/mp4"]),
    ];
    prop_oneof![
        image(),
        at.prop_map(|source| Content::File { source, name: None }),
        (base64(), select(vec!["wav", "mp3"])).prop_map(|(data, format)| Content::Audio {
            data,
            format: format.into(),
        }),
    ]
    .prop_map(Part::from)
}

fn proof(text: impl Into<Cow<'static, str>>, signature: Cow<'static, str>) -> Part<'static> {
    thought(text, Some(signature))
}

fn thought(
    text: impl Into<Cow<'static, str>>,
    signature: Option<Cow<'static, str>>,
) -> Part<'static> {
    Content::Reasoning {
        text: text.into(),
        signature,
        id: None,
    }
    .into()
}

type Called = (
    Cow<'static, str>,
    Json<'static>,
    Option<Cow<'static, str>>,
    Vec<Part<'static>>,
    bool,
);

fn called() -> impl Strategy<Value = Called> {
    let told = (option::of(text()), vec(inline(vec!["image/png"]), 0..2));
    let told = told.prop_map(|(text, images)| {
        let image = |source| {
            Part::from(Content::Image {
                source,
                detail: None,
            })
        };
        text.into_iter()
            .chain(images.into_iter().map(image))
            .collect()
    });
    (name(), object(), option::of(base64()), told, any::<bool>())
}

fn turn(role: Role, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn {
        role,
        name: None,
        parts,
    }
}

/// A question, and maybe an answer to it with calls and their results.
fn round() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let question = vec(prop_oneof![2 => text(), 1 => shown()], 1..4);
    let answer = (
        option::of(any_text()),
        vec((any_text(), option::of(base64())), 0..3),
        vec(called(), 0..3),
    );
    (question, option::of(answer)).prop_map(|(question, answer)| {
        let mut turns = vec![turn(Role::User, question)];
        let Some((thoughts, texts, calls)) = answer else {
            return turns;
        };
        let mut parts: Vec<_> = thoughts
            .into_iter()
            .map(|text| thought(text, None))
            .collect();
        for (text, signature) in texts {
            parts.push(Content::text(text).into());
            parts.extend(signature.map(|signature| proof("", signature)));
        }
        let mut results = Vec::new();
        for (at, (name, arguments, signature, told, error)) in calls.into_iter().enumerate() {
            let id: Cow<'static, str> = format!("id-{at}").into();
            parts.push(
                Content::ToolCall {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: arguments.as_str().to_owned().into(),
                    signature,
                }
                .into(),
            );
            results.push(
                Content::ToolResult {
                    id,
                    name: Some(name),
                    parts: told,
                    error,
                }
                .into(),
            );
        }
        if !parts.is_empty() {
            turns.push(turn(Role::Assistant, parts));
        }
        if !results.is_empty() {
            turns.push(turn(Role::Tool, results));
        }
        turns
    })
}

fn conversation() -> impl Strategy<Value = Vec<Turn<'static>>> {
    let system = vec(text(), 0..3);
    (system, vec(round(), 0..4), text()).prop_map(|(system, rounds, last)| {
        let mut turns = Vec::new();
        if !system.is_empty() {
            turns.push(turn(Role::System, system));
        }
        turns.extend(rounds.into_iter().flatten());
        turns.push(turn(Role::User, vec![last]));
        turns
    })
}

type Tools = (Vec<Tool<'static>>, Option<ToolChoice<'static>>);

fn tools() -> impl Strategy<Value = Tools> {
    let function = (name(), option::of(any_text()), option::of(object()));
    let own = select(vec!["googleSearch", "codeExecution"]).prop_map(|kind| Tool::Other {
        kind: kind.into(),
        value: Json::parse(format!(r#"{{ "{kind}" : {{}} }}"#).into()).unwrap(),
    });
    let choice = option::of(prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        name().prop_map(ToolChoice::Named),
        vec(name(), 2..4).prop_map(|names| ToolChoice::Allowed {
            names,
            required: true,
        }),
        vec(name(), 1..4).prop_map(|names| ToolChoice::Allowed {
            names,
            required: false,
        }),
    ]);
    (vec(function, 0..3), vec(own, 0..2), choice, any::<bool>()).prop_map(
        |(functions, own, choice, strict)| {
            let choice = if strict {
                Some(ToolChoice::Auto)
            } else {
                choice
            };
            let function = |(name, description, parameters)| Tool::Function {
                name,
                description,
                parameters,
                strict: strict.then_some(true),
                cache: None,
            };
            (
                functions.into_iter().map(function).chain(own).collect(),
                choice,
            )
        },
    )
}

/// A model, and how it may be asked to think.
fn thinking() -> impl Strategy<Value = (&'static str, Option<Reasoning<'static>>)> {
    let effort = select(vec!["minimal", "low", "medium", "high"]).prop_map(|effort| Reasoning {
        effort: Some(effort.into()),
        ..Reasoning::default()
    });
    let budget = (1_u64..=24_576).prop_map(|tokens| Reasoning {
        budget_tokens: Some(tokens),
        ..Reasoning::default()
    });
    let mode = select(vec![ReasoningMode::Off, ReasoningMode::Adaptive]);
    let mode = mode.prop_map(|mode| Reasoning {
        mode,
        ..Reasoning::default()
    });
    let told = |reasoning: Reasoning<'static>, told: bool| Reasoning {
        summary: told.then_some("auto".into()),
        ..reasoning
    };
    let newer = prop_oneof![effort, budget.clone()];
    let older = prop_oneof![budget, mode];
    prop_oneof![
        Just(("gemini-3-flash-preview", None)),
        (newer, any::<bool>())
            .prop_map(move |(how, too)| ("gemini-3-flash-preview", Some(told(how, too)))),
        (older, any::<bool>())
            .prop_map(move |(how, too)| ("gemini-2.5-flash", Some(told(how, too)))),
    ]
}

fn sampling() -> impl Strategy<Value = Sampling<'static>> {
    (
        option::of(number()),
        option::of(number()),
        option::of(number()),
        option::of(number()),
        option::of(number()),
        option::of(any::<i32>()),
    )
        .prop_map(
            |(temperature, top_p, top_k, frequency_penalty, presence_penalty, seed)| Sampling {
                temperature,
                top_p,
                top_k,
                frequency_penalty,
                presence_penalty,
                seed: seed.map(|seed| Json::parse(seed.to_string().into()).unwrap()),
                logit_bias: None,
            },
        )
}

fn extras() -> impl Strategy<Value = Vec<Extra<'static>>> {
    let all = vec![
        ("toolConfig.retrievalConfig", r#"{"languageCode":"de"}"#),
        ("generationConfig.responseModalities", r#"["TEXT"]"#),
        (
            "safetySettings",
            r#"[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"OFF"}]"#,
        ),
        ("cachedContent", r#""cachedContents/abc""#),
    ];
    proptest::sample::subsequence(all, 0..=4).prop_map(|some| {
        let extra = |(name, value): (&'static str, &'static str)| Extra {
            name: name.into(),
            value: json(value),
        };
        some.into_iter().map(extra).collect()
    })
}

/// A request, and the model that it is for.
pub(crate) fn request() -> impl Strategy<Value = (Request<'static>, &'static str)> {
    let format = option::of(prop_oneof![
        Just(Format::Json),
        object().prop_map(|schema| Format::Schema {
            name: None,
            description: None,
            schema,
            strict: None,
        }),
    ]);
    let first = (conversation(), tools(), thinking(), sampling(), extras());
    let second = (
        option::of(1_u64..65_536),
        vec(any_text(), 0..6),
        option::of(1_u64..8),
        option::of(Just(true)),
        option::of(0_u64..20),
        format,
        option::of(select(vec!["default", "flex", "priority"])),
        option::of(any::<bool>()),
    );
    (first, second).prop_map(
        |(
            (mut turns, (tools, tool_choice), (model, reasoning), sampling, extra),
            (max_tokens, stop, choices, logprobs, top_logprobs, format, tier, store),
        )| {
            if model.starts_with("gemini-2") {
                without_pictures_in_results(&mut turns);
            }
            let request = Request {
                turns,
                tools,
                tool_choice,
                max_tokens,
                stop,
                sampling,
                choices,
                logprobs,
                top_logprobs,
                format,
                reasoning,
                service_tier: tier.map(Cow::Borrowed),
                store,
                extra,
                ..Request::default()
            };
            (request, model)
        },
    )
}

fn without_pictures_in_results(turns: &mut [Turn<'_>]) {
    for part in turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        if let Content::ToolResult { parts, .. } = &mut part.content {
            parts.retain(|part| matches!(part.content, Content::Text { .. }));
        }
    }
}

#[derive(Debug, Clone)]
enum Block {
    Thought(Cow<'static, str>, Option<Cow<'static, str>>),
    Text(
        Cow<'static, str>,
        Vec<Citation<'static>>,
        Option<Cow<'static, str>>,
    ),
    Call(Cow<'static, str>, Json<'static>, Option<Cow<'static, str>>),
    Image(Source<'static>),
}

fn cited() -> impl Strategy<Value = (Cow<'static, str>, Vec<Citation<'static>>)> {
    let citation = (
        option::of(any_text()),
        any_text(),
        option::of(any_text()),
        any::<(prop::sample::Index, prop::sample::Index)>(),
    );
    (any_text(), vec(citation, 0..3)).prop_map(|(text, citations)| {
        let length = text.chars().count() + 1;
        let place = |at: prop::sample::Index| u64::try_from(at.index(length)).ok();
        let citations = citations
            .into_iter()
            .map(|(title, url, quote, (start, end))| Citation {
                url: Some(url),
                title,
                quote,
                start: place(start),
                end: place(end),
                document: None,
            });
        let citations = citations.collect();
        (text, citations)
    })
}

fn blocks(images: bool) -> impl Strategy<Value = Vec<Block>> {
    let signature = || option::weighted(0.3, base64());
    let image = inline(vec!["image/png"]).prop_map(Block::Image);
    let block = prop_oneof![
        2 => (any_text(), signature()).prop_map(|(text, proof)| Block::Thought(text, proof)),
        3 => (cited(), signature())
            .prop_map(|((text, citations), proof)| Block::Text(text, citations, proof)),
        2 => (name(), object(), signature())
            .prop_map(|(name, arguments, proof)| Block::Call(name, arguments, proof)),
        u32::from(images) => image,
    ];
    vec(block, 0..5).prop_map(|mut blocks| {
        blocks.dedup_by(|next, before| {
            matches!(
                (before, next),
                (Block::Thought(_, None), Block::Thought(..))
                    | (Block::Text(_, _, None), Block::Text(..))
            )
        });
        blocks
    })
}

fn logprobs() -> impl Strategy<Value = Json<'static>> {
    vec(
        (any_text(), number(), vec((any_text(), number()), 0..2)),
        0..3,
    )
    .prop_map(|tokens| {
        let word = |token: &str, number: &Json<'_>| {
            let token = serde_json::to_string(token).unwrap();
            format!(
                r#""token":{token},"logprob":{},"bytes":null"#,
                number.as_str()
            )
        };
        let tokens: Vec<String> = tokens
            .iter()
            .map(|(token, number, tops)| {
                let tops: Vec<String> = tops
                    .iter()
                    .map(|(token, number)| format!("{{{}}}", word(token, number)))
                    .collect();
                format!(
                    r#"{{{},"top_logprobs":[{}]}}"#,
                    word(token, number),
                    tops.join(",")
                )
            })
            .collect();
        let text = format!(r#"{{"content":[{}],"refusal":null}}"#, tokens.join(","));
        Json::parse(text.into()).unwrap()
    })
}

fn one(images: bool) -> impl Strategy<Value = Choice<'static>> {
    let reasons = vec![
        Reason::Stop,
        Reason::Length,
        Reason::ContentFilter,
        Reason::Other,
    ];
    (blocks(images), select(reasons), option::of(logprobs())).prop_map(
        |(blocks, mut reason, logprobs)| {
            let mut parts = Vec::new();
            for (at, block) in blocks.into_iter().enumerate() {
                match block {
                    Block::Thought(text, proof) => parts.push(thought(text, proof)),
                    Block::Text(text, citations, signature) => {
                        parts.push(Content::Text { text, citations }.into());
                        parts.extend(signature.map(|signature| proof("", signature)));
                    }
                    Block::Call(name, arguments, signature) => {
                        if reason == Reason::Stop {
                            reason = Reason::ToolCalls;
                        }
                        parts.push(
                            Content::ToolCall {
                                id: format!("id-{at}").into(),
                                name,
                                arguments: arguments.as_str().to_owned().into(),
                                signature,
                            }
                            .into(),
                        );
                    }
                    Block::Image(source) => parts.push(
                        Content::Image {
                            source,
                            detail: None,
                        }
                        .into(),
                    ),
                }
            }
            Choice {
                parts,
                finish: Finish::from(reason),
                logprobs,
            }
        },
    )
}

/// An answer; pictures and the service tier are not in streams.
pub(crate) fn answer(images: bool) -> impl Strategy<Value = Answer<'static>> {
    let counts = any::<(u32, Option<u32>, u32, Option<u32>)>();
    let usage = counts.prop_map(|(input, cached, visible, reasoning)| Usage {
        input: input.into(),
        cached: cached.map(u64::from),
        cache_written: None,
        output: u64::from(visible) + u64::from(reasoning.unwrap_or(0)),
        reasoning: reasoning.map(u64::from),
    });
    (
        any_text(),
        any_text(),
        vec(one(images), 1..4),
        option::of(usage),
        any::<bool>(),
    )
        .prop_map(move |(id, model, choices, usage, tier)| Answer {
            id: Some(id),
            model: Some(model),
            created: None,
            choices,
            service_tier: (tier && images && usage.is_some()).then_some("default".into()),
            usage,
        })
}

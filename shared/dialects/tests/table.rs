//! The table of docs/dialects.md is what the encoders do: each feature alone is encoded for each dialect and must fare as the
//! dialect's `support` says, and the table is written from `support`.
//!
//! `UPDATE=1 cargo test -p lockgate-dialects --test table` writes the file anew.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;

use lockgate_dialects::{
    Cache, Content, Dialect, Encoded, Extra, Feature, Format, Json, Part, Reasoning, ReasoningMode,
    Request, Role, Sampling, Source, Support, Target, Tool, ToolChoice, Turn, Unsupported,
    encode_request, support,
};
use lockgate_providers::{Quirks, TokenLimit};

const DIALECTS: [(Dialect, &str); 6] = [
    (Dialect::OpenAiChat, "OpenAI Chat"),
    (Dialect::OpenAiResponses, "OpenAI Responses"),
    (Dialect::Anthropic, "Anthropic"),
    (Dialect::Gemini, "Gemini"),
    (Dialect::Cohere, "Cohere"),
    (Dialect::Bedrock, "Bedrock"),
];

const TINY_PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// Takes all that any follower of the dialect takes.
const PERMISSIVE: Quirks = Quirks {
    done_marker: true,
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

fn json(text: &'static str) -> Json<'static> {
    Json::parse(text.into()).unwrap()
}

fn said(role: Role, parts: Vec<Part<'static>>) -> Turn<'static> {
    Turn {
        role,
        name: None,
        parts,
    }
}

fn text(role: Role, text: &'static str) -> Turn<'static> {
    said(role, vec![Content::text(text).into()])
}

fn asked(content: Content<'static>) -> Vec<Turn<'static>> {
    vec![said(
        Role::User,
        vec![Content::text("What is this?").into(), content.into()],
    )]
}

fn tool(name: &'static str) -> Tool<'static> {
    Tool::Function {
        name: name.into(),
        description: Some("Tells the weather.".into()),
        parameters: Some(json(
            r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}"#,
        )),
        strict: None,
        cache: None,
    }
}

/// A tool that the provider runs itself, where the dialect has such.
fn own_tool(dialect: Dialect) -> Tool<'static> {
    let (kind, value) = match dialect {
        Dialect::OpenAiResponses => ("web_search", r#"{"type":"web_search"}"#),
        Dialect::Anthropic => (
            "web_search_20250305",
            r#"{"type":"web_search_20250305","name":"web_search"}"#,
        ),
        Dialect::Gemini => ("googleSearch", r#"{"googleSearch":{}}"#),
        _ => (
            "custom",
            r#"{"type":"custom","custom":{"name":"run_code"}}"#,
        ),
    };
    Tool::Other {
        kind: kind.into(),
        value: json(value),
    }
}

fn source(media_type: &'static str, data: &'static str) -> Source<'static> {
    Source::Base64 {
        media_type: media_type.into(),
        data: data.into(),
    }
}

fn picture() -> Source<'static> {
    source("image/png", TINY_PNG)
}

fn file(source: Source<'static>) -> Vec<Turn<'static>> {
    asked(Content::File {
        source,
        name: Some("notes".into()),
    })
}

fn results(parts: Vec<Part<'static>>, error: bool) -> Vec<Turn<'static>> {
    vec![
        text(Role::User, "What is the weather in Paris?"),
        said(
            Role::Assistant,
            vec![
                Content::ToolCall {
                    id: "call_1".into(),
                    name: "weather".into(),
                    arguments: r#"{"city":"Paris"}"#.into(),
                    signature: None,
                }
                .into(),
            ],
        ),
        said(
            Role::Tool,
            vec![
                Content::ToolResult {
                    id: "call_1".into(),
                    name: None,
                    parts,
                    error,
                }
                .into(),
            ],
        ),
    ]
}

fn thinks(reasoning: Reasoning<'static>) -> Option<Reasoning<'static>> {
    Some(reasoning)
}

/// A request that has this feature and, beyond what every request has, as little else as can be.
#[allow(clippy::too_many_lines, reason = "one arm for each feature")]
fn sample(feature: Feature, dialect: Dialect) -> Request<'static> {
    let mut request = Request {
        model: "m".into(),
        turns: vec![text(Role::User, "Hi")],
        max_tokens: Some(50_000),
        ..Request::default()
    };
    let tools = |names: &[&'static str]| names.iter().map(|name| tool(name)).collect();
    let number = |digits| Some(json(digits));
    match feature {
        Feature::System => request.turns.insert(0, text(Role::System, "Be brief.")),
        Feature::Developer => request.turns.insert(0, text(Role::Developer, "Be brief.")),
        Feature::SystemLater => {
            request.turns = vec![
                text(Role::User, "Hi"),
                text(Role::Assistant, "Hello!"),
                text(Role::System, "Be brief from now on."),
                text(Role::User, "How are you?"),
            ];
        }
        Feature::MultiTurn => {
            request.turns = vec![
                text(Role::User, "Hi"),
                text(Role::Assistant, "Hello!"),
                text(Role::User, "How are you?"),
            ];
        }
        Feature::Prefill => request.turns.push(text(Role::Assistant, "Once upon a")),
        Feature::Name => request.turns[0].name = Some("ada".into()),
        Feature::ImageUrl => {
            request.turns = asked(Content::Image {
                source: Source::Url("https://example.com/a.png".into()),
                detail: None,
            });
        }
        Feature::ImageBase64 => {
            request.turns = asked(Content::Image {
                source: picture(),
                detail: None,
            });
        }
        Feature::ImageDetail => {
            request.turns = asked(Content::Image {
                source: picture(),
                detail: Some("low".into()),
            });
        }
        Feature::AudioInput => {
            request.turns = asked(Content::Audio {
                data: "AAAA".into(),
                format: "wav".into(),
            });
        }
        Feature::FileBase64 => request.turns = file(source("application/pdf", "JVBERi0xLjQK")),
        Feature::FileUrl => {
            request.turns = file(Source::Url("https://example.com/a.pdf".into()));
        }
        Feature::FileText => request.turns = file(Source::Text("The notes.".into())),
        Feature::FileId => request.turns = file(Source::Id("file-1".into())),
        Feature::Tools => request.tools = tools(&["weather"]),
        Feature::ToolStrict => {
            request.tools = tools(&["weather"]);
            if let Tool::Function { strict, .. } = &mut request.tools[0] {
                *strict = Some(true);
            }
        }
        Feature::ToolOther => request.tools = vec![own_tool(dialect)],
        Feature::ToolChoiceAuto => {
            request.tools = tools(&["weather"]);
            request.tool_choice = Some(ToolChoice::Auto);
        }
        Feature::ToolChoiceNone => {
            request.tools = tools(&["weather"]);
            request.tool_choice = Some(ToolChoice::None);
        }
        Feature::ToolChoiceRequired => {
            request.tools = tools(&["weather"]);
            request.tool_choice = Some(ToolChoice::Required);
        }
        Feature::ToolChoiceNamed => {
            request.tools = tools(&["weather", "time"]);
            request.tool_choice = Some(ToolChoice::Named("time".into()));
        }
        Feature::ToolChoiceAllowed => {
            request.tools = tools(&["weather", "time", "place"]);
            request.tool_choice = Some(ToolChoice::Allowed {
                names: vec!["weather".into(), "time".into()],
                required: true,
            });
        }
        Feature::ParallelToolCalls => {
            request.tools = tools(&["weather"]);
            request.parallel_tool_calls = Some(true);
        }
        Feature::ParallelToolCallsOff => {
            request.tools = tools(&["weather"]);
            request.parallel_tool_calls = Some(false);
        }
        Feature::ToolResults => {
            request.tools = tools(&["weather"]);
            request.turns = results(vec![Content::text("Sunny").into()], false);
        }
        Feature::ToolResultError => {
            request.tools = tools(&["weather"]);
            request.turns = results(vec![Content::text("No such city").into()], true);
        }
        Feature::ToolResultImage => {
            request.tools = tools(&["weather"]);
            request.turns = results(
                vec![
                    Content::Image {
                        source: picture(),
                        detail: None,
                    }
                    .into(),
                ],
                false,
            );
        }
        Feature::MaxTokens => request.max_tokens = Some(100),
        Feature::Stop => request.stop = vec!["END".into()],
        Feature::Temperature => request.sampling.temperature = number("0.5"),
        Feature::TopP => request.sampling.top_p = number("0.5"),
        Feature::TopK => request.sampling.top_k = number("40"),
        Feature::Seed => request.sampling.seed = number("7"),
        Feature::FrequencyPenalty => request.sampling.frequency_penalty = number("0.5"),
        Feature::PresencePenalty => request.sampling.presence_penalty = number("0.5"),
        Feature::LogitBias => {
            request.sampling = Sampling {
                logit_bias: Some(json(r#"{"50256":-100}"#)),
                ..Sampling::default()
            };
        }
        Feature::Choices => request.choices = Some(2),
        Feature::Logprobs => {
            request.logprobs = Some(true);
            request.top_logprobs = Some(2);
        }
        Feature::JsonMode => request.format = Some(Format::Json),
        Feature::JsonSchema => {
            request.format = Some(Format::Schema {
                name: Some("city".into()),
                description: None,
                schema: json(
                    r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}"#,
                ),
                strict: Some(true),
            });
        }
        Feature::ReasoningEffort => {
            request.reasoning = thinks(Reasoning {
                effort: Some("high".into()),
                ..Reasoning::default()
            });
        }
        Feature::ReasoningBudget => {
            request.reasoning = thinks(Reasoning {
                mode: ReasoningMode::On,
                budget_tokens: Some(2_048),
                ..Reasoning::default()
            });
        }
        Feature::ReasoningOff => {
            request.reasoning = thinks(Reasoning {
                mode: ReasoningMode::Off,
                ..Reasoning::default()
            });
        }
        Feature::ReasoningSummary => {
            request.reasoning = thinks(Reasoning {
                effort: Some("high".into()),
                summary: Some("auto".into()),
                ..Reasoning::default()
            });
        }
        Feature::ReasoningHistory => {
            request.turns = vec![
                text(Role::User, "Hi"),
                said(
                    Role::Assistant,
                    vec![
                        Content::Reasoning {
                            text: "A greeting.".into(),
                            signature: Some("c2lnbmVk".into()),
                            // By its id OpenAI's is told from others'.
                            id: (dialect == Dialect::OpenAiResponses).then(|| "rs_1".into()),
                        }
                        .into(),
                        Content::text("Hello!").into(),
                    ],
                ),
                text(Role::User, "How are you?"),
            ];
        }
        Feature::RefusalHistory => {
            request.turns = vec![
                text(Role::User, "Hi"),
                said(
                    Role::Assistant,
                    vec![Content::Refusal { text: "No.".into() }.into()],
                ),
                text(Role::User, "Why?"),
            ];
        }
        Feature::Cache => request.turns[0].parts[0].cache = Some(Cache { ttl: None }),
        Feature::Metadata => request.metadata = Some(json(r#"{"case":"7"}"#)),
        Feature::User => request.user = Some("user-7".into()),
        Feature::ServiceTier => request.service_tier = Some("auto".into()),
        Feature::Store => request.store = Some(true),
        Feature::State => request.extra.push(Extra {
            name: "previous_response_id".into(),
            value: json("\"resp_1\""),
        }),
        Feature::Unknown => request.extra.push(Extra {
            name: "never_heard_of".into(),
            value: json("1"),
        }),
    }
    request
}

/// Someone who has a model of the dialect, since some encoders look at its name.
fn target(dialect: Dialect) -> Target<'static> {
    Target {
        model: match dialect {
            Dialect::OpenAiChat | Dialect::OpenAiResponses => "gpt-5.6-sol",
            Dialect::Gemini => "gemini-3.5-flash",
            Dialect::Cohere => "command-a-03-2025",
            Dialect::Bedrock => "anthropic.claude-sonnet-4-6",
            _ => "claude-sonnet-4-6",
        },
        max_output: Some(64_000),
        quirks: &PERMISSIVE,
        title: "Someone",
    }
}

fn encode(dialect: Dialect, feature: Feature) -> Result<Encoded, Unsupported> {
    encode_request(dialect, &sample(feature, dialect), &target(dialect))
}

fn written(dialect: Dialect) -> bool {
    support(dialect)(Feature::System) != Support::Lacking("not written yet")
}

#[test]
fn encoders_do_what_the_table_says() {
    let mut wrong = Vec::new();
    for (dialect, title) in DIALECTS {
        if !written(dialect) {
            continue;
        }
        for &feature in Feature::ALL {
            let says = support(dialect)(feature);
            let does = encode(dialect, feature);
            let right = match (says, &does) {
                (Support::Kept | Support::Mapped(_), Ok(encoded)) => encoded.warnings.is_empty(),
                (Support::Lacking(_), Err(refusal)) => {
                    feature.is_essential() && refusal.title == feature.title()
                }
                (Support::Lacking(_), Ok(encoded)) => {
                    !feature.is_essential() && !encoded.warnings.is_empty()
                }
                (_, Err(_)) => false,
            };
            if let Ok(encoded) = &does {
                assert!(
                    serde_json::from_slice::<serde_json::Value>(&encoded.body).is_ok(),
                    "{title}: {feature:?} is no JSON"
                );
            }
            if !right {
                let does = does.map(|encoded| {
                    (
                        String::from_utf8_lossy(&encoded.body).into_owned(),
                        encoded.warnings,
                    )
                });
                wrong.push(format!(
                    "{title}, {feature:?}: says {says:?}, does {does:?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A feature that is kept must leave a trace: a request with it is another than one without.
#[test]
fn what_is_kept_is_written() {
    for (dialect, title) in DIALECTS {
        if !written(dialect) {
            continue;
        }
        for &feature in Feature::ALL {
            // What it does anyway may be said by saying nothing.
            let silent = matches!(
                feature,
                Feature::ParallelToolCalls | Feature::ToolChoiceAuto | Feature::ServiceTier
            );
            if silent || support(dialect)(feature) != Support::Kept {
                continue;
            }
            let with = encode(dialect, feature).unwrap().body;
            let base = Request {
                model: "m".into(),
                turns: vec![text(Role::User, "Hi")],
                max_tokens: Some(50_000),
                ..Request::default()
            };
            let without = encode_request(dialect, &base, &target(dialect))
                .unwrap()
                .body;
            assert_ne!(with, without, "{title}: {feature:?}");
        }
    }
}

const INTRO: &str = include_str!("table/intro.md");

fn cell(feature: Feature, dialect: Dialect) -> String {
    let because = |word: &str, why: &str| match why {
        "" => word.to_owned(),
        why => format!("{word}: {why}"),
    };
    match support(dialect)(feature) {
        Support::Kept => "kept".to_owned(),
        Support::Mapped(how) => because("mapped", how),
        Support::Lacking(why) if feature.is_essential() => because("**refused**", why),
        Support::Lacking(why) => because("*warned*", why),
    }
}

fn page() -> String {
    let mut page = INTRO.to_owned();
    page.push_str("\n| feature |");
    for (_, title) in DIALECTS {
        let _ = write!(page, " {title} |");
    }
    page.push_str("\n|---|");
    page.push_str(&"---|".repeat(DIALECTS.len()));
    page.push('\n');
    for &feature in Feature::ALL {
        let _ = write!(page, "| {} |", feature.title());
        for (dialect, _) in DIALECTS {
            let _ = write!(page, " {} |", cell(feature, dialect).replace('|', "\\|"));
        }
        page.push('\n');
    }
    page
}

#[test]
fn the_page_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/dialects.md");
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, page).unwrap();
        return;
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        there == page,
        "docs/dialects.md differs from what the code says; UPDATE=1 writes it anew"
    );
}

//! What only some models take: thinking, effort and sampling.

use lockgate_dialects::{Reasoning, ReasoningMode, Request, Role, ToolChoice};

use crate::{beside, encode, hello, json, said};

const OPUS_4_5: &str = "us.anthropic.claude-opus-4-5-20251101-v1:0";
const OPUS_4_6: &str = "us.anthropic.claude-opus-4-6-v1";
const OPUS_4_7: &str = "us.anthropic.claude-opus-4-7";
const SONNET_5: &str = "us.anthropic.claude-sonnet-5";
const OPUS_5_5: &str = "us.anthropic.claude-opus-5-5";
const HAIKU_3: &str = "anthropic.claude-3-haiku-20240307-v1:0";
const NOVA: &str = "us.amazon.nova-pro-v1:0";
const NOVA_2: &str = "global.amazon.nova-2-lite-v1:0";
const GPT_OSS: &str = "openai.gpt-oss-120b-1:0";
const LLAMA: &str = "us.meta.llama3-3-70b-instruct-v1:0";
const PROFILE: &str =
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123def456";

fn thinks(reasoning: Reasoning<'static>) -> Request<'static> {
    Request {
        reasoning: Some(reasoning),
        ..hello()
    }
}

fn effort(effort: &'static str) -> Request<'static> {
    thinks(Reasoning {
        effort: Some(effort.into()),
        ..Reasoning::default()
    })
}

fn budget(tokens: u64) -> Request<'static> {
    thinks(Reasoning {
        mode: ReasoningMode::On,
        budget_tokens: Some(tokens),
        ..Reasoning::default()
    })
}

fn off() -> Request<'static> {
    thinks(Reasoning {
        mode: ReasoningMode::Off,
        ..Reasoning::default()
    })
}

/// What is sent through `additionalModelRequestFields`.
fn fields(request: &Request<'_>, model: &str) -> String {
    let body = beside(request, model);
    let Some((_, fields)) = body.split_once(r#""additionalModelRequestFields":"#) else {
        return String::new();
    };
    fields.to_owned()
}

fn warning(request: &Request<'_>, model: &str) -> String {
    let warnings = encode(request, model).unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    warnings[0].clone()
}

#[test]
fn efforts() {
    let adaptive = |effort: &str| {
        format!(r#"{{"thinking":{{"type":"adaptive"}},"output_config":{{"effort":"{effort}"}}}}"#)
    };
    for (model, wanted, expected) in [
        (
            OPUS_4_5,
            "high",
            r#"{"thinking":{"type":"enabled","budget_tokens":16384}}"#.to_owned(),
        ),
        (OPUS_4_6, "medium", adaptive("medium")),
        (OPUS_4_6, "max", adaptive("max")),
        (OPUS_4_7, "xhigh", adaptive("xhigh")),
        (SONNET_5, "minimal", adaptive("low")),
        (PROFILE, "high", adaptive("high")),
        (
            NOVA_2,
            "minimal",
            r#"{"reasoningConfig":{"type":"enabled","maxReasoningEffort":"low"}}"#.to_owned(),
        ),
        (
            NOVA_2,
            "xhigh",
            r#"{"reasoningConfig":{"type":"enabled","maxReasoningEffort":"high"}}"#.to_owned(),
        ),
        (
            GPT_OSS,
            "medium",
            r#"{"reasoning_effort":"medium"}"#.to_owned(),
        ),
        (GPT_OSS, "max", r#"{"reasoning_effort":"high"}"#.to_owned()),
    ] {
        assert_eq!(fields(&effort(wanted), model), expected, "{model}");
    }
    assert!(warning(&effort("xhigh"), OPUS_4_6).contains("xhigh was sent as high"));
    for model in [HAIKU_3, NOVA, LLAMA] {
        let warning = warning(&effort("high"), model);
        assert!(
            warning.starts_with("`reasoning_effort` was left out"),
            "{warning}"
        );
    }
}

#[test]
fn budgets() {
    assert_eq!(
        fields(&budget(2_000), OPUS_4_6),
        r#"{"thinking":{"type":"enabled","budget_tokens":2000}}"#
    );
    assert_eq!(
        fields(&budget(2_000), PROFILE),
        r#"{"thinking":{"type":"enabled","budget_tokens":2000}}"#
    );
    assert!(warning(&budget(2_000), OPUS_4_7).contains("was sent as the effort low"));
    // It must leave something for the answer.
    let tight = Request {
        max_tokens: Some(3_000),
        ..budget(4_000)
    };
    assert!(warning(&tight, OPUS_4_5).contains("was set to 1500"));
    let tighter = Request {
        max_tokens: Some(1_024),
        ..budget(4_000)
    };
    assert!(warning(&tighter, OPUS_4_5).contains("leaves too little for it"));
    assert!(warning(&budget(5), OPUS_4_5).contains("was set to 1024"));
    // Where nobody says how much.
    let on = thinks(Reasoning {
        mode: ReasoningMode::On,
        ..Reasoning::default()
    });
    assert_eq!(
        fields(&on, OPUS_4_5),
        r#"{"thinking":{"type":"enabled","budget_tokens":8192}}"#
    );
    assert_eq!(fields(&on, OPUS_4_7), r#"{"thinking":{"type":"adaptive"}}"#);
    assert_eq!(fields(&on, GPT_OSS), "");
}

#[test]
fn not_at_all() {
    for model in [HAIKU_3, OPUS_4_5, OPUS_4_7, NOVA, NOVA_2, LLAMA] {
        assert_eq!(fields(&off(), model), "", "{model}");
    }
    for model in [SONNET_5, PROFILE] {
        assert_eq!(fields(&off(), model), r#"{"thinking":{"type":"disabled"}}"#);
    }
    for model in [OPUS_5_5, GPT_OSS] {
        assert!(warning(&off(), model).contains("this model always thinks"));
    }
}

#[test]
fn thoughts_are_told() {
    let mut request = effort("high");
    request.reasoning.as_mut().unwrap().summary = Some("auto".into());
    assert_eq!(
        fields(&request, OPUS_4_7),
        r#"{"thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"high"}}"#
    );
    assert_eq!(
        fields(&request, OPUS_4_5),
        r#"{"thinking":{"type":"enabled","budget_tokens":16384}}"#
    );
}

#[test]
fn what_hinders_thinking() {
    let forced = Request {
        tool_choice: Some(ToolChoice::Required),
        ..effort("high")
    };
    assert!(warning(&forced, OPUS_4_7).contains("before a call that it must make"));
    let mut begun = effort("high");
    begun.turns.push(said(Role::Assistant, "Once"));
    assert!(warning(&begun, OPUS_4_7).contains("an answer that was begun"));
}

#[test]
fn sampling() {
    let with = |temperature: &'static str, top_p: Option<&'static str>| {
        let mut request = hello();
        request.sampling.temperature = Some(json(temperature));
        request.sampling.top_p = top_p.map(json);
        request
    };
    assert_eq!(
        beside(&with("0.50", Some("0.9")), LLAMA),
        r#""inferenceConfig":{"temperature":0.50,"topP":0.9}"#
    );
    let hot = encode(&with("1.7", None), LLAMA).unwrap();
    assert!(
        String::from_utf8(hot.body)
            .unwrap()
            .ends_with(r#""inferenceConfig":{"temperature":1}}"#)
    );
    assert_eq!(
        hot.warnings,
        ["`temperature` was set to 1, the highest here"]
    );
    assert_eq!(
        beside(&with("0.5", Some("1.0")), OPUS_4_5),
        r#""inferenceConfig":{"temperature":0.5}"#
    );
    assert!(warning(&with("0.5", Some("0.9")), OPUS_4_5).contains("beside `temperature`"));
    assert!(warning(&with("0.5", None), OPUS_4_7).contains("this model chooses by itself"));
    assert_eq!(beside(&with("1", Some("1")), OPUS_4_7), "");
    let mut thoughtful = with("0.5", None);
    thoughtful.reasoning = effort("high").reasoning;
    assert!(warning(&thoughtful, OPUS_4_6).contains("the model thinks"));
    assert!(warning(&thoughtful, NOVA_2).contains("with the highest effort"));
    thoughtful.max_tokens = Some(100);
    assert!(warning(&thoughtful, NOVA_2).contains("was sent as medium"));
}

#[test]
fn top_k() {
    let mut request = hello();
    request.sampling.top_k = Some(json("40"));
    assert_eq!(fields(&request, HAIKU_3), r#"{"top_k":40}"#);
    assert_eq!(fields(&request, NOVA), r#"{"inferenceConfig":{"topK":40}}"#);
    assert!(warning(&request, LLAMA).contains("this model takes none"));
    assert!(warning(&request, OPUS_4_7).contains("this model chooses by itself"));
}

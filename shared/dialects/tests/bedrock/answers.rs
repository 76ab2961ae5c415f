//! Plain answers, read and written.

use lockgate_dialects::{
    Answer, Choice, Citation, Content, Dialect, Finish, Part, Reason, Usage, decode_answer,
    encode_answer,
};

use crate::{REPLY, call};

fn written(answer: &Answer<'_>) -> String {
    String::from_utf8(encode_answer(Dialect::Bedrock, answer, &REPLY)).unwrap()
}

fn answer(parts: Vec<Part<'static>>, reason: Reason) -> Answer<'static> {
    Answer {
        choices: vec![Choice {
            parts,
            finish: reason.into(),
            logprobs: None,
        }],
        ..Answer::default()
    }
}

#[test]
fn an_answer_is_read() {
    let body = r#"{"output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "Hm", "signature": "sig"}}},
            {"citationsContent": {"content": [{"text": "Paris"}], "citations": [
                {"title": "Atlas", "sourceContent": [{"text": "Par"}, {"text": "is"}], "location": {"documentPage": {"documentIndex": 1, "start": 2, "end": 3}}},
                {"title": "Web", "location": {"web": {"url": "https://example.com", "domain": "example.com"}}},
                {"source": "https://example.org", "location": {"searchResultLocation": {"searchResultIndex": 0}}}]}},
            {"text": ""},
            {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}},
            {"toolResult": {"toolUseId": "s", "content": []}},
            {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": 1.0}}}]}},
        "stopReason": "tool_use", "metrics": {"latencyMs": 1}, "serviceTier": {"type": "flex"},
        "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 115, "cacheReadInputTokens": 80, "cacheWriteInputTokens": 20,
            "cacheDetails": [{"ttl": "5m", "inputTokens": 20}]}}"#;
    let citation = |title: Option<&'static str>, url: Option<&'static str>| Citation {
        title: title.map(Into::into),
        url: url.map(Into::into),
        ..Citation::default()
    };
    let expected = Answer {
        usage: Some(Usage {
            input: 110,
            cached: Some(80),
            cache_written: Some(20),
            output: 5,
            reasoning: None,
        }),
        service_tier: Some("flex".into()),
        ..answer(
            vec![
                Content::Reasoning {
                    text: "Hm".into(),
                    signature: Some("sig".into()),
                    id: None,
                }
                .into(),
                Content::Text {
                    text: "Paris".into(),
                    citations: vec![
                        Citation {
                            quote: Some("Paris".into()),
                            document: Some(1),
                            ..citation(Some("Atlas"), None)
                        },
                        citation(Some("Web"), Some("https://example.com")),
                        citation(None, Some("https://example.org")),
                    ],
                }
                .into(),
                call("a", "f", r#"{"x": 1.0}"#),
            ],
            Reason::ToolCalls,
        )
    };
    assert_eq!(decode_answer(Dialect::Bedrock, body).unwrap(), expected);
}

#[test]
fn an_answer_is_written() {
    let answer = Answer {
        usage: Some(Usage {
            input: 110,
            cached: Some(80),
            cache_written: Some(20),
            output: 5,
            reasoning: Some(1),
        }),
        service_tier: Some("flex".into()),
        ..answer(
            vec![
                Content::text("Hi").into(),
                call("a", "f", ""),
                call("b c", "f", "{\"x\":"),
            ],
            Reason::ToolCalls,
        )
    };
    assert_eq!(
        written(&answer),
        concat!(
            r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hi"},"#,
            r#"{"toolUse":{"toolUseId":"a","name":"f","input":{}}},"#,
            r#"{"toolUse":{"toolUseId":"b_20_c","name":"f","input":{"_invalid_json":"{\"x\":"}}}]}},"#,
            r#""stopReason":"tool_use","usage":{"inputTokens":10,"outputTokens":5,"totalTokens":115,"#,
            r#""cacheReadInputTokens":80,"cacheWriteInputTokens":20},"metrics":{"latencyMs":0},"serviceTier":{"type":"flex"}}"#
        )
    );
}

#[test]
fn reasons_both_ways() {
    let read = |word: &str| {
        let body = format!(r#"{{"output":{{"message":{{"content":[]}}}},"stopReason":"{word}"}}"#);
        let answer = decode_answer(Dialect::Bedrock, &body).unwrap();
        answer.choices[0].finish.reason
    };
    for (word, reason) in [
        ("end_turn", Reason::Stop),
        ("tool_use", Reason::ToolCalls),
        ("max_tokens", Reason::Length),
        ("model_context_window_exceeded", Reason::Length),
        ("stop_sequence", Reason::StopSequence),
        ("guardrail_intervened", Reason::ContentFilter),
        ("content_filtered", Reason::ContentFilter),
        ("refusal", Reason::Refusal),
        ("pause_turn", Reason::Pause),
        ("malformed_tool_use", Reason::Other),
        ("malformed_model_output", Reason::Other),
        ("never_heard_of", Reason::Other),
    ] {
        assert_eq!(read(word), reason, "{word}");
    }
    for (reason, word) in [
        (Reason::Stop, "end_turn"),
        (Reason::StopSequence, "stop_sequence"),
        (Reason::Length, "max_tokens"),
        (Reason::ToolCalls, "tool_use"),
        (Reason::ContentFilter, "content_filtered"),
        (Reason::Refusal, "content_filtered"),
        (Reason::Pause, "end_turn"),
        (Reason::Other, "malformed_model_output"),
    ] {
        let body = written(&answer(Vec::new(), reason));
        assert!(
            body.contains(&format!(r#""stopReason":"{word}""#)),
            "{body}"
        );
    }
}

#[test]
fn the_stop_text_is_told() {
    let body = r#"{"output":{"message":{"content":[]}},"stopReason":"stop_sequence","additionalModelResponseFields":{"stop_sequence":"END"}}"#;
    let answer = decode_answer(Dialect::Bedrock, body).unwrap();
    assert_eq!(
        answer.choices[0].finish,
        Finish {
            reason: Reason::StopSequence,
            stop_sequence: Some("END".into())
        }
    );
    assert!(
        written(&answer).contains(r#""additionalModelResponseFields":{"stop_sequence":"END"}"#)
    );
}

#[test]
fn what_makes_no_sense_is_a_problem() {
    for (body, problem) in [
        ("{}", "output is missing"),
        (r#"{"output":{}}"#, "output.message is missing"),
        (
            r#"{"output":{"message":{"content":[{"toolUse":{"name":"f"}}]}}}"#,
            "output.message.content[0].toolUse.toolUseId is missing",
        ),
        (
            r#"{"output":{"message":{}},"usage":{"inputTokens":-1}}"#,
            "usage.inputTokens must be a whole number that is not negative",
        ),
    ] {
        let said = decode_answer(Dialect::Bedrock, body).unwrap_err();
        assert_eq!(said.to_string(), problem);
    }
}

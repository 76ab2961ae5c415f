//! Plain answers, both ways.

use lockgate_dialects::openai_chat::{decode_answer, encode_answer};
use lockgate_dialects::{Answer, Choice, Citation, Content, Finish, Part, Reason, Usage};
use proptest::prelude::*;

use super::arbitrary::{answer, any_text};
use super::reply;

fn encode(answer: &Answer<'_>) -> String {
    String::from_utf8(encode_answer(answer, &reply("{}"))).unwrap()
}

proptest! {
    #[test]
    fn what_is_said_is_understood(answer in answer()) {
        let body = encode(&answer);
        let understood = decode_answer(&body);
        prop_assert_eq!(understood.as_ref(), Ok(&answer), "{}", body);
    }

    #[test]
    fn nothing_panics_on_any_text(body in "(?s).{0,64}") {
        let _ = decode_answer(&body);
    }

    #[test]
    fn nothing_panics_on_damaged_answers(
        answer in answer(), from in 0_usize..4_000, length in 0_usize..8, put in any_text()
    ) {
        let mut characters: Vec<char> = encode(&answer).chars().collect();
        let from = from % characters.len();
        let to = (from + length).min(characters.len());
        characters.splice(from..to, put.chars());
        let _ = decode_answer(&characters.into_iter().collect::<String>());
    }
}

fn one(parts: Vec<Part<'static>>, reason: Reason) -> Answer<'static> {
    Answer {
        choices: vec![Choice {
            parts,
            finish: reason.into(),
            logprobs: None,
        }],
        ..Answer::default()
    }
}

fn call(id: &'static str, arguments: &'static str) -> Part<'static> {
    Content::ToolCall {
        id: id.into(),
        name: "f".into(),
        arguments: arguments.into(),
        signature: None,
    }
    .into()
}

#[test]
fn an_answer_has_openais_form() {
    let mut answer = one(
        vec![
            Content::Reasoning {
                text: "Hm.".into(),
                signature: Some("sig".into()),
                id: None,
            }
            .into(),
            Content::text("A").into(),
            call("a", ""),
            Content::text("B").into(),
        ],
        Reason::ToolCalls,
    );
    answer.usage = Some(Usage {
        input: 10,
        cached: Some(4),
        cache_written: Some(3),
        output: 7,
        reasoning: Some(2),
    });
    assert_eq!(
        encode(&answer),
        concat!(
            r#"{"id":"chatcmpl-abc123","object":"chat.completion","created":1700000000,"model":"asked-for","#,
            r#""choices":[{"index":0,"message":{"role":"assistant","content":"AB","refusal":null,"reasoning_content":"Hm.","#,
            r#""reasoning_details":[{"type":"reasoning.text","text":"Hm.","signature":"sig","index":0}],"#,
            r#""tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},"#,
            r#""logprobs":null,"finish_reason":"tool_calls"}],"#,
            r#""usage":{"prompt_tokens":10,"completion_tokens":7,"total_tokens":17,"#,
            r#""prompt_tokens_details":{"cached_tokens":4,"cache_write_tokens":3},"#,
            r#""completion_tokens_details":{"reasoning_tokens":2}}}"#
        )
    );
}

#[test]
fn clients_of_the_old_functions_get_their_form() {
    let answer = one(vec![call("a", "{}"), call("b", "{}")], Reason::ToolCalls);
    let request = r#"{"model":"m","functions":[{"name":"f"}]}"#;
    let body = String::from_utf8(encode_answer(&answer, &reply(request))).unwrap();
    assert!(
        body.contains(concat!(
            r#""function_call":{"name":"f","arguments":"{}"},"#,
            r#""tool_calls":[{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]},"#,
            r#""logprobs":null,"finish_reason":"function_call""#
        )),
        "{body}"
    );
}

#[test]
fn every_reason_has_a_word() {
    let refusal = || vec![Part::from(Content::Refusal { text: "No.".into() })];
    for (reason, parts, word) in [
        (Reason::Stop, vec![], "stop"),
        (Reason::StopSequence, vec![], "stop"),
        (Reason::Length, vec![], "length"),
        (Reason::ToolCalls, vec![], "tool_calls"),
        (Reason::ContentFilter, vec![], "content_filter"),
        (Reason::Refusal, vec![], "content_filter"),
        (Reason::Refusal, refusal(), "stop"),
        (Reason::Pause, vec![], "length"),
        (Reason::Other, vec![], "stop"),
    ] {
        let body = encode(&one(parts, reason));
        assert!(
            body.contains(&format!(r#""finish_reason":"{word}""#)),
            "{reason:?}: {body}"
        );
    }
    for (message, word, reason) in [
        ("", "stop", Reason::Stop),
        ("", "eos", Reason::Stop),
        ("", "length", Reason::Length),
        ("", "model_length", Reason::Length),
        ("", "content_filter", Reason::ContentFilter),
        ("", "function_call", Reason::ToolCalls),
        ("", "insufficient_system_resource", Reason::Other),
        (r#""refusal":"No.""#, "stop", Reason::Refusal),
        // Forced calls end so at OpenAI, and all at some others.
        (
            r#""tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]"#,
            "stop",
            Reason::ToolCalls,
        ),
    ] {
        let body =
            format!(r#"{{"choices":[{{"message":{{{message}}},"finish_reason":"{word}"}}]}}"#);
        let answer = decode_answer(&body).unwrap();
        assert_eq!(answer.choices[0].finish, Finish::from(reason), "{body}");
    }
}

#[test]
fn usage_is_read_as_followers_write_it() {
    for (usage, expected) in [
        (
            r#"{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8,"prompt_cache_hit_tokens":2,"prompt_cache_miss_tokens":3}"#,
            Usage {
                input: 5,
                cached: Some(2),
                output: 3,
                ..Usage::default()
            },
        ),
        // xAI counts reasoning beside the rest.
        (
            r#"{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}"#,
            Usage {
                input: 32,
                output: 103,
                reasoning: Some(94),
                ..Usage::default()
            },
        ),
        (
            r#"{"prompt_tokens":32,"completion_tokens":103,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94},"cost":0.5}"#,
            Usage {
                input: 32,
                output: 103,
                reasoning: Some(94),
                ..Usage::default()
            },
        ),
        (
            r#"{"prompt_tokens":-1,"completion_tokens":"x"}"#,
            Usage::default(),
        ),
    ] {
        let body = format!(r#"{{"choices":[],"usage":{usage}}}"#);
        assert_eq!(
            decode_answer(&body).unwrap().usage,
            Some(expected),
            "{usage}"
        );
    }
}

#[test]
fn followers_answers_are_understood() {
    let answer = decode_answer(
        r#"{"id":"","created":1.7e9,"choices":[{"message":{"content":[
            {"type":"thinking","thinking":[{"type":"text","text":"2"},{"type":"text","text":"+2"}]},
            {"type":"text","text":"4"},{"type":"reference","reference_ids":[1]}],
            "reasoning_details":[{"type":"reasoning.novel"}],"annotations":[{"type":"file_citation"}],
            "tool_calls":[{"function":{"name":"f","arguments":{"a":1}}},{"id":"","function":{"name":"g"}}]}}]}"#,
    )
    .unwrap();
    let call = |id: &'static str, name: &'static str, arguments: &'static str| Content::ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        signature: None,
    };
    let contents: Vec<_> = answer.choices[0]
        .parts
        .iter()
        .map(|part| part.content.clone())
        .collect();
    assert_eq!(
        contents,
        [
            Content::Reasoning {
                text: "2+2".into(),
                signature: None,
                id: None
            },
            Content::text("4"),
            call("call_0", "f", r#"{"a":1}"#),
            call("call_1", "g", ""),
        ]
    );
    assert_eq!((answer.id, answer.created), (None, None));
    assert_eq!(answer.choices[0].finish, Finish::from(Reason::Other));
}

#[test]
fn citations_stand_in_the_joined_text() {
    let cited = |text: &'static str, start, end| {
        Part::from(Content::Text {
            text: text.into(),
            citations: vec![
                Citation {
                    url: Some("https://example.com".into()),
                    title: Some("T".into()),
                    start,
                    end,
                    ..Citation::default()
                },
                // A document of the request, for which there is no form.
                Citation {
                    document: Some(0),
                    ..Citation::default()
                },
            ],
        })
    };
    let body = encode(&one(
        vec![cited("äöü", None, None), cited("abc", Some(1), Some(2))],
        Reason::Stop,
    ));
    assert!(
        body.contains(concat!(
            r#""annotations":[{"type":"url_citation","url_citation":{"start_index":0,"end_index":3,"url":"https://example.com","title":"T"}},"#,
            r#"{"type":"url_citation","url_citation":{"start_index":4,"end_index":5,"url":"https://example.com","title":"T"}}]"#
        )),
        "{body}"
    );
}

#[test]
fn what_is_no_answer_is_a_problem() {
    for (body, problem) in [
        ("<html>", "The body cannot be read as JSON (column 1)"),
        (r#"{"error":{"message":"no"}}"#, "choices is missing"),
        (r#"{"choices":[{}]}"#, "choices[0].message is missing"),
        (
            r#"{"choices":[{"message":{"tool_calls":[{"id":"a"}]}}]}"#,
            "choices[0].message.tool_calls[0].function is missing",
        ),
    ] {
        assert_eq!(decode_answer(body).unwrap_err().to_string(), problem);
    }
}

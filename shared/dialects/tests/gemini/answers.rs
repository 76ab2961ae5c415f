//! Plain answers, both ways.

use lockgate_dialects::gemini::{decode_answer, encode_answer};
use lockgate_dialects::{Answer, Choice, Citation, Content, Finish, Part, Reason, Usage};
use proptest::prelude::*;

use super::arbitrary::{answer, any_text};
use super::{REPLY, json};

fn encode(answer: &Answer<'_>) -> String {
    String::from_utf8(encode_answer(answer, &REPLY)).unwrap()
}

proptest! {
    #[test]
    fn what_is_said_is_understood(answer in answer(true)) {
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
        answer in answer(true), from in 0_usize..4_000, length in 0_usize..8, put in any_text()
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

fn contents(body: &str) -> Vec<Content<'_>> {
    let answer = decode_answer(body).unwrap();
    let parts = answer.choices.into_iter().flat_map(|choice| choice.parts);
    parts.map(|part| part.content).collect()
}

#[test]
fn an_answer_has_googles_form() {
    let call = |arguments: &'static str| {
        Part::from(Content::ToolCall {
            id: "a".into(),
            name: "f".into(),
            arguments: arguments.into(),
            signature: None,
        })
    };
    let proof = Content::Reasoning {
        text: "".into(),
        signature: Some("cw==".into()),
        id: None,
    };
    let mut answer = one(
        vec![
            Content::Reasoning {
                text: "Hm.".into(),
                signature: None,
                id: Some("rs_1".into()),
            }
            .into(),
            Content::text("A").into(),
            proof.into(),
            call(r#"{"n":9007199254740993}"#),
            call(r#"{"cut"#),
            Content::Redacted { data: "x".into() }.into(),
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
            r#"{"candidates":[{"content":{"parts":[{"text":"Hm.","thought":true},{"text":"A","thoughtSignature":"cw=="},"#,
            r#"{"functionCall":{"id":"a","name":"f","args":{"n":9007199254740993}}},"#,
            r#"{"functionCall":{"id":"a","name":"f","args":{"_invalid_json":"{\"cut"}}}],"role":"model"},"#,
            r#""finishReason":"STOP","index":0}],"#,
            r#""usageMetadata":{"promptTokenCount":10,"candidatesTokenCount":5,"totalTokenCount":17,"#,
            r#""cachedContentTokenCount":4,"thoughtsTokenCount":2},"modelVersion":"asked-for","responseId":"abc123"}"#
        )
    );
}

#[test]
fn every_reason_has_a_word() {
    for (reason, word) in [
        (Reason::Stop, "STOP"),
        (Reason::StopSequence, "STOP"),
        (Reason::Length, "MAX_TOKENS"),
        (Reason::ToolCalls, "STOP"),
        (Reason::ContentFilter, "SAFETY"),
        (Reason::Refusal, "SAFETY"),
        (Reason::Pause, "OTHER"),
        (Reason::Other, "OTHER"),
    ] {
        let body = encode(&one(vec![], reason));
        let expected =
            format!(r#"{{"content":{{"role":"model"}},"finishReason":"{word}","index":0}}"#);
        assert!(body.contains(&expected), "{reason:?}: {body}");
    }
    for (word, reason) in [
        ("STOP", Reason::Stop),
        ("MAX_TOKENS", Reason::Length),
        ("SAFETY", Reason::ContentFilter),
        ("RECITATION", Reason::ContentFilter),
        ("LANGUAGE", Reason::ContentFilter),
        ("BLOCKLIST", Reason::ContentFilter),
        ("PROHIBITED_CONTENT", Reason::ContentFilter),
        ("SPII", Reason::ContentFilter),
        ("IMAGE_SAFETY", Reason::ContentFilter),
        ("MALFORMED_FUNCTION_CALL", Reason::Other),
        ("UNEXPECTED_TOOL_CALL", Reason::Other),
        ("MISSING_THOUGHT_SIGNATURE", Reason::Other),
        ("FINISH_REASON_UNSPECIFIED", Reason::Other),
        ("SOMETHING_NEW", Reason::Other),
    ] {
        let body = format!(r#"{{"candidates":[{{"finishReason":"{word}"}}]}}"#);
        let answer = decode_answer(&body).unwrap();
        assert_eq!(answer.choices[0].finish, Finish::from(reason), "{word}");
    }
}

/// <https://ai.google.dev/api/generate-content#PromptFeedback>
#[test]
fn a_question_that_was_blocked_is_an_answer_without_parts() {
    let answer = decode_answer(
        r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":7,"totalTokenCount":7},"modelVersion":"m"}"#,
    )
    .unwrap();
    assert_eq!(answer.choices, one(vec![], Reason::ContentFilter).choices);
    assert_eq!(answer.usage.unwrap().input, 7);
    assert_eq!(
        decode_answer(r#"{"promptFeedback":{}}"#)
            .unwrap_err()
            .to_string(),
        "candidates is missing"
    );
}

/// The prompt's tokens include the cached ones, the candidates' not the thoughts.
#[test]
fn usage_adds_up() {
    for (usage, expected) in [
        (
            r#"{"promptTokenCount":100,"cachedContentTokenCount":80,"candidatesTokenCount":10,"thoughtsTokenCount":30,"toolUsePromptTokenCount":5,"totalTokenCount":145}"#,
            Some(Usage {
                input: 105,
                cached: Some(80),
                cache_written: None,
                output: 40,
                reasoning: Some(30),
            }),
        ),
        (
            r#"{"promptTokenCount":100,"totalTokenCount":100}"#,
            Some(Usage {
                input: 100,
                ..Usage::default()
            }),
        ),
        (
            r#"{"promptTokenCount":"x","candidatesTokenCount":3,"thoughtsTokenCount":-1}"#,
            Some(Usage {
                output: 3,
                ..Usage::default()
            }),
        ),
        (r#"{"trafficType":"ON_DEMAND"}"#, None),
    ] {
        let body = format!(r#"{{"candidates":[{{}}],"usageMetadata":{usage}}}"#);
        assert_eq!(decode_answer(&body).unwrap().usage, expected, "{usage}");
    }
}

#[test]
fn calls_without_ids_get_some() {
    let body = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f"}},{"functionCall":{"name":"g","args":{"a" : 1.0}}}]},"finishReason":"STOP"},
        {"content":{"parts":[{"functionCall":{"name":"f"}}]}}],"responseId":"a.b/c-1234567890123456789012345"}"#;
    let ids: Vec<_> = contents(body)
        .into_iter()
        .map(|content| match content {
            Content::ToolCall { id, arguments, .. } => (id.into_owned(), arguments.into_owned()),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        ("call_a_b_c-123456789012345678_0", "{}"),
        ("call_a_b_c-123456789012345678_1", r#"{"a" : 1.0}"#),
        ("call_a_b_c-123456789012345678_1_0", "{}"),
    ];
    assert_eq!(
        ids,
        expected.map(|(id, args)| (id.to_owned(), args.to_owned()))
    );
    assert_eq!(
        decode_answer(body).unwrap().choices[0].finish.reason,
        Reason::ToolCalls
    );
}

#[test]
fn what_belongs_together_is_joined() {
    let proof = |signature: &'static str| Content::Reasoning {
        text: "".into(),
        signature: Some(signature.into()),
        id: None,
    };
    assert_eq!(
        contents(
            r#"{"candidates":[{"content":{"parts":[
                {"text":"Hm","thought":true},{"text":".","thought":true,"thoughtSignature":"cA=="},{"text":"So","thought":true},
                {"text":"A"},{"text":""},{"text":"B","thoughtSignature":"cQ=="},{"executableCode":{"code":"1"}},{"text":"C"},
                {"text":"","thoughtSignature":"cg=="},{"inlineData":{"mimeType":"image/png","data":"AAAA"}}]}}]}"#
        ),
        [
            Content::Reasoning {
                text: "Hm.".into(),
                signature: Some("cA==".into()),
                id: None
            },
            Content::Reasoning {
                text: "So".into(),
                signature: None,
                id: None
            },
            Content::text("AB"),
            proof("cQ=="),
            Content::text("C"),
            proof("cg=="),
            Content::Image {
                source: lockgate_dialects::Source::Base64 {
                    media_type: "image/png".into(),
                    data: "AAAA".into()
                },
                detail: None
            },
        ]
    );
}

/// Bytes of Google's part, characters of ours.
#[test]
fn citations_stand_where_they_belong() {
    let body = r#"{"candidates":[{"content":{"parts":[{"text":"Hm","thought":true},{"text":"Spain won. "},{"text":"Él jugó."}]},"finishReason":"STOP",
        "groundingMetadata":{"groundingChunks":[{"web":{"uri":"https://a","title":"a.com"}},{"retrievedContext":{"uri":"https://b","text":"quoted"}},{"web":{"uri":"https://c"}},{"image":{}}],
        "groundingSupports":[{"segment":{"partIndex":2,"endIndex":10,"text":"Él jugó."},"groundingChunkIndices":[0,1,9]},{"segment":{"partIndex":1,"startIndex":6,"endIndex":9},"groundingChunkIndices":[0]}]},
        "citationMetadata":{"citationSources":[{"startIndex":11,"endIndex":13,"uri":"https://d","license":"MIT"}]}}]}"#;
    let cite = |url: &'static str, start, end| Citation {
        url: Some(url.into()),
        start,
        end,
        ..Citation::default()
    };
    let a = |start, end| Citation {
        title: Some("a.com".into()),
        ..cite("https://a", Some(start), Some(end))
    };
    let expected = Content::Text {
        text: "Spain won. Él jugó.".into(),
        citations: vec![
            a(11, 19),
            Citation {
                quote: Some("quoted".into()),
                ..cite("https://b", Some(11), Some(19))
            },
            a(6, 9),
            cite("https://c", None, None),
            cite("https://d", Some(11), Some(12)),
        ],
    };
    assert_eq!(contents(body)[1], expected);
}

#[test]
fn many_citations_are_placed_quickly() {
    let text = "é".repeat(200_000);
    let supports = r#"{"segment":{"startIndex":2,"endIndex":399998},"groundingChunkIndices":[0]},"#;
    let supports = supports.repeat(20_000);
    let body = format!(
        r#"{{"candidates":[{{"content":{{"parts":[{{"text":"{text}"}}]}},"groundingMetadata":{{"groundingChunks":[{{"web":{{"uri":"u"}}}}],"groundingSupports":[{}]}}}}]}}"#,
        supports.trim_end_matches(',')
    );
    let answer = decode_answer(&body).unwrap();
    let Content::Text { citations, .. } = &answer.choices[0].parts[0].content else {
        panic!("no text");
    };
    assert_eq!(citations.len(), 20_000);
    assert_eq!(
        (citations[0].start, citations[0].end),
        (Some(1), Some(199_999))
    );
}

#[test]
fn log_probabilities_in_openais_form() {
    let body = r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP","avgLogprobs":-0.5,
        "logprobsResult":{"topCandidates":[{"candidates":[{"token":"Hi","tokenId":1,"logProbability":-0.10},{"token":"Yo","logProbability":-2.5}]},{}],
        "chosenCandidates":[{"token":"Hi","tokenId":1,"logProbability":-0.10},{"token":"!"}]}}]}"#;
    let expected = concat!(
        r#"{"content":[{"token":"Hi","logprob":-0.10,"bytes":null,"top_logprobs":[{"token":"Hi","logprob":-0.10,"bytes":null},"#,
        r#"{"token":"Yo","logprob":-2.5,"bytes":null}]},{"token":"!","logprob":0,"bytes":null,"top_logprobs":[]}],"refusal":null}"#
    );
    let answer = decode_answer(body).unwrap();
    assert_eq!(answer.choices[0].logprobs, Some(json(expected)));
}

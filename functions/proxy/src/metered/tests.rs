//! What is asked of the provider, and every split of recorded streams.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn asked(body: &str) -> Option<String> {
    let body = with_usage(body.as_bytes()).unwrap()?;
    Some(String::from_utf8(body).unwrap())
}

#[test]
fn usage_is_asked_for_and_nothing_else_is_changed() {
    for (body, expected) in [
        (
            r#" { "model":"m","stream":true }"#,
            r#" {"stream_options":{"include_usage":true}, "model":"m","stream":true }"#,
        ),
        ("{ }", r#"{"stream_options":{"include_usage":true} }"#),
        (
            r#"{"stream_options" : null,"a":1}"#,
            r#"{"stream_options" : {"include_usage":true},"a":1}"#,
        ),
        (
            r#"{"stream_options":{ },"a":1e400}"#,
            r#"{"stream_options":{"include_usage":true },"a":1e400}"#,
        ),
        (
            r#"{"stream_options":{"include_obfuscation":false}}"#,
            r#"{"stream_options":{"include_usage":true,"include_obfuscation":false}}"#,
        ),
        (
            r#"{"stream_options":{"x":1, "include_usage": false}}"#,
            r#"{"stream_options":{"x":1, "include_usage": true}}"#,
        ),
        (
            r#"{"stream_options":{"include_usage":null}}"#,
            r#"{"stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream_\u006fptions":{"include_usage":false}}"#,
            r#"{"stream_\u006fptions":{"include_usage":true}}"#,
        ),
    ] {
        assert_eq!(asked(body).as_deref(), Some(expected), "{body}");
    }
    for left in [
        r#"{"stream_options":{"include_usage":true}}"#,
        r#"{"stream_options":{"include_usage":1}}"#,
        r#"{"stream_options":[]}"#,
        r#"{"stream_options":"include_usage"}"#,
        "[]",
    ] {
        assert_eq!(asked(left), None, "{left}");
    }
    for unclear in [
        r#"{"stream_options":{},"stream_options":{}}"#,
        r#"{"stream_options":{"include_usage":false,"include_usage":false}}"#,
        "",
        "{\"a\":\"\u{1}\"",
    ] {
        assert_eq!(with_usage(unclear.as_bytes()), Err(Unclear), "{unclear}");
    }
}

fn stream(surface: Surface, added: bool, pieces: &[&[u8]]) -> (Vec<u8>, Counted) {
    let form = Form::of(surface, "m");
    let mut meter = Meter::new(surface, form, added);
    let mut out = Vec::new();
    for piece in pieces {
        meter.push(piece, &mut out);
    }
    out.extend(meter.rest(&End::Complete));
    assert_eq!(meter.bytes, pieces.concat().len() as u64);
    assert!(pieces.concat().ends_with(meter.seen().tail));
    (out, meter.counted())
}

macro_rules! golden {
    ($path:literal) => {
        include_str!(concat!(
            "../../../../shared/dialects/tests/golden/",
            $path,
            "/stream.txt"
        ))
    };
}

#[test]
fn every_split_of_a_stream_is_passed_on_and_counted_alike() {
    for (surface, stored, input, output, counted) in [
        (Surface::Chat, golden!("openai-chat/usage"), 19, 10, 3),
        (
            Surface::Responses,
            golden!("openai-responses/usage"),
            81,
            1_035,
            5,
        ),
        (Surface::Messages, golden!("anthropic/text"), 25, 15, 3),
    ] {
        for (stored, added) in [
            (stored.to_owned(), false),
            (stored.to_owned(), true),
            (stored.replace('\n', "\r\n"), true),
        ] {
            let bytes = stored.as_bytes();
            let expected: String = match added && surface == Surface::Chat {
                true => stored
                    .split_inclusive("}\n\n")
                    .flat_map(|part| part.split_inclusive("}\r\n\r\n"))
                    .filter(|event| !event.contains("\"choices\":[],\"usage\":{"))
                    .collect(),
                false => stored.clone(),
            };
            assert_eq!(expected != stored, added && surface == Surface::Chat);
            let check = |pieces: &[&[u8]]| {
                let (out, found) = stream(surface, added, pieces);
                assert_eq!(
                    out,
                    expected.as_bytes(),
                    "{surface:?} {:?}",
                    pieces[0].len()
                );
                let tokens = found.tokens.unwrap();
                assert_eq!((tokens.input, tokens.output), (input, output));
                assert!(!tokens.estimated);
                assert_eq!(found.output, counted, "{surface:?}");
            };
            for at in 0..=bytes.len() {
                let (before, after) = bytes.split_at(at);
                check(&[before, after]);
            }
            for size in [1, 7, 100, 1_000] {
                check(&bytes.chunks(size).collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn only_the_chunk_that_was_not_asked_for_is_removed() {
    let kept = [
        r#"data: {"choices":[],"prompt_filter_results":[],"usage":null}"#,
        r#"data: {"choices":[{"delta":{"content":"\"choices\":[],\"usage\":{\"a\":1}"}}]}"#,
        r#"data: {"choices":[{"delta":{}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        ": ping",
        r#"data: {"choices":[],"x":{"usage":{"prompt_tokens":1}}}"#,
        "data: [DONE]",
    ];
    let extra = r#"data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
    let mut all = kept.to_vec();
    all.insert(5, extra);
    let joined = |events: &[&str]| format!("{}\n\n", events.join("\n\n"));
    let (out, counted) = stream(Surface::Chat, true, &[joined(&all).as_bytes()]);
    assert_eq!(String::from_utf8(out).unwrap(), joined(&kept));
    let tokens = counted.tokens.unwrap();
    assert_eq!((tokens.input, tokens.output), (3, 4));
    let (out, _) = stream(Surface::Chat, false, &[joined(&all).as_bytes()]);
    assert_eq!(String::from_utf8(out).unwrap(), joined(&all));
    // Without its blank line too.
    let (out, counted) = stream(Surface::Chat, true, &[extra.as_bytes(), b"\n"]);
    assert!(out.is_empty() && counted.tokens.is_some());
}

#[test]
fn an_unfinished_event_waits_and_a_comment_does_not() {
    let mut meter = Meter::new(Surface::Chat, Some(Form::Chat), true);
    let mut out = Vec::new();
    meter.push(b"data: 1\n\n: ping\n", &mut out);
    assert_eq!(out, b"data: 1\n\n: ping\n");
    assert!(!meter.inside);
    meter.push(b"data: {\"choices\"", &mut out);
    assert_eq!(out, b"data: 1\n\n: ping\n");
    assert_eq!(meter.rest(&End::Idle), "data: {\"choices\"");
    let mut meter = Meter::new(Surface::Chat, Some(Form::Chat), true);
    meter.push(b"data: ", &mut out);
    meter.push(&vec![b'x'; 2 << 20], &mut out);
    assert!(meter.inside);
    meter.push(b"\n\n", &mut out);
    assert!(!meter.inside);
    assert!(meter.tail.len() <= 4 * TAIL_BYTES);
}

#[test]
fn output_is_counted_by_deltas() {
    let count = |event: &str| output(event.as_bytes(), b"\"delta\"");
    assert_eq!(
        count(r#"data: {"choices":[{"delta":{"content":" a"}}]}"#),
        1
    );
    assert_eq!(count(r#"data: {"choices":[{"delta":{}}]}"#), 0);
    assert_eq!(count(r#"data: {"delta":"a"}"#), 1);
    assert_eq!(
        count(r#"data: {"delta":null,"type":"delta","x\"delta":"a"}"#),
        0
    );
    let many = "word ".repeat(300);
    let tokens = count(&format!(
        r#"data: {{"choices":[{{"delta":{{"content":"{many}"}}}}]}}"#
    ));
    assert!((480..=500).contains(&tokens), "{tokens}");
    let two = r#"{"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}"#;
    assert_eq!(count(two), 2);
    let event = br#"data: {"choices":[{"text":" a","index":0}]}"#;
    assert_eq!(
        output(event, Meter::new(Surface::Completions, None, false).delta),
        1
    );
}

#[test]
fn a_broken_stream_has_what_was_counted() {
    let stored = golden!("anthropic/text");
    let cut = stored.find("event: message_delta").unwrap();
    let (_, counted) = stream(Surface::Messages, false, &[&stored.as_bytes()[..cut]]);
    let tokens = counted.tokens.unwrap();
    assert_eq!(
        (tokens.input, tokens.output, tokens.estimated),
        (25, 2, true)
    );
    let stored = golden!("openai-chat/text");
    let (_, counted) = stream(Surface::Chat, true, &[stored.as_bytes()]);
    assert_eq!(counted.tokens, None);
    assert!(counted.output >= 8, "{}", counted.output);
}

#[test]
fn what_goes_on_in_the_background_counts_as_all_there_may_be() {
    let event = "data: {\"type\":\"response.created\",\"response\":{\"background\": true}}\n\n";
    let (_, counted) = stream(Surface::Responses, false, &[event.as_bytes()]);
    assert_eq!((counted.tokens, counted.output), (None, u64::MAX));
    let event = event.replace("true", "false");
    let (_, counted) = stream(Surface::Responses, false, &[event.as_bytes()]);
    assert_eq!(counted.output, 0);
}

proptest! {
    #[test]
    fn usage_is_asked_for_in_any_request(
        fields in prop::collection::btree_map("[a-z\"é\\\\]{1,4}", ".*", 0..4),
        options in prop_oneof![
            Just(None),
            Just(Some(Value::Null)),
            Just(Some(json!({}))),
            Just(Some(json!({"include_usage": false, "a": [1]}))),
        ],
        pretty: bool,
    ) {
        let mut body = json!(fields);
        if let Some(options) = &options {
            body["stream_options"] = options.clone();
        }
        let text = if pretty { format!("{body:#}") } else { body.to_string() };
        let sent: Value = serde_json::from_str(&asked(&text).unwrap()).unwrap();
        let mut expected = body;
        if !expected["stream_options"].is_object() {
            expected["stream_options"] = json!({});
        }
        expected["stream_options"]["include_usage"] = true.into();
        prop_assert_eq!(sent, expected);
    }

    #[test]
    fn nothing_is_lost(
        pieces in prop::collection::vec("(\"usage\":|\"choices\":|data:|\"delta\":|[{}\\[\\]\":, \n\r\\\\])*", 0..6),
    ) {
        let bytes: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        for surface in [Surface::Chat, Surface::Completions, Surface::Messages, Surface::Responses] {
            let (out, _) = stream(surface, false, &bytes);
            prop_assert_eq!(out, bytes.concat());
            stream(surface, true, &bytes);
            let _ = with_usage(&bytes.concat());
        }
    }
}

//! Finishing the server-sent event that a broken stream leaves behind.
//!
//! The runtime passes a stream on by itself, so what came before a break has reached the client and cannot be held back, as
//! other engines do with an event that is not yet whole. An error event right after half an event would be read as its
//! rest, and half a JSON text would fail to parse before the client ever sees the error; and made whole by itself it would be
//! an event that lacks what its kind must have. So the half becomes the error event: its JSON is closed with as little as it
//! takes but for the last brace, the members of the error event follow (of members that are repeated the last one counts),
//! and so does that event's name (of names too).
//! The format: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.

/// What to send after `tail`, the end of a stream, so that a client understands `words`, an event that is whole.
pub(crate) fn last(tail: &[u8], words: &[u8]) -> Vec<u8> {
    let mut last = ending(tail);
    let half = tail.get(last_event(tail)..).unwrap_or_default();
    let joined = last
        .strip_suffix(b"}\n\n")
        .zip(object(words))
        .map(|(closed, (name, members))| {
            let blank = |byte: &&u8| !matches!(byte, b' ' | b'\t');
            let before = closed.last().or_else(|| half.iter().rev().find(blank));
            let comma: &[u8] = if before == Some(&b'{') { b"" } else { b"," };
            let line: &[u8] = if name.is_empty() { b"" } else { b"\n" };
            [closed, comma, members, b"}", line, name, b"\n\n"].concat()
        });
    match joined {
        Some(joined) => joined,
        None => {
            last.extend_from_slice(words);
            last
        }
    }
}

/// The name of an event as a line to be added, and what is between the braces of its data.
fn object(words: &[u8]) -> Option<(&[u8], &[u8])> {
    let event = words.strip_suffix(b"\n\n")?;
    let at = event.iter().position(|byte| *byte == b'\n');
    let (name, data) = match at.filter(|_| event.starts_with(b"event:")) {
        Some(at) => (event.get(..at)?, event.get(at + 1..)?),
        None => (&[][..], event),
    };
    let members = data.strip_prefix(b"data: {")?.strip_suffix(b"}")?;
    Some((name, members))
}

/// What ends the last event of `tail`; empty where it is whole already.
fn ending(tail: &[u8]) -> Vec<u8> {
    let start = last_event(tail);
    let event = tail.get(start..).unwrap_or_default();
    if event.is_empty() {
        return Vec::new();
    }
    let line = event
        .iter()
        .rposition(|byte| matches!(byte, b'\n' | b'\r'))
        .map_or(event, |at| event.get(at + 1..).unwrap_or_default());
    if line.is_empty() {
        // The line is whole; only the blank one is missing.
        return b"\n".to_vec();
    }
    let mut ending = character(line);
    if let Some(data) = line.strip_prefix(b"data:") {
        ending.extend(close(data.strip_prefix(b" ").unwrap_or(data)).bytes());
    }
    ending.extend_from_slice(b"\n\n");
    ending
}

/// Where the event that is last in `tail` begins: after the last blank line, or at the beginning.
fn last_event(tail: &[u8]) -> usize {
    (1..=tail.len())
        .rev()
        .find(|end| {
            tail.get(..*end).is_some_and(|text| {
                text.ends_with(b"\n\n") || text.ends_with(b"\n\r\n") || text.ends_with(b"\r\r")
            })
        })
        .unwrap_or(0)
}

/// What a JSON text that breaks off needs to be one; nothing where it does not look like JSON.
fn close(text: &[u8]) -> String {
    if !matches!(text.first(), Some(b'{' | b'[')) {
        return String::new();
    }
    let mut open = Vec::new();
    let mut expect = Expect::Value;
    let mut in_string = false;
    let mut escape = Escape::None;
    // The number or name (true, false, null) that the text may end in.
    let mut word: Vec<u8> = Vec::new();
    for &byte in text {
        if in_string {
            escape = match (escape, byte) {
                (Escape::None, b'\\') => Escape::Begun,
                (Escape::Begun, b'u') => Escape::Unicode(4),
                (Escape::Unicode(left), _) if left > 1 => Escape::Unicode(left - 1),
                (Escape::None, b'"') => {
                    in_string = false;
                    expect = match expect {
                        Expect::Key => Expect::Colon,
                        _ => Expect::Comma,
                    };
                    Escape::None
                }
                _ => Escape::None,
            };
            continue;
        }
        if matches!(
            byte,
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"' | b' ' | b'\t'
        ) && !word.is_empty()
        {
            word.clear();
            expect = Expect::Comma;
        }
        match byte {
            b'"' => in_string = true,
            b'{' => {
                open.push(b'}');
                expect = Expect::Key;
            }
            b'[' => {
                open.push(b']');
                expect = Expect::Value;
            }
            b'}' | b']' => {
                open.pop();
                expect = Expect::Comma;
            }
            b':' => expect = Expect::Value,
            b',' => {
                expect = match open.last() {
                    Some(b'}') => Expect::Key,
                    _ => Expect::Value,
                }
            }
            b' ' | b'\t' => {}
            other => word.push(other),
        }
    }

    let mut closing = String::new();
    if in_string {
        match escape {
            Escape::None => {}
            Escape::Begun => closing.push('\\'),
            Escape::Unicode(left) => closing.extend(std::iter::repeat_n('0', left.into())),
        }
        closing.push('"');
        expect = match expect {
            Expect::Key => Expect::Colon,
            _ => Expect::Comma,
        };
    } else if !word.is_empty() {
        let Some(rest) = rest_of(&word) else {
            return String::new();
        };
        closing.push_str(rest);
        expect = Expect::Comma;
    }
    let last = text
        .iter()
        .rev()
        .find(|byte| !matches!(byte, b' ' | b'\t'))
        .copied();
    match (expect, last) {
        (Expect::Colon, _) => closing.push_str(":null"),
        (Expect::Key, Some(b',')) => closing.push_str("\"\":null"),
        (Expect::Value, Some(b':' | b',')) => closing.push_str("null"),
        _ => {}
    }
    closing.extend(open.iter().rev().map(|byte| char::from(*byte)));
    closing
}

/// What may come next.
#[derive(Clone, Copy)]
enum Expect {
    Key,
    Colon,
    Value,
    Comma,
}

/// Inside an escape of a string, and how many hex digits are to come.
#[derive(Clone, Copy)]
enum Escape {
    None,
    Begun,
    Unicode(u8),
}

/// What a UTF-8 character at the end of `text` lacks. It becomes another character, but the text stays one.
fn character(text: &[u8]) -> Vec<u8> {
    let Some(lead) = text.iter().rposition(|byte| !matches!(byte, 0x80..=0xbf)) else {
        return Vec::new();
    };
    let got = text.len() - lead - 1;
    let (wanted, first) = match text.get(lead) {
        Some(0xc2..=0xdf) => (1, 0x80),
        Some(0xe0) => (2, 0xa0),
        Some(0xe1..=0xef) => (2, 0x80),
        Some(0xf0) => (3, 0x90),
        Some(0xf1..=0xf4) => (3, 0x80),
        _ => (0, 0x80),
    };
    (got..wanted)
        .map(|at| if at == 0 { first } else { 0x80 })
        .collect()
}

/// What a number or name lacks; `None` where it is neither.
fn rest_of(word: &[u8]) -> Option<&'static str> {
    let name = ["true", "false", "null"]
        .into_iter()
        .find(|name| name.as_bytes().starts_with(word));
    match (name, word.first(), word.last()) {
        (Some(name), ..) => name.get(word.len()..),
        (None, Some(b'-' | b'0'..=b'9'), Some(b'0'..=b'9')) => Some(""),
        (None, Some(b'-' | b'0'..=b'9'), _) => Some("0"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{character, close, ending, last};

    const TEXT: &str = r#"{"id":"chatcmpl-1","n":-12.5e+3,"ok":true,"no":false,"x":null, "choices":[{"index":0,"delta":{"content":"h\"\\\u00e9é 😀"},"logprobs":[],"e":{}}, 7]}"#;

    #[test]
    fn every_beginning_is_closed_to_json() {
        for end in 1..=TEXT.len() {
            let part = &TEXT.as_bytes()[..end];
            let mut whole = part.to_vec();
            whole.extend(character(part));
            whole.extend(close(part).bytes());
            let parsed = serde_json::from_slice::<serde_json::Value>(&whole);
            assert!(parsed.is_ok(), "{}: {parsed:?}", whole.escape_ascii());
        }
    }

    #[test]
    fn a_whole_text_needs_nothing() {
        assert_eq!(close(TEXT.as_bytes()), "");
        assert_eq!(close(b"[DONE"), "");
        assert_eq!(close(b"plain words"), "");
    }

    #[test]
    fn every_half_becomes_the_error() {
        let words = b"event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"m\"}}\n\n";
        let event = format!("event: delta\ndata: {TEXT}");
        let data = event.find('{').unwrap();
        for end in data + 1..event.len() {
            let half = &event.as_bytes()[..end];
            let all = [b"data: 1\n\n", half, &last(half, words)].concat();
            let all = String::from_utf8(all).unwrap();
            let (_, event) = all.split_once("\n\n").unwrap();
            let mut lines = event.strip_suffix("\n\n").unwrap().lines();
            assert_eq!(lines.next(), Some("event: delta"));
            let data = lines.next().unwrap().strip_prefix("data: ").unwrap();
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            assert_eq!(data["error"]["message"], "m", "{end}");
            assert_eq!(data["type"], "error");
            assert_eq!(lines.next(), Some("event: error"));
            assert_eq!(lines.next(), None);
        }
    }

    #[test]
    fn the_error_stands_alone_behind_what_is_whole() {
        let words: &[u8] = b"data: {\"error\":1}\n\n";
        assert_eq!(last(b"", words), words);
        assert_eq!(last(b"data: {}\n\n", words), words);
        assert_eq!(last(b"data: {}", words), [b"\n\n", words].concat());
        assert_eq!(last(b"event: x", words), [b"\n\n", words].concat());
        assert_eq!(last(b"data: {", words), b"\"error\":1}\n\n");
        assert_eq!(last(b"data: { ", words), b"\"error\":1}\n\n");
        assert_eq!(last(b"data: {\"a\":[1", words), b"],\"error\":1}\n\n");
    }

    #[test]
    fn an_event_is_ended() {
        assert_eq!(ending(b""), b"");
        assert_eq!(ending(b"data: {}\n\n"), b"");
        assert_eq!(ending(b"data: {}\r\n\r\n"), b"");
        assert_eq!(ending(b"data: {}\n"), b"\n");
        assert_eq!(ending(b"data: 1\n\ndata: {\"n\":2,\"half\":\""), b"\"}\n\n");
        assert_eq!(ending(b"data: 1\n\nevent: mess"), b"\n\n");
        assert_eq!(
            ending(b"data: 1\n\nevent: message\ndata: {\"a\":[1"),
            b"]}\n\n"
        );
        assert_eq!(ending(b"data:{\"a\":t"), b"rue}\n\n");
    }
}

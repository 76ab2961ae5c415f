//! Finishing the server-sent event that a broken stream leaves behind.
//!
//! The runtime passes a stream on by itself, so what came before a break has reached the client and cannot be held back, as
//! other engines do with an event that is not yet whole. An error event right after half an event would be read as its
//! rest, and half a JSON text would fail to parse before the client ever sees the error. So the half is made whole: its
//! JSON is closed with as little as it takes, and a blank line ends the event. The error event then tells that what came before it is incomplete.
//! The format: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.

/// What to send after `tail`, the end of a stream, so that its last event is whole; empty where it is already.
pub(crate) fn ending(tail: &[u8]) -> Vec<u8> {
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
    use super::{character, close, ending};

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

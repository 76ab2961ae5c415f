//! Messages of `application/vnd.amazon.eventstream`.
//!
//! <https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html>: length of the message, length of its headers,
//! CRC-32 of these two; the headers; the payload; CRC-32 of everything before it.

use bytes::Bytes;
use serde_json::Value;

/// The type of a header whose value is text.
const TEXT: u8 = 7;

/// An event of a stream.
pub(super) fn event(name: &str, payload: &Value) -> Bytes {
    message(
        &[
            (":event-type", name),
            (":content-type", "application/json"),
            (":message-type", "event"),
        ],
        payload,
    )
}

/// An exception that ends a stream.
pub(super) fn exception(name: &str, payload: &Value) -> Bytes {
    message(
        &[
            (":exception-type", name),
            (":content-type", "application/json"),
            (":message-type", "exception"),
        ],
        payload,
    )
}

fn message(headers: &[(&str, &str)], payload: &Value) -> Bytes {
    let mut payload = payload.clone();
    // Bedrock pads its events, so that their lengths do not tell what is in them.
    payload["p"] = "abcdefghijkl".into();
    let payload = payload.to_string();
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).unwrap_or_default());
        head.extend_from_slice(name.as_bytes());
        head.push(TEXT);
        head.extend_from_slice(&u16::try_from(value.len()).unwrap_or_default().to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    let length = |bytes: usize| u32::try_from(bytes).unwrap_or_default().to_be_bytes();
    let mut message = Vec::new();
    message.extend_from_slice(&length(head.len() + payload.len() + 16));
    message.extend_from_slice(&length(head.len()));
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.extend_from_slice(&head);
    message.extend_from_slice(payload.as_bytes());
    message.extend_from_slice(&crc32fast::hash(&message).to_be_bytes());
    message.into()
}

#[cfg(test)]
mod tests {
    use super::event;
    use serde_json::json;

    #[test]
    fn lengths_and_sums() {
        let message = event("messageStop", &json!({"stopReason": "end_turn"}));
        let number = |at: usize| {
            u32::from_be_bytes([
                message[at],
                message[at + 1],
                message[at + 2],
                message[at + 3],
            ])
        };
        assert_eq!(number(0) as usize, message.len());
        assert_eq!(number(8), crc32fast::hash(&message[..8]));
        let end = message.len() - 4;
        assert_eq!(number(end), crc32fast::hash(&message[..end]));
        let headers = number(4) as usize;
        let payload = &message[12 + headers..end];
        assert_eq!(
            serde_json::from_slice(payload).ok(),
            Some(json!({"p": "abcdefghijkl", "stopReason": "end_turn"}))
        );
        assert_eq!(&message[12..25], b"\x0b:event-type\x07");
        // The CRC-32 of the check input of every catalogue of CRCs.
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
    }
}

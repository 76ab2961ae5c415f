//! The framing: what it is byte by byte, cut anywhere, and damaged.

use lockgate_dialects::bedrock::{EventStream, message};
use proptest::prelude::*;

use crate::framed;

type Told = Vec<(String, String, bool)>;

fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Told, Result<(), String>) {
    let mut stream = EventStream::default();
    let mut told = Vec::new();
    for piece in pieces {
        let pushed = stream.push(piece, |frame| {
            told.push((
                frame.event.to_owned(),
                frame.data.to_owned(),
                frame.exception,
            ));
        });
        if let Err(problem) = pushed {
            return (told, Err(problem.to_string()));
        }
    }
    (told, Ok(()))
}

fn told(event: &str, data: &str, exception: bool) -> (String, String, bool) {
    (event.to_owned(), data.to_owned(), exception)
}

/// Bytes that other programs made: the vectors that the AWS SDKs test with
/// (<https://github.com/aws/aws-sdk-js-v3>, `packages/eventstream-marshaller`).
#[test]
fn messages_that_others_made_are_read() {
    // No headers, no payload.
    let empty = [
        0, 0, 0, 0x10, 0, 0, 0, 0, 0x05, 0xc2, 0x48, 0xeb, 0x7d, 0x98, 0xc8, 0xff,
    ];
    assert_eq!(read([&empty[..]]), (vec![told("", "", false)], Ok(())));
    // No headers, the payload `{'foo':'bar'}`.
    let payload = [
        0, 0, 0, 0x1d, 0, 0, 0, 0, 0xfd, 0x52, 0x8c, 0x5a, 0x7b, 0x27, 0x66, 0x6f, 0x6f, 0x27,
        0x3a, 0x27, 0x62, 0x61, 0x72, 0x27, 0x7d, 0xc3, 0x65, 0x39, 0x36,
    ];
    assert_eq!(
        read([&payload[..]]),
        (vec![told("", "{'foo':'bar'}", false)], Ok(()))
    );
}

#[test]
fn a_message_is_framed_as_aws_frames_it() {
    let made = message("messageStop", br#"{"stopReason":"end_turn"}"#, false);
    let mut expected = Vec::new();
    let headers = [
        (":event-type", "messageStop"),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ];
    for (name, value) in headers {
        expected.push(u8::try_from(name.len()).unwrap());
        expected.extend(name.as_bytes());
        expected.push(7);
        expected.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        expected.extend(value.as_bytes());
    }
    let headers = u32::try_from(expected.len()).unwrap();
    expected.extend(br#"{"stopReason":"end_turn"}"#);
    assert_eq!(made[12..made.len() - 4], expected);
    assert_eq!(made[..4], u32::try_from(made.len()).unwrap().to_be_bytes());
    assert_eq!(made[4..8], headers.to_be_bytes());
}

#[test]
fn exceptions_and_errors_are_told_apart() {
    let exception = message("throttlingException", br#"{"message":"Too many"}"#, true);
    assert_eq!(
        read([&exception[..]]).0,
        [told(
            "throttlingException",
            r#"{"message":"Too many"}"#,
            true
        )]
    );
    // An error has no payload, and its words are headers.
    let error = with_headers(&[
        (":message-type", "error"),
        (":error-code", "InternalError"),
        (":error-message", "An \"internal\" error"),
    ]);
    assert_eq!(
        read([&error[..]]).0,
        [told(
            "InternalError",
            r#"{"message":"An \"internal\" error"}"#,
            true
        )]
    );
}

fn with_headers(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = Vec::new();
    // One of every other type before those that mean something.
    for (kind, size) in [
        (0, 0),
        (1, 0),
        (2, 1),
        (3, 2),
        (4, 4),
        (5, 8),
        (8, 8),
        (9, 16),
    ] {
        head.extend([1, b'x', kind]);
        head.extend(std::iter::repeat_n(0, size));
    }
    head.extend([1, b'x', 6, 0, 2, 9, 9]);
    for (name, value) in headers {
        head.push(u8::try_from(name.len()).unwrap());
        head.extend(name.as_bytes());
        head.push(7);
        head.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        head.extend(value.as_bytes());
    }
    sealed(&head, b"")
}

fn sealed(head: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(
        u32::try_from(head.len() + payload.len() + 16)
            .unwrap()
            .to_be_bytes(),
    );
    bytes.extend(u32::try_from(head.len()).unwrap().to_be_bytes());
    bytes.extend(checksum(&bytes).to_be_bytes());
    bytes.extend(head);
    bytes.extend(payload);
    bytes.extend(checksum(&bytes).to_be_bytes());
    bytes
}

/// CRC-32 bit by bit, as ISO 3309 has it.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (0xEDB8_8320 & 0_u32.wrapping_sub(sum & 1))
        })
    })
}

#[test]
fn what_is_damaged_is_refused() {
    let good = message("messageStart", br#"{"role":"assistant"}"#, false);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let (told, outcome) = read([&bad[..]]);
        assert_eq!(told, []);
        // A longer total that hides the damage until more comes is in the prelude, which has a sum of its own.
        assert!(outcome.is_err(), "byte {at}");
    }
    for (head, problem) in [
        (&[0, 0, 0, 15, 0, 0, 0, 0][..], "impossible length"),
        (&[0, 0, 0, 16, 0, 0, 0, 1], "impossible length"),
        (&[1, 0, 0, 1, 0, 0, 0, 0], "impossible length"),
        (
            &[255, 255, 255, 255, 255, 255, 255, 255],
            "impossible length",
        ),
    ] {
        let mut bytes = head.to_vec();
        bytes.extend(checksum(head).to_be_bytes());
        let outcome = read([&bytes[..]]).1;
        assert!(
            outcome.as_ref().unwrap_err().contains(problem),
            "{outcome:?}"
        );
    }
    // Headers that do not add up, in a message whose sums do.
    for head in [
        &[5, b'x'][..],
        &[1, b'x', 99],
        &[1, b'x', 7, 0, 9, b'y'],
        &[1, b'x', 7, 0],
    ] {
        let outcome = read([&sealed(head, b"{}")[..]]).1;
        assert!(outcome.unwrap_err().contains("headers"));
    }
    assert!(
        read([&sealed(&[], &[0xff])[..]])
            .1
            .unwrap_err()
            .contains("no text")
    );
}

#[test]
fn messages_may_be_cut_anywhere() {
    let bytes = framed(&[
        ("messageStart", r#"{"role":"assistant"}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"ä"}}"#,
        ),
        ("x", ""),
        ("messageStop", "{}"),
    ]);
    let whole = read([&bytes[..]]);
    assert_eq!(whole.0.len(), 4);
    for at in 0..=bytes.len() {
        for to in at..=bytes.len() {
            assert_eq!(read([&bytes[..at], &bytes[at..to], &bytes[to..]]), whole);
        }
    }
    assert_eq!(read(bytes.chunks(1)), whole);
}

/// Many small pieces of one great message take time for each byte once.
#[test]
fn a_great_message_in_small_pieces_is_read_at_once() {
    let payload = vec![b'x'; 8 << 20];
    let bytes = message("contentBlockDelta", &payload, false);
    let (told, outcome) = read(bytes.chunks(64));
    assert_eq!((told.len(), outcome), (1, Ok(())));
    assert_eq!(told[0].1.len(), payload.len());
}

proptest! {
    #[test]
    fn nothing_panics(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
        let _ = read(pieces.iter().map(Vec::as_slice));
    }

    /// Sums that are right, and anything between them.
    #[test]
    fn nothing_panics_on_sealed_nonsense(head in prop::collection::vec(0_u8..12, 0..60), payload in prop::collection::vec(any::<u8>(), 0..20)) {
        let _ = read([&sealed(&head, &payload)[..]]);
    }

    #[test]
    fn what_is_framed_is_read(event in "[a-zA-Z]{0,30}", data in "(?s).{0,200}", exception in any::<bool>(), cut in any::<prop::sample::Index>()) {
        let bytes = message(&event, data.as_bytes(), exception);
        let (a, b) = bytes.split_at(cut.index(bytes.len()));
        prop_assert_eq!(read([a, b]), (vec![told(&event, &data, exception)], Ok(())));
    }
}

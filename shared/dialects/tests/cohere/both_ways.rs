//! What goes out comes back in as it was.

use lockgate_dialects::{
    Answer, Content, Dialect, decode_answer, decode_request, encode_answer, replay, stream_encoder,
};
use proptest::prelude::*;

use crate::{REPLY, arbitrary, encode, heard, listen, recorded};

pub(crate) fn streamed(answer: &Answer<'_>) -> Vec<u8> {
    let mut encoder = stream_encoder(Dialect::Cohere, &REPLY).unwrap();
    let mut out = Vec::new();
    replay(answer, |event| encoder.event(event, &mut out));
    out
}

proptest! {
    #[test]
    fn requests(request in arbitrary::request()) {
        let encoded = encode(&request, "m").unwrap();
        prop_assert_eq!(&encoded.warnings, &Vec::<String>::new());
        let body = String::from_utf8(encoded.body).unwrap();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{}", body);
        let read = decode_request(Dialect::Cohere, &body).unwrap();
        prop_assert_eq!(read, request, "{}", body);
    }

    #[test]
    fn answers(answer in arbitrary::answer()) {
        let body = String::from_utf8(encode_answer(Dialect::Cohere, &answer, &REPLY)).unwrap();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{}", body);
        let read = decode_answer(Dialect::Cohere, &body).unwrap();
        prop_assert_eq!(read, answer, "{}", body);
    }

    #[test]
    fn streams(answer in arbitrary::answer(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let bytes = streamed(&answer);
        prop_assert_eq!(heard(&bytes).unwrap(), answer);

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        prop_assert_eq!(listen(pieces).0.events, listen([&bytes[..]]).0.events);
    }
}

#[test]
fn recorded_streams_may_be_cut_anywhere_and_are_their_answers() {
    let answers = recorded("answer.json");
    for (case, stream) in recorded("stream.txt") {
        let bytes = stream.as_bytes();
        let (whole, _) = listen([bytes]);
        for at in 0..=bytes.len() {
            let (cut, _) = listen([&bytes[..at], &bytes[at..]]);
            assert_eq!(cut.events, whole.events, "{case} cut at {at}");
        }
        let (single, _) = listen(bytes.chunks(1));
        assert_eq!(single.events, whole.events, "{case}");
        if let Some((_, answer)) = answers.iter().find(|(name, _)| *name == case) {
            let plain = decode_answer(Dialect::Cohere, answer).unwrap();
            let streamed = whole.collector.finish().unwrap();
            assert_eq!(compact(streamed), compact(plain), "{case}");
        }
    }
}

/// With the arguments of calls without white space, which a stream may leave out.
fn compact(mut answer: Answer<'_>) -> Answer<'_> {
    for part in answer
        .choices
        .iter_mut()
        .flat_map(|choice| &mut choice.parts)
    {
        if let Content::ToolCall { arguments, .. } = &mut part.content {
            let value: serde_json::Value = serde_json::from_str(arguments).unwrap();
            *arguments = value.to_string().into();
        }
    }
    answer
}

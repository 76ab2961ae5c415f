//! What goes out comes back in as it was.

use lockgate_dialects::{
    Dialect, decode_answer, decode_request, encode_answer, replay, stream_encoder,
};
use proptest::prelude::*;

use crate::{REPLY, arbitrary, encode, heard, listen};

fn streamed(answer: &lockgate_dialects::Answer<'_>) -> Vec<u8> {
    let mut encoder = stream_encoder(Dialect::Anthropic, &REPLY).unwrap();
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
        let read = decode_request(Dialect::Anthropic, &body).unwrap();
        prop_assert_eq!(read, request, "{}", body);
    }

    #[test]
    fn answers(answer in arbitrary::answer()) {
        let body = String::from_utf8(encode_answer(Dialect::Anthropic, &answer, &REPLY)).unwrap();
        prop_assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{}", body);
        let read = decode_answer(Dialect::Anthropic, &body).unwrap();
        prop_assert_eq!(read, answer, "{}", body);
    }

    #[test]
    fn streams(mut answer in arbitrary::answer(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        answer.service_tier = None;
        let bytes = streamed(&answer);
        prop_assert_eq!(heard(&bytes).unwrap(), answer);

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        prop_assert_eq!(listen(pieces).0.events, listen([&bytes[..]]).0.events);
    }
}

//! There and back: what is written is read as what it was, plain, streamed, and in pieces that end anywhere; and nothing
//! panics on what makes no sense.

use lockgate_dialects::openai_responses::{
    decode_answer, decode_request, encode_answer, encode_request,
};
use lockgate_dialects::{Answer, Notes, Outcome, Request};
use proptest::collection::vec;
use proptest::prelude::*;

use super::arbitrary::{answer, any_text, request};
use super::{collected, reply, target, told, translate, written};

/// The request as the dialect writes it.
fn body(request: &Request<'_>) -> String {
    let mut notes = Notes::new("Someone", lockgate_dialects::openai_responses::support);
    let body = encode_request(request, &target(&request.model), &mut notes).unwrap();
    assert_eq!(notes.into_warnings(), [""; 0]);
    String::from_utf8(body).unwrap()
}

fn cut<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % bytes.len()).collect();
    cuts.sort_unstable();
    let mut rest = bytes;
    let mut at = 0;
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, after) = rest.split_at(cut - at);
        pieces.push(piece);
        (rest, at) = (after, cut);
    }
    pieces.push(rest);
    pieces
}

proptest! {
    #[test]
    fn requests_come_back_as_they_were(request in request()) {
        let body = body(&request);
        let mut read = decode_request(&body).unwrap();
        read.extra.sort_by(|a, b| a.name.cmp(&b.name));
        prop_assert_eq!(read, request, "{}", body);
    }

    #[test]
    fn answers_come_back_as_they_were(answer in answer()) {
        let body = encode_answer(&answer, &reply("{}"));
        let body = String::from_utf8(body).unwrap();
        prop_assert_eq!(decode_answer(&body).unwrap(), answer, "{}", body);
    }

    #[test]
    fn a_stream_together_is_the_answer(answer in answer()) {
        let stream = written(&answer, &reply("{}"));
        let expected = Answer { service_tier: None, ..answer };
        prop_assert_eq!(collected(&stream), Ok(expected), "{}", stream);
    }

    #[test]
    fn the_last_event_has_the_plain_answer(answer in answer()) {
        let answer = Answer { service_tier: None, ..answer };
        let plain = String::from_utf8(encode_answer(&answer, &reply("{}"))).unwrap();
        let stream = written(&answer, &reply("{}"));
        let end = format!("\"response\":{plain}}}\n\n");
        prop_assert!(stream.ends_with(&end), "{}\n{}", stream, plain);
    }

    #[test]
    fn pieces_may_end_anywhere(answer in answer(), cuts in vec(0_usize..9_000, 0..6)) {
        let stream = written(&answer, &reply("{}"));
        let whole = translate(&[stream.as_bytes()], &reply("{}"));
        prop_assert_eq!(&whole.1, &Outcome::Complete);
        prop_assert_eq!(&String::from_utf8_lossy(&whole.0), &stream);
        prop_assert_eq!(translate(&cut(stream.as_bytes(), &cuts), &reply("{}")), whole);
    }

    #[test]
    fn nothing_panics_on_any_text(data in vec("(?s).{0,32}", 0..4)) {
        let data: Vec<&str> = data.iter().map(String::as_str).collect();
        for data in &data {
            let _ = decode_request(data);
            let _ = decode_answer(data);
            let _ = encode_answer(&Answer::default(), &reply(data));
        }
        let _ = told(&data);
        translate(&data.iter().map(|data| data.as_bytes()).collect::<Vec<_>>(), &reply("{}"));
    }

    #[test]
    fn nothing_panics_on_what_is_damaged(
        request in request(), answer in answer(),
        from in 0_usize..9_000, length in 0_usize..40, put in any_text()
    ) {
        let damaged = |text: String| {
            let mut characters: Vec<char> = text.chars().collect();
            let from = from % characters.len();
            let to = (from + length).min(characters.len());
            characters.splice(from..to, put.chars());
            characters.into_iter().collect::<String>()
        };
        let body = damaged(body(&request));
        let _ = decode_request(&body);
        let plain = damaged(String::from_utf8(encode_answer(&answer, &reply(&body))).unwrap());
        let _ = decode_answer(&plain);
        translate(&[damaged(written(&answer, &reply(&body))).as_bytes()], &reply("{}"));
    }

    /// Events in an order that no stream has, each one readable.
    #[test]
    fn nothing_panics_on_streams_out_of_order(answer in answer(), order in vec(0_usize..64, 0..40)) {
        let stream = written(&answer, &reply("{}"));
        let frames = super::frames(&stream);
        let shuffled: Vec<&str> = order.iter().map(|at| frames[at % frames.len()].1).collect();
        let _ = told(&shuffled);
        let bytes: String = shuffled.iter().map(|data| format!("data: {data}\n\n")).collect();
        translate(&[bytes.as_bytes()], &reply("{}"));
    }
}

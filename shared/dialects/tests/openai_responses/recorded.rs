//! The streams of the published examples: put together they are the plain answers beside them.

use std::fs;
use std::path::Path;

use lockgate_dialects::openai_responses::{StreamDecoder, decode_answer};
use lockgate_dialects::{Collector, DecodeStream, Frame};

#[test]
fn published_streams_together_are_the_published_answers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openai-responses");
    let mut seen = 0;
    for folder in fs::read_dir(root).unwrap() {
        let folder = folder.unwrap().path();
        let Ok(stream) = fs::read_to_string(folder.join("stream.txt")) else {
            continue;
        };
        let plain = fs::read_to_string(folder.join("answer.json")).unwrap();
        let mut decoder = StreamDecoder::default();
        let mut collector = Collector::default();
        for (event, data) in super::frames(&stream) {
            let frame = Frame {
                event,
                data,
                exception: false,
            };
            decoder
                .frame(frame, &mut |event| collector.event(event))
                .unwrap_or_else(|problem| panic!("{}: {problem}", folder.display()));
        }
        let answer = collector.finish().unwrap();
        assert_eq!(
            answer,
            decode_answer(&plain).unwrap(),
            "{}",
            folder.display()
        );
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} streams");
}

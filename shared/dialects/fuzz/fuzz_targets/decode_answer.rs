//! Any text as an answer of any dialect; what is understood is written in every dialect, always as JSON, plain and as a stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_dialects::{decode_answer, encode_answer, replay, stream_encoder};
use lockgate_dialects_fuzz::{DIALECTS, REPLY, dialect};

fuzz_target!(|input: &[u8]| {
    let Some((from, body)) = dialect(input) else {
        return;
    };
    let Ok(body) = std::str::from_utf8(body) else {
        return;
    };
    let Ok(answer) = decode_answer(from, body) else {
        return;
    };
    for to in DIALECTS {
        let written = encode_answer(to, &answer, &REPLY);
        let read = serde_json::from_slice::<&serde_json::value::RawValue>(&written);
        assert!(read.is_ok(), "{to:?} writes no JSON");
        if let Some(mut encoder) = stream_encoder(to, &REPLY) {
            let mut out = Vec::new();
            replay(&answer, |event| encoder.event(event, &mut out));
        }
    }
});

//! Any bytes as AWS's event-stream messages, whole and in pieces of any size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_dialects::Frames;
use lockgate_dialects::bedrock::EventStream;
use lockgate_dialects_fuzz::read;

fuzz_target!(|input: &[u8]| {
    if let Some((piece, stream)) = input.split_first() {
        let frames = || Frames::EventStream(EventStream::default());
        read(frames, stream, usize::from(*piece));
    }
});

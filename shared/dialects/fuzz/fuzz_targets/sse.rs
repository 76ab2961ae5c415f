//! Any bytes as server-sent events, whole and in pieces of any size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_dialects::{Frames, Sse};
use lockgate_dialects_fuzz::read;

fuzz_target!(|input: &[u8]| {
    if let Some((piece, stream)) = input.split_first() {
        read(|| Frames::Sse(Sse::default()), stream, usize::from(*piece));
    }
});

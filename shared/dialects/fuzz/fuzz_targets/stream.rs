//! Any bytes as a stream of any dialect, translated to any other, whole and in pieces of any size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_dialects_fuzz::{dialect, translate};

fuzz_target!(|input: &[u8]| {
    let Some((from, rest)) = dialect(input) else {
        return;
    };
    let Some((to, rest)) = dialect(rest) else {
        return;
    };
    if let Some((piece, stream)) = rest.split_first() {
        translate(from, to, stream, usize::from(*piece));
    }
});

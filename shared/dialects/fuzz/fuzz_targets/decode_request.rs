//! Any text as a request of any dialect; what is understood is written in every dialect, always as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate_dialects::{decode_request, encode_request};
use lockgate_dialects_fuzz::{DIALECTS, dialect, target};
use lockgate_providers::Quirks;

fuzz_target!(|input: &[u8]| {
    let Some((from, body)) = dialect(input) else {
        return;
    };
    let Ok(body) = std::str::from_utf8(body) else {
        return;
    };
    let Ok(request) = decode_request(from, body) else {
        return;
    };
    let quirks = Quirks::default();
    for to in DIALECTS {
        if let Ok(encoded) = encode_request(to, &request, &target(&quirks)) {
            let read = serde_json::from_slice::<&serde_json::value::RawValue>(&encoded.body);
            assert!(read.is_ok(), "{to:?} writes no JSON");
        }
    }
});

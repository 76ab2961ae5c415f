//! What a request may use, before it is sent (API.md, “Decisions of access, limits and money”).

use lockgate_providers::{Manifest, Surface};
use lockgate_workspace::resource::Tokens;

/// Bytes of a request for each token of input.
const BYTES_A_TOKEN: usize = 3;
/// Output where neither the request nor the model's manifest says how much there may be.
const UNKNOWN_OUTPUT: u64 = 4_096;

/// Estimates a request by its body.
pub(crate) fn of(_surface: Surface, body: &[u8], manifest: &Manifest, model: &str) -> Tokens {
    let input = body.len().div_ceil(BYTES_A_TOKEN) as u64;
    let output = manifest
        .model(model)
        .and_then(|model| model.max_output)
        .map_or(UNKNOWN_OUTPUT, u64::from);
    Tokens {
        input,
        output,
        estimated: true,
        ..Tokens::default()
    }
}

//! What a provider says that a request used, read out of an answer that passes as it is.

use lockgate_dialects::Usage;
use lockgate_host::Seen;
use lockgate_providers::Surface;
use lockgate_workspace::resource::Tokens;

/// Usage as the log has it.
pub(crate) fn tokens(usage: Usage) -> Tokens {
    Tokens {
        input: usage.input,
        cached_input: usage.cached,
        output: usage.output,
        reasoning: usage.reasoning,
        estimated: false,
    }
}

/// The usage in a whole plain answer of a surface.
pub(crate) fn whole(_surface: Surface, _body: &[u8]) -> Option<Tokens> {
    None
}

/// The usage in the beginning and end of an answer of a surface, plain or a stream.
pub(crate) fn ends(_surface: Surface, _seen: Seen<'_>) -> Option<Tokens> {
    None
}

//! What depends on the model: <https://ai.google.dev/gemini-api/docs/thinking>,
//! <https://ai.google.dev/gemini-api/docs/thought-signatures>.

/// A model's name without what may stand before it.
fn plain(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

/// Whether it is older than Gemini 3, so that its thinking is measured in tokens and not in levels.
pub(super) fn counts_thoughts(model: &str) -> bool {
    let model = plain(model);
    model.starts_with("gemini-1") || model.starts_with("gemini-2")
}

/// Whether it refuses a function call of the current turn that has no signature.
pub(super) fn wants_signatures(model: &str) -> bool {
    plain(model).starts_with("gemini-") && !counts_thoughts(model)
}

/// Whether it goes on with a turn of its own at the end. Newer ones answer 400, "Requests ending with a model turn are not
/// supported".
pub(super) fn takes_prefill(model: &str) -> bool {
    let name = plain(model);
    counts_thoughts(name) || name.starts_with("gemini-3-") || name.starts_with("gemini-3.1-")
}

/// The least thinking a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Least {
    /// So many tokens.
    Tokens(u64),
    /// This level.
    Level(&'static str),
}

/// The least thinking it can do, and whether that is none, or as near as its kind comes.
pub(super) fn least_thinking(model: &str) -> (Least, bool) {
    let pro = plain(model).contains("pro");
    match (counts_thoughts(model), pro) {
        (true, false) => (Least::Tokens(0), true),
        (true, true) => (Least::Tokens(128), false),
        (false, false) => (Least::Level("MINIMAL"), true),
        (false, true) => (Least::Level("LOW"), false),
    }
}

/// The most thinking in tokens that it takes.
pub(super) fn most_thinking(model: &str) -> u64 {
    if counts_thoughts(model) && plain(model).contains("flash") {
        24_576
    } else {
        32_768
    }
}

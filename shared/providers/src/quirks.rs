//! Where a provider departs from its dialect, as a request to it is written or its answer read.
//! docs/adding-a-provider.md says how a manifest names each.

/// Where a provider departs from its dialect. All but [`done_marker`](Self::done_marker) count only where a request is
/// translated: one in the provider's own dialect passes as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// Whether every complete stream of `/chat/completions` and `/completions` ends in `data: [DONE]`, so that one without
    /// it was broken off.
    pub done_marker: bool,
    /// Whether it takes `stream_options.include_usage`.
    pub stream_usage: bool,
    /// Which field limits the answer.
    pub max_tokens: TokenLimit,
    /// Whether it takes messages of the role `developer`; elsewhere they are sent as `system`.
    pub developer_role: bool,
    /// The field that has the seed: `seed` or `random_seed`; absent where there is none.
    pub seed: Option<&'static str>,
    /// The `tool_choice` that asks for a call of any tool: `required` or `any`.
    pub required_tool_choice: &'static str,
    /// The field of an answer's message, and of a stream's delta, that has the model's reasoning: `reasoning_content` or
    /// `reasoning`; absent where there is none.
    pub reasoning: Option<&'static str>,
    /// Whether it takes `reasoning_effort`.
    pub reasoning_effort: bool,
    /// Whether it takes a `response_format` of type `json_schema`.
    pub json_schema: bool,
    /// Whether it takes `parallel_tool_calls`.
    pub parallel_tool_calls: bool,
    /// Further fields of OpenAI's request that it refuses or ignores, and `images` for pictures in messages.
    pub unsupported: &'static [&'static str],
}

/// What a manifest has that says nothing: the most permissive of what providers do, and the oldest spelling.
impl Default for Quirks {
    fn default() -> Self {
        Self {
            done_marker: false,
            stream_usage: true,
            max_tokens: TokenLimit::MaxTokens,
            developer_role: false,
            seed: Some("seed"),
            required_tool_choice: "required",
            reasoning: None,
            reasoning_effort: true,
            json_schema: true,
            parallel_tool_calls: true,
            unsupported: &[],
        }
    }
}

impl Quirks {
    /// Whether it can do nothing with the request field `field`.
    #[must_use]
    pub fn lacks(&self, field: &str) -> bool {
        self.unsupported.contains(&field)
    }
}

/// Which request field limits how long an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenLimit {
    /// `max_tokens`
    MaxTokens,
    /// `max_completion_tokens`
    MaxCompletionTokens,
    /// Either; `max_completion_tokens` is what to write.
    Both,
}

impl TokenLimit {
    /// The field to write.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens | Self::Both => "max_completion_tokens",
        }
    }
}

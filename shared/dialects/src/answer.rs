//! What a provider answers, in no provider's words.

use std::borrow::Cow;

use crate::json::Json;
use crate::request::Part;

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer<'a> {
    /// The provider's id of it.
    pub id: Option<Cow<'a, str>>,
    /// The model that answered.
    pub model: Option<Cow<'a, str>>,
    /// Seconds since the Unix epoch.
    pub created: Option<u64>,
    /// One, or as many as were asked for.
    pub choices: Vec<Choice<'a>>,
    /// What it cost.
    pub usage: Option<Usage>,
    /// Speed and price class that was used.
    pub service_tier: Option<Cow<'a, str>>,
}

/// One of the answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choice<'a> {
    /// Text, reasoning, tool calls, in the order they were made.
    pub parts: Vec<Part<'a>>,
    /// Why it ended.
    pub finish: Finish<'a>,
    /// Log probabilities in OpenAI's form.
    pub logprobs: Option<Json<'a>>,
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finish<'a> {
    /// Why.
    pub reason: Reason,
    /// Which stop text it was, where the provider says so.
    pub stop_sequence: Option<Cow<'a, str>>,
}

impl From<Reason> for Finish<'_> {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            stop_sequence: None,
        }
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reason {
    /// It was complete.
    #[default]
    Stop,
    /// A stop text came up.
    StopSequence,
    /// `max_tokens`, or the context was full.
    Length,
    /// Tools are to be called.
    ToolCalls,
    /// The provider's filter cut it off or withheld it.
    ContentFilter,
    /// The model declined.
    Refusal,
    /// A long turn was interrupted and may be continued (Anthropic `pause_turn`).
    Pause,
    /// The provider gave a reason without a counterpart; the text up to it stands.
    Other,
}

/// Tokens. Totals include their parts: `input` the cached ones, `output` the reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// All input.
    pub input: u64,
    /// Of it, read from the provider's cache.
    pub cached: Option<u64>,
    /// Of it, written to the provider's cache.
    pub cache_written: Option<u64>,
    /// All output.
    pub output: u64,
    /// Of it, reasoning.
    pub reasoning: Option<u64>,
}

impl Usage {
    /// Input that was neither read from the cache nor written to it, which is what Anthropic and Bedrock call input.
    #[must_use]
    pub fn fresh_input(&self) -> u64 {
        self.input
            .saturating_sub(self.cached.unwrap_or(0))
            .saturating_sub(self.cache_written.unwrap_or(0))
    }

    /// Output without reasoning, which is what Google counts as candidates.
    #[must_use]
    pub fn visible_output(&self) -> u64 {
        self.output.saturating_sub(self.reasoning.unwrap_or(0))
    }

    /// Input and output.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}

/// Where a piece of text comes from. Positions are characters of the text it belongs to, as OpenAI counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Citation<'a> {
    /// The page.
    pub url: Option<Cow<'a, str>>,
    /// The page's or document's title.
    pub title: Option<Cow<'a, str>>,
    /// What is quoted from it.
    pub quote: Option<Cow<'a, str>>,
    /// Where in the answer's text it begins.
    pub start: Option<u64>,
    /// And ends.
    pub end: Option<u64>,
    /// Which of the request's documents, from 0.
    pub document: Option<u64>,
}

//! Cohere's Chat API, version 2: <https://docs.cohere.com/reference/chat>, <https://docs.cohere.com/reference/chat-stream>.
//!
//! It is close to OpenAI's, in other words. What a model thinks comes as `thinking` content or as a `tool_plan`; both are
//! reasoning here, and go back as `thinking`, to models that only plan as their `tool_plan`. What is cited of a plan or thought
//! has no place in the model.

mod answer;
mod decode;
mod encode;
mod stream;

use crate::answer::Reason;
use crate::support::{Feature, Support};

pub use answer::{decode_answer, encode_answer};
pub use decode::decode_request;
pub use encode::encode_request;
pub use stream::{StreamDecoder, StreamEncoder};

/// Top-level fields that only Cohere has and that pass by name.
const OWN_FIELDS: &[&str] = &[
    "citation_options",
    "documents",
    "priority",
    "raw_prompting",
    "safety_mode",
];

/// What the dialect can say.
#[must_use]
pub fn support(feature: Feature) -> Support {
    use Feature as F;
    use Support::{Kept, Lacking, Mapped};
    match feature {
        F::System
        | F::SystemLater
        | F::MultiTurn
        | F::Prefill
        | F::ImageUrl
        | F::ImageBase64
        | F::ImageDetail
        | F::Tools
        | F::ParallelToolCalls
        | F::ToolResults
        | F::MaxTokens
        | F::Seed => Kept,
        F::Temperature => Mapped("at most 1"),
        F::FrequencyPenalty | F::PresencePenalty => Mapped("0 to 1"),
        F::Developer => Mapped("role `system`"),
        F::ToolStrict => Mapped("`strict_tools`, where all tools are strict; else a warning"),
        F::ToolChoiceAuto => Mapped("left out: its default"),
        F::ToolChoiceNone => Mapped("`NONE`"),
        F::ToolChoiceRequired => Mapped("`REQUIRED`"),
        F::ToolChoiceNamed => Mapped("`REQUIRED`, with that tool alone"),
        F::ToolChoiceAllowed => Mapped("those tools alone"),
        F::Stop => Mapped("`stop_sequences`, up to 5"),
        F::TopP => Mapped("`p`, 0.01 to 0.99"),
        F::TopK => Mapped("`k`, at most 500"),
        F::JsonMode => Mapped("`response_format.type: json_object`"),
        F::JsonSchema => Mapped("`response_format.json_schema`"),
        F::ReasoningEffort => Mapped("`thinking.token_budget`, by steps"),
        F::ReasoningBudget => Mapped("`thinking.token_budget`"),
        F::ReasoningOff => Mapped("`thinking.type: disabled`"),
        F::RefusalHistory => Mapped("text"),
        F::State => Lacking("only OpenAI's Responses API keeps anything"),
        F::ReasoningHistory => Lacking("thoughts go back only without a signature"),
        F::ParallelToolCallsOff => Lacking("it has no switch for that"),
        F::Logprobs => Lacking("its form has no counterpart"),
        F::FileBase64 | F::FileUrl | F::FileText | F::FileId => {
            Lacking("documents are a field of their own, `documents`")
        }
        F::Name
        | F::AudioInput
        | F::ToolOther
        | F::ToolResultError
        | F::ToolResultImage
        | F::LogitBias
        | F::Choices
        | F::ReasoningSummary
        | F::Cache
        | F::Metadata
        | F::User
        | F::ServiceTier
        | F::Store
        | F::Unknown => Lacking(""),
    }
}

fn reason(word: &str) -> Reason {
    match word {
        "COMPLETE" => Reason::Stop,
        "STOP_SEQUENCE" => Reason::StopSequence,
        "MAX_TOKENS" => Reason::Length,
        "TOOL_CALL" => Reason::ToolCalls,
        "ERROR_TOXIC" => Reason::ContentFilter,
        _ => Reason::Other,
    }
}

fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Stop | Reason::Refusal | Reason::Pause => "COMPLETE",
        Reason::StopSequence => "STOP_SEQUENCE",
        Reason::Length => "MAX_TOKENS",
        Reason::ToolCalls => "TOOL_CALL",
        Reason::ContentFilter => "ERROR_TOXIC",
        Reason::Other => "ERROR",
    }
}

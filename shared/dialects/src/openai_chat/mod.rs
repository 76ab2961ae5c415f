//! OpenAI's Chat Completions, <https://platform.openai.com/docs/api-reference/chat>, and what its followers add to it.
//!
//! Read beside OpenAI's own fields: `reasoning_content` and `reasoning` (DeepSeek, vLLM, Groq, …), `reasoning_details` and
//! `cache_control` (<https://openrouter.ai/docs>), lists of `thinking` and `text` as an answer's content
//! (<https://docs.mistral.ai/capabilities/reasoning>), `extra_content` with thought signatures
//! (<https://ai.google.dev/gemini-api/docs/thought-signatures>), and OpenAI's old `functions` and `function_call`.
//!
//! Calls of `custom` tools have no word in the model: a conversation that has them is a [`Problem`](crate::Problem).

mod answer;
mod decode;
mod encode;
mod messages;
mod reasoning;
mod stream;
mod write;

pub use answer::{decode_answer, encode_answer};
pub use decode::decode_request;
pub use encode::encode_request;
pub use stream::StreamDecoder;
pub use write::StreamEncoder;

use crate::support::{Feature, Support};

/// What the dialect can say.
#[must_use]
pub fn support(feature: Feature) -> Support {
    match feature {
        Feature::System
        | Feature::Developer
        | Feature::SystemLater
        | Feature::MultiTurn
        | Feature::Name
        | Feature::ImageUrl
        | Feature::ImageBase64
        | Feature::ImageDetail
        | Feature::AudioInput
        | Feature::FileBase64
        | Feature::FileId
        | Feature::Tools
        | Feature::ToolStrict
        | Feature::ToolChoiceAuto
        | Feature::ToolChoiceNone
        | Feature::ToolChoiceRequired
        | Feature::ToolChoiceNamed
        | Feature::ToolChoiceAllowed
        | Feature::ParallelToolCalls
        | Feature::ParallelToolCallsOff
        | Feature::ToolResults
        | Feature::MaxTokens
        | Feature::Stop
        | Feature::Temperature
        | Feature::TopP
        | Feature::Seed
        | Feature::FrequencyPenalty
        | Feature::PresencePenalty
        | Feature::LogitBias
        | Feature::Choices
        | Feature::Logprobs
        | Feature::JsonMode
        | Feature::JsonSchema
        | Feature::ReasoningEffort
        | Feature::RefusalHistory
        | Feature::Metadata
        | Feature::User
        | Feature::ServiceTier
        | Feature::Store => Support::Kept,
        Feature::FileText => Support::Mapped("a part of text, after its name"),
        Feature::ToolOther => Support::Mapped("`custom` tools of its own form only"),
        Feature::ToolResultImage => {
            Support::Mapped("in a user message after the results, each under its call's id")
        }
        Feature::ReasoningBudget => {
            Support::Mapped("`reasoning_effort`: low, from 4096 tokens medium, from 12288 high")
        }
        Feature::ReasoningOff => Support::Mapped("`reasoning_effort: none`"),
        Feature::Prefill => Support::Lacking("it would answer the turn and not go on with it"),
        Feature::FileUrl => Support::Lacking("it takes files inline or by id"),
        Feature::ToolResultError => Support::Lacking("it has no mark for a tool's failure"),
        Feature::TopK => Support::Lacking("OpenAI has no such field"),
        Feature::ReasoningSummary => Support::Lacking("it does not tell the model's thoughts"),
        Feature::ReasoningHistory => Support::Lacking("it does not take the model's thoughts back"),
        Feature::Cache => {
            Support::Lacking("it caches by itself; only its newest models take marks")
        }
        Feature::State => Support::Lacking("only OpenAI's Responses API keeps anything"),
        Feature::Unknown => Support::Lacking("the gateway does not know what it means"),
    }
}

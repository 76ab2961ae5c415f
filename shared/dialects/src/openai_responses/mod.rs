//! OpenAI's Responses API: <https://platform.openai.com/docs/api-reference/responses> and, for streams,
//! <https://platform.openai.com/docs/api-reference/responses-streaming>.
//!
//! An answer is a list of items here: messages, calls, thoughts. One choice is all that there is.

mod answer;
mod decode;
mod encode;
mod input;
mod items;
mod reasoning;
mod reply;
mod stream;
mod turns;
mod write;

pub use answer::decode_answer;
pub use decode::decode_request;
pub use encode::encode_request;
pub use reply::encode_answer;
pub use stream::StreamDecoder;
pub use write::StreamEncoder;

use crate::support::{Feature, Support};

/// What the dialect can say.
#[must_use]
pub fn support(feature: Feature) -> Support {
    use Feature as F;
    use Support::{Kept, Lacking, Mapped};
    match feature {
        F::System
        | F::Developer
        | F::SystemLater
        | F::MultiTurn
        | F::ImageUrl
        | F::ImageBase64
        | F::ImageDetail
        | F::FileBase64
        | F::FileUrl
        | F::FileId
        | F::Tools
        | F::ToolStrict
        | F::ToolChoiceAuto
        | F::ToolChoiceNone
        | F::ToolChoiceRequired
        | F::ToolChoiceNamed
        | F::ToolChoiceAllowed
        | F::ParallelToolCalls
        | F::ParallelToolCallsOff
        | F::ToolResults
        | F::ToolResultImage
        | F::MaxTokens
        | F::Temperature
        | F::TopP
        | F::Logprobs
        | F::JsonMode
        | F::JsonSchema
        | F::ReasoningEffort
        | F::ReasoningSummary
        | F::RefusalHistory
        | F::Metadata
        | F::User
        | F::ServiceTier
        | F::Store
        | F::State => Kept,
        F::FileText => Mapped("a part of text, after its name"),
        F::ToolOther => Mapped("OpenAI's own tools, in this API's form, only"),
        F::ReasoningBudget => {
            Mapped("`reasoning.effort`: low, from 4096 tokens medium, from 12288 high")
        }
        F::ReasoningOff => Mapped("`reasoning.effort: none`"),
        F::ReasoningHistory => Mapped("thoughts of OpenAI's models, by their id; others warned"),
        F::Prefill => Lacking("it would answer the turn and not go on with it"),
        F::AudioInput => Lacking("it takes no audio"),
        F::ToolResultError => Lacking("it has no mark for a tool's failure"),
        F::Cache => Lacking("it caches by itself, and only its newest models take markers"),
        F::Unknown => Lacking("the gateway does not know what it means"),
        F::Name
        | F::Stop
        | F::TopK
        | F::Seed
        | F::FrequencyPenalty
        | F::PresencePenalty
        | F::LogitBias
        | F::Choices => Lacking("it has no such field"),
    }
}

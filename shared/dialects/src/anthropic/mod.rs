//! Anthropic's Messages: <https://platform.claude.com/docs/en/api/messages>.
//!
//! Blocks that only the provider's own tools make (`server_tool_use`, `web_search_tool_result` and their like) have no
//! word in the chat model: in an answer or stream they are passed over and the text around them is kept; in a request
//! to another provider they are refused by name.
//!
//! What a request gives beside the content itself and the model has no word for (`citations` of a document,
//! `input_examples` of a tool) becomes an [`Extra`](crate::Extra) named by its path, so that the next encoder warns.

mod answer;
mod block;
mod encode;
mod finish;
mod part;
mod request;
mod stream_decoder;
mod stream_encoder;
mod thinking;
mod version;

pub use answer::{decode_answer, encode_answer};
pub use encode::encode_request;
pub use request::decode_request;
pub use stream_decoder::StreamDecoder;
pub use stream_encoder::StreamEncoder;

use crate::support::{Feature, Support};

/// What the dialect can say.
#[must_use]
pub fn support(feature: Feature) -> Support {
    use Support::{Kept, Lacking, Mapped};
    match feature {
        Feature::System => Mapped("the top-level `system`"),
        Feature::Developer => Mapped("as `system`"),
        Feature::SystemLater => Mapped("joined to the top-level `system`, in order"),
        Feature::ToolChoiceRequired => Mapped("`any`"),
        Feature::ToolChoiceAllowed => Mapped("the other tools are not sent"),
        Feature::ParallelToolCalls => Mapped("`disable_parallel_tool_use: false`"),
        Feature::ParallelToolCallsOff => Mapped("`disable_parallel_tool_use: true`"),
        Feature::Stop => Mapped("`stop_sequences`"),
        Feature::Temperature => Mapped("at most 1; not for models that choose by themselves"),
        Feature::JsonSchema => Mapped("`output_config.format`, always strict"),
        Feature::ReasoningEffort => {
            Mapped("`output_config.effort` and adaptive thinking; a budget for older models")
        }
        Feature::ReasoningBudget => {
            Mapped("`thinking.budget_tokens`; an effort for models that take no budget")
        }
        Feature::ReasoningOff => Mapped("`thinking.type: disabled`"),
        Feature::ReasoningSummary => Mapped("`thinking.display: summarized`"),
        Feature::RefusalHistory => Mapped("as text"),
        Feature::User => Mapped("`metadata.user_id`"),
        Feature::ServiceTier => Mapped("`default` as `standard_only`; else `auto` only"),
        Feature::MultiTurn
        | Feature::Prefill
        | Feature::ImageUrl
        | Feature::ImageBase64
        | Feature::FileBase64
        | Feature::FileUrl
        | Feature::FileText
        | Feature::FileId
        | Feature::Tools
        | Feature::ToolStrict
        | Feature::ToolChoiceAuto
        | Feature::ToolChoiceNone
        | Feature::ToolChoiceNamed
        | Feature::ToolResults
        | Feature::ToolResultError
        | Feature::ToolResultImage
        | Feature::MaxTokens
        | Feature::TopP
        | Feature::TopK
        | Feature::ReasoningHistory
        | Feature::Cache => Kept,
        Feature::ToolOther => Mapped("its own only, whose types end in a date"),
        Feature::JsonMode => Lacking("it must be given a schema"),
        Feature::Metadata => Lacking("it takes the user's id only"),
        Feature::State => Lacking("only OpenAI's Responses API keeps anything"),
        Feature::Store => Lacking("it stores no answers"),
        Feature::Name
        | Feature::ImageDetail
        | Feature::AudioInput
        | Feature::Seed
        | Feature::FrequencyPenalty
        | Feature::PresencePenalty
        | Feature::LogitBias
        | Feature::Choices
        | Feature::Logprobs
        | Feature::Unknown => Lacking(""),
    }
}

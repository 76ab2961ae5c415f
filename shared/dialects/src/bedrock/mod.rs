//! AWS Bedrock's Converse and ConverseStream:
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html>.
//!
//! The model and whether the answer is streamed stand in the URL, so a body says neither. What only some models know
//! (thinking, `top_k`) goes through `additionalModelRequestFields`, in the words of the model's maker, who is read off the
//! model's name ([`model`]). An answer's blocks that only the provider's own tools make are passed over.

mod answer;
mod content;
mod decode;
mod encode;
mod framing;
mod messages;
mod model;
mod stream;

use crate::answer::Reason;
use crate::support::{Feature, Support};

pub use answer::{decode_answer, encode_answer};
pub use decode::decode_request;
pub use encode::encode_request;
pub use framing::{EventStream, message};
pub use stream::{StreamDecoder, StreamEncoder};

/// Top-level fields that only Bedrock has and that pass by name.
const OWN_FIELDS: &[&str] = &[
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "performanceConfig",
    "promptVariables",
];

/// What the model's own answer tells beside Converse's, if asked: the stop text that came up.
const STOP_SEQUENCE: &str = "/stop_sequence";

/// What the dialect can say.
#[must_use]
pub fn support(feature: Feature) -> Support {
    use Feature as F;
    use Support::{Kept, Lacking, Mapped};
    match feature {
        F::System | F::Developer => Mapped("the top-level `system`"),
        F::SystemLater => Mapped("joined to the top-level `system`, in order"),
        F::MultiTurn
        | F::Prefill
        | F::ImageBase64
        | F::FileBase64
        | F::Tools
        | F::ToolStrict
        | F::ToolChoiceAuto
        | F::ToolChoiceNamed
        | F::ToolResults
        | F::ToolResultError
        | F::ToolResultImage
        | F::MaxTokens
        | F::TopP
        | F::ReasoningHistory => Kept,
        F::AudioInput => Mapped("`audio` blocks"),
        F::FileText => Mapped("a `document` of the format `txt`"),
        F::ToolChoiceNone => {
            Mapped("tools are not sent; after calls only for Claude, as its own `tool_choice`")
        }
        F::ToolChoiceRequired => Mapped("`any`"),
        F::ToolChoiceAllowed => Mapped("the other tools are not sent"),
        F::ParallelToolCalls => Mapped("left out: its default"),
        F::ParallelToolCallsOff => {
            Mapped("Claude's `disable_parallel_tool_use`; refused for other models")
        }
        F::Stop => Mapped("`stopSequences`"),
        F::Temperature => Mapped("at most 1; not for models that choose by themselves"),
        F::TopK => Mapped("for Claude and Nova; a warning for other models"),
        F::JsonSchema => Mapped("`outputConfig.textFormat`, always strict"),
        F::ReasoningEffort => {
            Mapped("Claude's `thinking` and effort, Nova's `reasoningConfig`, `reasoning_effort`")
        }
        F::ReasoningBudget => Mapped("Claude's `thinking.budget_tokens`; else an effort"),
        F::ReasoningOff => Mapped("as the model has it"),
        F::ReasoningSummary => Mapped("Claude's `thinking.display: summarized`"),
        F::RefusalHistory => Mapped("text"),
        F::Cache => Mapped("`cachePoint`"),
        F::Metadata => Mapped("`requestMetadata`: up to 16 short texts"),
        F::ServiceTier => Mapped("`serviceTier`; `auto` is left out"),
        F::ImageUrl | F::FileUrl => Lacking("it takes bytes and `s3://` only"),
        F::FileId => Lacking("it keeps no files"),
        F::ToolOther => Lacking("it has `systemTool` only"),
        F::JsonMode => Lacking("it must be given a schema"),
        F::State => Lacking("only OpenAI's Responses API keeps anything"),
        F::Store => Lacking("it stores no answers"),
        F::Name
        | F::ImageDetail
        | F::Seed
        | F::FrequencyPenalty
        | F::PresencePenalty
        | F::LogitBias
        | F::Choices
        | F::Logprobs
        | F::User
        | F::Unknown => Lacking(""),
    }
}

/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_MessageStopEvent.html>; `refusal` and `pause_turn`
/// are Claude's own.
fn reason(word: &str) -> Reason {
    match word {
        "end_turn" => Reason::Stop,
        "stop_sequence" => Reason::StopSequence,
        "max_tokens" | "model_context_window_exceeded" => Reason::Length,
        "tool_use" => Reason::ToolCalls,
        "guardrail_intervened" | "content_filtered" => Reason::ContentFilter,
        "refusal" => Reason::Refusal,
        "pause_turn" => Reason::Pause,
        _ => Reason::Other,
    }
}

fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Stop | Reason::Pause => "end_turn",
        Reason::StopSequence => "stop_sequence",
        Reason::Length => "max_tokens",
        Reason::ToolCalls => "tool_use",
        Reason::ContentFilter | Reason::Refusal => "content_filtered",
        Reason::Other => "malformed_model_output",
    }
}

//! Google's Gemini API: <https://ai.google.dev/api/generate-content>.
//!
//! The model's name and whether the answer is streamed stand in the URL. Functions are declared by `parametersJsonSchema`,
//! which takes JSON Schema as it is. The signature of a thought stands on the part it led to: that of a function call stays
//! with the call, that of a text is a [`Reasoning`](crate::Content::Reasoning) without words right after the text.
//!
//! A file's name has no place in a request. Not in the model, and so skipped in answers: `executableCode`,
//! `codeExecutionResult` and the calls of Google's own tools; pictures and sound in streams.

mod answer;
mod build;
mod contents;
mod decode;
mod encode;
mod fields;
mod grounding;
mod logprobs;
mod media;
mod model;
mod schema;
mod settings;
mod stream;
mod wire;
mod write;

pub use answer::{decode_answer, encode_answer};
pub use decode::decode_request;
pub use encode::encode_request;
pub use stream::StreamDecoder;
pub use write::StreamEncoder;

use crate::support::{Feature, Support};

/// The signature by which Google takes a call that came from elsewhere, so that there is none:
/// <https://ai.google.dev/gemini-api/docs/thought-signatures#faqs>.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// What the dialect can say.
#[must_use]
pub fn support(feature: Feature) -> Support {
    use Support::{Kept, Lacking, Mapped};
    match feature {
        Feature::MultiTurn
        | Feature::ImageBase64
        | Feature::AudioInput
        | Feature::FileBase64
        | Feature::MaxTokens
        | Feature::Stop
        | Feature::Temperature
        | Feature::TopP
        | Feature::TopK
        | Feature::Seed
        | Feature::FrequencyPenalty
        | Feature::PresencePenalty
        | Feature::Choices
        | Feature::Logprobs
        | Feature::ParallelToolCalls => Kept,
        Feature::System => Mapped("`systemInstruction`"),
        Feature::Developer => Mapped("`systemInstruction`, as system messages are"),
        Feature::SystemLater => Mapped("joined to `systemInstruction`, in order"),
        Feature::ImageUrl | Feature::FileUrl => Mapped("`fileData`; https only"),
        Feature::FileText => Mapped("`inlineData` of type text/plain"),
        Feature::FileId => Mapped("`fileData` with the URI of `files/…`"),
        Feature::Tools => Mapped("`functionDeclarations` with `parametersJsonSchema`"),
        Feature::ToolStrict => Mapped("mode `VALIDATED`, for all functions"),
        Feature::ToolOther => Mapped("tools of its own form only, such as `googleSearch`"),
        Feature::ToolChoiceAuto => Mapped("mode `AUTO`"),
        Feature::ToolChoiceNone => Mapped("mode `NONE`"),
        Feature::ToolChoiceRequired => Mapped("mode `ANY`"),
        Feature::ToolChoiceNamed => Mapped("mode `ANY` with one of `allowedFunctionNames`"),
        Feature::ToolChoiceAllowed => {
            Mapped("mode `ANY` or `VALIDATED` with `allowedFunctionNames`")
        }
        Feature::ToolResults => Mapped("`functionResponse`; text that is no object as `result`"),
        Feature::ToolResultError => Mapped("`error` in the `functionResponse`"),
        Feature::ToolResultImage => {
            Mapped("`parts` of the `functionResponse`; base64 only, from Gemini 3 on")
        }
        Feature::JsonMode => Mapped("`responseMimeType`"),
        Feature::JsonSchema => Mapped("`responseJsonSchema`"),
        Feature::ReasoningEffort => Mapped("`thinkingLevel`; before Gemini 3 `thinkingBudget`"),
        Feature::ReasoningBudget => Mapped("`thinkingBudget`"),
        Feature::ReasoningOff => {
            Mapped("`thinkingLevel: MINIMAL`; before Gemini 3 `thinkingBudget: 0`")
        }
        Feature::ReasoningSummary => Mapped("`includeThoughts`"),
        Feature::ReasoningHistory => {
            Mapped("`thought`; proofs of texts and calls on these, where Google gave them")
        }
        Feature::RefusalHistory => Mapped("text"),
        Feature::ServiceTier => Mapped("`serviceTier`; `default` is `standard`"),
        Feature::Store => Mapped("`store`, which is about Google's logs"),
        Feature::Prefill => Lacking("only Gemini 2, 3 and 3.1 go on with a turn of the model's"),
        Feature::Name => Lacking("its participants have no names"),
        Feature::ImageDetail => Lacking("it chooses the resolution by itself"),
        Feature::ParallelToolCallsOff => Lacking("it has no switch for it"),
        Feature::LogitBias => Lacking("it has no such field"),
        Feature::Cache => Lacking("it caches by itself, or what `cachedContent` names"),
        Feature::Metadata | Feature::User => Lacking("it has no field for it"),
        Feature::State => Lacking("only OpenAI's Responses API keeps anything"),
        Feature::Unknown => Lacking("the gateway does not know what it means"),
    }
}

//! A response as Google writes it, whole or as an event of a stream:
//! <https://ai.google.dev/api/generate-content#generatecontentresponse>.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use crate::answer::{Reason, Usage};
use crate::json::{Problem, Raw, Writer};

/// A text, borrowed where it has no escapes.
#[derive(Debug, Clone)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Text<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Words)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow, alias = "prompt_feedback")]
    pub(super) prompt_feedback: Option<Feedback<'a>>,
    #[serde(borrow, alias = "usage_metadata")]
    pub(super) usage_metadata: Option<Counts<'a>>,
    #[serde(borrow, alias = "model_version")]
    pub(super) model_version: Option<Text<'a>>,
    #[serde(borrow, alias = "response_id")]
    pub(super) response_id: Option<Text<'a>>,
    /// In a stream: Google gives up.
    #[serde(borrow)]
    pub(super) error: Option<Raw<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Feedback<'a> {
    #[serde(borrow, alias = "block_reason")]
    pub(super) block_reason: Option<Text<'a>>,
    #[serde(borrow, alias = "block_reason_message")]
    pub(super) block_reason_message: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    pub(super) index: Option<u32>,
    #[serde(borrow)]
    pub(super) content: Option<Content<'a>>,
    #[serde(borrow, alias = "finish_reason")]
    pub(super) finish_reason: Option<Text<'a>>,
    #[serde(borrow, alias = "grounding_metadata")]
    pub(super) grounding_metadata: Option<Raw<'a>>,
    #[serde(borrow, alias = "citation_metadata")]
    pub(super) citation_metadata: Option<Raw<'a>>,
    #[serde(borrow, alias = "logprobs_result")]
    pub(super) logprobs_result: Option<Raw<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow)]
    pub(super) parts: Option<Vec<Part<'a>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    pub(super) thought: Option<bool>,
    #[serde(borrow, alias = "thought_signature")]
    pub(super) thought_signature: Option<Text<'a>>,
    #[serde(borrow, alias = "function_call")]
    pub(super) function_call: Option<FunctionCall<'a>>,
    #[serde(borrow, alias = "inline_data")]
    pub(super) inline_data: Option<Blob<'a>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FunctionCall<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) args: Option<Raw<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blob<'a> {
    #[serde(borrow, alias = "mime_type")]
    pub(super) mime_type: Text<'a>,
    #[serde(borrow)]
    pub(super) data: Text<'a>,
}

/// `usageMetadata`: thoughts are not among the candidates' tokens, cached tokens are among the prompt's.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Counts<'a> {
    #[serde(alias = "prompt_token_count")]
    prompt_token_count: Count,
    #[serde(alias = "cached_content_token_count")]
    cached_content_token_count: Count,
    #[serde(alias = "candidates_token_count")]
    candidates_token_count: Count,
    #[serde(alias = "tool_use_prompt_token_count")]
    tool_use_prompt_token_count: Count,
    #[serde(alias = "thoughts_token_count")]
    thoughts_token_count: Count,
    #[serde(borrow, alias = "service_tier")]
    pub(super) service_tier: Option<Text<'a>>,
}

/// A count; whatever is none counts as absent, since an answer is worth more than its price.
#[derive(Debug, Clone, Copy, Default)]
struct Count(Option<u64>);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&serde_json::value::RawValue>::deserialize(deserializer)?;
        Ok(Self(crate::json::integer(raw).ok()))
    }
}

impl Counts<'_> {
    /// The usage; `None` where nothing is counted yet, as at the beginning of some streams.
    pub(super) fn usage(&self) -> Option<Usage> {
        if self.prompt_token_count.0.is_none() && self.candidates_token_count.0.is_none() {
            return None;
        }
        let sum = |a: Count, b: Count| a.0.unwrap_or(0).saturating_add(b.0.unwrap_or(0));
        Some(Usage {
            input: sum(self.prompt_token_count, self.tool_use_prompt_token_count),
            cached: self.cached_content_token_count.0,
            cache_written: None,
            output: sum(self.candidates_token_count, self.thoughts_token_count),
            reasoning: self.thoughts_token_count.0,
        })
    }
}

/// Writes `usageMetadata`.
pub(super) fn write_usage(writer: &mut Writer<'_>, usage: &Usage, tier: Option<&str>) {
    writer
        .key("usageMetadata")
        .open()
        .key("promptTokenCount")
        .integer(usage.input)
        .key("candidatesTokenCount")
        .integer(usage.visible_output())
        .key("totalTokenCount")
        .integer(usage.total())
        .integer_field_if("cachedContentTokenCount", usage.cached)
        .integer_field_if("thoughtsTokenCount", usage.reasoning)
        .text_field_if("serviceTier", tier)
        .close();
}

/// Reads a response.
pub(super) fn read(document: &str) -> Result<Response<'_>, Problem> {
    serde_json::from_str(document).map_err(|error| {
        Problem::new(format!(
            "cannot be read as a response of Gemini's (column {})",
            error.column()
        ))
    })
}

/// Why a candidate ended: <https://ai.google.dev/api/generate-content#FinishReason>.
pub(super) fn reason(word: &str, calls: bool) -> Reason {
    match word {
        "STOP" if calls => Reason::ToolCalls,
        "STOP" => Reason::Stop,
        "MAX_TOKENS" => Reason::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "ESCALATION"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Reason::ContentFilter,
        _ => Reason::Other,
    }
}

/// The same in Google's words.
pub(super) fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Stop | Reason::StopSequence | Reason::ToolCalls => "STOP",
        Reason::Length => "MAX_TOKENS",
        Reason::ContentFilter | Reason::Refusal => "SAFETY",
        Reason::Pause | Reason::Other => "OTHER",
    }
}

/// An id for a call that has none, unique among the answers of a conversation where the response has an id, and short
/// enough for OpenAI, which takes forty characters.
pub(super) fn call_id(response: Option<&str>, choice: usize, number: usize) -> String {
    let mut id = String::from("call_");
    if let Some(response) = response {
        let safe = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        id.extend(response.chars().take(24).map(safe));
        id.push('_');
    }
    if choice > 0 {
        id.push_str(&format!("{choice}_"));
    }
    id.push_str(&number.to_string());
    id
}

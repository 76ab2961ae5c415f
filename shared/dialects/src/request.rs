//! What a client asks for, in no provider's words.
//!
//! Normal form, which decoders make and encoders may rely on: no turn without parts; the results of tools that were
//! called in one assistant turn stand in one [`Role::Tool`] turn right after it; text parts are not empty.

use std::borrow::Cow;

use crate::json::Json;

/// A request for an answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request<'a> {
    /// The model, as the client names it.
    pub model: Cow<'a, str>,
    /// The conversation, system turns included, in order.
    pub turns: Vec<Turn<'a>>,
    /// The tools that the model may call.
    pub tools: Vec<Tool<'a>>,
    /// Whether it may or must call one.
    pub tool_choice: Option<ToolChoice<'a>>,
    /// Whether it may call several at once.
    pub parallel_tool_calls: Option<bool>,
    /// The longest answer in tokens, reasoning included.
    pub max_tokens: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<Cow<'a, str>>,
    /// How the next token is chosen.
    pub sampling: Sampling<'a>,
    /// How many answers; absent is one.
    pub choices: Option<u64>,
    /// Whether log probabilities are asked for.
    pub logprobs: Option<bool>,
    /// For how many alternatives of each token.
    pub top_logprobs: Option<u64>,
    /// What form the answer must have; absent is plain text.
    pub format: Option<Format<'a>>,
    /// How much to think before answering.
    pub reasoning: Option<Reasoning<'a>>,
    /// The caller's own key-value pairs, an object.
    pub metadata: Option<Json<'a>>,
    /// The end user, an opaque id.
    pub user: Option<Cow<'a, str>>,
    /// Speed and price class.
    pub service_tier: Option<Cow<'a, str>>,
    /// Whether the provider is to keep the answer for later retrieval.
    pub store: Option<bool>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether a stream is to tell the usage, where that is a choice (OpenAI Chat); other surfaces always tell it.
    pub stream_usage: bool,
    /// Fields that the model here has no word for.
    pub extra: Vec<Extra<'a>>,
}

/// A top-level field without a word of its own in the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Extra<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: Json<'a>,
}

impl Extra<'_> {
    /// Whether it refers to what OpenAI's Responses API keeps at the provider, or is to be kept there: without it the
    /// answer would be to another question.
    #[must_use]
    pub fn is_state(&self) -> bool {
        matches!(
            &*self.name,
            "previous_response_id" | "conversation" | "prompt" | "background"
        )
    }
}

/// How the next token is chosen. Numbers stay their digits.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling<'a> {
    /// 0 to 2 at OpenAI and Google, 0 to 1 at Anthropic and Cohere.
    pub temperature: Option<Json<'a>>,
    /// Nucleus sampling.
    pub top_p: Option<Json<'a>>,
    /// Only so many candidates.
    pub top_k: Option<Json<'a>>,
    /// −2 to 2.
    pub frequency_penalty: Option<Json<'a>>,
    /// −2 to 2.
    pub presence_penalty: Option<Json<'a>>,
    /// For answers that repeat.
    pub seed: Option<Json<'a>>,
    /// Token ids to biases.
    pub logit_bias: Option<Json<'a>>,
}

/// One turn of the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn<'a> {
    /// Who speaks.
    pub role: Role,
    /// Which of several participants of that role.
    pub name: Option<Cow<'a, str>>,
    /// What is said.
    pub parts: Vec<Part<'a>>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions.
    System,
    /// Instructions, in the word that OpenAI has for newer models.
    Developer,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// Results of tools; its parts are all [`Content::ToolResult`].
    Tool,
}

/// A piece of a turn or of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Part<'a> {
    /// What it is.
    pub content: Content<'a>,
    /// Whether the provider is to cache the prompt up to here.
    pub cache: Option<Cache<'a>>,
}

impl<'a> From<Content<'a>> for Part<'a> {
    fn from(content: Content<'a>) -> Self {
        Self {
            content,
            cache: None,
        }
    }
}

/// A cache marker (Anthropic `cache_control`, Bedrock `cachePoint`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache<'a> {
    /// How long: `5m`, `1h`; absent is the provider's default.
    pub ttl: Option<Cow<'a, str>>,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub enum Content<'a> {
    /// Text.
    Text {
        /// The text.
        text: Cow<'a, str>,
        /// Where it comes from.
        citations: Vec<crate::Citation<'a>>,
    },
    /// A picture.
    Image {
        /// Where it is.
        source: Source<'a>,
        /// OpenAI's `low`, `high`, `auto`.
        detail: Option<Cow<'a, str>>,
    },
    /// Speech or sound.
    Audio {
        /// Base64.
        data: Cow<'a, str>,
        /// `wav`, `mp3`, …
        format: Cow<'a, str>,
    },
    /// A document.
    File {
        /// Where it is.
        source: Source<'a>,
        /// Its name or title.
        name: Option<Cow<'a, str>>,
    },
    /// The model calls a tool.
    ToolCall {
        /// The call's id.
        id: Cow<'a, str>,
        /// The tool's name.
        name: Cow<'a, str>,
        /// The arguments as the model wrote them, which should be the text of a JSON object ([`crate::object_text`]).
        arguments: Cow<'a, str>,
        /// Google's proof of the thought behind the call, base64, to be sent back.
        signature: Option<Cow<'a, str>>,
    },
    /// What a tool answered.
    ToolResult {
        /// The call's id.
        id: Cow<'a, str>,
        /// The tool's name, where the dialect says it; encoders that need it look the call up by its id.
        name: Option<Cow<'a, str>>,
        /// Text, images and files.
        parts: Vec<Part<'a>>,
        /// Whether the tool failed.
        error: bool,
    },
    /// What the model thought.
    Reasoning {
        /// In words, maybe none.
        text: Cow<'a, str>,
        /// The provider's proof that it thought so (Anthropic `signature`, Google `thoughtSignature`, OpenAI `encrypted_content`).
        signature: Option<Cow<'a, str>>,
        /// OpenAI's id of the reasoning item.
        id: Option<Cow<'a, str>>,
    },
    /// What the model thought, sealed by the provider.
    Redacted {
        /// Opaque.
        data: Cow<'a, str>,
    },
    /// The model declines, in words.
    Refusal {
        /// The words.
        text: Cow<'a, str>,
    },
}

impl<'a> Content<'a> {
    /// Text without citations.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text {
            text: text.into(),
            citations: Vec::new(),
        }
    }
}

/// Where a picture or document is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source<'a> {
    /// At a URL.
    Url(Cow<'a, str>),
    /// Here.
    Base64 {
        /// `image/png`, `application/pdf`, …
        media_type: Cow<'a, str>,
        /// Base64.
        data: Cow<'a, str>,
    },
    /// Uploaded to the provider before.
    Id(Cow<'a, str>),
    /// Plain text.
    Text(Cow<'a, str>),
}

impl<'a> Source<'a> {
    /// A URL, or the bytes inside a `data:` URL with base64 (RFC 2397).
    pub fn of_url(url: Cow<'a, str>) -> Self {
        fn split(url: &str) -> Option<(&str, &str)> {
            let (media_type, data) = url.strip_prefix("data:")?.split_once(',')?;
            Some((media_type.strip_suffix(";base64")?, data))
        }
        match &url {
            Cow::Borrowed(text) => match split(text) {
                Some((media_type, data)) => Self::Base64 {
                    media_type: media_type.into(),
                    data: data.into(),
                },
                None => Self::Url(url),
            },
            Cow::Owned(text) => match split(text) {
                Some((media_type, data)) => Self::Base64 {
                    media_type: media_type.to_owned().into(),
                    data: data.to_owned().into(),
                },
                None => Self::Url(url),
            },
        }
    }

    /// As a URL, `data:` with base64 where the bytes are here; `None` for an id or text.
    #[must_use]
    pub fn to_url(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Url(url) => Some(Cow::Borrowed(url)),
            Self::Base64 { media_type, data } => {
                Some(Cow::Owned(format!("data:{media_type};base64,{data}")))
            }
            Self::Id(_) | Self::Text(_) => None,
        }
    }
}

/// A tool that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub enum Tool<'a> {
    /// The caller runs it.
    Function {
        /// Its name.
        name: Cow<'a, str>,
        /// What it does.
        description: Option<Cow<'a, str>>,
        /// The JSON Schema of its arguments, passed on as it is; absent where the client gave none.
        parameters: Option<Json<'a>>,
        /// Whether arguments must fit the schema exactly.
        strict: Option<bool>,
        /// Whether the provider is to cache the prompt up to here.
        cache: Option<Cache<'a>>,
    },
    /// The provider runs it (web search, code execution), or it has a form of its own (OpenAI `custom`).
    Other {
        /// Its `type`, or its only key.
        kind: Cow<'a, str>,
        /// All of it, as it stood in the request.
        value: Json<'a>,
    },
}

/// Whether the model may or must call a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice<'a> {
    /// As it sees fit.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(Cow<'a, str>),
    /// One of these; `required` whether it must.
    Allowed {
        /// Their names.
        names: Vec<Cow<'a, str>>,
        /// Whether one must be called.
        required: bool,
    },
}

/// What form the answer must have.
#[derive(Debug, Clone, PartialEq)]
pub enum Format<'a> {
    /// Any JSON object.
    Json,
    /// JSON that fits a schema.
    Schema {
        /// The schema's name; not every dialect has one.
        name: Option<Cow<'a, str>>,
        /// What it is for.
        description: Option<Cow<'a, str>>,
        /// The JSON Schema.
        schema: Json<'a>,
        /// Whether it must fit exactly.
        strict: Option<bool>,
    },
}

/// How much to think.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reasoning<'a> {
    /// Whether at all.
    pub mode: ReasoningMode,
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`.
    pub effort: Option<Cow<'a, str>>,
    /// At most so many tokens.
    pub budget_tokens: Option<u64>,
    /// Whether and how the thoughts are to be told: OpenAI's `auto`, `concise`, `detailed`; Google's `includeThoughts` is `auto`.
    pub summary: Option<Cow<'a, str>>,
}

/// Whether the model is to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReasoningMode {
    /// As the effort or budget says.
    #[default]
    Unsaid,
    /// Not at all.
    Off,
    /// Yes.
    On,
    /// As it sees fit.
    Adaptive,
}

impl Reasoning<'_> {
    /// The budget in tokens: as given, else what the effort is worth. The steps are our choice, since no provider
    /// publishes a table; they double, and begin at the least that Anthropic takes.
    #[must_use]
    pub fn budget(&self) -> Option<u64> {
        self.budget_tokens
            .or_else(|| match self.effort.as_deref()? {
                "minimal" | "low" => Some(1_024),
                "medium" => Some(8_192),
                "high" => Some(16_384),
                "xhigh" | "max" => Some(32_768),
                _ => None,
            })
    }

    /// The effort in OpenAI's words: as given, else what the budget is worth by the same steps.
    #[must_use]
    pub fn effort(&self) -> Option<&str> {
        if self.mode == ReasoningMode::Off {
            return Some("none");
        }
        self.effort
            .as_deref()
            .or_else(|| match self.budget_tokens? {
                0 => Some("none"),
                1..4_096 => Some("low"),
                4_096..12_288 => Some("medium"),
                _ => Some("high"),
            })
    }

    /// Whether thinking is asked for, or asked not to be; `None` where that is left to the model.
    #[must_use]
    pub fn wanted(&self) -> Option<bool> {
        match self.mode {
            ReasoningMode::Off => Some(false),
            ReasoningMode::On | ReasoningMode::Adaptive => Some(true),
            ReasoningMode::Unsaid => match (self.effort.as_deref(), self.budget_tokens) {
                (Some("none"), _) | (_, Some(0)) => Some(false),
                (Some(_), _) | (_, Some(_)) => Some(true),
                (None, None) => None,
            },
        }
    }
}

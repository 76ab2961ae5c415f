//! What each dialect can say, as data: encoders ask it before they leave something out, and the table in docs/dialects.md is
//! written from it.

use std::fmt;

use thiserror::Error;

macro_rules! features {
    ($($name:ident, $title:literal, $loss:ident;)*) => {
        /// Something that a request or an answer may have.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "`title` says what each is, for readers and for the table")]
        pub enum Feature { $($name),* }

        impl Feature {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What it is, for people.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title),* }
            }

            /// Whether a request that uses it is refused where the provider cannot do it: where the answer would be another
            /// than was asked for. What only steers is left out with a warning.
            #[must_use]
            pub fn is_essential(self) -> bool {
                match self { $(Self::$name => features!(@ $loss)),* }
            }
        }
    };
    (@ refuse) => { true };
    (@ warn) => { false };
}

features! {
    System, "system messages", refuse;
    Developer, "developer messages", refuse;
    SystemLater, "system messages in the middle", refuse;
    MultiTurn, "several turns", refuse;
    Prefill, "assistant turn at the end (prefill)", refuse;
    Name, "names of participants", warn;
    ImageUrl, "images by URL", refuse;
    ImageBase64, "images in base64", refuse;
    ImageDetail, "image detail", warn;
    AudioInput, "audio in base64", refuse;
    FileBase64, "files in base64 (PDF)", refuse;
    FileUrl, "files by URL", refuse;
    FileText, "files as plain text", refuse;
    FileId, "files and images by the provider's id", refuse;
    Tools, "function tools", refuse;
    ToolStrict, "strict tool schemas", warn;
    ToolOther, "the provider's own tools", refuse;
    ToolChoiceAuto, "tool choice: auto", refuse;
    ToolChoiceNone, "tool choice: none", refuse;
    ToolChoiceRequired, "tool choice: required", refuse;
    ToolChoiceNamed, "tool choice: one tool", refuse;
    ToolChoiceAllowed, "tool choice: some tools", refuse;
    ParallelToolCalls, "parallel tool calls", refuse;
    ParallelToolCallsOff, "`parallel_tool_calls: false`", refuse;
    ToolResults, "tool results", refuse;
    ToolResultError, "tool results marked as errors", warn;
    ToolResultImage, "images in tool results", refuse;
    MaxTokens, "longest answer", refuse;
    Stop, "stop texts", refuse;
    Temperature, "temperature", warn;
    TopP, "top_p", warn;
    TopK, "top_k", warn;
    Seed, "seed", warn;
    FrequencyPenalty, "frequency penalty", warn;
    PresencePenalty, "presence penalty", warn;
    LogitBias, "logit bias", warn;
    Choices, "several choices (`n`)", refuse;
    Logprobs, "log probabilities", refuse;
    JsonMode, "JSON mode", refuse;
    JsonSchema, "JSON schema", refuse;
    ReasoningEffort, "reasoning effort", warn;
    ReasoningBudget, "reasoning budget", warn;
    ReasoningOff, "reasoning switched off", warn;
    ReasoningSummary, "summaries of the reasoning", warn;
    ReasoningHistory, "reasoning of earlier turns, with its signature", warn;
    RefusalHistory, "refusals of earlier turns", refuse;
    Cache, "prompt-cache markers", warn;
    Metadata, "metadata", warn;
    User, "end user id", warn;
    ServiceTier, "service tier", warn;
    Store, "storing the answer", warn;
    State, "what the provider keeps: earlier answers, conversations, prompts, background work", refuse;
    Unknown, "fields the gateway does not know", warn;
}

/// Whether a dialect can say something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// In the same sense.
    Kept,
    /// In other words, which are these.
    Mapped(&'static str),
    /// It cannot, for this reason; may be empty. Whether that is an error or a warning depends on the feature.
    Lacking(&'static str),
}

/// What the caller asks for and the provider cannot do (400 `unsupported_feature`).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{provider} cannot do what `{field}` asks for ({title}{}).", Why(.why))]
pub struct Unsupported {
    /// The provider's title.
    pub provider: String,
    /// The field of the client's request.
    pub field: String,
    /// What it is.
    pub title: &'static str,
    /// Why not, or nothing.
    pub why: String,
}

struct Why<'a>(&'a str);

impl fmt::Display for Why<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(formatter, ": {}", self.0)
        }
    }
}

/// Keeps account of what an encoder leaves out.
#[derive(Debug)]
pub struct Notes {
    provider: String,
    support: fn(Feature) -> Support,
    warnings: Vec<String>,
}

/// At most so many warnings, since each becomes a header.
const MOST_WARNINGS: usize = 8;

impl Notes {
    /// An account for the provider of this title, whose dialect supports what `support` says.
    #[must_use]
    pub fn new(provider: &str, support: fn(Feature) -> Support) -> Self {
        Self {
            provider: provider.to_owned(),
            support,
            warnings: Vec::new(),
        }
    }

    /// The request has `feature` in the field `field`, and the dialect cannot say it: notes a warning.
    ///
    /// # Errors
    /// The feature is essential, so the request is refused.
    pub fn lacking(&mut self, feature: Feature, field: &str) -> Result<(), Unsupported> {
        let why = match (self.support)(feature) {
            Support::Lacking(why) => why,
            Support::Kept | Support::Mapped(_) => "this provider departs from its dialect",
        };
        self.lost(feature, field, why)
    }

    /// As [`Notes::lacking`], for a reason of this request or provider that is not in the dialect's table.
    ///
    /// # Errors
    /// The feature is essential, so the request is refused.
    pub fn lost(&mut self, feature: Feature, field: &str, why: &str) -> Result<(), Unsupported> {
        if feature.is_essential() {
            return Err(Unsupported {
                provider: self.provider.clone(),
                field: field.to_owned(),
                title: feature.title(),
                why: why.to_owned(),
            });
        }
        let reason = if why.is_empty() {
            String::new()
        } else {
            format!(": {why}")
        };
        self.warn(format!(
            "`{field}` was left out for {}{reason}",
            self.provider
        ));
        Ok(())
    }

    /// Notes something that was changed.
    pub fn warn(&mut self, warning: String) {
        if self.warnings.len() < MOST_WARNINGS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// What was noted, for `lockgate-warning` headers.
    #[must_use]
    pub fn into_warnings(self) -> Vec<String> {
        self.warnings
    }
}

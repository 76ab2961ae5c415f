//! A manifest as its TOML file spells it. Unknown fields are refused.

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) slug: String,
    pub(crate) title: String,
    pub(crate) base_url: String,
    #[serde(default)]
    pub(crate) local: bool,
    pub(crate) dialect: Dialect,
    pub(crate) layout: Option<Layout>,
    pub(crate) auth: Auth,
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) surfaces: Vec<Surface>,
    pub(crate) models_path: Option<String>,
    pub(crate) health: Option<String>,
    #[serde(default)]
    pub(crate) forward_headers: Vec<String>,
    pub(crate) docs_url: String,
    pub(crate) model_patterns: Vec<String>,
    #[serde(default)]
    pub(crate) options: Vec<KeyOption>,
    pub(crate) key: Key,
    pub(crate) env: Env,
    #[serde(default)]
    pub(crate) quirks: Quirks,
    pub(crate) models: Vec<Model>,
}

impl Manifest {
    /// Where `layout` is left out, it follows from the dialect.
    pub(crate) fn layout(&self) -> Layout {
        self.layout.unwrap_or(match self.dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses | Dialect::Voyage => Layout::Openai,
            Dialect::Anthropic => Layout::Anthropic,
            Dialect::Gemini => Layout::Gemini,
            Dialect::Cohere => Layout::Cohere,
            Dialect::Bedrock => Layout::Bedrock,
        })
    }

    /// The call that checks a key: its own, or the list of models; `"none"` where neither says anything of a key.
    pub(crate) fn health(&self) -> Option<&str> {
        match self.health.as_deref() {
            Some("none") => None,
            own => own.or(self.models_path.as_deref()),
        }
    }

    /// Whether it answers chats by itself, in whatever dialect.
    pub(crate) fn chats(&self) -> bool {
        match self.dialect {
            Dialect::OpenaiChat => self.surfaces.contains(&Surface::Chat),
            Dialect::OpenaiResponses => self.surfaces.contains(&Surface::Responses),
            Dialect::Anthropic | Dialect::Gemini | Dialect::Cohere | Dialect::Bedrock => true,
            Dialect::Voyage => false,
        }
    }

    /// Whether it embeds by itself.
    pub(crate) fn embeds(&self) -> bool {
        self.surfaces.contains(&Surface::Embeddings)
            || matches!(
                self.dialect,
                Dialect::Gemini | Dialect::Cohere | Dialect::Voyage
            )
    }
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dialect {
    OpenaiChat,
    OpenaiResponses,
    Anthropic,
    Gemini,
    Cohere,
    Bedrock,
    Voyage,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Layout {
    Openai,
    Azure,
    Anthropic,
    Gemini,
    Cohere,
    Bedrock,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Auth {
    Bearer,
    Header(String),
    None,
    Sigv4,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Surface {
    Chat,
    Responses,
    Messages,
    CountTokens,
    Completions,
    Embeddings,
    Images,
    Audio,
    Moderations,
    Files,
    Batches,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Chat,
    Completion,
    Embedding,
    Image,
    Audio,
    Moderation,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyOption {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) required: bool,
    pub(crate) default: Option<String>,
    pub(crate) hint: String,
    pub(crate) example: String,
    pub(crate) env: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub(crate) prefixes: Vec<String>,
    #[serde(default = "yes")]
    pub(crate) prefix_required: bool,
    #[serde(default)]
    pub(crate) shared: bool,
    pub(crate) min_len: usize,
    pub(crate) max_len: usize,
    pub(crate) charset: Charset,
    pub(crate) example_masked: String,
    pub(crate) console_url: Option<String>,
    pub(crate) hint: String,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Charset {
    Alphanumeric,
    UrlSafe,
    Printable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Env {
    pub(crate) key: Vec<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) near_misses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Quirks {
    pub(crate) done_marker: bool,
    pub(crate) stream_usage: bool,
    pub(crate) max_tokens: TokenLimit,
    pub(crate) developer_role: bool,
    pub(crate) seed: String,
    pub(crate) required_tool_choice: String,
    pub(crate) reasoning: String,
    pub(crate) reasoning_effort: bool,
    pub(crate) json_schema: bool,
    pub(crate) parallel_tool_calls: bool,
    pub(crate) unsupported: Vec<String>,
}

impl Default for Quirks {
    fn default() -> Self {
        Self {
            done_marker: false,
            stream_usage: true,
            max_tokens: TokenLimit::MaxTokens,
            developer_role: false,
            seed: "seed".into(),
            required_tool_choice: "required".into(),
            reasoning: "none".into(),
            reasoning_effort: true,
            json_schema: true,
            parallel_tool_calls: true,
            unsupported: Vec::new(),
        }
    }
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TokenLimit {
    MaxTokens,
    MaxCompletionTokens,
    Both,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) context: Option<u32>,
    pub(crate) max_output: Option<u32>,
    pub(crate) price: Option<Price>,
}

/// Micro-USD per million tokens.
#[derive(Deserialize, Clone, Copy)]
#[serde(deny_unknown_fields)]
pub(crate) struct Price {
    pub(crate) input: u64,
    pub(crate) cached_input: Option<u64>,
    pub(crate) output: Option<u64>,
}

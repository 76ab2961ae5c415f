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
    pub(crate) auth: Auth,
    pub(crate) surfaces: Vec<Kind>,
    pub(crate) models_path: Option<String>,
    #[serde(default)]
    pub(crate) forward_headers: Vec<String>,
    pub(crate) docs_url: String,
    pub(crate) model_patterns: Vec<String>,
    pub(crate) key: Key,
    pub(crate) env: Env,
    pub(crate) quirks: Quirks,
    pub(crate) models: Vec<Model>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dialect {
    OpenaiChat,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Auth {
    Bearer,
    Header(String),
    None,
}

/// A surface, and the kind of the models that it serves.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Chat,
    #[serde(alias = "completions")]
    Completion,
    #[serde(alias = "embeddings")]
    Embedding,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    pub(crate) prefixes: Vec<String>,
    #[serde(default = "yes")]
    pub(crate) prefix_required: bool,
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
#[serde(deny_unknown_fields)]
pub(crate) struct Quirks {
    pub(crate) done_marker: bool,
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

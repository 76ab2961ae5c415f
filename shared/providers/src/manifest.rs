//! What a manifest says about a provider. All of it is static; docs/adding-a-provider.md explains each field.

/// A provider: where it is, what it speaks, how its keys look and which models it is known to have.
#[derive(Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The name that users write: `openai` in `openai/gpt-4o` and in a role's resources.
    pub slug: &'static str,
    /// The name that users read.
    pub title: &'static str,
    /// Where requests go unless a key has a `base_url` of its own. It ends where an OpenAI SDK's `base_url` does, with
    /// no slash: the path of the surface (`/chat/completions`) follows.
    pub base_url: &'static str,
    /// Whether it runs beside the gateway: plain `http` on loopback by default.
    pub local: bool,
    /// What it speaks.
    pub dialect: Dialect,
    /// Where its credential goes.
    pub auth: Auth,
    /// How its keys look.
    pub key: KeyFormat,
    /// Where a key comes from, in words for people.
    pub key_hint: &'static str,
    /// The page where a key is made.
    pub console_url: Option<&'static str>,
    /// Environment variables that hold a key, the primary one first.
    pub env_vars: &'static [&'static str],
    /// The environment variable that holds another base URL.
    pub base_url_env: Option<&'static str>,
    /// Environment variables that are not read, but mistaken for one of [`env_vars`](Self::env_vars).
    pub near_misses: &'static [&'static str],
    /// The path under the base URL that lists models, which is also the cheap call of a health check.
    pub models_path: Option<&'static str>,
    /// Globs of model names that are this provider's, where `*` matches any run of characters, `/` too.
    pub model_patterns: &'static [&'static str],
    /// The models known when the manifest was written.
    pub models: &'static [Model],
    /// The surfaces that it serves itself.
    pub surfaces: &'static [Surface],
    /// Request headers that are passed on to it beside those passed on to all (API.md, "Data plane"); lower case.
    pub forward_headers: &'static [&'static str],
    /// Where it departs from its dialect.
    pub quirks: Quirks,
    /// Its own API documentation.
    pub docs_url: &'static str,
}

impl Manifest {
    /// Whether the provider itself serves `surface`.
    #[must_use]
    pub fn serves(&self, surface: Surface) -> bool {
        self.surfaces.contains(&surface)
    }

    /// The known model with exactly this id.
    #[must_use]
    pub fn model(&self, id: &str) -> Option<&'static Model> {
        self.models.iter().find(|model| model.id == id)
    }

    /// Whether it is of no use without a key.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        self.auth != Auth::None
    }
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dialect {
    /// OpenAI's Chat Completions, and its Completions and Embeddings.
    OpenAiChat,
    /// OpenAI's Responses.
    OpenAiResponses,
    /// Anthropic's Messages.
    Anthropic,
    /// Google's Gemini API: generateContent, and its embeddings.
    Gemini,
    /// Cohere's Chat and Embed, version 2.
    Cohere,
    /// Amazon Bedrock's Converse.
    Bedrock,
    /// Voyage's embeddings; it has no chat.
    Voyage,
}

/// Where a provider wants its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer <key>`.
    Bearer,
    /// The key alone in the header of this name, which is lower case.
    Header(&'static str),
    /// It asks for none. A key that was stored all the same (a proxy may stand in front) is sent as with `Bearer`.
    None,
}

impl Auth {
    /// Header name, and what stands before the key in its value.
    #[must_use]
    pub fn header(self) -> (&'static str, &'static str) {
        match self {
            Self::Bearer | Self::None => ("authorization", "Bearer "),
            Self::Header(name) => (name, ""),
        }
    }
}

/// How a provider's keys look. Lengths are in bytes, and wide: formats change without notice.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyFormat {
    /// What its keys begin with.
    pub prefixes: &'static [&'static str],
    /// Whether every key begins with one of [`prefixes`](Self::prefixes); of no meaning where there are none.
    pub prefix_required: bool,
    /// Shortest, prefix included.
    pub min_len: usize,
    /// Longest, prefix included.
    pub max_len: usize,
    /// Which characters they have.
    pub charset: Charset,
    /// A masked key, to show what one looks like.
    pub example_masked: &'static str,
}

/// Which characters a key is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// ASCII letters and digits.
    Alphanumeric,
    /// ASCII letters, digits, `-` and `_`.
    UrlSafe,
    /// Printable ASCII without the space.
    Printable,
}

impl Charset {
    /// Whether `byte` is one of them.
    #[must_use]
    pub fn has(self, byte: u8) -> bool {
        match self {
            Self::Alphanumeric => byte.is_ascii_alphanumeric(),
            Self::UrlSafe => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
            Self::Printable => byte.is_ascii_graphic(),
        }
    }

    /// The characters in words.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Alphanumeric => "letters and digits",
            Self::UrlSafe => "letters, digits, - and _",
            Self::Printable => "printable characters",
        }
    }
}

/// A model that is known by name. Prices are micro-USD per million tokens at the provider's standard rate, without
/// discounts for batches or surcharges for long prompts or priority; where any is unknown the model has none.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    /// As the provider spells it.
    pub id: &'static str,
    /// What it does.
    pub kind: ModelKind,
    /// Input and output together, in tokens.
    pub context: Option<u32>,
    /// The longest answer, in tokens.
    pub max_output: Option<u32>,
    /// Input that was not cached.
    pub input_microusd_per_mtok: Option<u64>,
    /// Input read from the provider's cache; where unknown it costs what other input costs.
    pub cached_input_microusd_per_mtok: Option<u64>,
    /// Output, reasoning included. Embedding models have none.
    pub output_microusd_per_mtok: Option<u64>,
}

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelKind {
    /// Answers messages.
    Chat,
    /// Continues text.
    Completion,
    /// Turns text into vectors.
    Embedding,
}

/// An OpenAI surface that a provider may serve (FEATURES.md, E1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// `/chat/completions`
    Chat,
    /// `/completions`
    Completions,
    /// `/embeddings`
    Embeddings,
}

/// Where a provider departs from its dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// Whether every stream that is complete ends in `data: [DONE]`, so that one without it was broken off.
    pub done_marker: bool,
}

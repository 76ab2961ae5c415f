//! What a manifest says about a provider. All of it is static; docs/adding-a-provider.md explains each field.

use crate::quirks::Quirks;

/// A provider: where it is, what it speaks, how its keys look and which models it is known to have.
#[derive(Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The name that users write: `openai` in `openai/gpt-4o` and in a role's resources.
    pub slug: &'static str,
    /// The name that users read.
    pub title: &'static str,
    /// Where requests go unless a key has a `base_url` of its own: what the provider's own SDK takes as such (OpenAI's
    /// with `/v1`, Anthropic's without), with no slash at its end. `{name}` stands for a key's option; see
    /// [`base`](crate::base).
    pub base_url: &'static str,
    /// Whether it runs beside the gateway: plain `http` on loopback by default.
    pub local: bool,
    /// What it speaks where a request has to be translated.
    pub dialect: Dialect,
    /// How its URLs are made.
    pub layout: Layout,
    /// Where its credential goes.
    pub auth: Auth,
    /// Headers that every request to it has, unless the client's own of that name is passed on; lower case.
    pub headers: &'static [(&'static str, &'static str)],
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
    /// What its keys are saved with beside the secret: a region, a resource.
    pub options: &'static [KeyOption],
    /// The path under the base URL that lists models.
    pub models_path: Option<&'static str>,
    /// The cheap `GET` that tells a good key from a bad one: a path under the base URL, or a URL with `{name}` for an
    /// option; see [`health_url`](crate::call::health_url). Where it is absent, no call costs nothing and says anything.
    pub health: Option<&'static str>,
    /// Globs of model names that are this provider's, where `*` matches any run of characters, `/` too.
    pub model_patterns: &'static [&'static str],
    /// The models known when the manifest was written.
    pub models: &'static [Model],
    /// The surfaces that it answers itself, so that bytes pass untouched.
    pub surfaces: &'static [Surface],
    /// Request headers that are passed on to it beside those passed on to all (API.md, "Data plane"); lower case.
    pub forward_headers: &'static [&'static str],
    /// Where it departs from its dialect.
    pub quirks: Quirks,
    /// Its own API documentation.
    pub docs_url: &'static str,
}

impl Manifest {
    /// Whether the provider itself answers on `surface`, in the API that a client of it speaks.
    #[must_use]
    pub fn serves(&self, surface: Surface) -> bool {
        self.surfaces.contains(&surface)
    }

    /// Whether chats reach it, from every surface that chats: its own, or by translation.
    #[must_use]
    pub fn chats(&self) -> bool {
        match self.dialect {
            Dialect::OpenAiChat => self.serves(Surface::Chat),
            Dialect::OpenAiResponses => self.serves(Surface::Responses),
            Dialect::Anthropic | Dialect::Gemini | Dialect::Cohere | Dialect::Bedrock => true,
            Dialect::Voyage => false,
        }
    }

    /// Whether it turns text into vectors, in OpenAI's way or by translation.
    #[must_use]
    pub fn embeds(&self) -> bool {
        self.serves(Surface::Embeddings)
            || matches!(
                self.dialect,
                Dialect::Gemini | Dialect::Cohere | Dialect::Voyage
            )
    }

    /// The known model with exactly this id.
    #[must_use]
    pub fn model(&self, id: &str) -> Option<&'static Model> {
        self.models.iter().find(|model| model.id == id)
    }

    /// The option of a key of this name.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&'static KeyOption> {
        self.options.iter().find(|option| option.name == name)
    }

    /// Whether it is of no use without a key.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        self.auth != Auth::None
    }
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// OpenAI's Chat Completions, with its Embeddings: <https://platform.openai.com/docs/api-reference/chat>.
    OpenAiChat,
    /// OpenAI's Responses: <https://platform.openai.com/docs/api-reference/responses>.
    OpenAiResponses,
    /// Anthropic's Messages: <https://docs.anthropic.com/en/api/messages>.
    Anthropic,
    /// Google's `generateContent` and `embedContent`: <https://ai.google.dev/api>.
    Gemini,
    /// Cohere's Chat and Embed, version 2: <https://docs.cohere.com/reference/chat>.
    Cohere,
    /// AWS Bedrock's Converse: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>.
    Bedrock,
    /// Voyage AI's embeddings, and no chat: <https://docs.voyageai.com/reference/embeddings-api>.
    Voyage,
}

/// How a provider's URLs are made; [`url`](crate::call::url) makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// OpenAI's paths under a base URL that has the version: `/chat/completions`.
    OpenAi,
    /// Azure OpenAI's: `/openai/v1/…`, or `/openai/deployments/<model>/…?api-version=…`.
    Azure,
    /// `/v1/messages`
    Anthropic,
    /// `/v1beta/models/<model>:generateContent`
    Gemini,
    /// `/v2/chat`, `/v2/embed`
    Cohere,
    /// `/model/<model>/converse`
    Bedrock,
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
    /// AWS's: `<access key id>:<secret>[:<session token>]` signs each request, an API key of Bedrock's is sent as with
    /// `Bearer`. [`Manifest::sending`] tells which one a key is.
    SigV4,
}

impl Auth {
    /// Header name, and what stands before the key in its value. For [`Auth::SigV4`] that of an API key; ask
    /// [`Manifest::sending`] first.
    #[must_use]
    pub fn header(self) -> (&'static str, &'static str) {
        match self {
            Self::Bearer | Self::None | Self::SigV4 => ("authorization", "Bearer "),
            Self::Header(name) => (name, ""),
        }
    }
}

/// What a key is saved with beside its secret. Values are 1 to 128 letters, digits, `.`, `_` and `-`.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyOption {
    /// `region`
    pub name: &'static str,
    /// Whether no key goes without it. One that stands in the base URL and has no default is also needed where a key has
    /// no `base_url` of its own.
    pub required: bool,
    /// What it is where a key does not say.
    pub default: Option<&'static str>,
    /// What it is and where it is found, in words for people.
    pub hint: &'static str,
    /// A value as an example.
    pub example: &'static str,
    /// The environment variable that has it, where the provider's own tools know one.
    pub env: Option<&'static str>,
}

/// How a provider's keys look. Lengths are in bytes, and wide: formats change without notice.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyFormat {
    /// What its keys begin with.
    pub prefixes: &'static [&'static str],
    /// Whether every key begins with one of [`prefixes`](Self::prefixes); of no meaning where there are none.
    pub prefix_required: bool,
    /// Whether its keys look like those of others, so that none is taken for one of its own where it is pasted elsewhere.
    pub shared: bool,
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
    /// Draws.
    Image,
    /// Speaks, or writes down what was said.
    Audio,
    /// Judges whether text or images are harmful.
    Moderation,
}

/// A surface of the gateway, which a provider may answer itself (FEATURES.md, E1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    /// `/chat/completions`
    Chat,
    /// `/responses`
    Responses,
    /// `/messages`, Anthropic's.
    Messages,
    /// `/messages/count_tokens`, Anthropic's.
    CountTokens,
    /// `/completions`
    Completions,
    /// `/embeddings`
    Embeddings,
    /// `/images/…`
    Images,
    /// `/audio/…`
    Audio,
    /// `/moderations`
    Moderations,
    /// `/files…`
    Files,
    /// `/batches…`
    Batches,
}

impl Surface {
    /// The path after `/v1`; of those with several the part that they share.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Responses => "/responses",
            Self::Messages => "/messages",
            Self::CountTokens => "/messages/count_tokens",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Images => "/images",
            Self::Audio => "/audio",
            Self::Moderations => "/moderations",
            Self::Files => "/files",
            Self::Batches => "/batches",
        }
    }

    /// What it is called in a sentence: “Groq has no …”.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Chat => "chat completions",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::CountTokens => "token counting",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Images => "images",
            Self::Audio => "audio",
            Self::Moderations => "moderations",
            Self::Files => "files",
            Self::Batches => "batches",
        }
    }
}

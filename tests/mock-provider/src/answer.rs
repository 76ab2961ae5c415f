//! What is answered to a request: by its path, its key and the behaviour its model names.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::ask::{Ask, Refusal};
use crate::openai::Surface;
use crate::play::{Script, Step};
use crate::voice::Dialect;
use crate::{anthropic, azure, bedrock, cohere, gemini, openai, passthrough, responses};

/// A response, before it is performed.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) script: Script,
    /// How long to wait before the head; `None` is for ever.
    pub(crate) delay: Option<Duration>,
    /// Whether the connection is reset instead.
    pub(crate) reset: bool,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &'static str, script: Script) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self {
            // Statuses are checked where they are read.
            status: StatusCode::from_u16(status).unwrap_or_default(),
            headers,
            script,
            delay: Some(Duration::ZERO),
            reset: false,
        }
    }

    pub(crate) fn json(status: u16, body: Bytes) -> Self {
        Self::new(status, "application/json", Script::whole(body))
    }

    pub(crate) fn stream(
        content_type: &'static str,
        steps: impl Iterator<Item = Step> + Send + 'static,
    ) -> Self {
        Self::new(200, content_type, Script::chunked(steps))
    }

    pub(crate) fn error(status: u16, message: &str) -> Self {
        Dialect::OpenAi.refuse(&Refusal::new(status, message))
    }

    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        self
    }
}

/// The answer to a request that is not the mock's own administration.
pub(crate) fn answer(ask: &Ask<'_>) -> Answer {
    let (dialect, operation) = operation(ask);
    if let Some(refusal) = ask.secret.and_then(|secret| refused(dialect, secret)) {
        return dialect.refuse(&refusal);
    }
    let done = match operation {
        Operation::OpenAi(surface) => openai::answer(ask, surface, None),
        Operation::Responses => responses::answer(ask),
        Operation::Deployment { deployment, rest } => azure::answer(ask, deployment, rest),
        Operation::Messages => anthropic::messages(ask),
        Operation::CountTokens => anthropic::count_tokens(ask),
        Operation::Gemini { model, action } => gemini::answer(ask, model, action),
        Operation::CohereChat => cohere::chat(ask),
        Operation::CohereEmbed => cohere::embed(ask),
        Operation::Converse { model, stream } => bedrock::converse(ask, model, stream),
        Operation::Models { one } => models(ask, dialect, one),
        Operation::Other => passthrough::answer(ask).ok_or_else(|| {
            Refusal::new(
                404,
                format!("There is nothing at {} {}.", ask.method, ask.path),
            )
        }),
    };
    done.unwrap_or_else(|refusal| dialect.refuse(&refusal))
}

/// What a path asks for.
enum Operation<'r> {
    OpenAi(Surface),
    Responses,
    /// A deployment of Azure, and what is asked of it.
    Deployment {
        deployment: &'r str,
        rest: &'r str,
    },
    Messages,
    CountTokens,
    Gemini {
        model: &'r str,
        action: &'r str,
    },
    CohereChat,
    CohereEmbed,
    Converse {
        model: &'r str,
        stream: bool,
    },
    /// The list of models, or one of them.
    Models {
        one: Option<&'r str>,
    },
    Other,
}

/// By the end of the path, whatever is in front of it.
fn operation<'r>(ask: &Ask<'r>) -> (Dialect, Operation<'r>) {
    let path = ask.path;
    let end = |end: &str| ask.method == "POST" && path.ends_with(end);
    if let Some((_, rest)) = path.split_once("/openai/deployments/") {
        let (deployment, rest) = rest.split_once('/').unwrap_or((rest, ""));
        return (Dialect::Azure, Operation::Deployment { deployment, rest });
    }
    if ask.method == "POST" {
        if let Some((_, call)) = path.split_once("/models/")
            && let Some((model, action)) = call.rsplit_once(':')
        {
            return (Dialect::Gemini, Operation::Gemini { model, action });
        }
        if let Some((_, call)) = path.rsplit_once("/model/")
            && let Some((model, action @ ("converse" | "converse-stream"))) = call.rsplit_once('/')
        {
            let stream = action == "converse-stream";
            return (Dialect::Bedrock, Operation::Converse { model, stream });
        }
        if let Some(surface) = Surface::of(path) {
            return (Dialect::OpenAi, Operation::OpenAi(surface));
        }
    }
    if end("/messages") {
        (Dialect::Anthropic, Operation::Messages)
    } else if end("/messages/count_tokens") {
        (Dialect::Anthropic, Operation::CountTokens)
    } else if end("/responses") {
        (Dialect::OpenAi, Operation::Responses)
    } else if end("/v2/chat") {
        (Dialect::Cohere, Operation::CohereChat)
    } else if end("/v2/embed") {
        (Dialect::Cohere, Operation::CohereEmbed)
    } else if ask.method == "GET" && path.ends_with("/foundation-models") {
        (Dialect::Bedrock, Operation::Models { one: None })
    } else if ask.method == "GET"
        && let Some((before, id)) = path.rsplit_once("/models")
        && (id.is_empty() || id.starts_with('/'))
    {
        let dialect = if before.ends_with("/v1beta") {
            Dialect::Gemini
        } else if ask.headers.contains_key("anthropic-version") {
            Dialect::Anthropic
        } else {
            Dialect::OpenAi
        };
        let one = id.strip_prefix('/').filter(|id| !id.is_empty());
        (dialect, Operation::Models { one })
    } else {
        (Dialect::OpenAi, Operation::Other)
    }
}

fn models(ask: &Ask<'_>, dialect: Dialect, one: Option<&str>) -> Result<Answer, Refusal> {
    match dialect {
        Dialect::Anthropic => anthropic::models(ask, one),
        Dialect::Gemini => gemini::models(ask, one),
        Dialect::Bedrock => bedrock::models(ask),
        _ => Ok(openai::models(one)),
    }
}

/// What a key that is not valid is told. Like real providers, some name the key in part; asked to, all in full.
fn refused(dialect: Dialect, secret: &str) -> Option<Refusal> {
    let echo = secret.contains("echo");
    let shown = if echo {
        secret.to_owned()
    } else {
        let head: String = secret.chars().take(8).collect();
        let skip = secret.chars().count().saturating_sub(4);
        let tail: String = secret.chars().skip(skip).collect();
        format!("{head}********{tail}")
    };
    let said = |plain: &str| {
        let shown = if echo { &format!(": {shown}") } else { "" };
        format!("{plain}{shown}")
    };
    if secret.contains("revoked") {
        Some(match dialect {
            Dialect::OpenAi => Refusal::new(401, format!("Incorrect API key provided: {shown}.")),
            Dialect::Azure => Refusal::new(
                401,
                said(
                    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.",
                ),
            ),
            Dialect::Anthropic => Refusal::new(401, said("invalid x-api-key")),
            // Google says 400 to a key that is not valid.
            Dialect::Gemini => {
                Refusal::bad(said("API key not valid. Please pass a valid API key."))
                    .code("API_KEY_INVALID")
            }
            Dialect::Cohere => Refusal::new(401, said("invalid api token")),
            Dialect::Bedrock => Refusal::new(
                403,
                said("The security token included in the request is invalid."),
            )
            .kind("UnrecognizedClientException"),
        })
    } else if secret.contains("limited") {
        Some(Refusal::new(429, "The rate of this key is limited."))
    } else if secret.contains("forbidden") {
        Some(Refusal::new(
            403,
            format!("The key {shown} has no access to this."),
        ))
    } else {
        None
    }
}

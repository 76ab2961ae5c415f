//! Reading requests: <https://platform.claude.com/docs/en/api/messages#body-messages>.

use std::borrow::Cow;

use crate::json::{Json, Object, Problem, Raw, elements, text};
use crate::request::{
    Cache, Content, Extra, Format, Part, Reasoning, ReasoningMode, Request, Role, Sampling, Source,
    Tool, ToolChoice, Turn,
};

use super::block::{self, OF_CALL};

/// Fields inside of blocks and tools that the model has no word for and that do not change what is said. They become
/// extras named by their path.
const STEERING: &[&str] = &[
    "allowed_callers",
    "clear_at",
    "context",
    "defer_loading",
    "eager_input_streaming",
    "effort",
    "input_examples",
    "scope",
    "task_budget",
    "toolset_name",
];

/// Reads a request.
///
/// # Errors
/// It makes no sense; the field and what it must be.
pub fn decode_request(body: &str) -> Result<Request<'_>, Problem> {
    let mut object = Object::parse(body)?;
    let mut reader = Reader::default();
    let model = object.required_text("model")?;
    if let Some(raw) = object.take("system") {
        let parts = reader.inside("system", |reader| reader.texts(raw))?;
        reader.push(Role::System, parts);
    }
    reader.after_assistant = reader.turns.len();
    let messages = object
        .array("messages")?
        .ok_or_else(|| Problem::new("is missing").at("messages"))?;
    for (at, raw) in messages.into_iter().enumerate() {
        reader.inside(&format!("messages[{at}]"), |reader| reader.message(raw))?;
    }
    let mut tools = Vec::new();
    for (at, raw) in object
        .array("tools")?
        .unwrap_or_default()
        .into_iter()
        .enumerate()
    {
        tools.push(reader.inside(&format!("tools[{at}]"), |reader| reader.tool(raw))?);
    }
    let (tool_choice, parallel_tool_calls) = match object.object("tool_choice")? {
        Some(choice) => tool_choice(choice).map_err(|problem| problem.at("tool_choice"))?,
        None => (None, None),
    };
    let mut reasoning = match object.object("thinking")? {
        Some(config) => Some(thinking(config).map_err(|problem| problem.at("thinking"))?),
        None => None,
    };
    let mut format = None;
    if let Some(mut config) = object.object("output_config")? {
        reader.inside("output_config", |reader| {
            if let Some(effort) = config.text("effort")? {
                reasoning.get_or_insert_default().effort = Some(effort);
            }
            format = output_format(&mut config, "format")?;
            reader.leave(config)
        })?;
    }
    if let Some(older) = output_format(&mut object, "output_format")? {
        format.get_or_insert(older);
    }
    let mut user = None;
    if let Some(mut metadata) = object.object("metadata")? {
        reader.inside("metadata", |reader| {
            user = metadata.text("user_id")?;
            reader.leave(metadata)
        })?;
    }
    let stop = object.array("stop_sequences")?.unwrap_or_default();
    let stop: Result<_, Problem> = stop
        .into_iter()
        .enumerate()
        .map(|(at, raw)| text(raw).map_err(|p| p.at_index(at).at("stop_sequences")))
        .collect();
    let stream = object.boolean("stream")?.unwrap_or(false);
    let service_tier = object.text("service_tier")?.map(|tier| match &*tier {
        "standard_only" => Cow::Borrowed("default"),
        _ => tier,
    });
    let mut request = Request {
        model,
        turns: reader.turns,
        tools,
        tool_choice,
        parallel_tool_calls,
        max_tokens: object.integer("max_tokens")?,
        stop: stop?,
        sampling: Sampling {
            temperature: object.number("temperature")?,
            top_p: object.number("top_p")?,
            top_k: object.number("top_k")?,
            ..Sampling::default()
        },
        format,
        reasoning,
        user,
        service_tier,
        stream,
        stream_usage: stream,
        ..Request::default()
    };
    request.extra.extend(object.rest().map(|(name, raw)| Extra {
        name,
        value: raw.into(),
    }));
    request.extra.extend(reader.extra);
    Ok(request)
}

/// What has been read so far.
#[derive(Default)]
struct Reader<'a> {
    turns: Vec<Turn<'a>>,
    extra: Vec<Extra<'a>>,
    /// Where the results of the latest assistant turn's calls belong.
    after_assistant: usize,
    /// Where they are, once there are any.
    results: Option<usize>,
}

/// A block that stands for more than a part of its message.
enum Block<'a> {
    Part(Part<'a>),
    Result(Part<'a>),
    System(Vec<Part<'a>>),
    Nothing,
}

impl<'a> Reader<'a> {
    /// Reads what is at `path`, so that its problems and extras say so.
    fn inside<T>(
        &mut self,
        path: &str,
        read: impl FnOnce(&mut Self) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        let before = self.extra.len();
        let result = read(self).map_err(|problem| problem.at(path));
        for extra in self.extra.iter_mut().skip(before) {
            let dot = if extra.name.starts_with('[') { "" } else { "." };
            extra.name = Cow::Owned(format!("{path}{dot}{}", extra.name));
        }
        result
    }

    /// What is left of an object inside of the request.
    fn leave(&mut self, object: Object<'a>) -> Result<(), Problem> {
        for (name, raw) in object.rest() {
            if !STEERING.contains(&&*name) {
                return Err(Problem::new("is not known here").at(&name));
            }
            let value = Json::from(raw);
            self.extra.push(Extra { name, value });
        }
        Ok(())
    }

    fn push(&mut self, role: Role, parts: Vec<Part<'a>>) {
        if !parts.is_empty() {
            self.turns.push(Turn {
                role,
                name: None,
                parts,
            });
        }
    }

    /// Results stand right behind the calls, however the messages spread them.
    fn push_results(&mut self, parts: Vec<Part<'a>>) {
        if parts.is_empty() {
            return;
        }
        if let Some(turn) = self.results.and_then(|at| self.turns.get_mut(at)) {
            turn.parts.extend(parts);
            return;
        }
        let at = self.after_assistant.min(self.turns.len());
        self.turns.insert(
            at,
            Turn {
                role: Role::Tool,
                name: None,
                parts,
            },
        );
        self.results = Some(at);
    }

    fn message(&mut self, raw: Raw<'a>) -> Result<(), Problem> {
        let mut object = Object::of(raw)?;
        let role = match &*object.required_text("role")? {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => return Err(Problem::new("must be user, assistant or system").at("role")),
        };
        let content = object
            .take("content")
            .ok_or_else(|| Problem::new("is missing").at("content"))?;
        self.leave(object)?;
        if role == Role::System {
            let parts = self.inside("content", |reader| reader.texts(content))?;
            self.push(role, parts);
            return Ok(());
        }
        if content.get().starts_with('"') {
            let text = text(content).map_err(|problem| problem.at("content"))?;
            self.push(role, plain(text));
        } else {
            self.blocks(role, content)?;
        }
        if role == Role::Assistant {
            self.after_assistant = self.turns.len();
            self.results = None;
        }
        Ok(())
    }

    fn blocks(&mut self, role: Role, content: Raw<'a>) -> Result<(), Problem> {
        let list = elements(content)
            .map_err(|_| Problem::new("must be text or an array").at("content"))?;
        let mut parts: Vec<Part<'a>> = Vec::with_capacity(list.len());
        let mut results = Vec::new();
        for (at, raw) in list.into_iter().enumerate() {
            let block = self.inside(&format!("content[{at}]"), |reader| {
                reader.block(role, raw, parts.last_mut())
            })?;
            match block {
                Block::Part(part) => parts.push(part),
                Block::Result(part) => results.push(part),
                Block::System(instructions) => {
                    self.push_results(std::mem::take(&mut results));
                    self.push(role, std::mem::take(&mut parts));
                    self.push(Role::System, instructions);
                }
                Block::Nothing => {}
            }
        }
        self.push_results(results);
        self.push(role, parts);
        Ok(())
    }

    fn block(
        &mut self,
        role: Role,
        raw: Raw<'a>,
        before: Option<&mut Part<'a>>,
    ) -> Result<Block<'a>, Problem> {
        let mut object = Object::of(raw)?;
        let kind = object.required_text("type")?;
        match (&*kind, role) {
            ("tool_result", Role::User) => {
                let id = object.required_text("tool_use_id")?;
                let parts = match object.take("content") {
                    Some(content) => self.inside("content", |reader| reader.contents(content))?,
                    None => Vec::new(),
                };
                let error = object.boolean("is_error")?.unwrap_or(false);
                let cache = self.cache(&mut object)?;
                self.leave(object)?;
                let name = None;
                let content = Content::ToolResult {
                    id,
                    name,
                    parts,
                    error,
                };
                Ok(Block::Result(Part { content, cache }))
            }
            ("mid_conv_system", _) => {
                let content = object
                    .take("content")
                    .ok_or_else(|| Problem::new("is missing").at("content"))?;
                let mut parts = self.inside("content", |reader| reader.texts(content))?;
                if let (Some(cache), Some(last)) = (self.cache(&mut object)?, parts.last_mut()) {
                    last.cache = Some(cache);
                }
                self.leave(object)?;
                Ok(Block::System(parts))
            }
            ("thinking" | "redacted_thinking" | "tool_use", Role::Assistant) => {
                let content = block::decode(&kind, &mut object)?;
                let cache = self.cache(&mut object)?;
                if object
                    .take("caller")
                    .is_some_and(|caller| !is_direct(caller))
                {
                    return Err(Problem::new("must be direct").at("caller"));
                }
                self.leave(object)?;
                Ok(match content {
                    Some(content) if give_to_call(&content, before) => Block::Nothing,
                    Some(content) => Block::Part(Part { content, cache }),
                    None => Block::Nothing,
                })
            }
            _ => Ok(match self.content(&kind, object)? {
                Some(part) => Block::Part(part),
                None => Block::Nothing,
            }),
        }
    }

    /// A text, image or document; `None` for an empty text, which says nothing.
    fn content(&mut self, kind: &str, mut object: Object<'a>) -> Result<Option<Part<'a>>, Problem> {
        let content = match kind {
            "text" => block::decode(kind, &mut object)?,
            "image" => Some(Content::Image {
                source: source(&mut object)?,
                detail: None,
            }),
            "document" => {
                let name = object.text("title")?;
                let source = source(&mut object)?;
                // Off is the default.
                if let Some(raw) = object.take("citations")
                    && Object::of(raw)?.boolean("enabled")? == Some(true)
                {
                    let (name, value) = ("citations".into(), raw.into());
                    self.extra.push(Extra { name, value });
                }
                Some(Content::File { source, name })
            }
            _ => None,
        };
        let Some(content) = content else {
            let kind: String = kind.chars().take(64).collect();
            let why = format!("is of the type `{kind}`, which the gateway cannot translate");
            return Err(Problem::new(why));
        };
        let cache = self.cache(&mut object)?;
        self.leave(object)?;
        Ok(match &content {
            Content::Text { text, .. } if text.is_empty() => None,
            _ => Some(Part { content, cache }),
        })
    }

    /// A text, or texts, images and documents.
    fn contents(&mut self, raw: Raw<'a>) -> Result<Vec<Part<'a>>, Problem> {
        if raw.get().starts_with('"') {
            return Ok(plain(text(raw)?));
        }
        let list = elements(raw).map_err(|_| Problem::new("must be text or an array"))?;
        let mut parts = Vec::with_capacity(list.len());
        for (at, raw) in list.into_iter().enumerate() {
            let part = self.inside(&format!("[{at}]"), |reader| {
                let mut object = Object::of(raw)?;
                let kind = object.required_text("type")?;
                reader.content(&kind, object)
            })?;
            parts.extend(part);
        }
        Ok(parts)
    }

    /// A text, or texts.
    fn texts(&mut self, raw: Raw<'a>) -> Result<Vec<Part<'a>>, Problem> {
        let parts = self.contents(raw)?;
        let other = parts
            .iter()
            .position(|part| !matches!(part.content, Content::Text { .. }));
        match other {
            Some(at) => Err(Problem::new("must be text").at_index(at)),
            None => Ok(parts),
        }
    }

    fn cache(&mut self, object: &mut Object<'a>) -> Result<Option<Cache<'a>>, Problem> {
        let Some(mut marker) = object.object("cache_control")? else {
            return Ok(None);
        };
        self.inside("cache_control", |reader| {
            if marker.required_text("type")? != "ephemeral" {
                return Err(Problem::new("must be ephemeral").at("type"));
            }
            let ttl = marker.text("ttl")?;
            reader.leave(marker)?;
            Ok(Some(Cache { ttl }))
        })
    }

    fn tool(&mut self, raw: Raw<'a>) -> Result<Tool<'a>, Problem> {
        let mut object = Object::of(raw)?;
        if let Some(kind) = object.text("type")?.filter(|kind| kind != "custom") {
            let value = raw.into();
            return Ok(Tool::Other { kind, value });
        }
        let tool = Tool::Function {
            name: object.required_text("name")?,
            description: object.text("description")?,
            parameters: object.json("input_schema"),
            strict: object.boolean("strict")?,
            cache: self.cache(&mut object)?,
        };
        self.leave(object)?;
        Ok(tool)
    }
}

fn plain(text: Cow<'_, str>) -> Vec<Part<'_>> {
    if text.is_empty() {
        return Vec::new();
    }
    vec![Content::text(text).into()]
}

/// Whether the model called by itself, and not code that it wrote.
fn is_direct(caller: Raw<'_>) -> bool {
    Object::of(caller)
        .and_then(|mut caller| caller.required_text("type"))
        .is_ok_and(|kind| kind == "direct")
}

/// Whether a block was the signature of the call before it, and was given to that.
fn give_to_call<'a>(content: &Content<'a>, before: Option<&mut Part<'a>>) -> bool {
    let Content::Reasoning {
        text,
        signature: Some(proof),
        ..
    } = content
    else {
        return false;
    };
    let (Some(proof), Some(Part { content, .. })) = (proof.strip_prefix(OF_CALL), before) else {
        return false;
    };
    match content {
        Content::ToolCall { signature, .. } if text.is_empty() => {
            *signature = Some(Cow::Owned(proof.to_owned()));
            true
        }
        _ => false,
    }
}

fn source<'a>(object: &mut Object<'a>) -> Result<Source<'a>, Problem> {
    let mut source = object
        .object("source")?
        .ok_or_else(|| Problem::new("is missing").at("source"))?;
    let read = |source: &mut Object<'a>| {
        Ok(match &*source.required_text("type")? {
            "base64" => Source::Base64 {
                media_type: source.required_text("media_type")?,
                data: source.required_text("data")?,
            },
            "url" => Source::Url(source.required_text("url")?),
            "file" => Source::Id(source.required_text("file_id")?),
            "text" => Source::Text(source.required_text("data")?),
            "content" => Source::Text(source.required_text("content")?),
            _ => {
                let types = "must be base64, url, file, text or content";
                return Err(Problem::new(types).at("type"));
            }
        })
    };
    read(&mut source).map_err(|problem: Problem| problem.at("source"))
}

type Choosing<'a> = (Option<ToolChoice<'a>>, Option<bool>);

fn tool_choice(mut object: Object<'_>) -> Result<Choosing<'_>, Problem> {
    let choice = match &*object.required_text("type")? {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(object.required_text("name")?),
        _ => return Err(Problem::new("must be auto, any, tool or none").at("type")),
    };
    let one_at_a_time = object.boolean("disable_parallel_tool_use")?;
    Ok((Some(choice), one_at_a_time.map(|one| !one)))
}

/// Thoughts are told unless `display` is `omitted`.
fn thinking(mut object: Object<'_>) -> Result<Reasoning<'_>, Problem> {
    let mode = match &*object.required_text("type")? {
        "enabled" => ReasoningMode::On,
        "adaptive" => ReasoningMode::Adaptive,
        "disabled" | "between_tools" => {
            return Ok(Reasoning {
                mode: ReasoningMode::Off,
                ..Reasoning::default()
            });
        }
        _ => {
            let types = "must be enabled, adaptive, disabled or between_tools";
            return Err(Problem::new(types).at("type"));
        }
    };
    let told = object.text("display")?.is_none_or(|how| how != "omitted");
    Ok(Reasoning {
        mode,
        effort: None,
        budget_tokens: object.integer("budget_tokens")?,
        summary: told.then_some(Cow::Borrowed("auto")),
    })
}

/// What is enforced is strict.
fn output_format<'a>(object: &mut Object<'a>, name: &str) -> Result<Option<Format<'a>>, Problem> {
    let Some(mut format) = object.object(name)? else {
        return Ok(None);
    };
    let read = |format: &mut Object<'a>| {
        if format.required_text("type")? != "json_schema" {
            return Err(Problem::new("must be json_schema").at("type"));
        }
        let schema = format.json("schema");
        schema.ok_or_else(|| Problem::new("is missing").at("schema"))
    };
    let schema = read(&mut format).map_err(|problem: Problem| problem.at(name))?;
    Ok(Some(Format::Schema {
        name: None,
        description: None,
        schema,
        strict: Some(true),
    }))
}

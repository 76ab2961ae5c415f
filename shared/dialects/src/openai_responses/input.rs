//! Reads the items of a request: <https://platform.openai.com/docs/api-reference/responses/create#responses_create-input>.
//!
//! What the model said, thought and called in a row is one turn, and so are the results that follow. The ids and states
//! of items are their place in what OpenAI keeps, and mean nothing elsewhere.

use super::decode::nothing_else;
use super::reasoning::{self, Thought};
use crate::answer::Citation;
use crate::json::{Object, Problem, Raw, elements, text};
use crate::request::{Cache, Content, Extra, Part, Role, Source, Turn};

/// Reads `input`, a text or a list of items.
///
/// # Errors
/// It makes no sense, or has an item that the model here has no word for.
pub(super) fn read<'a>(
    raw: Raw<'a>,
    turns: &mut Vec<Turn<'a>>,
    extra: &mut Vec<Extra<'a>>,
) -> Result<(), Problem> {
    if raw.get().starts_with('"') {
        let text = text(raw)?;
        if !text.is_empty() {
            turns.push(Turn {
                role: Role::User,
                name: None,
                parts: vec![Content::text(text).into()],
            });
        }
        return Ok(());
    }
    let items = elements(raw).map_err(|_| Problem::new("must be text or a list of items"))?;
    for (index, raw) in items.into_iter().enumerate() {
        let mut context = Context {
            path: format!("input[{index}]"),
            extra,
        };
        item(raw, turns, &mut context).map_err(|problem| problem.at_index(index))?;
    }
    Ok(())
}

/// Where fields are told that only steer.
struct Context<'e, 'a> {
    path: String,
    extra: &'e mut Vec<Extra<'a>>,
}

impl<'a> Context<'_, 'a> {
    fn tell(&mut self, object: &mut Object<'a>, name: &str) {
        if let Some(value) = object.json(name) {
            self.extra.push(Extra {
                name: format!("{}.{name}", self.path).into(),
                value,
            });
        }
    }

    /// The same inside part `index` of `field`.
    fn tell_of_part(&mut self, object: &mut Object<'a>, name: &str, (field, index): (&str, usize)) {
        if let Some(value) = object.json(name) {
            self.extra.push(Extra {
                name: format!("{}.{field}[{index}].{name}", self.path).into(),
                value,
            });
        }
    }
}

fn item<'a>(
    raw: Raw<'a>,
    turns: &mut Vec<Turn<'a>>,
    context: &mut Context<'_, 'a>,
) -> Result<(), Problem> {
    let mut object = Object::of(raw)?;
    let kind = object.text("type")?;
    object.take("status");
    if kind.as_deref().is_none_or(|kind| kind == "message")
        && let Some(role) = object.text("role")?
    {
        return message(&role, object, turns, context);
    }
    match kind.as_deref() {
        Some("function_call") => {
            object.take("id");
            let call = Content::ToolCall {
                id: object.required_text("call_id")?,
                name: object.required_text("name")?,
                arguments: object.text("arguments")?.unwrap_or_default(),
                signature: None,
            };
            for name in ["async", "caller", "namespace"] {
                context.tell(&mut object, name);
            }
            nothing_else(object)?;
            join(turns, Role::Assistant, vec![call.into()]);
        }
        Some("function_call_output") => {
            object.take("id");
            let result = Content::ToolResult {
                id: object.required_text("call_id")?,
                name: object.text("name")?,
                parts: object
                    .take("output")
                    .map(|raw| content(raw, "output", context))
                    .transpose()
                    .map_err(|problem| problem.at("output"))?
                    .unwrap_or_default(),
                error: false,
            };
            for name in ["caller", "namespace"] {
                context.tell(&mut object, name);
            }
            nothing_else(object)?;
            join(turns, Role::Tool, vec![result.into()]);
        }
        Some("reasoning") => thought(object, turns)?,
        Some("message") => return Err(Problem::new("is missing").at("role")),
        Some("item_reference") | None => {
            return Err(Problem::new(
                "must be an item itself: those that the provider keeps cannot be referred to here",
            ));
        }
        Some("custom_tool_call" | "custom_tool_call_output") => {
            return Err(Problem::new(
                "must be of functions: calls of custom tools are not translated",
            )
            .at("type"));
        }
        Some(_) => {
            return Err(Problem::new(
                "must be message, function_call, function_call_output or reasoning: \
                 items of the provider's own tools are not translated",
            )
            .at("type"));
        }
    }
    Ok(())
}

/// Adds to the turn under way if it is of this role.
fn join<'a>(turns: &mut Vec<Turn<'a>>, role: Role, parts: Vec<Part<'a>>) {
    match turns.last_mut() {
        Some(last) if last.role == role => last.parts.extend(parts),
        _ if parts.is_empty() => {}
        _ => turns.push(Turn {
            role,
            name: None,
            parts,
        }),
    }
}

fn message<'a>(
    role: &str,
    mut object: Object<'a>,
    turns: &mut Vec<Turn<'a>>,
    context: &mut Context<'_, 'a>,
) -> Result<(), Problem> {
    // Of the model's messages, whether one comes before its calls; it means something to OpenAI's newest models only.
    object.take("phase");
    object.take("id");
    let role = match role {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => {
            return Err(Problem::new("must be user, assistant, system or developer").at("role"));
        }
    };
    let parts = object
        .take("content")
        .map(|raw| content(raw, "content", context))
        .transpose()
        .map_err(|problem| problem.at("content"))?
        .ok_or_else(|| Problem::new("is missing").at("content"))?;
    nothing_else(object)?;
    if role == Role::Assistant {
        join(turns, role, parts);
    } else if !parts.is_empty() {
        turns.push(Turn {
            role,
            name: None,
            parts,
        });
    }
    Ok(())
}

/// Content as a text or a list of parts; empty texts are none.
fn content<'a>(
    raw: Raw<'a>,
    field: &str,
    context: &mut Context<'_, 'a>,
) -> Result<Vec<Part<'a>>, Problem> {
    if raw.get().starts_with('"') {
        let text = text(raw)?;
        return Ok(if text.is_empty() {
            Vec::new()
        } else {
            vec![Content::text(text).into()]
        });
    }
    let list = elements(raw).map_err(|_| Problem::new("must be text or a list of parts"))?;
    let mut parts = Vec::with_capacity(list.len());
    for (index, raw) in list.into_iter().enumerate() {
        let part = part(raw, (field, index), context).map_err(|problem| problem.at_index(index))?;
        let empty = matches!(&part.content, Content::Text { text, .. } | Content::Refusal { text } if text.is_empty());
        if !empty {
            parts.push(part);
        }
    }
    Ok(parts)
}

fn part<'a>(
    raw: Raw<'a>,
    place: (&str, usize),
    context: &mut Context<'_, 'a>,
) -> Result<Part<'a>, Problem> {
    let mut object = Object::of(raw)?;
    let kind = object.required_text("type")?;
    let content = match &*kind {
        "input_text" => Content::text(object.required_text("text")?),
        "output_text" => {
            object.take("logprobs");
            Content::Text {
                text: object.required_text("text")?,
                citations: annotations(&mut object)?,
            }
        }
        "refusal" => Content::Refusal {
            text: object.required_text("refusal")?,
        },
        "input_image" => Content::Image {
            source: match (object.text("image_url")?, object.text("file_id")?) {
                (Some(url), None) => Source::of_url(url),
                (None, Some(id)) => Source::Id(id),
                _ => return Err(Problem::new("must be there, or else file_id").at("image_url")),
            },
            detail: object.text("detail")?,
        },
        "input_file" => {
            context.tell_of_part(&mut object, "detail", place);
            file(&mut object)?
        }
        "input_audio" => {
            let mut inner = object
                .object("input_audio")?
                .ok_or_else(|| Problem::new("is missing").at("input_audio"))?;
            let mut read = || {
                Ok(Content::Audio {
                    data: inner.required_text("data")?,
                    format: inner.required_text("format")?,
                })
            };
            let audio = read().map_err(|problem: Problem| problem.at("input_audio"))?;
            nothing_else(inner).map_err(|problem| problem.at("input_audio"))?;
            audio
        }
        _ => {
            return Err(Problem::new(
                "must be input_text, input_image, input_file, output_text or refusal",
            )
            .at("type"));
        }
    };
    let cache = breakpoint(&mut object)?;
    nothing_else(object)?;
    Ok(Part { content, cache })
}

fn file<'a>(object: &mut Object<'a>) -> Result<Content<'a>, Problem> {
    let name = object.text("filename")?;
    let sources = (
        object.text("file_id")?,
        object.text("file_url")?,
        object.text("file_data")?,
    );
    let source = match sources {
        (Some(id), None, None) => Source::Id(id),
        (None, Some(url), None) => Source::Url(url),
        (None, None, Some(data)) => match Source::of_url(data) {
            Source::Url(data) if !data.contains(':') => Source::Base64 {
                media_type: media_type(name.as_deref()).into(),
                data,
            },
            Source::Url(_) => {
                return Err(Problem::new("must have its bytes in base64").at("file_data"));
            }
            source => source,
        },
        _ => {
            return Err(Problem::new("must be there, or else file_url or file_id").at("file_data"));
        }
    };
    Ok(Content::File { source, name })
}

/// What a file without a media type is, by the end of its name.
fn media_type(name: Option<&str>) -> &'static str {
    match name.and_then(|name| name.rsplit_once('.')) {
        Some((_, "txt")) => "text/plain",
        Some((_, "md")) => "text/markdown",
        Some((_, "csv")) => "text/csv",
        Some((_, "html")) => "text/html",
        Some((_, "json")) => "application/json",
        _ => "application/pdf",
    }
}

/// The place up to which the prompt is to be cached
/// (<https://platform.openai.com/docs/guides/prompt-caching>). OpenAI's lifetimes are not those of others, so none is taken.
fn breakpoint<'a>(object: &mut Object<'a>) -> Result<Option<Cache<'a>>, Problem> {
    Ok(object
        .object("prompt_cache_breakpoint")?
        .map(|_| Cache { ttl: None }))
}

/// Where a text is from. Only places on the web have a word here; what OpenAI's own tools found is passed over.
pub(super) fn annotations<'a>(object: &mut Object<'a>) -> Result<Vec<Citation<'a>>, Problem> {
    let list = object.array("annotations")?.unwrap_or_default();
    let mut citations = Vec::with_capacity(list.len());
    for (index, raw) in list.into_iter().enumerate() {
        let read = Object::of(raw).and_then(citation);
        citations.extend(read.map_err(|problem| problem.at_index(index).at("annotations"))?);
    }
    Ok(citations)
}

pub(super) fn citation(mut object: Object<'_>) -> Result<Option<Citation<'_>>, Problem> {
    if object.required_text("type")? != "url_citation" {
        return Ok(None);
    }
    Ok(Some(Citation {
        url: object.text("url")?,
        title: object.text("title")?,
        start: object.integer("start_index")?,
        end: object.integer("end_index")?,
        ..Citation::default()
    }))
}

/// A thought; one that only says that there was one is passed over.
fn thought<'a>(mut object: Object<'a>, turns: &mut Vec<Turn<'a>>) -> Result<(), Problem> {
    let thought = reasoning::take(&mut object)?;
    nothing_else(object)?;
    match thought {
        Thought::Content(content) => join(turns, Role::Assistant, vec![content.into()]),
        Thought::Proof(proof) => {
            let parts = turns.last_mut().map(|turn| &mut *turn.parts);
            if !reasoning::prove(parts.unwrap_or_default(), proof) {
                return Err(Problem::new("must follow the call that it came with"));
            }
        }
        Thought::Nothing => {}
    }
    Ok(())
}

//! Reads requests: <https://ai.google.dev/api/generate-content#request-body>.

use std::borrow::Cow;

use super::fields::{Fields, whole};
use super::media::{read_file, read_inline};
use super::{NO_SIGNATURE, settings};
use crate::json::{Json, Object, Problem, Raw, Writer};
use crate::request::{Content, Extra, Part, Request, Role, Tool, Turn};

/// Reads a request. The model, unless the body names it, and whether it is streamed are for the caller to add.
///
/// # Errors
/// It makes no sense, or has in it what the model here has no word for.
pub fn decode_request(body: &str) -> Result<Request<'_>, Problem> {
    let mut fields = Fields::parse(body)?;
    let mut request = Request {
        model: match fields.text("model")?.unwrap_or_default() {
            Cow::Borrowed(name) => name.strip_prefix("models/").unwrap_or(name).into(),
            Cow::Owned(name) => name
                .strip_prefix("models/")
                .unwrap_or(&name)
                .to_owned()
                .into(),
        },
        service_tier: fields.text("serviceTier")?.and_then(settings::tier),
        store: fields.boolean("store")?,
        ..Request::default()
    };
    if let Some(parts) = fields.object("systemInstruction", instructions)?
        && !parts.is_empty()
    {
        request.turns.push(Turn {
            role: Role::System,
            name: None,
            parts,
        });
    }
    let (mut waiting, mut index) = (Vec::new(), 0);
    fields
        .some("contents", |raw| {
            index += 1;
            content(index - 1, raw, &mut request.turns, &mut waiting)
        })?
        .ok_or_else(|| Problem::new("is missing").at("contents"))?;
    for more in fields.each("tools", tools)? {
        request.tools.extend(more);
    }
    if let Some(raw) = fields.take("toolConfig") {
        settings::tool_config(raw, &mut request).map_err(|problem| problem.at("toolConfig"))?;
    }
    if let Some(raw) = fields.take("generationConfig") {
        settings::generation(raw, &mut request)
            .map_err(|problem| problem.at("generationConfig"))?;
    }
    request.extra.extend(fields.rest().map(|(name, raw)| Extra {
        name,
        value: raw.into(),
    }));
    Ok(request)
}

fn instructions<'a>(fields: &mut Fields<'a>) -> Result<Vec<Part<'a>>, Problem> {
    // Whatever role they have, they are instructions.
    fields.text("role")?;
    let texts = fields.each("parts", |raw| whole(raw, |part| part.required_text("text")))?;
    let texts = texts.into_iter().filter(|text| !text.is_empty());
    Ok(texts.map(|text| Content::text(text).into()).collect())
}

/// A call that waits for its result.
struct Waiting<'a> {
    id: Cow<'a, str>,
    name: Cow<'a, str>,
}

fn content<'a>(
    index: usize,
    raw: Raw<'a>,
    turns: &mut Vec<Turn<'a>>,
    waiting: &mut Vec<Waiting<'a>>,
) -> Result<(), Problem> {
    let mut fields = Fields::of(raw)?;
    let model = match fields.text("role")?.as_deref() {
        Some("model") => true,
        // `function` is what the role of results once was.
        None | Some("user" | "function") => false,
        Some(_) => return Err(Problem::new("must be user or model").at("role")),
    };
    if model {
        waiting.clear();
    }
    let (mut results, mut parts) = (Vec::new(), Vec::new());
    let lists = fields.each("parts", |raw| {
        let read = whole(raw, |fields| part(fields, model, index, waiting))?;
        Ok(read)
    })?;
    fields.nothing_else()?;
    for content in lists.into_iter().flatten() {
        match content {
            Content::ToolResult { .. } => results.push(content.into()),
            _ => parts.push(content.into()),
        }
    }
    let role = if model { Role::Assistant } else { Role::User };
    for (role, parts) in [(Role::Tool, results), (role, parts)] {
        match turns.last_mut() {
            _ if parts.is_empty() => {}
            Some(last) if role == Role::Tool && last.role == Role::Tool => last.parts.extend(parts),
            _ => turns.push(Turn {
                role,
                name: None,
                parts,
            }),
        }
    }
    Ok(())
}

/// Reads a part, which with the signature of the thought behind it may be two of ours.
fn part<'a>(
    fields: &mut Fields<'a>,
    model: bool,
    index: usize,
    waiting: &mut Vec<Waiting<'a>>,
) -> Result<Vec<Content<'a>>, Problem> {
    let thought = fields.boolean("thought")?.unwrap_or(false);
    let signature = if model {
        fields.text("thoughtSignature")?
    } else {
        None
    };
    let signature = signature.filter(|signature| !signature.is_empty());
    // Names of sources and the like, for the client's own use.
    fields.take("partMetadata");
    if let Some(call) = fields.object("functionCall", |call| function_call(call, index, waiting))? {
        return Ok(vec![signed(call, signature)]);
    }
    if let Some(result) = fields.object("functionResponse", |result| {
        function_response(result, waiting)
    })? {
        return Ok(vec![result]);
    }
    let content = if let Some(content) = fields.object("inlineData", read_inline)? {
        content
    } else if let Some(content) = fields.object("fileData", read_file)? {
        content
    } else {
        match fields.text("text")? {
            Some(text) if thought => {
                return Ok(vec![Content::Reasoning {
                    text,
                    signature,
                    id: None,
                }]);
            }
            Some(text) => Content::text(text),
            None => {
                return Err(Problem::new(
                    "must have text, data or a function's call or response",
                ));
            }
        }
    };
    let empty = matches!(&content, Content::Text { text, .. } if text.is_empty());
    let proof = signature.map(|signature| Content::Reasoning {
        text: Cow::Borrowed(""),
        signature: Some(signature),
        id: None,
    });
    Ok((!empty)
        .then_some(content)
        .into_iter()
        .chain(proof)
        .collect())
}

fn signed<'a>(call: Content<'a>, proof: Option<Cow<'a, str>>) -> Content<'a> {
    match call {
        Content::ToolCall {
            id,
            name,
            arguments,
            ..
        } => Content::ToolCall {
            id,
            name,
            arguments,
            signature: proof.filter(|proof| proof != NO_SIGNATURE),
        },
        other => other,
    }
}

fn function_call<'a>(
    fields: &mut Fields<'a>,
    index: usize,
    waiting: &mut Vec<Waiting<'a>>,
) -> Result<Content<'a>, Problem> {
    let name = fields.required_text("name")?;
    let id = match fields.text("id")?.filter(|id| !id.is_empty()) {
        Some(id) => id,
        None => format!("call_{index}_{}", waiting.len()).into(),
    };
    let arguments = match fields.opaque("args")? {
        Some(args) => args.as_str().to_owned().into(),
        None => Cow::Borrowed("{}"),
    };
    waiting.push(Waiting {
        id: id.clone(),
        name: name.clone(),
    });
    Ok(Content::ToolCall {
        id,
        name,
        arguments,
        signature: None,
    })
}

fn function_response<'a>(
    fields: &mut Fields<'a>,
    waiting: &mut Vec<Waiting<'a>>,
) -> Result<Content<'a>, Problem> {
    let name = fields.required_text("name")?;
    let id = fields.text("id")?.filter(|id| !id.is_empty());
    // By its id, else the first of its name: older models number no calls.
    let at = waiting.iter().position(|call| match &id {
        Some(id) => call.id == *id,
        None => call.name == name,
    });
    let waited = at.map(|at| waiting.remove(at).id);
    let id = id
        .or(waited)
        .ok_or_else(|| Problem::new("must be that of a function called before").at("name"))?;
    let raw = fields
        .take("response")
        .ok_or_else(|| Problem::new("is missing").at("response"))?;
    let (text, error) = response(raw).map_err(|problem| problem.at("response"))?;
    let mut parts = Vec::new();
    if !text.is_empty() {
        parts.push(Content::text(text).into());
    }
    parts.extend(fields.each("parts", |raw| {
        whole(raw, |part| {
            part.object("inlineData", read_inline)?
                .ok_or_else(|| Problem::new("is missing").at("inlineData"))
                .map(Part::from)
        })
    })?);
    Ok(Content::ToolResult {
        id,
        name: Some(name),
        parts,
        error,
    })
}

/// What a function answered: the only value of `result`, `output` or `error`, else the whole object.
fn response(raw: Raw<'_>) -> Result<(Cow<'_, str>, bool), Problem> {
    let mut fields = Object::of(raw)?.rest();
    if let (Some((name, value)), None) = (fields.next(), fields.next())
        && let "result" | "output" | "error" = &*name
    {
        let text = if value.get().starts_with('"') {
            crate::json::text(value).map_err(|problem| problem.at(&name))?
        } else {
            Cow::Borrowed(value.get())
        };
        return Ok((text, name == "error"));
    }
    Ok((Cow::Borrowed(raw.get()), false))
}

/// A `Tool` holds any number of functions, and one of each of Google's own.
fn tools(raw: Raw<'_>) -> Result<Vec<Tool<'_>>, Problem> {
    let mut fields = Fields::of(raw)?;
    let mut tools = fields.each("functionDeclarations", |raw| whole(raw, function))?;
    let others: Vec<_> = fields.rest().collect();
    let alone = tools.is_empty() && others.len() == 1;
    for (kind, value) in others {
        let value = if alone {
            Json::from(raw)
        } else {
            only(&kind, value)?
        };
        tools.push(Tool::Other { kind, value });
    }
    Ok(tools)
}

/// An object with one field.
fn only(name: &str, value: Raw<'_>) -> Result<Json<'static>, Problem> {
    let mut out = Vec::new();
    Writer::new(&mut out)
        .open()
        .key(name)
        .raw(&value.into())
        .close();
    String::from_utf8(out)
        .ok()
        .and_then(|text| Json::parse(text.into()))
        .ok_or_else(|| Problem::new("must be JSON").at(name))
}

fn function<'a>(fields: &mut Fields<'a>) -> Result<Tool<'a>, Problem> {
    let name = fields.required_text("name")?;
    let description = fields.text("description")?;
    let own = fields.opaque("parametersJsonSchema")?;
    let parameters = match (own, fields.take("parameters")) {
        (Some(_), Some(_)) => {
            return Err(Problem::new("cannot be beside parametersJsonSchema").at("parameters"));
        }
        (None, Some(raw)) => {
            Some(super::schema::json_schema(raw).map_err(|problem| problem.at("parameters"))?)
        }
        (own, None) => own,
    };
    Ok(Tool::Function {
        name,
        description,
        parameters,
        strict: None,
        cache: None,
    })
}

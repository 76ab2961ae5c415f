//! Writing requests: <https://docs.cohere.com/reference/chat>.

use crate::dialect::Target;
use crate::json::{Json, Writer};
use crate::request::{Content, Format, Part, Request, Role, Source, Tool, ToolChoice, Turn};
use crate::support::{Feature, Notes, Unsupported};

use super::OWN_FIELDS;

/// Writes a request.
///
/// # Errors
/// It asks for what Cohere cannot do.
pub fn encode_request(
    request: &Request<'_>,
    target: &Target<'_>,
    notes: &mut Notes,
) -> Result<Vec<u8>, Unsupported> {
    let mut out = Vec::with_capacity(1_024);
    let mut writer = Writer::new(&mut out);
    writer
        .open()
        .text_field("model", target.model)
        .key("stream")
        .boolean(request.stream);
    writer.key("messages").open_array();
    for turn in &request.turns {
        message(turn, target.model, &mut out, notes)?;
    }
    Writer::new(&mut out).close_array();
    tools(request, &mut out, notes)?;
    let mut writer = Writer::new(&mut out);
    settings(request, &mut writer, notes)?;
    for extra in &request.extra {
        if OWN_FIELDS.contains(&extra.name.as_ref()) {
            writer.key(&extra.name).raw(&extra.value);
        } else {
            notes.lacking(Feature::Unknown, &extra.name)?;
        }
    }
    writer.close();
    Ok(out)
}

/// So many texts may end an answer.
const MOST_STOPS: usize = 5;

/// Writes a number, moved to the nearest that Cohere takes.
fn within(
    name: &str,
    value: Option<&Json<'_>>,
    least: f64,
    most: f64,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) {
    let Some(value) = value else {
        return;
    };
    let number: f64 = value.as_str().parse().unwrap_or(f64::NAN);
    let nearest = number.clamp(least, most);
    let nearest = (number != nearest && !number.is_nan()).then(|| nearest.to_string());
    match nearest.and_then(|nearest| Json::parse(nearest.into())) {
        None => {
            writer.key(name).raw(value);
        }
        Some(nearest) => {
            let nearest_text = nearest.as_str();
            notes.warn(format!(
                "`{name}` was set to {nearest_text}, the nearest here"
            ));
            writer.key(name).raw(&nearest);
        }
    }
}

fn settings(
    request: &Request<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let sampling = &request.sampling;
    writer.integer_field_if("max_tokens", request.max_tokens);
    for (name, value, least, most) in [
        ("temperature", &sampling.temperature, 0.0, 1.0),
        ("p", &sampling.top_p, 0.01, 0.99),
        ("k", &sampling.top_k, 0.0, 500.0),
        ("frequency_penalty", &sampling.frequency_penalty, 0.0, 1.0),
        ("presence_penalty", &sampling.presence_penalty, 0.0, 1.0),
    ] {
        within(name, value.as_ref(), least, most, writer, notes);
    }
    writer.raw_field_if("seed", sampling.seed.as_ref());
    if !request.stop.is_empty() {
        if request.stop.len() > MOST_STOPS {
            notes.lost(Feature::Stop, "stop", "it takes up to 5")?;
        }
        writer.key("stop_sequences").open_array();
        for stop in &request.stop {
            writer.text(stop);
        }
        writer.close_array();
    }
    match &request.format {
        None => {}
        Some(Format::Json) => {
            writer
                .key("response_format")
                .open()
                .text_field("type", "json_object")
                .close();
        }
        Some(Format::Schema {
            schema,
            description,
            ..
        }) => {
            if description.is_some() {
                notes.warn("the description of the JSON schema was left out".to_owned());
            }
            writer
                .key("response_format")
                .open()
                .text_field("type", "json_object");
            writer.key("json_schema").raw(schema).close();
        }
    }
    if let Some(reasoning) = &request.reasoning {
        if let Some(wanted) = reasoning.wanted() {
            let word = if wanted { "enabled" } else { "disabled" };
            writer.key("thinking").open().text_field("type", word);
            if wanted {
                writer.integer_field_if("token_budget", reasoning.budget());
            }
            writer.close();
        }
        if reasoning.summary.is_some() {
            notes.lacking(Feature::ReasoningSummary, "reasoning.summary")?;
        }
    }
    let absent = [
        (
            sampling.logit_bias.is_some(),
            Feature::LogitBias,
            "logit_bias",
        ),
        (
            request.choices.is_some_and(|n| n > 1),
            Feature::Choices,
            "n",
        ),
        (
            request.logprobs == Some(true),
            Feature::Logprobs,
            "logprobs",
        ),
        (
            request.top_logprobs.is_some_and(|n| n > 0),
            Feature::Logprobs,
            "top_logprobs",
        ),
        (request.metadata.is_some(), Feature::Metadata, "metadata"),
        (request.user.is_some(), Feature::User, "user"),
        (
            request.service_tier.is_some(),
            Feature::ServiceTier,
            "service_tier",
        ),
        (request.store == Some(true), Feature::Store, "store"),
    ];
    for (there, feature, field) in absent {
        if there {
            notes.lacking(feature, field)?;
        }
    }
    Ok(())
}

fn tools(request: &Request<'_>, out: &mut Vec<u8>, notes: &mut Notes) -> Result<(), Unsupported> {
    if request.parallel_tool_calls == Some(false) && !request.tools.is_empty() {
        notes.lacking(Feature::ParallelToolCallsOff, "parallel_tool_calls")?;
    }
    let offered = |name: &str| match &request.tool_choice {
        Some(ToolChoice::Named(only)) => only == name,
        Some(ToolChoice::Allowed { names, .. }) => names.iter().any(|allowed| allowed == name),
        _ => true,
    };
    let before = out.len();
    Writer::new(out).key("tools").open_array();
    let open = out.len();
    let mut writer = Writer::new(out);
    for (at, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function {
                name,
                description,
                parameters,
                cache,
                ..
            } => {
                if cache.is_some() {
                    notes.lacking(Feature::Cache, "cache_control")?;
                }
                if offered(name) {
                    writer.open().text_field("type", "function");
                    writer.key("function").open();
                    writer
                        .text_field("name", name)
                        .text_field_if("description", description.as_deref());
                    write_schema(parameters.as_ref(), &mut writer);
                    writer.close().close();
                }
            }
            Tool::Other { kind, .. } => {
                let kind: String = kind.chars().take(64).collect();
                notes.lacking(Feature::ToolOther, &format!("tools[{at}] ({kind})"))?;
            }
        }
    }
    // Without tools a choice of them says nothing and is refused.
    if out.len() == open {
        out.truncate(before);
        return Ok(());
    }
    let mut writer = Writer::new(out);
    writer.close_array();
    strictness(request, &mut writer, notes)?;
    match &request.tool_choice {
        None
        | Some(
            ToolChoice::Auto
            | ToolChoice::Allowed {
                required: false, ..
            },
        ) => {}
        Some(ToolChoice::None) => {
            writer.text_field("tool_choice", "NONE");
        }
        Some(
            ToolChoice::Required
            | ToolChoice::Named(_)
            | ToolChoice::Allowed { required: true, .. },
        ) => {
            writer.text_field("tool_choice", "REQUIRED");
        }
    }
    Ok(())
}

/// A schema must be there and be of an object. An empty one, or none, is the least that is taken.
fn write_schema(parameters: Option<&Json<'_>>, writer: &mut Writer<'_>) {
    let says = |schema: &&Json<'_>| {
        let inside = schema.as_str().strip_prefix('{');
        let inside = inside.and_then(|rest| rest.strip_suffix('}'));
        inside.is_none_or(|inside| !inside.trim_ascii().is_empty())
    };
    writer.key("parameters");
    match parameters.filter(says) {
        Some(schema) => writer.raw(schema),
        None => writer.open().text_field("type", "object").close(),
    };
}

/// Cohere has one switch for all tools.
fn strictness(
    request: &Request<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let mut wishes = request.tools.iter().filter_map(|tool| match tool {
        Tool::Function { strict, .. } => Some(*strict),
        Tool::Other { .. } => None,
    });
    let Some(first) = wishes.next() else {
        return Ok(());
    };
    if wishes.all(|strict| strict == first) {
        writer.boolean_field_if("strict_tools", first);
        return Ok(());
    }
    notes.lost(
        Feature::ToolStrict,
        "strict",
        "it has one switch for all tools, and some of these are strict and some not",
    )
}

/// Models from before reasoning, which plan their calls and do not think: `command-r…` and the first `command-a`.
fn only_plans(model: &str) -> bool {
    model.contains("command-r") && !model.contains("reasoning") || model.contains("command-a-03")
}

fn message(
    turn: &Turn<'_>,
    model: &str,
    out: &mut Vec<u8>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    if turn.name.is_some() {
        notes.lacking(Feature::Name, "name")?;
    }
    if turn.role == Role::Tool {
        for part in &turn.parts {
            tool_result(part, &mut Writer::new(out), notes)?;
        }
        return Ok(());
    }
    let before = out.len();
    Writer::new(out).open().text_field(
        "role",
        match turn.role {
            Role::System | Role::Developer => "system",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        },
    );
    let calls = turn
        .parts
        .iter()
        .any(|part| matches!(part.content, Content::ToolCall { .. }));
    let plan = only_plans(model)
        .then(|| plan(turn, calls, notes))
        .transpose()?;
    let said = turn.parts.iter().filter(|part| match part.content {
        Content::ToolCall { .. } => false,
        Content::Reasoning {
            signature: None, ..
        } => plan.is_none(),
        _ => true,
    });
    let said: Vec<&Part<'_>> = said.collect();
    if !contents(&said, out, notes)? && !calls {
        out.truncate(before);
        return Ok(());
    }
    let mut writer = Writer::new(out);
    let plan = plan.filter(|plan| !plan.is_empty());
    writer.text_field_if("tool_plan", plan.as_deref());
    if calls {
        tool_calls(turn, &mut writer, notes)?;
    }
    writer.close();
    Ok(())
}

/// Writes what is said, if anything: one text as such.
fn contents(
    parts: &[&Part<'_>],
    out: &mut Vec<u8>,
    notes: &mut Notes,
) -> Result<bool, Unsupported> {
    if let [only] = parts
        && only.cache.is_none()
        && let Content::Text { text, .. } | Content::Refusal { text } = &only.content
    {
        Writer::new(out).text_field("content", text);
        return Ok(true);
    }
    let before = out.len();
    Writer::new(out).key("content").open_array();
    let open = out.len();
    for part in parts {
        content(part, &mut Writer::new(out), notes)?;
    }
    if out.len() == open {
        out.truncate(before);
        return Ok(false);
    }
    Writer::new(out).close_array();
    Ok(true)
}

/// What such a model thought before its calls, which it calls a plan; before anything else it has no place.
fn plan(turn: &Turn<'_>, calls: bool, notes: &mut Notes) -> Result<String, Unsupported> {
    let mut plan = String::new();
    for part in &turn.parts {
        if let Content::Reasoning {
            text,
            signature: None,
            ..
        } = &part.content
        {
            if calls {
                plan.push_str(text);
            } else {
                let why = "this model does not think";
                notes.lost(Feature::ReasoningHistory, "thinking", why)?;
            }
        }
    }
    Ok(plan)
}

fn tool_calls(
    turn: &Turn<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    writer.key("tool_calls").open_array();
    for part in &turn.parts {
        let Content::ToolCall {
            id,
            name,
            arguments,
            signature,
        } = &part.content
        else {
            continue;
        };
        if signature.is_some() {
            let why = "only the provider that signed the call can use it";
            notes.lost(Feature::ReasoningHistory, "signature of a call", why)?;
        }
        writer.open().text_field("id", id);
        writer.text_field("type", "function").key("function").open();
        writer.text_field("name", name).text_field(
            "arguments",
            if arguments.is_empty() {
                "{}"
            } else {
                arguments
            },
        );
        writer.close().close();
    }
    writer.close_array();
    Ok(())
}

fn content(part: &Part<'_>, writer: &mut Writer<'_>, notes: &mut Notes) -> Result<(), Unsupported> {
    if part.cache.is_some() {
        notes.lacking(Feature::Cache, "cache_control")?;
    }
    match &part.content {
        Content::Text { text, .. } | Content::Refusal { text } => {
            writer
                .open()
                .text_field("type", "text")
                .text_field("text", text)
                .close();
        }
        Content::Image { source, detail } => {
            let Some(url) = source.to_url() else {
                return notes.lacking(Feature::FileId, "image");
            };
            writer.open().text_field("type", "image_url");
            writer
                .key("image_url")
                .open()
                .text_field("url", &url)
                .text_field_if("detail", detail.as_deref())
                .close()
                .close();
        }
        Content::Reasoning {
            text,
            signature: None,
            ..
        } => {
            writer
                .open()
                .text_field("type", "thinking")
                .text_field("thinking", text)
                .close();
        }
        Content::Reasoning { .. } | Content::Redacted { .. } => {
            notes.lacking(Feature::ReasoningHistory, "thinking")?;
        }
        Content::Audio { .. } => notes.lacking(Feature::AudioInput, "input_audio")?,
        Content::File { source, .. } => notes.lacking(
            match source {
                Source::Url(_) => Feature::FileUrl,
                Source::Base64 { .. } => Feature::FileBase64,
                Source::Id(_) => Feature::FileId,
                Source::Text(_) => Feature::FileText,
            },
            "file",
        )?,
        // Calls are written after the content; results have a message of their own.
        Content::ToolCall { .. } | Content::ToolResult { .. } => {}
    }
    Ok(())
}

fn tool_result(
    part: &Part<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let Content::ToolResult {
        id, parts, error, ..
    } = &part.content
    else {
        return Ok(());
    };
    if *error {
        notes.lacking(Feature::ToolResultError, "is_error")?;
    }
    if part.cache.is_some() {
        notes.lacking(Feature::Cache, "cache_control")?;
    }
    writer
        .open()
        .text_field("role", "tool")
        .text_field("tool_call_id", id);
    let texts = || {
        parts.iter().filter_map(|part| match &part.content {
            Content::Text { text, .. } | Content::Refusal { text } => Some(text.as_ref()),
            _ => None,
        })
    };
    if texts().count() < parts.len() {
        notes.lacking(Feature::ToolResultImage, "tool result")?;
    }
    match texts().next() {
        Some(only) if parts.len() == 1 => {
            writer.text_field("content", only);
        }
        // It may not be empty.
        None => {
            writer.text_field("content", "{}");
        }
        Some(_) => {
            writer.key("content").open_array();
            for text in texts() {
                writer
                    .open()
                    .text_field("type", "text")
                    .text_field("text", text)
                    .close();
            }
            writer.close_array();
        }
    }
    writer.close();
    Ok(())
}

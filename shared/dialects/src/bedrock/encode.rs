//! Writing requests:
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_RequestSyntax>.

use crate::dialect::Target;
use crate::json::{Json, Object, Writer, text};
use crate::request::{Content, Format, Request, Tool, ToolChoice};
use crate::support::{Feature, Notes, Unsupported};

use super::messages::{self, write_cache};
use super::model::{Family, Plan};
use super::{OWN_FIELDS, STOP_SEQUENCE};

/// Writes a request.
///
/// # Errors
/// It asks for what Bedrock cannot do.
pub fn encode_request(
    request: &Request<'_>,
    target: &Target<'_>,
    notes: &mut Notes,
) -> Result<Vec<u8>, Unsupported> {
    let plan = Plan::of(request, target, notes)?;
    refuse(request, notes)?;
    let choice = Choice::of(request, plan.family, notes)?;
    let mut out = Vec::with_capacity(2_048);
    Writer::new(&mut out).open();
    messages::write(request, plan.family, &mut out, notes)?;
    inference_config(request, &plan, &mut out);
    tool_config(request, &choice, &mut out, notes)?;
    additional(request, &plan, &choice, &mut out, notes)?;
    format(request, &mut out, notes)?;
    metadata(request, &mut out, notes)?;
    service_tier(request, &mut out, notes)?;
    let mut writer = Writer::new(&mut out);
    let mut paths = !request.stop.is_empty();
    for extra in &request.extra {
        let name = &*extra.name;
        if OWN_FIELDS.contains(&name) {
            writer.key(name).raw(&extra.value);
            paths &= name != "additionalModelResponseFieldPaths";
        } else if name != "additionalModelRequestFields" || !extra.value.is_object() {
            notes.lacking(Feature::Unknown, name)?;
        }
    }
    if paths {
        writer.key("additionalModelResponseFieldPaths").open_array();
        writer.text(STOP_SEQUENCE).close_array();
    }
    writer.close();
    Ok(out)
}

/// What the API has no word for. A value that says what holds anyway is no loss.
fn refuse(request: &Request<'_>, notes: &mut Notes) -> Result<(), Unsupported> {
    let says = |value: &Option<Json<'_>>| {
        let value = value.as_ref().map(Json::as_str);
        value.is_some_and(|text| text != "{}" && text.parse::<f64>() != Ok(0.0))
    };
    let sampling = &request.sampling;
    for (lost, feature, field) in [
        (sampling.seed.is_some(), Feature::Seed, "seed"),
        (
            says(&sampling.frequency_penalty),
            Feature::FrequencyPenalty,
            "frequency_penalty",
        ),
        (
            says(&sampling.presence_penalty),
            Feature::PresencePenalty,
            "presence_penalty",
        ),
        (says(&sampling.logit_bias), Feature::LogitBias, "logit_bias"),
        (
            request.choices.is_some_and(|n| n != 1),
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
        (request.user.is_some(), Feature::User, "user"),
        (request.store == Some(true), Feature::Store, "store"),
    ] {
        if lost {
            notes.lacking(feature, field)?;
        }
    }
    Ok(())
}

fn inference_config(request: &Request<'_>, plan: &Plan<'_>, out: &mut Vec<u8>) {
    let any = request.max_tokens.is_some()
        || plan.temperature.is_some()
        || plan.top_p.is_some()
        || !request.stop.is_empty();
    if !any {
        return;
    }
    let mut writer = Writer::new(out);
    writer.key("inferenceConfig").open();
    writer
        .integer_field_if("maxTokens", request.max_tokens)
        .raw_field_if("temperature", plan.temperature.as_ref())
        .raw_field_if("topP", plan.top_p.as_ref());
    if !request.stop.is_empty() {
        writer.key("stopSequences").open_array();
        for stop in &request.stop {
            writer.text(stop);
        }
        writer.close_array();
    }
    writer.close();
}

/// What is said of tools, and where: in Converse's words, or in Claude's own where Converse has none.
struct Choice<'r> {
    /// Which tools are sent; all where it is absent.
    only: Option<Vec<&'r str>>,
    /// Names of tools that were called and are not offered now; Converse wants tools where there are calls.
    called: Vec<&'r str>,
    /// Converse's `toolChoice`: `auto`, `any`, or the name of a tool.
    converse: Option<Must<'r>>,
    /// Claude's `tool_choice.type`.
    claude: Option<&'static str>,
    /// Claude's `disable_parallel_tool_use`.
    one_at_a_time: bool,
}

enum Must<'r> {
    Auto,
    Any,
    Tool(&'r str),
}

impl<'r> Choice<'r> {
    fn of(
        request: &'r Request<'r>,
        family: Family,
        notes: &mut Notes,
    ) -> Result<Self, Unsupported> {
        let mut choice = Self {
            only: None,
            called: Vec::new(),
            converse: None,
            claude: None,
            one_at_a_time: false,
        };
        let none = request.tools.is_empty() || request.tool_choice == Some(ToolChoice::None);
        if none {
            choice.none(request, family, notes)?;
            return Ok(choice);
        }
        choice.converse = match &request.tool_choice {
            None | Some(ToolChoice::None) => None,
            Some(ToolChoice::Auto) => Some(Must::Auto),
            Some(ToolChoice::Required) => Some(Must::Any),
            Some(ToolChoice::Named(name)) => Some(Must::Tool(name)),
            Some(ToolChoice::Allowed { names, required }) => {
                choice.only = Some(names.iter().map(|name| &**name).collect());
                required.then_some(Must::Any)
            }
        };
        if request.parallel_tool_calls == Some(false) {
            if !family.is_claude() {
                let why = "of the models here only Claude has a switch for that";
                notes.lost(Feature::ParallelToolCallsOff, "parallel_tool_calls", why)?;
            }
            choice.one_at_a_time = true;
            // Claude wants the type, and Bedrock wants it said once.
            if matches!(choice.converse, None | Some(Must::Auto)) {
                choice.converse = None;
                choice.claude = Some("auto");
            }
        }
        Ok(choice)
    }

    /// No call is to be made. Without calls in the conversation no tools are sent; with some there must be tools, and only
    /// Claude can be told not to call them.
    fn none(
        &mut self,
        request: &'r Request<'r>,
        family: Family,
        notes: &mut Notes,
    ) -> Result<(), Unsupported> {
        let parts = request.turns.iter().flat_map(|turn| &turn.parts);
        for part in parts {
            if let Content::ToolCall { name, .. } = &part.content
                && !self.called.contains(&&**name)
            {
                self.called.push(name);
            }
        }
        if self.called.is_empty() {
            self.only = Some(Vec::new());
            return Ok(());
        }
        if !family.is_claude() {
            if request.tools.is_empty() {
                let why = "where there are calls it wants the tools again";
                notes.lost(Feature::Tools, "tools", why)?;
            }
            let why = "of the models here only Claude can be told not to call any after calls";
            notes.lost(Feature::ToolChoiceNone, "tool_choice", why)?;
        }
        self.claude = Some("none");
        if !request.tools.is_empty() {
            self.called.clear();
        }
        Ok(())
    }

    fn sends(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.contains(&name))
    }
}

fn tool_config(
    request: &Request<'_>,
    choice: &Choice<'_>,
    out: &mut Vec<u8>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let before = out.len();
    let mut writer = Writer::new(out);
    writer.key("toolConfig").open().key("tools").open_array();
    let open = out.len();
    for (at, tool) in request.tools.iter().enumerate() {
        match tool {
            Tool::Function {
                name,
                description,
                parameters,
                strict,
                cache,
            } if choice.sends(name) => {
                let mut writer = Writer::new(out);
                writer.open().key("toolSpec").open();
                writer.text_field("name", name);
                let description = description.as_deref().filter(|text| !text.is_empty());
                writer.text_field_if("description", description);
                write_schema(parameters.as_ref(), &mut writer);
                writer.boolean_field_if("strict", *strict).close().close();
                write_cache(cache.as_ref(), out, notes)?;
            }
            Tool::Function { .. } => {}
            Tool::Other { kind, value } if kind == "systemTool" => {
                if choice.only.is_none() {
                    Writer::new(out).raw(value);
                }
            }
            Tool::Other { kind, .. } => {
                let kind: String = kind.chars().take(64).collect();
                notes.lacking(Feature::ToolOther, &format!("tools[{at}] ({kind})"))?;
            }
        }
    }
    for name in &choice.called {
        let mut writer = Writer::new(out);
        writer.open().key("toolSpec").open();
        writer.text_field("name", name);
        write_schema(None, &mut writer);
        writer.close().close();
    }
    if out.len() == open {
        out.truncate(before);
        return Ok(());
    }
    let mut writer = Writer::new(out);
    writer.close_array();
    if let Some(must) = &choice.converse {
        writer.key("toolChoice").open();
        match must {
            Must::Auto => writer.key("auto").open(),
            Must::Any => writer.key("any").open(),
            Must::Tool(name) => writer.key("tool").open().text_field("name", name),
        };
        writer.close().close();
    }
    writer.close();
    Ok(())
}

/// A schema must be of an object and say so. An empty one, or none, is the least that is taken.
fn write_schema(parameters: Option<&Json<'_>>, writer: &mut Writer<'_>) {
    let says = |schema: &&Json<'_>| {
        let inside = schema.as_str().strip_prefix('{');
        let inside = inside.and_then(|rest| rest.strip_suffix('}'));
        inside.is_none_or(|inside| !inside.trim_ascii().is_empty())
    };
    writer.key("inputSchema").open().key("json");
    match parameters.filter(says) {
        Some(schema) => writer.raw(schema),
        None => writer.open().text_field("type", "object").close(),
    };
    writer.close();
}

/// What only the model's maker has, and what the client itself wants to say to it.
fn additional(
    request: &Request<'_>,
    plan: &Plan<'_>,
    choice: &Choice<'_>,
    out: &mut Vec<u8>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let before = out.len();
    let mut writer = Writer::new(out);
    writer.key("additionalModelRequestFields").open();
    let mut written = plan.write(&mut writer);
    if choice.claude.is_some() || choice.one_at_a_time {
        written.push("tool_choice");
        writer.key("tool_choice").open();
        writer.text_field_if("type", choice.claude);
        if choice.one_at_a_time {
            writer.key("disable_parallel_tool_use").boolean(true);
        }
        writer.close();
    }
    let mut any = !written.is_empty();
    let extras = request.extra.iter();
    for extra in extras.filter(|extra| extra.name == "additionalModelRequestFields") {
        let Ok(fields) = Object::parse(extra.value.as_str()) else {
            continue;
        };
        for (name, value) in fields.rest() {
            if written.contains(&&*name) {
                let field = format!("additionalModelRequestFields.{name}");
                notes.lost(Feature::Unknown, &field, "another field says it")?;
            } else {
                any = true;
                writer.key(&name).raw(&value.into());
            }
        }
    }
    if any {
        writer.close();
    } else {
        out.truncate(before);
    }
    Ok(())
}

fn format(request: &Request<'_>, out: &mut Vec<u8>, notes: &mut Notes) -> Result<(), Unsupported> {
    let mut writer = Writer::new(out);
    match &request.format {
        None => {}
        Some(Format::Json) => notes.lacking(Feature::JsonMode, "response_format")?,
        Some(Format::Schema {
            name,
            description,
            schema,
            ..
        }) => {
            writer.key("outputConfig").open().key("textFormat").open();
            writer.text_field("type", "json_schema");
            writer.key("structure").open().key("jsonSchema").open();
            writer
                .text_field("schema", schema.as_str())
                .text_field_if("name", name.as_deref())
                .text_field_if("description", description.as_deref());
            writer.close().close().close().close();
        }
    }
    Ok(())
}

/// <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#bedrock-runtime_Converse-request-requestMetadata>.
fn metadata(
    request: &Request<'_>,
    out: &mut Vec<u8>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    const MOST: usize = 16;
    const LONGEST: usize = 256;
    let Some(metadata) = &request.metadata else {
        return Ok(());
    };
    let fits = |word: &str| {
        word.len() <= LONGEST
            && word.chars().all(|c| {
                c.is_ascii_alphanumeric() || c.is_whitespace() || ":_@$#=/+,-.".contains(c)
            })
    };
    let pairs: Option<Vec<_>> = Object::parse(metadata.as_str()).ok().and_then(|pairs| {
        let pairs = pairs
            .rest()
            .map(|(name, raw)| {
                let value = text(raw).ok()?;
                (!name.is_empty() && fits(&name) && fits(&value)).then_some((name, value))
            })
            .collect::<Option<Vec<_>>>()?;
        (pairs.len() <= MOST).then_some(pairs)
    });
    match pairs {
        None => {
            let why = "it takes up to 16 short texts of letters, digits and :_@$#=/+,-.";
            notes.lost(Feature::Metadata, "metadata", why)?;
        }
        Some(pairs) if pairs.is_empty() => {}
        Some(pairs) => {
            let mut writer = Writer::new(out);
            writer.key("requestMetadata").open();
            for (name, value) in &pairs {
                writer.text_field(name, value);
            }
            writer.close();
        }
    }
    Ok(())
}

fn service_tier(
    request: &Request<'_>,
    out: &mut Vec<u8>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let tier = match request.service_tier.as_deref() {
        // What it does anyway.
        None | Some("auto") => return Ok(()),
        // Anthropic's word for the usual one.
        Some("standard_only") => "default",
        Some(tier @ ("default" | "flex" | "priority" | "reserved")) => tier,
        Some(_) => {
            let why = "there is no such tier";
            return notes.lost(Feature::ServiceTier, "service_tier", why);
        }
    };
    let mut writer = Writer::new(out);
    writer.key("serviceTier").open();
    writer.text_field("type", tier).close();
    Ok(())
}

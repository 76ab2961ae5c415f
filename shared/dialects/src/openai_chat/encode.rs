//! Writes requests of Chat Completions: <https://platform.openai.com/docs/api-reference/chat/create>.

use std::borrow::Cow;

use super::messages;
use crate::dialect::Target;
use crate::json::{Json, Object, Writer};
use crate::request::{Extra, Format, Reasoning, ReasoningMode, Request, Tool, ToolChoice};
use crate::support::{Feature, Notes, Unsupported};

/// Fields of OpenAI's that the model has no word for and other surfaces have under the same name.
const KNOWN: &[&str] = &[
    "audio",
    "modalities",
    "moderation",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "verbosity",
    "web_search_options",
];

/// What a schema is called that has no name, since one is demanded.
const SCHEMA_NAME: &str = "answer";

/// Writes a request.
///
/// # Errors
/// It has what the provider cannot do.
pub fn encode_request(
    request: &Request<'_>,
    target: &Target<'_>,
    notes: &mut Notes,
) -> Result<Vec<u8>, Unsupported> {
    let mut out = Vec::with_capacity(1024);
    let mut writer = Writer::new(&mut out);
    writer.open().text_field("model", target.model);
    messages::write(&mut writer, request, target, notes)?;
    let mut encoder = Encoder {
        writer,
        target,
        notes,
    };
    encoder.tools(request)?;
    encoder.answer(request)?;
    encoder.sampling(request)?;
    encoder.account(request)?;
    for extra in &request.extra {
        encoder.extra(extra)?;
    }
    encoder.writer.close();
    Ok(out)
}

struct Encoder<'r, 'o, 'n> {
    writer: Writer<'o>,
    target: &'r Target<'r>,
    notes: &'n mut Notes,
}

impl Encoder<'_, '_, '_> {
    /// Whether the provider takes `field`; if not, that is noted.
    fn takes(&mut self, feature: Feature, field: &str) -> Result<bool, Unsupported> {
        if self.target.quirks.lacks(field) {
            self.notes.lacking(feature, field)?;
            return Ok(false);
        }
        Ok(true)
    }

    fn raw(
        &mut self,
        feature: Feature,
        field: &str,
        value: Option<&Json<'_>>,
    ) -> Result<(), Unsupported> {
        if let Some(value) = value
            && self.takes(feature, field)?
        {
            self.writer.key(field).raw(value);
        }
        Ok(())
    }

    fn text(
        &mut self,
        feature: Feature,
        field: &str,
        value: Option<&str>,
    ) -> Result<(), Unsupported> {
        if let Some(value) = value
            && self.takes(feature, field)?
        {
            self.writer.text_field(field, value);
        }
        Ok(())
    }

    fn tools(&mut self, request: &Request<'_>) -> Result<(), Unsupported> {
        if !request.tools.is_empty() && self.takes(Feature::Tools, "tools")? {
            self.writer.key("tools").open_array();
            for tool in &request.tools {
                self.tool(tool)?;
            }
            self.writer.close_array();
        }
        if let Some(choice) = &request.tool_choice {
            self.tool_choice(choice, &request.tools)?;
        }
        // Without tools OpenAI refuses the field, and it means nothing; `true` is what it does anyway.
        if let Some(parallel) = request.parallel_tool_calls
            && !request.tools.is_empty()
        {
            if self.target.quirks.parallel_tool_calls {
                self.writer.key("parallel_tool_calls").boolean(parallel);
            } else if !parallel {
                self.notes
                    .lacking(Feature::ParallelToolCallsOff, "parallel_tool_calls")?;
            }
        }
        Ok(())
    }

    fn tool(&mut self, tool: &Tool<'_>) -> Result<(), Unsupported> {
        match tool {
            Tool::Function {
                name,
                description,
                parameters,
                strict,
                cache,
            } => {
                if cache.is_some() {
                    self.notes.lacking(Feature::Cache, "cache_control")?;
                }
                self.writer
                    .open()
                    .text_field("type", "function")
                    .key("function")
                    .open()
                    .text_field("name", name)
                    .text_field_if("description", description.as_deref())
                    .raw_field_if("parameters", parameters.as_ref())
                    .boolean_field_if("strict", *strict)
                    .close()
                    .close();
            }
            Tool::Other { kind, value } => {
                if custom_name(tool).is_some() {
                    self.writer.raw(value);
                } else {
                    self.notes.lost(
                        Feature::ToolOther,
                        &format!("tools of type {kind}"),
                        "only the provider whose tool it is has it",
                    )?;
                }
            }
        }
        Ok(())
    }

    fn tool_choice(
        &mut self,
        choice: &ToolChoice<'_>,
        tools: &[Tool<'_>],
    ) -> Result<(), Unsupported> {
        let lacks = self.target.quirks.lacks("tool_choice");
        let feature = match choice {
            // What it does anyway.
            ToolChoice::Auto if lacks || tools.is_empty() => return Ok(()),
            ToolChoice::None if tools.is_empty() => return Ok(()),
            ToolChoice::Auto => Feature::ToolChoiceAuto,
            ToolChoice::None => Feature::ToolChoiceNone,
            ToolChoice::Required => Feature::ToolChoiceRequired,
            ToolChoice::Named(_) => Feature::ToolChoiceNamed,
            ToolChoice::Allowed { .. } => Feature::ToolChoiceAllowed,
        };
        if !self.takes(feature, "tool_choice")? {
            return Ok(());
        }
        let custom = |name: &str| {
            tools
                .iter()
                .any(|tool| custom_name(tool).is_some_and(|custom| custom == name))
        };
        let writer = self.writer.key("tool_choice");
        match choice {
            ToolChoice::Auto => {
                writer.text("auto");
            }
            ToolChoice::None => {
                writer.text("none");
            }
            ToolChoice::Required => {
                writer.text(self.target.quirks.required_tool_choice);
            }
            ToolChoice::Named(name) => write_named(writer, name, custom(name)),
            ToolChoice::Allowed { names, required } => {
                writer
                    .open()
                    .text_field("type", "allowed_tools")
                    .key("allowed_tools")
                    .open()
                    .text_field("mode", if *required { "required" } else { "auto" })
                    .key("tools")
                    .open_array();
                for name in names {
                    write_named(writer, name, custom(name));
                }
                writer.close_array().close().close();
            }
        }
        Ok(())
    }

    /// What the answer is to be: its length, form and number, the thought before it.
    fn answer(&mut self, request: &Request<'_>) -> Result<(), Unsupported> {
        self.writer
            .integer_field_if(self.target.quirks.max_tokens.field(), request.max_tokens);
        if !request.stop.is_empty() && self.takes(Feature::Stop, "stop")? {
            self.writer.key("stop").open_array();
            for stop in &request.stop {
                self.writer.text(stop);
            }
            self.writer.close_array();
        }
        if let Some(choices) = request.choices
            && !(choices == 1 && self.target.quirks.lacks("n"))
            && self.takes(Feature::Choices, "n")?
        {
            self.writer.key("n").integer(choices);
        }
        if let Some(logprobs) = request.logprobs
            && (logprobs || !self.target.quirks.lacks("logprobs"))
            && self.takes(Feature::Logprobs, "logprobs")?
        {
            self.writer.key("logprobs").boolean(logprobs);
        }
        if let Some(top) = request.top_logprobs
            && self.takes(Feature::Logprobs, "top_logprobs")?
        {
            self.writer.key("top_logprobs").integer(top);
        }
        if let Some(format) = &request.format {
            self.format(format)?;
        }
        if let Some(reasoning) = &request.reasoning {
            self.reasoning(reasoning)?;
        }
        if request.stream {
            self.writer.key("stream").boolean(true);
            if request.stream_usage && self.target.quirks.stream_usage {
                self.writer
                    .key("stream_options")
                    .open()
                    .key("include_usage")
                    .boolean(true)
                    .close();
            }
        }
        Ok(())
    }

    fn format(&mut self, format: &Format<'_>) -> Result<(), Unsupported> {
        let (feature, lacks) = match format {
            Format::Json => (Feature::JsonMode, false),
            Format::Schema { .. } => (Feature::JsonSchema, !self.target.quirks.json_schema),
        };
        if lacks {
            return self.notes.lacking(feature, "response_format");
        }
        if !self.takes(feature, "response_format")? {
            return Ok(());
        }
        let writer = self.writer.key("response_format").open();
        match format {
            Format::Json => {
                writer.text_field("type", "json_object");
            }
            Format::Schema {
                name,
                description,
                schema,
                strict,
            } => {
                writer
                    .text_field("type", "json_schema")
                    .key("json_schema")
                    .open()
                    .text_field("name", name.as_deref().unwrap_or(SCHEMA_NAME))
                    .text_field_if("description", description.as_deref())
                    .key("schema")
                    .raw(schema)
                    .boolean_field_if("strict", *strict)
                    .close();
            }
        }
        writer.close();
        Ok(())
    }

    fn reasoning(&mut self, reasoning: &Reasoning<'_>) -> Result<(), Unsupported> {
        // A provider that tells the thoughts tells all of them.
        if reasoning.summary.is_some() && self.target.quirks.reasoning.is_none() {
            self.notes
                .lacking(Feature::ReasoningSummary, "reasoning.summary")?;
        }
        let effort = match (reasoning.effort(), reasoning.mode) {
            (Some(effort), _) => effort,
            (None, ReasoningMode::On) => "medium",
            (None, _) => return Ok(()),
        };
        if !self.target.quirks.reasoning_effort {
            let feature = if reasoning.wanted() == Some(false) {
                Feature::ReasoningOff
            } else if reasoning.effort.is_none() && reasoning.budget_tokens.is_some() {
                Feature::ReasoningBudget
            } else {
                Feature::ReasoningEffort
            };
            return self.notes.lacking(feature, "reasoning_effort");
        }
        self.writer.text_field("reasoning_effort", effort);
        Ok(())
    }

    fn sampling(&mut self, request: &Request<'_>) -> Result<(), Unsupported> {
        let sampling = &request.sampling;
        self.raw(
            Feature::Temperature,
            "temperature",
            sampling.temperature.as_ref(),
        )?;
        self.raw(Feature::TopP, "top_p", sampling.top_p.as_ref())?;
        self.raw(
            Feature::FrequencyPenalty,
            "frequency_penalty",
            sampling.frequency_penalty.as_ref(),
        )?;
        self.raw(
            Feature::PresencePenalty,
            "presence_penalty",
            sampling.presence_penalty.as_ref(),
        )?;
        self.raw(
            Feature::LogitBias,
            "logit_bias",
            sampling.logit_bias.as_ref(),
        )?;
        if sampling.top_k.is_some() {
            self.notes.lacking(Feature::TopK, "top_k")?;
        }
        if let Some(seed) = &sampling.seed {
            match self.target.quirks.seed {
                Some(field) => {
                    self.writer.key(field).raw(seed);
                }
                None => self.notes.lacking(Feature::Seed, "seed")?,
            }
        }
        Ok(())
    }

    /// For whom it is, what it may cost, and whether it is kept.
    fn account(&mut self, request: &Request<'_>) -> Result<(), Unsupported> {
        self.raw(Feature::Metadata, "metadata", request.metadata.as_ref())?;
        self.text(Feature::User, "user", request.user.as_deref())?;
        let tier = match request.service_tier.as_deref() {
            // Anthropic's word for the usual one.
            Some("standard_only") => Some("default"),
            tier => tier,
        };
        self.text(Feature::ServiceTier, "service_tier", tier)?;
        if let Some(store) = request.store
            && (store || !self.target.quirks.lacks("store"))
            && self.takes(Feature::Store, "store")?
        {
            self.writer.key("store").boolean(store);
        }
        Ok(())
    }

    fn extra(&mut self, extra: &Extra<'_>) -> Result<(), Unsupported> {
        let name = &*extra.name;
        if !KNOWN.contains(&name) || self.target.quirks.lacks(name) {
            return self.notes.lacking(Feature::Unknown, name);
        }
        self.writer.key(name).raw(&extra.value);
        Ok(())
    }
}

fn write_named(writer: &mut Writer<'_>, name: &str, custom: bool) {
    let kind = if custom { "custom" } else { "function" };
    writer
        .open()
        .text_field("type", kind)
        .key(kind)
        .open()
        .text_field("name", name)
        .close()
        .close();
}

/// The name of a custom tool in the form that it has here; the Responses API has another.
fn custom_name<'a>(tool: &'a Tool<'_>) -> Option<Cow<'a, str>> {
    match tool {
        Tool::Other { kind, value } if kind == "custom" => Object::parse(value.as_str())
            .and_then(|mut tool| tool.object("custom"))
            .ok()??
            .required_text("name")
            .ok(),
        _ => None,
    }
}

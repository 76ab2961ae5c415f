//! Writes requests of the Responses API: <https://platform.openai.com/docs/api-reference/responses/create>.

use super::turns;
use crate::dialect::Target;
use crate::json::{Json, Object, Writer, elements};
use crate::request::{
    Content, Extra, Format, Part, Reasoning, ReasoningMode, Request, Tool, ToolChoice,
};
use crate::support::{Feature, Notes, Unsupported};

/// Fields that the model has no word for and other surfaces may have under the same name. `verbosity` and `include` have
/// places of their own.
const KNOWN: &[&str] = &[
    "access_programs",
    "context_management",
    "image",
    "max_tool_calls",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "truncation",
];

/// Tools that OpenAI runs or has a form of its own for, with the field that each must have in it.
const OWN_TOOLS: &[(&str, Option<&str>)] = &[
    ("apply_patch", None),
    ("code_interpreter", Some("container")),
    ("computer", None),
    ("computer_use_preview", None),
    ("custom", Some("name")),
    ("file_search", Some("vector_store_ids")),
    ("image_generation", None),
    ("local_shell", None),
    ("mcp", Some("server_label")),
    ("namespace", Some("name")),
    ("programmatic_tool_calling", None),
    ("shell", None),
    ("tool_search", None),
    ("web_search", None),
    ("web_search_2025_08_26", None),
    ("web_search_preview", None),
    ("web_search_preview_2025_03_11", None),
];

/// What a schema is called that has no name, since one is demanded.
const SCHEMA_NAME: &str = "answer";

/// The least that `max_output_tokens` may be; below it OpenAI refuses with `integer_below_min_value`.
const LEAST_TOKENS: u64 = 16;

/// Writes a request. One that says nothing of `store` is not stored, as in all other APIs, though this one would; and a
/// function that does not say whether it is strict is not, though here it would be.
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
    turns::write(&mut writer, request, target, notes)?;
    let mut encoder = Encoder {
        writer,
        target,
        notes,
    };
    encoder.tools(request)?;
    encoder.text(request)?;
    encoder.answer(request)?;
    encoder.sampling(request)?;
    encoder.account(request)?;
    encoder.include(request);
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
        if let Some(parallel) = request.parallel_tool_calls {
            if self.target.quirks.parallel_tool_calls {
                self.writer.key("parallel_tool_calls").boolean(parallel);
            } else if !parallel && !request.tools.is_empty() {
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
                    .text_field("name", name)
                    .text_field_if("description", description.as_deref())
                    .key("parameters");
                // Demanded, as is the next; `null` for none.
                match parameters {
                    Some(parameters) => self.writer.raw(parameters),
                    None => self.writer.null(),
                };
                self.writer
                    .key("strict")
                    .boolean(strict.unwrap_or(false))
                    .close();
            }
            Tool::Other { kind, value } => {
                if !is_own(kind, value) {
                    return self.notes.lost(
                        Feature::ToolOther,
                        &format!("tools of type {kind}"),
                        "only the provider whose tool it is has it",
                    );
                }
                self.writer.raw(value);
            }
        }
        Ok(())
    }

    fn tool_choice(
        &mut self,
        choice: &ToolChoice<'_>,
        tools: &[Tool<'_>],
    ) -> Result<(), Unsupported> {
        let feature = match choice {
            // What it does anyway.
            ToolChoice::Auto | ToolChoice::None if tools.is_empty() => return Ok(()),
            ToolChoice::Auto => Feature::ToolChoiceAuto,
            ToolChoice::None => Feature::ToolChoiceNone,
            ToolChoice::Required => Feature::ToolChoiceRequired,
            ToolChoice::Named(_) => Feature::ToolChoiceNamed,
            ToolChoice::Allowed { .. } => Feature::ToolChoiceAllowed,
        };
        if !self.takes(feature, "tool_choice")? {
            return Ok(());
        }
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
            ToolChoice::Named(name) => write_named(writer, name, tools),
            ToolChoice::Allowed { names, required } => {
                writer
                    .open()
                    .text_field("type", "allowed_tools")
                    .text_field("mode", if *required { "required" } else { "auto" })
                    .key("tools")
                    .open_array();
                for name in names {
                    write_named(writer, name, tools);
                }
                writer.close_array().close();
            }
        }
        Ok(())
    }

    /// `text`: the answer's form, and how long-winded it is.
    fn text(&mut self, request: &Request<'_>) -> Result<(), Unsupported> {
        let verbosity = request
            .extra
            .iter()
            .find(|extra| extra.name == "verbosity" && !self.target.quirks.lacks("verbosity"));
        let format = match &request.format {
            Some(Format::Schema { .. }) if !self.target.quirks.json_schema => {
                self.notes.lacking(Feature::JsonSchema, "text.format")?;
                None
            }
            format => format.as_ref(),
        };
        if format.is_none() && verbosity.is_none() {
            return Ok(());
        }
        let writer = self.writer.key("text").open();
        if let Some(format) = format {
            writer.key("format").open();
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
                        .text_field("name", name.as_deref().unwrap_or(SCHEMA_NAME))
                        .text_field_if("description", description.as_deref())
                        .key("schema")
                        .raw(schema)
                        .boolean_field_if("strict", *strict);
                }
            }
            writer.close();
        }
        writer
            .raw_field_if("verbosity", verbosity.map(|extra| &extra.value))
            .close();
        Ok(())
    }

    /// The answer's length and number, and the thought before it.
    fn answer(&mut self, request: &Request<'_>) -> Result<(), Unsupported> {
        if let Some(most) = request.max_tokens {
            if most < LEAST_TOKENS {
                self.notes.warn(format!(
                    "`max_tokens` {most} became {LEAST_TOKENS}, the least there is"
                ));
            }
            self.writer
                .key("max_output_tokens")
                .integer(most.max(LEAST_TOKENS));
        }
        if !request.stop.is_empty() {
            self.notes.lacking(Feature::Stop, "stop")?;
        }
        if request.choices.is_some_and(|choices| choices != 1) {
            self.notes.lacking(Feature::Choices, "n")?;
        }
        if let Some(top) = request.top_logprobs
            && self.takes(Feature::Logprobs, "top_logprobs")?
        {
            self.writer.key("top_logprobs").integer(top);
        }
        if let Some(reasoning) = &request.reasoning {
            self.reasoning(reasoning)?;
        }
        if request.stream {
            self.writer.key("stream").boolean(true);
        }
        Ok(())
    }

    fn reasoning(&mut self, reasoning: &Reasoning<'_>) -> Result<(), Unsupported> {
        let mut effort = match (reasoning.effort(), reasoning.mode) {
            (None, ReasoningMode::On) => Some("medium"),
            (effort, _) => effort,
        };
        if effort.is_some() && !self.target.quirks.reasoning_effort {
            let feature = if reasoning.wanted() == Some(false) {
                Feature::ReasoningOff
            } else if reasoning.effort.is_none() && reasoning.budget_tokens.is_some() {
                Feature::ReasoningBudget
            } else {
                Feature::ReasoningEffort
            };
            self.notes.lacking(feature, "reasoning.effort")?;
            effort = None;
        }
        let summary = reasoning.summary.as_deref();
        if effort.is_some() || summary.is_some() {
            self.writer
                .key("reasoning")
                .open()
                .text_field_if("effort", effort)
                .text_field_if("summary", summary)
                .close();
        }
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
        let lacking = [
            (Feature::TopK, "top_k", &sampling.top_k),
            (Feature::Seed, "seed", &sampling.seed),
            (
                Feature::FrequencyPenalty,
                "frequency_penalty",
                &sampling.frequency_penalty,
            ),
            (
                Feature::PresencePenalty,
                "presence_penalty",
                &sampling.presence_penalty,
            ),
            (Feature::LogitBias, "logit_bias", &sampling.logit_bias),
        ];
        for (feature, field, value) in lacking {
            if value.is_some() {
                self.notes.lacking(feature, field)?;
            }
        }
        Ok(())
    }

    /// For whom it is, what it may cost, and whether it is kept.
    fn account(&mut self, request: &Request<'_>) -> Result<(), Unsupported> {
        self.raw(Feature::Metadata, "metadata", request.metadata.as_ref())?;
        let tier = match request.service_tier.as_deref() {
            // Anthropic's word for the usual one.
            Some("standard_only") => Some("default"),
            tier => tier,
        };
        let texts = [
            (Feature::User, "user", request.user.as_deref()),
            (Feature::ServiceTier, "service_tier", tier),
        ];
        for (feature, field, value) in texts {
            if let Some(value) = value
                && self.takes(feature, field)?
            {
                self.writer.text_field(field, value);
            }
        }
        let store = request.store.unwrap_or(false);
        if !self.target.quirks.lacks("store") {
            self.writer.key("store").boolean(store);
        } else if store {
            self.notes.lacking(Feature::Store, "store")?;
        }
        Ok(())
    }

    /// What is to be told beside the answer: what was asked for, and the seals without which thoughts that are not stored
    /// cannot be sent back.
    fn include(&mut self, request: &Request<'_>) {
        let asked = request.extra.iter().find(|extra| extra.name == "include");
        let others = asked.and_then(|extra| {
            let raw = serde_json::from_str(extra.value.as_str()).ok()?;
            elements(raw).ok()
        });
        let logprobs = request.logprobs == Some(true) || request.top_logprobs.is_some();
        let thinks = self.target.quirks.reasoning_effort
            && request.reasoning.as_ref().is_some_and(|reasoning| {
                reasoning.wanted() == Some(true) || reasoning.summary.is_some()
            });
        let thought =
            |part: &Part<'_>| matches!(part.content, Content::Reasoning { id: Some(_), .. });
        let seals = thinks
            || request
                .turns
                .iter()
                .flat_map(|turn| &turn.parts)
                .any(thought);
        if !logprobs && !seals && others.is_none() {
            return;
        }
        self.writer.key("include").open_array();
        if seals {
            self.writer.text("reasoning.encrypted_content");
        }
        if logprobs {
            self.writer.text("message.output_text.logprobs");
        }
        for other in others.into_iter().flatten() {
            self.writer.raw(&other.into());
        }
        self.writer.close_array();
    }

    fn extra(&mut self, extra: &Extra<'_>) -> Result<(), Unsupported> {
        let name = &*extra.name;
        let lacks = self.target.quirks.lacks(name);
        match name {
            "verbosity" | "include" if !lacks => Ok(()),
            _ if extra.is_state() && lacks => self.notes.lacking(Feature::State, name),
            _ if (KNOWN.contains(&name) || extra.is_state()) && !lacks => {
                self.writer.key(name).raw(&extra.value);
                Ok(())
            }
            _ => self.notes.lacking(Feature::Unknown, name),
        }
    }
}

/// Whether it is a tool of OpenAI's, in the form that it has in this API.
fn is_own(kind: &str, value: &Json<'_>) -> bool {
    OWN_TOOLS
        .iter()
        .find(|(own, _)| *own == kind)
        .is_some_and(|(_, field)| {
            Object::parse(value.as_str()).is_ok_and(|mut tool| {
                tool.take("type").is_some() && field.is_none_or(|field| tool.take(field).is_some())
            })
        })
}

/// Names a tool: a function or custom tool by its name, OpenAI's own by its type.
fn write_named(writer: &mut Writer<'_>, name: &str, tools: &[Tool<'_>]) {
    let other = tools.iter().find_map(|tool| match tool {
        Tool::Other { kind, value } if kind == "custom" => Object::parse(value.as_str())
            .and_then(|mut tool| tool.required_text("name"))
            .is_ok_and(|custom| custom == name)
            .then_some("custom"),
        Tool::Other { kind, .. } if kind == name => Some(name),
        _ => None,
    });
    let kind = other.unwrap_or("function");
    writer.open().text_field("type", kind);
    if matches!(kind, "function" | "custom") {
        writer.text_field("name", name);
    }
    writer.close();
}

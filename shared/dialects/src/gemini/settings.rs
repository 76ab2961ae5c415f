//! The settings of a request, both ways: <https://ai.google.dev/api/generate-content#generationconfig>,
//! <https://ai.google.dev/api/caching#FunctionCallingConfig>, <https://ai.google.dev/gemini-api/docs/thinking>.
//!
//! A setting that the model has no word for is an [`Extra`] with its place in its name, such as
//! `generationConfig.responseModalities`.

use std::borrow::Cow;

use super::fields::Fields;
use super::model::{Least, counts_thoughts, least_thinking, most_thinking};
use crate::dialect::Target;
use crate::json::{Json, Problem, Raw, Writer, text};
use crate::request::{Extra, Format, Reasoning, ReasoningMode, Request, Tool, ToolChoice};
use crate::support::{Feature, Notes, Unsupported};

/// What stands before the name of an extra that belongs to `generationConfig`.
pub(super) const GENERATION: &str = "generationConfig.";
/// What stands before the name of an extra that belongs to `toolConfig`.
pub(super) const TOOLS: &str = "toolConfig.";

/// Google's word for a service tier, in OpenAI's.
pub(super) fn tier(word: Cow<'_, str>) -> Option<Cow<'_, str>> {
    match &*word {
        "unspecified" => None,
        "standard" => Some("default".into()),
        _ => Some(word),
    }
}

/// OpenAI's word for a service tier, in Google's.
pub(super) fn tier_word(word: &str) -> &str {
    match word {
        "default" | "standard_only" => "standard",
        _ => word,
    }
}

/// Reads `toolConfig`.
pub(super) fn tool_config<'a>(raw: Raw<'a>, request: &mut Request<'a>) -> Result<(), Problem> {
    let mut fields = Fields::of(raw)?;
    let calling = fields.object("functionCallingConfig", |calling| {
        let names = calling.each("allowedFunctionNames", text)?;
        let mode = calling.text("mode")?.unwrap_or_default();
        Ok((mode.to_ascii_uppercase(), names))
    })?;
    if let Some((mode, mut names)) = calling {
        request.tool_choice = match (&*mode, names.len()) {
            ("" | "MODE_UNSPECIFIED", 0) => None,
            ("AUTO", 0) => Some(ToolChoice::Auto),
            ("NONE", 0) => Some(ToolChoice::None),
            ("ANY", 0) => Some(ToolChoice::Required),
            ("ANY", 1) => names.pop().map(ToolChoice::Named),
            ("ANY", _) => Some(ToolChoice::Allowed {
                names,
                required: true,
            }),
            ("VALIDATED", 0) => {
                for tool in &mut request.tools {
                    if let Tool::Function { strict, .. } = tool {
                        *strict = Some(true);
                    }
                }
                Some(ToolChoice::Auto)
            }
            ("VALIDATED", _) => Some(ToolChoice::Allowed {
                names,
                required: false,
            }),
            ("" | "MODE_UNSPECIFIED" | "AUTO" | "NONE", _) => {
                return Err(
                    Problem::new("must be ANY or VALIDATED with allowedFunctionNames")
                        .at("mode")
                        .at("functionCallingConfig"),
                );
            }
            _ => {
                return Err(Problem::new("must be AUTO, ANY, NONE or VALIDATED")
                    .at("mode")
                    .at("functionCallingConfig"));
            }
        };
    }
    keep(fields, TOOLS, request);
    Ok(())
}

fn keep<'a>(fields: Fields<'a>, place: &str, request: &mut Request<'a>) {
    request.extra.extend(fields.rest().map(|(name, raw)| Extra {
        name: format!("{place}{name}").into(),
        value: raw.into(),
    }));
}

/// Reads `generationConfig`.
pub(super) fn generation<'a>(raw: Raw<'a>, request: &mut Request<'a>) -> Result<(), Problem> {
    let mut fields = Fields::of(raw)?;
    let sampling = &mut request.sampling;
    sampling.temperature = fields.number("temperature")?;
    sampling.top_p = fields.number("topP")?;
    sampling.top_k = fields.number("topK")?;
    sampling.seed = fields.number("seed")?;
    sampling.presence_penalty = fields.number("presencePenalty")?;
    sampling.frequency_penalty = fields.number("frequencyPenalty")?;
    request.max_tokens = fields.integer("maxOutputTokens")?;
    request.stop = fields.each("stopSequences", text)?;
    request.choices = fields.integer("candidateCount")?;
    request.logprobs = fields.boolean("responseLogprobs")?;
    request.top_logprobs = fields.integer("logprobs")?;
    request.reasoning = fields.object("thinkingConfig", thinking)?;
    request.format = format(&mut fields, &mut request.extra)?;
    keep(fields, GENERATION, request);
    Ok(())
}

/// The answer's form. `text/x.enum` and the like have no word here.
fn format<'a>(
    fields: &mut Fields<'a>,
    extra: &mut Vec<Extra<'a>>,
) -> Result<Option<Format<'a>>, Problem> {
    let media_type = fields.text("responseMimeType")?;
    match media_type.as_deref() {
        None | Some("text/plain") => Ok(None),
        Some("application/json") => {
            let schema = match fields.opaque("responseJsonSchema")? {
                None => fields
                    .take("responseSchema")
                    .map(super::schema::json_schema)
                    .transpose()
                    .map_err(|problem| problem.at("responseSchema"))?,
                own => own,
            };
            Ok(Some(match schema {
                Some(schema) => Format::Schema {
                    name: None,
                    description: None,
                    schema,
                    strict: None,
                },
                None => Format::Json,
            }))
        }
        Some(other) => {
            extra.push(Extra {
                name: format!("{GENERATION}responseMimeType").into(),
                value: Json::from(&serde_json::Value::from(other)),
            });
            Ok(None)
        }
    }
}

fn thinking<'a>(fields: &mut Fields<'a>) -> Result<Reasoning<'a>, Problem> {
    let mut reasoning = Reasoning::default();
    match fields.number("thinkingBudget")? {
        Some(digits) => match digits.as_str().parse::<i64>() {
            Ok(-1) => reasoning.mode = ReasoningMode::Adaptive,
            Ok(0) => reasoning.mode = ReasoningMode::Off,
            Ok(tokens @ 1..) => reasoning.budget_tokens = Some(tokens.unsigned_abs()),
            _ => {
                return Err(Problem::new("must be a whole number, or -1").at("thinkingBudget"));
            }
        },
        None => {
            reasoning.effort = fields
                .text("thinkingLevel")?
                .map(|level| level.to_ascii_lowercase())
                .filter(|level| level != "thinking_level_unspecified")
                .map(Cow::Owned);
        }
    }
    if fields.boolean("includeThoughts")? == Some(true) {
        reasoning.summary = Some("auto".into());
    }
    Ok(reasoning)
}

/// Writes the fields of `generationConfig`.
pub(super) fn write_generation(
    request: &Request<'_>,
    target: &Target<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let sampling = &request.sampling;
    writer
        .raw_field_if("temperature", sampling.temperature.as_ref())
        .raw_field_if("topP", sampling.top_p.as_ref())
        .raw_field_if("topK", sampling.top_k.as_ref())
        .raw_field_if("presencePenalty", sampling.presence_penalty.as_ref())
        .raw_field_if("frequencyPenalty", sampling.frequency_penalty.as_ref());
    match &sampling.seed {
        Some(seed) if seed.as_str().parse::<i32>().is_err() => {
            notes.lost(Feature::Seed, "seed", "it takes whole numbers of 32 bits")?;
        }
        seed => {
            writer.raw_field_if("seed", seed.as_ref());
        }
    }
    if sampling.logit_bias.is_some() {
        notes.lacking(Feature::LogitBias, "logit_bias")?;
    }
    let most = match (request.max_tokens, target.max_output) {
        (Some(asked), Some(most)) if asked > most => {
            notes.warn(format!(
                "`max_tokens` was lowered to {most}, the most that the model writes"
            ));
            Some(most)
        }
        (asked, _) => asked,
    };
    writer.integer_field_if("maxOutputTokens", most);
    if !request.stop.is_empty() {
        if request.stop.len() > 5 {
            notes.lost(Feature::Stop, "stop", "it takes five stop texts at most")?;
        }
        writer.key("stopSequences").open_array();
        for stop in &request.stop {
            writer.text(stop);
        }
        writer.close_array();
    }
    writer
        .integer_field_if("candidateCount", request.choices)
        .boolean_field_if(
            "responseLogprobs",
            request.logprobs.filter(|wanted| *wanted),
        )
        .integer_field_if("logprobs", request.top_logprobs);
    match &request.format {
        None => {}
        Some(Format::Json) => {
            writer.text_field("responseMimeType", "application/json");
        }
        Some(Format::Schema {
            schema,
            description,
            ..
        }) => {
            if description.is_some() {
                notes.warn(format!(
                    "`response_format.json_schema.description` was left out for {}",
                    target.title
                ));
            }
            writer
                .text_field("responseMimeType", "application/json")
                .key("responseJsonSchema")
                .raw(schema);
        }
    }
    if let Some(reasoning) = &request.reasoning {
        write_thinking(reasoning, target, writer, notes)?;
    }
    write_extras(request, GENERATION, writer);
    Ok(())
}

/// Writes the extras of a place.
pub(super) fn write_extras(request: &Request<'_>, place: &str, writer: &mut Writer<'_>) {
    for extra in &request.extra {
        if let Some(name) = extra.name.strip_prefix(place) {
            writer.key(name).raw(&extra.value);
        }
    }
}

/// Either a level or a budget, since Google takes only one of the two.
fn write_thinking(
    reasoning: &Reasoning<'_>,
    target: &Target<'_>,
    writer: &mut Writer<'_>,
    notes: &mut Notes,
) -> Result<(), Unsupported> {
    let summary = reasoning
        .summary
        .as_deref()
        .is_some_and(|word| word != "none");
    let budgets = counts_thoughts(target.model);
    let choice = if reasoning.wanted() == Some(false) {
        let (least, nearly) = least_thinking(target.model);
        if !nearly {
            notes.warn(
                "reasoning was lowered as far as the model allows: it cannot be switched off"
                    .into(),
            );
        }
        Some(least)
    } else if let Some(tokens) = reasoning.budget_tokens {
        let most = most_thinking(target.model);
        if tokens > most {
            notes.warn(format!(
                "the reasoning budget was lowered to {most}, the most that the model takes"
            ));
        }
        Some(Least::Tokens(tokens.min(most)))
    } else if let Some(effort) = reasoning.effort.as_deref() {
        match (effort, reasoning.budget()) {
            (_, Some(tokens)) if budgets => {
                Some(Least::Tokens(tokens.min(most_thinking(target.model))))
            }
            ("minimal", _) => Some(Least::Level("MINIMAL")),
            ("low", _) => Some(Least::Level("LOW")),
            ("medium", _) => Some(Least::Level("MEDIUM")),
            ("high", _) => Some(Least::Level("HIGH")),
            ("xhigh" | "max", _) => {
                notes.warn(
                    "the reasoning effort was lowered to high, the most that there is".into(),
                );
                Some(Least::Level("HIGH"))
            }
            _ => {
                notes.lost(
                    Feature::ReasoningEffort,
                    "reasoning_effort",
                    "it knows minimal, low, medium and high",
                )?;
                None
            }
        }
    } else {
        None
    };
    // Newer models choose by themselves where nothing is said.
    let adaptive = budgets
        && choice.is_none()
        && matches!(reasoning.mode, ReasoningMode::On | ReasoningMode::Adaptive);
    if choice.is_none() && !adaptive && !summary {
        return Ok(());
    }
    writer.key("thinkingConfig").open();
    match choice {
        Some(Least::Tokens(tokens)) => {
            writer.key("thinkingBudget").integer(tokens);
        }
        Some(Least::Level(level)) => {
            writer.text_field("thinkingLevel", level);
        }
        None if adaptive => {
            let dynamic = Json::from(&serde_json::Value::from(-1));
            writer.key("thinkingBudget").raw(&dynamic);
        }
        None => {}
    }
    if summary {
        writer.key("includeThoughts").boolean(true);
    }
    writer.close();
    Ok(())
}

/// Writes the fields of `toolConfig`.
pub(super) fn write_tool_config(request: &Request<'_>, writer: &mut Writer<'_>) {
    let strict = request.tools.iter().any(|tool| {
        matches!(
            tool,
            Tool::Function {
                strict: Some(true),
                ..
            }
        )
    });
    let none: &[Cow<'_, str>] = &[];
    let chosen = match &request.tool_choice {
        None if strict => Some(("VALIDATED", none)),
        None => None,
        Some(ToolChoice::Auto) if strict => Some(("VALIDATED", none)),
        Some(ToolChoice::Auto) => Some(("AUTO", none)),
        Some(ToolChoice::None) => Some(("NONE", none)),
        Some(ToolChoice::Required) => Some(("ANY", none)),
        Some(ToolChoice::Named(name)) => Some(("ANY", std::slice::from_ref(name))),
        Some(ToolChoice::Allowed { names, required }) => Some((
            if *required { "ANY" } else { "VALIDATED" },
            names.as_slice(),
        )),
    };
    if let Some((mode, names)) = chosen {
        writer
            .key("functionCallingConfig")
            .open()
            .text_field("mode", mode);
        if !names.is_empty() {
            writer.key("allowedFunctionNames").open_array();
            for name in names {
                writer.text(name);
            }
            writer.close_array();
        }
        writer.close();
    }
    write_extras(request, TOOLS, writer);
}

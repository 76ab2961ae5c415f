//! Stop reasons, usage and service tiers: <https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons>.

use std::borrow::Cow;

use crate::answer::{Finish, Reason, Usage};
use crate::json::{Object, Problem, Raw, Writer};

/// The reason that a `stop_reason` is. A full context is as good as `max_tokens`.
pub(super) fn reason(stop_reason: Option<&str>) -> Reason {
    match stop_reason {
        Some("end_turn") => Reason::Stop,
        Some("stop_sequence") => Reason::StopSequence,
        Some("max_tokens" | "model_context_window_exceeded") => Reason::Length,
        Some("tool_use") => Reason::ToolCalls,
        Some("refusal") => Reason::Refusal,
        Some("pause_turn") => Reason::Pause,
        Some(_) | None => Reason::Other,
    }
}

/// What an answer had in it, which some providers' reasons do not tell.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Had {
    /// A tool was called.
    pub(super) call: bool,
    /// The model declined.
    pub(super) refusal: bool,
}

/// The `stop_reason` of a reason. An answer that ended by itself ended for what it had.
pub(super) fn stop_reason(reason: Reason, had: Had) -> &'static str {
    match reason {
        Reason::Stop | Reason::Other if had.call => "tool_use",
        Reason::Stop | Reason::Other if had.refusal => "refusal",
        Reason::Stop | Reason::Other => "end_turn",
        Reason::StopSequence => "stop_sequence",
        Reason::Length => "max_tokens",
        Reason::ToolCalls => "tool_use",
        Reason::ContentFilter | Reason::Refusal => "refusal",
        Reason::Pause => "pause_turn",
    }
}

/// The two fields that say why it ended.
pub(super) fn write_finish(finish: &Finish<'_>, had: Had, writer: &mut Writer<'_>) {
    writer.text_field("stop_reason", stop_reason(finish.reason, had));
    writer.key("stop_sequence");
    match &finish.stop_sequence {
        Some(text) => writer.text(text),
        None => writer.null(),
    };
}

/// Why a refusal came, in the provider's words.
pub(super) fn explanation<'a>(object: &mut Object<'a>) -> Result<Option<Cow<'a, str>>, Problem> {
    let Some(mut details) = object.object("stop_details")? else {
        return Ok(None);
    };
    let text = details
        .text("explanation")
        .map_err(|problem| problem.at("stop_details"))?;
    Ok(text.filter(|text| !text.is_empty()))
}

/// Token counts as far as they have been told; a stream tells them twice, cumulatively, and may leave out the input the
/// second time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    input: Option<u64>,
    cached: Option<u64>,
    written: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
}

impl Counts {
    /// Takes what a `usage` tells; its service tier too.
    pub(super) fn read<'a>(&mut self, raw: Raw<'a>) -> Result<Option<Cow<'a, str>>, Problem> {
        let mut object = Object::of(raw)?;
        let mut take = |count: &mut Option<u64>, name: &str| {
            object.integer(name).map(|told| *count = told.or(*count))
        };
        take(&mut self.input, "input_tokens")?;
        take(&mut self.cached, "cache_read_input_tokens")?;
        take(&mut self.written, "cache_creation_input_tokens")?;
        take(&mut self.output, "output_tokens")?;
        if let Some(mut details) = object.object("output_tokens_details")? {
            let told = details
                .integer("thinking_tokens")
                .map_err(|problem| problem.at("output_tokens_details"))?;
            self.reasoning = told.or(self.reasoning);
        }
        Ok(object.text("service_tier")?.map(|tier| match &*tier {
            "standard" => Cow::Borrowed("default"),
            _ => tier,
        }))
    }

    /// In the model's words: there, input is all of it.
    pub(super) fn usage(self) -> Usage {
        Usage {
            input: self
                .input
                .unwrap_or(0)
                .saturating_add(self.cached.unwrap_or(0))
                .saturating_add(self.written.unwrap_or(0)),
            cached: self.cached,
            cache_written: self.written,
            output: self.output.unwrap_or(0),
            reasoning: self.reasoning,
        }
    }
}

/// Writes a `usage`, which is required; all zero where the provider told none.
pub(super) fn write_usage(usage: Option<Usage>, tier: Option<&str>, writer: &mut Writer<'_>) {
    let usage = usage.unwrap_or_default();
    writer.key("usage").open();
    writer.key("input_tokens").integer(usage.fresh_input());
    writer.integer_field_if("cache_creation_input_tokens", usage.cache_written);
    writer.integer_field_if("cache_read_input_tokens", usage.cached);
    writer.key("output_tokens").integer(usage.output);
    if let Some(reasoning) = usage.reasoning {
        writer.key("output_tokens_details").open();
        writer.key("thinking_tokens").integer(reasoning).close();
    }
    let tier = match tier {
        Some("default" | "standard") => Some("standard"),
        Some(tier @ ("priority" | "batch")) => Some(tier),
        _ => None,
    };
    writer.text_field_if("service_tier", tier).close();
}

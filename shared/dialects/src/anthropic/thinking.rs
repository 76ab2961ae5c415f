//! Thinking, effort, sampling and the longest answer, which bind each other:
//! <https://platform.claude.com/docs/en/build-with-claude/extended-thinking>, `…/adaptive-thinking`, `…/effort`.

use std::borrow::Cow;

use crate::dialect::Target;
use crate::json::{Json, Writer};
use crate::request::{Content, Part, Reasoning, Request, Role, ToolChoice};
use crate::support::{Feature, Notes, Unsupported};

use super::version::Version;

/// The least budget that the API takes.
const LEAST: u64 = 1_024;
/// For the answer, where nobody says how long it may be.
const ANSWER: u64 = 8_192;
/// For thoughts, where they are wanted and nobody says how many.
const THOUGHTS: u64 = 8_192;

/// What is sent.
pub(super) struct Plan<'r> {
    pub(super) max_tokens: u64,
    thinking: Option<Thinking>,
    told: bool,
    pub(super) effort: Option<Cow<'r, str>>,
    temperature: Option<Cow<'r, str>>,
    top_p: Option<&'r Json<'r>>,
    top_k: Option<&'r Json<'r>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thinking {
    Off,
    BetweenTools,
    Budget(u64),
    Adaptive,
}

impl<'r> Plan<'r> {
    /// Decides.
    ///
    /// # Errors
    /// None of the features here is essential, but notes may say otherwise.
    pub(super) fn of(
        request: &'r Request<'r>,
        target: &Target<'_>,
        notes: &mut Notes,
    ) -> Result<Self, Unsupported> {
        let version = Version::of(target.model);
        let max_tokens = match request.max_tokens.or(target.max_output) {
            Some(most) => most,
            None => {
                notes.warn(format!(
                    "`max_tokens` was set to {ANSWER}: {} must be told one",
                    target.title
                ));
                ANSWER
            }
        };
        let mut plan = Self {
            max_tokens,
            thinking: None,
            told: false,
            effort: None,
            temperature: None,
            top_p: None,
            top_k: None,
        };
        if let Some(reasoning) = &request.reasoning {
            plan.told = reasoning.summary.is_some();
            plan.think(reasoning, version, request, target, notes)?;
        }
        plan.sample(version, request, notes)?;
        Ok(plan)
    }

    fn think(
        &mut self,
        reasoning: &'r Reasoning<'r>,
        version: Version,
        request: &Request<'_>,
        target: &Target<'_>,
        notes: &mut Notes,
    ) -> Result<(), Unsupported> {
        let (feature, field) = match reasoning.budget_tokens {
            Some(_) => (Feature::ReasoningBudget, "thinking.budget_tokens"),
            None => (Feature::ReasoningEffort, "reasoning_effort"),
        };
        let able = version.takes_budget() || version.takes_adaptive();
        match reasoning.wanted() {
            None => return Ok(()),
            Some(false) if version.always_thinks() => {
                let why = "this model always thinks";
                notes.lost(Feature::ReasoningOff, "reasoning_effort", why)?;
            }
            Some(false) if version.thinks_between_tools() => {
                self.thinking = Some(Thinking::BetweenTools);
            }
            Some(false) => self.thinking = able.then_some(Thinking::Off),
            Some(true) if !able => {
                notes.lost(feature, field, "this model does not think")?;
            }
            Some(true) if let Some(why) = hindrance(request) => {
                notes.lost(feature, field, why)?;
            }
            Some(true) => match reasoning.budget_tokens {
                Some(budget) if version.takes_budget() => {
                    self.afford(budget, request, target, notes)?
                }
                _ if version.takes_adaptive() => self.thinking = Some(Thinking::Adaptive),
                _ => {
                    let budget = reasoning.budget().unwrap_or(THOUGHTS);
                    self.afford(budget, request, target, notes)?;
                }
            },
        }
        self.exert(reasoning, version, notes)
    }

    /// Thinks within a budget, which must be less than `max_tokens`: that is raised where it was only assumed, else the
    /// budget is lowered.
    fn afford(
        &mut self,
        wanted: u64,
        request: &Request<'_>,
        target: &Target<'_>,
        notes: &mut Notes,
    ) -> Result<(), Unsupported> {
        let given = request
            .reasoning
            .as_ref()
            .and_then(|r| r.budget_tokens)
            .is_some();
        let (feature, field) = if given {
            (Feature::ReasoningBudget, "thinking.budget_tokens")
        } else {
            (Feature::ReasoningEffort, "reasoning_effort")
        };
        if calls_without_thought(request) {
            let why = "the calls it goes on from come without the thoughts before them";
            return notes.lost(feature, field, why);
        }
        let mut budget = wanted.max(LEAST);
        if request.max_tokens.is_none() && target.max_output.is_none() && self.max_tokens <= budget
        {
            self.max_tokens = budget.saturating_add(ANSWER);
        }
        if self.max_tokens <= LEAST {
            let why = "`max_tokens` leaves less than 1024 tokens for it";
            return notes.lost(feature, field, why);
        }
        if budget >= self.max_tokens {
            budget = (self.max_tokens / 2).max(LEAST);
        }
        if given && budget != wanted {
            notes.warn(format!(
                "`thinking.budget_tokens` was set to {budget}: it must be at least 1024 and less than `max_tokens`"
            ));
        }
        self.thinking = Some(Thinking::Budget(budget));
        Ok(())
    }

    /// The effort that is sent: the client's, or for models that take no budget what the budget is worth.
    fn exert(
        &mut self,
        reasoning: &'r Reasoning<'r>,
        version: Version,
        notes: &mut Notes,
    ) -> Result<(), Unsupported> {
        let given = reasoning
            .effort
            .as_deref()
            .filter(|effort| *effort != "none");
        let effort = match (given, self.thinking) {
            (None, Some(Thinking::Adaptive)) if reasoning.budget_tokens.is_some() => {
                let worth = reasoning.effort().unwrap_or("high");
                notes.warn(format!(
                    "`thinking.budget_tokens` was sent as the effort {worth}: this model takes no budget"
                ));
                worth
            }
            // The budget says it already.
            (Some(_), Some(Thinking::Budget(_)))
                if reasoning.budget_tokens.is_none() && !version.takes_effort("low") =>
            {
                return Ok(());
            }
            (Some("minimal"), _) => "low",
            (Some(effort), _) => effort,
            (None, _) => return Ok(()),
        };
        // Neither goes with the least thinking.
        let too_high =
            self.thinking == Some(Thinking::BetweenTools) && matches!(effort, "xhigh" | "max");
        if version.takes_effort(effort) && !too_high {
            self.effort = Some(Cow::Borrowed(effort));
        } else if version.takes_effort("high") && matches!(effort, "xhigh" | "max") {
            notes.warn(format!(
                "the effort {effort} was sent as high: there is no higher one for this model here"
            ));
            self.effort = Some(Cow::Borrowed("high"));
        } else if self.thinking.is_some() {
            notes.lost(
                Feature::ReasoningEffort,
                "reasoning_effort",
                "this model takes none",
            )?;
        }
        Ok(())
    }

    fn sample(
        &mut self,
        version: Version,
        request: &'r Request<'r>,
        notes: &mut Notes,
    ) -> Result<(), Unsupported> {
        let thinks = matches!(
            self.thinking,
            Some(Thinking::Budget(_) | Thinking::Adaptive)
        );
        let obstacle = match (version.takes_sampling(), thinks) {
            (false, _) => Some("this model chooses by itself"),
            (true, true) => Some("the model thinks"),
            (true, false) => None,
        };
        let sampling = &request.sampling;
        if let Some(temperature) = &sampling.temperature {
            let value = float(temperature);
            match obstacle {
                // It is the default.
                Some(_) if value == 1.0 => {}
                Some(why) => notes.lost(Feature::Temperature, "temperature", why)?,
                None if value > 1.0 => {
                    notes.warn("`temperature` was set to 1, the highest here".to_owned());
                    self.temperature = Some(Cow::Borrowed("1"));
                }
                None => self.temperature = Some(Cow::Borrowed(temperature.as_str())),
            }
        }
        if let Some(top_p) = &sampling.top_p {
            let value = float(top_p);
            match obstacle {
                Some(_) if value == 1.0 => {}
                // Thinking models take this much.
                Some(_) if version.takes_sampling() && value >= 0.95 => self.top_p = Some(top_p),
                Some(why) => notes.lost(Feature::TopP, "top_p", why)?,
                None if self.temperature.is_some() && !version.takes_temperature_and_top_p() => {
                    if value != 1.0 {
                        let why = "this model does not take it beside `temperature`";
                        notes.lost(Feature::TopP, "top_p", why)?;
                    }
                }
                None => self.top_p = Some(top_p),
            }
        }
        if let Some(top_k) = &sampling.top_k {
            match obstacle {
                Some(why) => notes.lost(Feature::TopK, "top_k", why)?,
                None => self.top_k = Some(top_k),
            }
        }
        Ok(())
    }

    /// Writes all of it but `max_tokens` and the effort, which stand elsewhere.
    pub(super) fn write(&self, writer: &mut Writer<'_>) {
        if let Some(thinking) = self.thinking {
            writer.key("thinking").open();
            match thinking {
                Thinking::Off => writer.text_field("type", "disabled"),
                Thinking::BetweenTools => writer.text_field("type", "between_tools"),
                Thinking::Adaptive => writer.text_field("type", "adaptive"),
                Thinking::Budget(budget) => {
                    writer.text_field("type", "enabled");
                    writer.key("budget_tokens").integer(budget)
                }
            };
            if self.told && matches!(thinking, Thinking::Budget(_) | Thinking::Adaptive) {
                writer.text_field("display", "summarized");
            }
            writer.close();
        }
        if let Some(temperature) = self.temperature.clone().and_then(Json::parse) {
            writer.key("temperature").raw(&temperature);
        }
        writer.raw_field_if("top_p", self.top_p);
        writer.raw_field_if("top_k", self.top_k);
    }
}

/// What keeps a model from thinking before it answers.
fn hindrance(request: &Request<'_>) -> Option<&'static str> {
    let forced = match &request.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Named(_)) => true,
        Some(ToolChoice::Allowed { required, .. }) => *required,
        Some(ToolChoice::Auto | ToolChoice::None) | None => false,
    };
    let last = request.turns.iter().rev().map(|turn| turn.role);
    let last = last
        .into_iter()
        .find(|role| !matches!(role, Role::System | Role::Developer));
    if forced {
        Some("it cannot think before a call that it must make")
    } else if last == Some(Role::Assistant) {
        Some("it cannot think before it goes on with an answer that was begun")
    } else {
        None
    }
}

/// Whether the last assistant turn calls tools and does not begin with a thought, as it must where thinking has a budget.
fn calls_without_thought(request: &Request<'_>) -> bool {
    let mut turns = request.turns.iter().rev();
    let Some(turn) = turns.find(|turn| turn.role == Role::Assistant) else {
        return false;
    };
    let begins = turn.parts.first().is_some_and(|part| match &part.content {
        Content::Reasoning { signature, id, .. } => signature.is_some() && id.is_none(),
        Content::Redacted { .. } => true,
        _ => false,
    });
    let is_call = |part: &Part<'_>| matches!(part.content, Content::ToolCall { .. });
    !begins && turn.parts.iter().any(is_call)
}

/// A number as a float, to compare only.
fn float(json: &Json<'_>) -> f64 {
    json.as_str().parse().unwrap_or(f64::NAN)
}

//! What the models of each maker take beside Converse's own fields, read off the model's name, and what of it a request gets.
//!
//! Claude: <https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-adaptive-thinking.html>,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html>. Nova:
//! <https://docs.aws.amazon.com/nova/latest/nova2-userguide/request-response-schema.html>. A name that tells no maker (the
//! ARN of a profile of one's own) is taken for a Claude that takes everything: where that is wrong Bedrock says so, and
//! nothing is lost in silence.

use std::borrow::Cow;

use crate::dialect::Target;
use crate::json::{Json, Writer};
use crate::request::{Reasoning, Request, Role, ToolChoice};
use crate::support::{Feature, Notes, Unsupported};

/// The least that Claude takes as a budget for thoughts.
const LEAST: u64 = 1_024;
/// For thoughts, where they are wanted and nobody says how many.
const THOUGHTS: u64 = 8_192;

/// Whose model it is, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Claude(Claude),
    /// Amazon's; whether it can think.
    Nova {
        thinks: bool,
    },
    /// OpenAI's open models.
    OpenAi,
    Other,
}

/// Which Claude.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claude {
    /// Such as (4, 5), and whether it thinks whatever it is told.
    Number((u16, u16), bool),
    /// It takes everything.
    Unknown,
}

impl Family {
    /// Reads `us.anthropic.claude-sonnet-4-5-20250929-v1:0` or an ARN that ends in such a name.
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        if name.contains("claude") {
            Self::Claude(Claude::of(name))
        } else if name.contains("amazon.nova") {
            Self::Nova {
                thinks: name.contains("nova-2"),
            }
        } else if name.contains("openai.") {
            Self::OpenAi
        } else if name.contains('.') {
            Self::Other
        } else {
            Self::Claude(Claude::Unknown)
        }
    }

    pub(super) fn is_claude(self) -> bool {
        matches!(self, Self::Claude(_))
    }

    /// Whether a result may be marked as an error.
    pub(super) fn takes_status(self) -> bool {
        matches!(self, Self::Claude(_) | Self::Nova { .. })
    }
}

impl Claude {
    /// A number may be followed by a smaller one at once; dates are longer. One that is not known is taken for the newest.
    fn of(name: &str) -> Self {
        let words = name.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<&str> = words.skip_while(|word| *word != "claude").collect();
        let number = |word: &&str| word.parse::<u16>().ok().filter(|_| word.len() <= 2);
        let found = words.iter().enumerate();
        let found = found
            .filter_map(|(at, word)| Some((at, number(word)?)))
            .next();
        let (major, minor) = match found {
            Some((at, major)) => (major, words.get(at + 1).and_then(number).unwrap_or(0)),
            None => (u16::MAX, 0),
        };
        let thinker = words.iter().any(|word| matches!(*word, "fable" | "mythos"));
        let opus = words.contains(&"opus");
        Self::Number(
            (major, minor),
            thinker || (opus && found.is_some() && (major, minor) >= (5, 5)),
        )
    }

    fn takes_budget(self) -> bool {
        match self {
            Self::Number(number, always) => !always && ((3, 7)..=(4, 6)).contains(&number),
            Self::Unknown => true,
        }
    }

    fn takes_adaptive(self) -> bool {
        match self {
            Self::Number(number, always) => always || number >= (4, 6),
            Self::Unknown => true,
        }
    }

    /// It thinks whatever it is told.
    fn always_thinks(self) -> bool {
        matches!(self, Self::Number(_, true))
    }

    /// It thinks unless it is told not to; before, models think only if told.
    fn thinks_by_itself(self) -> bool {
        match self {
            Self::Number(number, always) => always || number >= (5, 0),
            Self::Unknown => true,
        }
    }

    fn takes_effort(self, effort: &str) -> bool {
        match self {
            Self::Number(number, always) => {
                always || number >= if effort == "xhigh" { (4, 7) } else { (4, 6) }
            }
            Self::Unknown => true,
        }
    }

    fn takes_sampling(self) -> bool {
        match self {
            Self::Number(number, always) => !always && number < (4, 7),
            Self::Unknown => true,
        }
    }

    fn takes_temperature_and_top_p(self) -> bool {
        match self {
            Self::Number(number, _) => number < (4, 1),
            Self::Unknown => true,
        }
    }
}

/// Whether and how a Claude thinks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thinking {
    Off,
    Budget(u64),
    Adaptive,
}

/// What is sent.
pub(super) struct Plan<'r> {
    pub(super) family: Family,
    pub(super) temperature: Option<Json<'r>>,
    pub(super) top_p: Option<Json<'r>>,
    top_k: Option<Json<'r>>,
    thinking: Option<Thinking>,
    told: bool,
    /// As the model's maker says it.
    effort: Option<Cow<'r, str>>,
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
        let mut plan = Self {
            family: Family::of(target.model),
            temperature: None,
            top_p: None,
            top_k: None,
            thinking: None,
            told: false,
            effort: None,
        };
        if let Some(reasoning) = &request.reasoning {
            let why = match plan.family {
                Family::Claude(claude) => plan.claude(claude, reasoning, request, target, notes)?,
                Family::Nova { thinks: true } => {
                    plan.nova(reasoning, request, notes);
                    None
                }
                Family::OpenAi => plan.open_ai(reasoning),
                Family::Nova { .. } | Family::Other => {
                    let wanted = reasoning.wanted() == Some(true);
                    wanted.then_some("this model cannot be told to think")
                }
            };
            if let Some(why) = why {
                let (feature, field) = asked(reasoning);
                notes.lost(feature, field, why)?;
            }
        }
        plan.sample(request, notes)?;
        Ok(plan)
    }

    /// What is wrong with the wish, if anything.
    fn claude(
        &mut self,
        claude: Claude,
        reasoning: &'r Reasoning<'r>,
        request: &Request<'_>,
        target: &Target<'_>,
        notes: &mut Notes,
    ) -> Result<Option<&'static str>, Unsupported> {
        let able = claude.takes_budget() || claude.takes_adaptive();
        match reasoning.wanted() {
            Some(true) if !able => return Ok(Some("this model does not think")),
            Some(false) if claude.always_thinks() => return Ok(Some("this model always thinks")),
            Some(false) if claude.thinks_by_itself() => self.thinking = Some(Thinking::Off),
            Some(false) => {}
            Some(true) => {
                if let Some(why) = hindrance(request) {
                    return Ok(Some(why));
                }
                let budget = match reasoning.budget_tokens {
                    Some(budget) if claude.takes_budget() => Some(budget),
                    _ if claude.takes_adaptive() => None,
                    _ => Some(reasoning.budget().unwrap_or(THOUGHTS)),
                };
                match budget.map(|budget| afford(budget, request, target)) {
                    Some(None) => return Ok(Some("`max_tokens` leaves too little for it")),
                    Some(Some(afforded)) => {
                        if reasoning
                            .budget_tokens
                            .is_some_and(|given| given != afforded)
                        {
                            notes.warn(format!(
                                "`thinking.budget_tokens` was set to {afforded}: it must be at least {LEAST} and less than `max_tokens`"
                            ));
                        }
                        self.thinking = Some(Thinking::Budget(afforded));
                    }
                    None => self.thinking = Some(Thinking::Adaptive),
                }
            }
            None => {}
        }
        // Models that take a budget tell their thoughts anyway.
        self.told = reasoning.summary.is_some() && self.thinking == Some(Thinking::Adaptive);
        let given = reasoning.effort.as_deref();
        let effort = match given.filter(|effort| *effort != "none") {
            Some("minimal") => "low",
            Some(effort) => effort,
            None if self.thinking == Some(Thinking::Adaptive)
                && reasoning.budget_tokens.is_some() =>
            {
                let worth = reasoning.effort().unwrap_or("high");
                notes.warn(format!(
                    "`thinking.budget_tokens` was sent as the effort {worth}: this model takes no budget"
                ));
                worth
            }
            None => return Ok(None),
        };
        if claude.takes_effort(effort) {
            self.effort = Some(Cow::Borrowed(effort));
        } else if claude.takes_effort("high") {
            notes.warn(format!(
                "the effort {effort} was sent as high, the next here"
            ));
            self.effort = Some(Cow::Borrowed("high"));
        } else if !matches!(self.thinking, Some(Thinking::Budget(_)))
            || reasoning.budget_tokens.is_some()
        {
            // Else the budget says it already.
            notes.lost(
                Feature::ReasoningEffort,
                "reasoning_effort",
                "this model takes none",
            )?;
        }
        Ok(None)
    }

    /// Off is Nova's default. With the highest effort it takes no `maxTokens`.
    fn nova(&mut self, reasoning: &Reasoning<'_>, request: &Request<'_>, notes: &mut Notes) {
        if reasoning.wanted() != Some(true) {
            return;
        }
        let effort = match reasoning.effort().unwrap_or("medium") {
            "minimal" | "low" => "low",
            "medium" => "medium",
            _ if request.max_tokens.is_some() => {
                notes.warn(
                    "the effort was sent as medium: with a higher one this model takes no `max_tokens`"
                        .to_owned(),
                );
                "medium"
            }
            _ => "high",
        };
        self.effort = Some(Cow::Borrowed(effort));
    }

    fn open_ai(&mut self, reasoning: &'r Reasoning<'r>) -> Option<&'static str> {
        match (reasoning.wanted()?, reasoning.effort()) {
            (false, _) => return Some("this model always thinks"),
            (true, Some("minimal")) => self.effort = Some(Cow::Borrowed("low")),
            (true, Some("xhigh" | "max")) => self.effort = Some(Cow::Borrowed("high")),
            (true, Some(effort)) => self.effort = Some(Cow::Borrowed(effort)),
            (true, None) => {}
        }
        None
    }

    fn sample(&mut self, request: &'r Request<'r>, notes: &mut Notes) -> Result<(), Unsupported> {
        let thinks = matches!(
            self.thinking,
            Some(Thinking::Budget(_) | Thinking::Adaptive)
        );
        let obstacle = match self.family {
            Family::Claude(claude) if !claude.takes_sampling() => {
                Some("this model chooses by itself")
            }
            Family::Claude(_) if thinks => Some("the model thinks"),
            Family::Nova { .. } if self.effort.as_deref() == Some("high") => {
                Some("the model thinks with the highest effort")
            }
            _ => None,
        };
        let sampling = &request.sampling;
        if let Some(temperature) = &sampling.temperature {
            let value = float(temperature);
            match obstacle {
                // It is Claude's default.
                Some(_) if value == 1.0 && self.family.is_claude() => {}
                Some(why) => notes.lost(Feature::Temperature, "temperature", why)?,
                None if value > 1.0 => {
                    notes.warn("`temperature` was set to 1, the highest here".to_owned());
                    self.temperature = Some(Json::from(1));
                }
                None => self.temperature = Some(temperature.clone()),
            }
        }
        if let Some(top_p) = &sampling.top_p {
            let default = float(top_p) == 1.0 && self.family.is_claude();
            let beside = matches!(self.family, Family::Claude(claude) if !claude.takes_temperature_and_top_p())
                && self.temperature.is_some();
            match obstacle {
                Some(_) if default => {}
                Some(why) => notes.lost(Feature::TopP, "top_p", why)?,
                None if beside && default => {}
                None if beside => {
                    let why = "this model does not take it beside `temperature`";
                    notes.lost(Feature::TopP, "top_p", why)?;
                }
                None => self.top_p = Some(top_p.clone()),
            }
        }
        if let Some(top_k) = &sampling.top_k {
            match (obstacle, self.family) {
                (Some(why), _) => notes.lost(Feature::TopK, "top_k", why)?,
                (None, Family::Claude(_) | Family::Nova { .. }) => {
                    self.top_k = Some(top_k.clone());
                }
                (None, Family::OpenAi | Family::Other) => {
                    notes.lost(Feature::TopK, "top_k", "this model takes none")?;
                }
            }
        }
        Ok(())
    }

    /// Writes what the model's maker has beside Converse, as fields of the open object; tells their names.
    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Vec<&'static str> {
        let mut written = Vec::new();
        if let Some(top_k) = &self.top_k {
            if self.family.is_claude() {
                written.push("top_k");
                writer.key("top_k").raw(top_k);
            } else {
                written.push("inferenceConfig");
                writer.key("inferenceConfig").open();
                writer.key("topK").raw(top_k).close();
            }
        }
        if let Some(thinking) = self.thinking {
            written.push("thinking");
            writer.key("thinking").open();
            match thinking {
                Thinking::Off => writer.text_field("type", "disabled"),
                Thinking::Adaptive => writer.text_field("type", "adaptive"),
                Thinking::Budget(budget) => {
                    writer.text_field("type", "enabled");
                    writer.key("budget_tokens").integer(budget)
                }
            };
            if self.told {
                writer.text_field("display", "summarized");
            }
            writer.close();
        }
        let Some(effort) = &self.effort else {
            return written;
        };
        match self.family {
            Family::Claude(_) => {
                written.push("output_config");
                writer.key("output_config").open();
                writer.text_field("effort", effort).close();
            }
            Family::Nova { .. } => {
                written.push("reasoningConfig");
                writer.key("reasoningConfig").open();
                writer.text_field("type", "enabled");
                writer.text_field("maxReasoningEffort", effort).close();
            }
            Family::OpenAi | Family::Other => {
                written.push("reasoning_effort");
                writer.text_field("reasoning_effort", effort);
            }
        }
        written
    }
}

/// What was asked for, and where.
fn asked(reasoning: &Reasoning<'_>) -> (Feature, &'static str) {
    match (reasoning.wanted(), reasoning.budget_tokens) {
        (Some(false), _) => (Feature::ReasoningOff, "reasoning_effort"),
        (_, Some(_)) => (Feature::ReasoningBudget, "thinking.budget_tokens"),
        (_, None) => (Feature::ReasoningEffort, "reasoning_effort"),
    }
}

/// The budget, at least what is taken and less than the longest answer; `None` where that is too short for both.
fn afford(wanted: u64, request: &Request<'_>, target: &Target<'_>) -> Option<u64> {
    let budget = wanted.max(LEAST);
    match request.max_tokens.or(target.max_output) {
        Some(most) if most <= LEAST => None,
        Some(most) if budget >= most => Some((most / 2).max(LEAST)),
        _ => Some(budget),
    }
}

/// What keeps a Claude from thinking before it answers.
fn hindrance(request: &Request<'_>) -> Option<&'static str> {
    let forced = matches!(
        &request.tool_choice,
        Some(
            ToolChoice::Required
                | ToolChoice::Named(_)
                | ToolChoice::Allowed { required: true, .. }
        )
    );
    let mut roles = request.turns.iter().rev().map(|turn| turn.role);
    let last = roles.find(|role| !matches!(role, Role::System | Role::Developer));
    if forced {
        Some("it cannot think before a call that it must make")
    } else if last == Some(Role::Assistant) {
        Some("it cannot think before it goes on with an answer that was begun")
    } else {
        None
    }
}

/// A number as a float, to compare only.
fn float(json: &Json<'_>) -> f64 {
    json.as_str().parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_whose_model_it_is() {
        let claude = |major, minor| Family::Claude(Claude::Number((major, minor), false));
        for (name, family) in [
            ("anthropic.claude-3-haiku-20240307-v1:0", claude(3, 0)),
            ("anthropic.claude-3-5-sonnet-20241022-v2:0", claude(3, 5)),
            ("us.anthropic.claude-opus-4-20250514-v1:0", claude(4, 0)),
            (
                "global.anthropic.claude-haiku-4-5-20251001-v1:0",
                claude(4, 5),
            ),
            ("us.anthropic.claude-opus-4-6-v1", claude(4, 6)),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.anthropic.claude-sonnet-4-6",
                claude(4, 6),
            ),
            (
                "us.anthropic.claude-opus-5-5",
                Family::Claude(Claude::Number((5, 5), true)),
            ),
            (
                "anthropic.claude-mythos-preview",
                Family::Claude(Claude::Number((u16::MAX, 0), true)),
            ),
            ("us.amazon.nova-pro-v1:0", Family::Nova { thinks: false }),
            (
                "global.amazon.nova-2-lite-v1:0",
                Family::Nova { thinks: true },
            ),
            ("openai.gpt-oss-120b-1:0", Family::OpenAi),
            ("us.meta.llama3-3-70b-instruct-v1:0", Family::Other),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123def456",
                Family::Claude(Claude::Unknown),
            ),
        ] {
            assert_eq!(Family::of(name), family, "{name}");
        }
    }
}

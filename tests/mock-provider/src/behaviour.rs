//! Behaviours by the name of the model; the table is in the crate's documentation.

use std::time::Duration;

/// How to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Plain,
    Status(u16),
    Quota,
    /// A 429 that asks to be left alone for so many seconds, or does not say for how long.
    Limited(Option<&'static str>),
    Reset,
    SlowHead(Duration),
    Silent,
    Events {
        count: usize,
        gap: Duration,
    },
    Burst(usize),
    Break(usize),
    Cut(usize),
    Stall(usize),
    Bytes(usize),
    Split {
        ids: bool,
    },
    Html502,
    TruncatedJson,
    Redirect,
    Cookies,
    BigHeaders {
        count: usize,
        bytes: usize,
    },
    InvalidJson,
    /// So many tool calls at once.
    Tools(usize),
    Reasoning(ReasoningField),
    Refusal,
    Length,
    Filter,
    Json,
    Cached,
    ErrorMid(usize),
}

/// In which field of a chat completion a model's thoughts stand; OpenAI itself does not tell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReasoningField {
    None,
    /// DeepSeek's `reasoning_content`.
    Content,
    /// `reasoning`, of OpenRouter and Groq.
    Text,
}

impl Behaviour {
    /// Whether it says how a stream goes, not what is in it.
    pub(crate) fn streams(self) -> bool {
        matches!(
            self,
            Self::Events { .. }
                | Self::Burst(_)
                | Self::Break(_)
                | Self::Cut(_)
                | Self::Stall(_)
                | Self::ErrorMid(_)
                | Self::Split { .. }
                | Self::InvalidJson
        )
    }

    /// The behaviour that a model's name asks for; `None` if it asks for one that there is not.
    pub(crate) fn of(model: &str) -> Option<Self> {
        let name = model.rsplit('/').next().unwrap_or_default();
        let Some(name) = name.strip_prefix("mock-") else {
            return Some(Self::Plain);
        };
        // What stands before the numbers at the end, and the numbers.
        let mut words: Vec<&str> = name.split('-').collect();
        let mut numbers: Vec<u64> = Vec::new();
        while let Some(number) = words.last().and_then(|word| word.parse().ok()) {
            words.pop();
            numbers.insert(0, number);
        }
        let count = |number: u64| usize::try_from(number).ok();
        Some(match (words.join("-").as_str(), numbers.as_slice()) {
            (name, _) if name.starts_with("model") => Self::Plain,
            ("status", &[status]) => Self::Status(
                u16::try_from(status)
                    .ok()
                    .filter(|s| (200..600).contains(s))?,
            ),
            ("quota", []) => Self::Quota,
            ("limited", []) => Self::Limited(None),
            ("limited", &[1]) => Self::Limited(Some("1")),
            ("reset", []) => Self::Reset,
            ("slow-head", &[ms]) => Self::SlowHead(Duration::from_millis(ms)),
            ("silent", []) => Self::Silent,
            ("events", &[events, ms]) => Self::Events {
                count: count(events)?,
                gap: Duration::from_millis(ms),
            },
            ("burst", &[events]) => Self::Burst(count(events)?),
            ("break", &[events]) => Self::Break(count(events)?),
            ("cut", &[events]) => Self::Cut(count(events)?),
            ("stall", &[events]) => Self::Stall(count(events)?),
            ("bytes", &[bytes]) => Self::Bytes(count(bytes)?),
            ("split", []) => Self::Split { ids: false },
            ("split-ids", []) => Self::Split { ids: true },
            ("html", &[502]) => Self::Html502,
            ("truncated-json", []) => Self::TruncatedJson,
            ("redirect", []) => Self::Redirect,
            ("cookies", []) => Self::Cookies,
            ("big-headers", []) => Self::BigHeaders {
                count: 64,
                bytes: 1000,
            },
            ("big-headers", &[headers, bytes]) => Self::BigHeaders {
                count: count(headers)?,
                bytes: count(bytes)?,
            },
            ("invalid-json", []) => Self::InvalidJson,
            ("tool" | "signed-tool", []) => Self::Tools(1),
            ("tools", &[calls]) => {
                Self::Tools(count(calls).filter(|calls| (1..=8).contains(calls))?)
            }
            ("reasoning", []) => Self::Reasoning(ReasoningField::None),
            ("reasoning-content", []) => Self::Reasoning(ReasoningField::Content),
            ("reasoning-text", []) => Self::Reasoning(ReasoningField::Text),
            ("refusal", []) => Self::Refusal,
            ("length", []) => Self::Length,
            ("filter", []) => Self::Filter,
            ("json", []) => Self::Json,
            ("cached", []) => Self::Cached,
            ("error-mid", &[events]) => Self::ErrorMid(count(events)?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Behaviour;
    use std::time::Duration;

    #[test]
    fn names() {
        for (model, behaviour) in [
            ("gpt-4o-2024-08-06", Some(Behaviour::Plain)),
            ("", Some(Behaviour::Plain)),
            ("mock-model", Some(Behaviour::Plain)),
            ("mock-model-7", Some(Behaviour::Plain)),
            ("mock-status-429", Some(Behaviour::Status(429))),
            ("openai/mock-status-500", Some(Behaviour::Status(500))),
            ("mock-status-99", None),
            ("mock-status-1000", None),
            ("mock-status", None),
            (
                "mock-events-10-100",
                Some(Behaviour::Events {
                    count: 10,
                    gap: Duration::from_millis(100),
                }),
            ),
            ("mock-events-10", None),
            ("mock-break-3", Some(Behaviour::Break(3))),
            ("mock-html-502", Some(Behaviour::Html502)),
            ("mock-html-503", None),
            ("mock-limited", Some(Behaviour::Limited(None))),
            ("mock-limited-1", Some(Behaviour::Limited(Some("1")))),
            ("mock-limited-2", None),
            ("mock-reset", Some(Behaviour::Reset)),
            ("mock-slient", None),
            ("anthropic/mock-tool", Some(Behaviour::Tools(1))),
            ("mock-tools-2", Some(Behaviour::Tools(2))),
            ("mock-tools-0", None),
            ("mock-error-mid-3", Some(Behaviour::ErrorMid(3))),
            ("mock-error-mid", None),
            (
                "mock-big-headers",
                Some(Behaviour::BigHeaders {
                    count: 64,
                    bytes: 1000,
                }),
            ),
        ] {
            assert_eq!(Behaviour::of(model), behaviour, "{model}");
        }
    }
}

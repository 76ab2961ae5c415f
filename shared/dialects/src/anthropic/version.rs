//! Which of Anthropic's models takes what, read off its name.
//!
//! From <https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking>, `…/extended-thinking`, `…/effort` and
//! <https://platform.claude.com/docs/en/about-claude/models/migration-guide>. A name that is not Claude's (another
//! provider speaks the dialect) takes everything; a Claude that is not known yet is taken for the newest.

/// What is known of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    family: Family,
    /// Such as (4, 5).
    number: (u16, u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Foreign,
    Opus,
    Sonnet,
    /// Fable and Mythos, which always think.
    Thinker,
    Other,
}

impl Version {
    /// Reads a name such as `claude-3-7-sonnet-20250219`, `claude-opus-4-6` or `anthropic.claude-opus-5-v1:0`.
    pub(super) fn of(name: &str) -> Self {
        let mut words = name
            .split(|c: char| !c.is_ascii_alphanumeric())
            .skip_while(|word| !word.eq_ignore_ascii_case("claude"));
        if words.next().is_none() {
            return Self {
                family: Family::Foreign,
                number: (0, 0),
            };
        }
        let mut version = Self {
            family: Family::Other,
            number: (u16::MAX, 0),
        };
        let mut major = None;
        for word in words {
            let number: Option<u16> = word.parse().ok().filter(|_| word.len() <= 2);
            match (major, number) {
                (None, Some(number)) => {
                    version.number = (number, 0);
                    major = Some(true);
                }
                (Some(true), Some(number)) => {
                    version.number.1 = number;
                    major = Some(false);
                }
                // A minor number stands right behind the major one or nowhere.
                (Some(_), _) => major = Some(false),
                (None, None) => {}
            }
            match word {
                "opus" => version.family = Family::Opus,
                "sonnet" => version.family = Family::Sonnet,
                "fable" | "mythos" => version.family = Family::Thinker,
                _ => {}
            }
        }
        version
    }

    fn is_foreign(self) -> bool {
        self.family == Family::Foreign
    }

    /// `thinking.type: enabled` with a budget.
    pub(super) fn takes_budget(self) -> bool {
        self.is_foreign()
            || (self.family != Family::Thinker && ((3, 7)..=(4, 6)).contains(&self.number))
    }

    /// `thinking.type: adaptive`.
    pub(super) fn takes_adaptive(self) -> bool {
        self.is_foreign() || self.family == Family::Thinker || self.number >= (4, 6)
    }

    /// Refuses `thinking.type: disabled`.
    pub(super) fn always_thinks(self) -> bool {
        match self.family {
            Family::Thinker => true,
            Family::Opus => self.number >= (5, 5),
            Family::Foreign | Family::Sonnet | Family::Other => false,
        }
    }

    /// Thinks least with `thinking.type: between_tools`, which stands for `disabled`:
    /// <https://platform.claude.com/docs/en/models/sonnet-5-5/migration-guide>.
    pub(super) fn thinks_between_tools(self) -> bool {
        self.family == Family::Sonnet && self.number >= (5, 5)
    }

    /// This `output_config.effort`.
    pub(super) fn takes_effort(self, effort: &str) -> bool {
        if self.is_foreign() || self.family == Family::Thinker {
            return true;
        }
        match effort {
            "low" | "medium" | "high" => {
                self.number >= (4, 6) || (self.family == Family::Opus && self.number == (4, 5))
            }
            "max" => self.number >= (4, 6),
            _ => self.number >= (4, 7),
        }
    }

    /// Temperature, `top_p` and `top_k`.
    pub(super) fn takes_sampling(self) -> bool {
        self.is_foreign() || (self.family != Family::Thinker && self.number < (4, 7))
    }

    /// Temperature together with `top_p`.
    pub(super) fn takes_temperature_and_top_p(self) -> bool {
        self.is_foreign() || self.number < (4, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        for (name, number) in [
            ("claude-3-7-sonnet-20250219", (3, 7)),
            ("claude-3-opus-latest", (3, 0)),
            ("claude-opus-4-20250514", (4, 0)),
            ("claude-haiku-4-5-20251001", (4, 5)),
            ("anthropic/claude-sonnet-4.6", (4, 6)),
            ("us.anthropic.claude-opus-4-6-v1:0", (4, 6)),
            ("claude-sonnet-5@20260630", (5, 0)),
            ("claude-next", (u16::MAX, 0)),
        ] {
            assert_eq!(Version::of(name).number, number, "{name}");
        }
        assert_eq!(Version::of("claude-opus-5-5").family, Family::Opus);
        assert_eq!(Version::of("claude-mythos-preview").family, Family::Thinker);
        assert!(Version::of("minimax-m2").is_foreign());
        assert!(Version::of("claude-sonnet-5-5").thinks_between_tools());
        assert!(!Version::of("claude-sonnet-5").thinks_between_tools());
        assert!(!Version::of("claude-haiku-5-5").thinks_between_tools());
    }

    #[test]
    fn each_generation_thinks_its_own_way() {
        let of = |name: &str| {
            let version = Version::of(name);
            (
                version.takes_budget(),
                version.takes_adaptive(),
                version.always_thinks(),
                version.takes_sampling(),
                version.takes_effort("high"),
            )
        };
        assert_eq!(
            of("claude-3-5-haiku-latest"),
            (false, false, false, true, false)
        );
        assert_eq!(of("claude-sonnet-4-5"), (true, false, false, true, false));
        assert_eq!(of("claude-opus-4-5"), (true, false, false, true, true));
        assert_eq!(of("claude-opus-4-6"), (true, true, false, true, true));
        assert_eq!(of("claude-opus-4-7"), (false, true, false, false, true));
        assert_eq!(of("claude-sonnet-5"), (false, true, false, false, true));
        assert_eq!(of("claude-opus-5-5"), (false, true, true, false, true));
        assert_eq!(of("claude-fable-5"), (false, true, true, false, true));
        assert_eq!(of("other"), (true, true, false, true, true));
    }
}

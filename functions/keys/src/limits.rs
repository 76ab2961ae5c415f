//! `limits` and `budget` of a gateway key, as people write them (FEATURES F3).

use std::ops::RangeInclusive;

use lockgate_refusal::{Code, Refusal};
use lockgate_workspace::question::Change;
use lockgate_workspace::resource::{Budget, Limits, Period};
use serde::Deserialize;
use serde_json::Value;

use crate::body::whole;

/// Requests or tokens.
const COUNTS: RangeInclusive<u64> = 1..=1_000_000_000_000;
/// Micro-USD; 0 lets nothing through that costs anything.
const AMOUNTS: RangeInclusive<u64> = 0..=1_000_000_000_000_000;

/// Limits in a body. Their values are looked at here and not by serde, so that an error names the field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object for `limits`")]
pub(crate) struct LimitsField {
    requests_per_minute: Option<Value>,
    tokens_per_minute: Option<Value>,
    requests_per_day: Option<Value>,
}

impl LimitsField {
    pub(crate) fn read(&self) -> Result<Limits, Refusal> {
        let count = |field: &str, given: &Option<Value>| {
            let given = given.as_ref();
            given.map(|value| whole(field, value, COUNTS)).transpose()
        };
        Ok(Limits {
            requests_per_minute: count("limits.requests_per_minute", &self.requests_per_minute)?,
            tokens_per_minute: count("limits.tokens_per_minute", &self.tokens_per_minute)?,
            requests_per_day: count("limits.requests_per_day", &self.requests_per_day)?,
        })
    }
}

/// A budget in a body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object for `budget`")]
pub(crate) struct BudgetField {
    amount_microusd: Value,
    period: Value,
}

impl BudgetField {
    pub(crate) fn read(&self) -> Result<Budget, Refusal> {
        Ok(Budget {
            amount_microusd: whole("budget.amount_microusd", &self.amount_microusd, AMOUNTS)?,
            period: match self.period.as_str() {
                Some("day") => Period::Day,
                Some("month") => Period::Month,
                _ => {
                    let message = "`budget.period` is `day` or `month`, in UTC.";
                    return Err(Refusal::new(Code::INVALID_REQUEST, message).param("budget.period"));
                }
            },
        })
    }
}

/// A change of what is read from a field.
pub(crate) fn change<F, T>(
    field: &Change<F>,
    read: impl Fn(&F) -> Result<T, Refusal>,
) -> Result<Change<T>, Refusal> {
    Ok(match field {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(field) => Change::Set(read(field)?),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::body::Body;

    fn limits(text: &str) -> Result<Limits, Refusal> {
        Body::new(text.as_bytes()).read::<LimitsField>()?.read()
    }

    fn budget(text: &str) -> Result<Budget, Refusal> {
        Body::new(text.as_bytes()).read::<BudgetField>()?.read()
    }

    #[test]
    fn what_makes_sense_is_read() {
        let all = limits(
            r#"{"requests_per_minute":1,"tokens_per_minute":1000000000000,"requests_per_day":null}"#,
        );
        assert_eq!(
            all.unwrap(),
            Limits {
                requests_per_minute: Some(1),
                tokens_per_minute: Some(1_000_000_000_000),
                requests_per_day: None,
            }
        );
        assert!(limits("{}").unwrap().is_empty());
        let none = budget(r#"{"amount_microusd":0,"period":"day"}"#).unwrap();
        assert_eq!((none.amount_microusd, none.period), (0, Period::Day));
        let most = budget(r#"{"amount_microusd":1000000000000000,"period":"month"}"#).unwrap();
        assert_eq!(
            (most.amount_microusd, most.period),
            (1_000_000_000_000_000, Period::Month)
        );
    }

    #[test]
    fn what_does_not_is_refused_by_the_name_of_its_field() {
        for (text, param) in [
            (r#"{"requests_per_minute":0}"#, "limits.requests_per_minute"),
            (
                r#"{"requests_per_minute":-1}"#,
                "limits.requests_per_minute",
            ),
            (r#"{"tokens_per_minute":1.5}"#, "limits.tokens_per_minute"),
            (r#"{"tokens_per_minute":"9"}"#, "limits.tokens_per_minute"),
            (
                r#"{"requests_per_day":1000000000001}"#,
                "limits.requests_per_day",
            ),
            (r#"{"tokens_per_day":1}"#, "tokens_per_day"),
        ] {
            let refusal = limits(text).unwrap_err();
            assert_eq!(refusal.param.as_deref(), Some(param), "{text}");
            assert!(refusal.message.contains(param), "{}", refusal.message);
            assert_eq!(refusal.code.status, 400);
        }
        for (text, param) in [
            (
                r#"{"amount_microusd":-1,"period":"day"}"#,
                "budget.amount_microusd",
            ),
            (
                r#"{"amount_microusd":1000000000000001,"period":"day"}"#,
                "budget.amount_microusd",
            ),
            (
                r#"{"amount_microusd":null,"period":"day"}"#,
                "budget.amount_microusd",
            ),
            (r#"{"amount_microusd":1,"period":"year"}"#, "budget.period"),
            (r#"{"amount_microusd":1}"#, "period"),
            (r#"{"period":"day"}"#, "amount_microusd"),
        ] {
            let refusal = budget(text).unwrap_err();
            assert_eq!(refusal.param.as_deref(), Some(param), "{text}");
            assert!(refusal.message.contains(param), "{}", refusal.message);
        }
        assert!(limits("7").unwrap_err().message.contains("`limits`"));
        assert!(budget("7").unwrap_err().message.contains("`budget`"));
    }
}

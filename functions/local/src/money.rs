//! Money as people write it, in US dollars, and as the gateway counts it, in whole micro-USD. Nothing is rounded.

use serde_json::Value;

/// Micro-USD in a dollar.
const DOLLAR: u64 = 1_000_000;
/// Digits of a micro-USD behind the point.
const DIGITS: usize = 6;

/// Dollars such as `25`, `0.15` or `$12.50`.
pub(crate) fn dollars(text: &str) -> Result<u64, String> {
    let plain = text.strip_prefix('$').unwrap_or(text);
    let (whole, part) = plain.split_once('.').unwrap_or((plain, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > DIGITS {
        return Err("it is written in dollars, such as 25 or 0.15, to the millionth".to_owned());
    }
    let amount = || {
        let part: u64 = format!("{part:0<DIGITS$}").parse().ok()?;
        let whole: u64 = whole.parse().ok()?;
        whole.checked_mul(DOLLAR)?.checked_add(part)
    };
    amount().ok_or_else(|| "that is more money than can be counted".to_owned())
}

/// An amount in dollars, to the cent or as far as it goes.
pub(crate) fn usd(micro: u64) -> String {
    let (whole, part) = (micro / DOLLAR, micro % DOLLAR);
    let part = format!("{part:0DIGITS$}");
    let (cents, rest) = part.split_at(2);
    format!("${whole}.{cents}{}", rest.trim_end_matches('0'))
}

/// The amount in a field, in dollars; empty where there is none.
pub(crate) fn field(item: &Value, name: &str) -> String {
    let amount = item.get(name).and_then(Value::as_u64);
    amount.map_or_else(String::new, usd)
}

/// A budget as an argument: dollars in a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) amount_microusd: u64,
    pub(crate) period: &'static str,
}

/// A budget such as `25.00/month`.
pub(crate) fn budget(text: &str) -> Result<Budget, String> {
    let period = match text.split_once('/') {
        Some((_, "day")) => "day",
        Some((_, "month")) => "month",
        _ => {
            return Err("it is written AMOUNT/day or AMOUNT/month, such as 25.00/month".to_owned());
        }
    };
    let (amount, _) = text.split_once('/').unwrap_or_default();
    Ok(Budget {
        amount_microusd: dollars(amount)?,
        period,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_exact() {
        for (text, micro) in [
            ("25", 25_000_000),
            ("$12.50", 12_500_000),
            ("0.15", 150_000),
            ("0.000001", 1),
            ("18446744073709.551615", u64::MAX),
        ] {
            assert_eq!(dollars(text), Ok(micro), "{text}");
        }
        for wrong in [
            "",
            "$",
            ".5",
            "5.",
            "-1",
            "+1",
            "1,50",
            "1e3",
            "0.0000001",
            "18446744073709.551616",
            "99999999999999999999",
        ] {
            assert!(dollars(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same() {
        for (micro, text) in [
            (0, "$0.00"),
            (1, "$0.000001"),
            (150_000, "$0.15"),
            (12_500_000, "$12.50"),
            (1_234_560_000, "$1234.56"),
            (1_000_100, "$1.0001"),
            (u64::MAX, "$18446744073709.551615"),
        ] {
            assert_eq!(usd(micro), text);
            assert_eq!(dollars(text), Ok(micro));
        }
    }

    #[test]
    fn a_budget_is_an_amount_in_a_period() {
        let month = Budget {
            amount_microusd: 25_000_000,
            period: "month",
        };
        assert_eq!(budget("25.00/month"), Ok(month));
        assert_eq!(budget("0/day").unwrap().period, "day");
        for wrong in ["25", "25/year", "/day", "x/day", "25/day/month"] {
            assert!(budget(wrong).is_err(), "{wrong}");
        }
    }
}

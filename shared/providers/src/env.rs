//! Which environment variables hold provider keys, and which only seem to (FEATURES.md, A8). Only names are looked at.

use crate::all;
use crate::manifest::Manifest;

/// What an environment variable is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvFinding {
    /// It holds a key that can be imported.
    Import {
        /// Whose key.
        provider: &'static Manifest,
        /// The variable. Findings are told apart by it: `OPENAI_API_KEY` and `OPENAI_API_KEY_1` share an index.
        variable: String,
        /// 1 for `OPENAI_API_KEY`, 2 for `OPENAI_API_KEY_2`.
        index: u32,
        /// The variable with the provider's base URL, where it is set; it goes for all of the provider's keys.
        base_url_variable: Option<&'static str>,
    },
    /// It is not read, but seems meant to be.
    NearMiss {
        /// The variable as it is set.
        variable: String,
        /// The variable that would be read.
        did_you_mean: String,
        /// Whose key it would be.
        provider: &'static Manifest,
    },
}

/// Looks through the names of environment variables for provider keys: first those to import, by provider, variable and
/// index, then near misses by name. Whether a variable has a value is for the caller to see.
#[must_use]
pub fn env_candidates<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Vec<EnvFinding> {
    let mut names: Vec<N> = names.into_iter().collect();
    names.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
    let mut findings = Vec::new();

    for provider in all() {
        let base_url_variable = provider
            .base_url_env
            .filter(|variable| names.iter().any(|name| name.as_ref() == *variable));
        for base in provider.env_vars {
            let mut found: Vec<(u32, &str)> = names
                .iter()
                .filter_map(|name| Some((number(name.as_ref(), base)?, name.as_ref())))
                .collect();
            found.sort_unstable();
            findings.extend(found.into_iter().map(|(index, name)| EnvFinding::Import {
                provider,
                variable: name.to_owned(),
                index,
                base_url_variable,
            }));
        }
    }
    findings.extend(names.iter().filter_map(|name| near_miss(name.as_ref())));
    findings
}

/// 1 for the base name itself, `n` for `<base>_<n>`; leading zeros, and more than six digits, are no numbers.
fn number(name: &str, base: &str) -> Option<u32> {
    let rest = name.strip_prefix(base)?;
    if rest.is_empty() {
        return Some(1);
    }
    let digits = rest.strip_prefix('_')?;
    let plain = digits.len() <= 6
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// A listed mistake, or the right name in other case, with `-` for `_`, or with its number stuck to it.
fn near_miss(name: &str) -> Option<EnvFinding> {
    let upper = name.to_ascii_uppercase().replace('-', "_");
    let stem = upper.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = upper.strip_prefix(stem)?.trim_start_matches('0');
    let stem = stem.trim_end_matches('_');
    let provider = all().iter().find(|provider| {
        provider.near_misses.contains(&stem) || provider.env_vars.contains(&stem)
    })?;
    let base = provider.env_vars.iter().find(|base| **base == stem);
    let base = base.or(provider.env_vars.first())?;
    if number(name, base).is_some() {
        return None;
    }
    Some(EnvFinding::NearMiss {
        variable: name.to_owned(),
        did_you_mean: if digits.is_empty() {
            (*base).to_owned()
        } else {
            format!("{base}_{digits}")
        },
        provider,
    })
}

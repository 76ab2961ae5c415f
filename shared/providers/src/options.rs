//! What a provider key has beside its secret, and the base URL that follows from it (docs/adding-a-provider.md).
//!
//! A value goes into a URL as it is. So it has only characters that mean nothing there, and cannot be a path of its own:
//! a key with the option `resource` stays on `….openai.azure.com`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use thiserror::Error;

use crate::manifest::{KeyOption, Manifest};

/// Longest value of an option.
const MAX_VALUE: usize = 128;
/// At most so many characters of a wrong value are repeated in an error.
const ECHO_CHARS: usize = 60;

/// The base URL needs an option that the key does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "A key of {title} needs the option `{option}`, or a base_url of its own. {hint} An example: {example}."
)]
pub struct MissingOption {
    /// The provider's title.
    pub title: &'static str,
    /// The option's name.
    pub option: &'static str,
    /// What it is.
    pub hint: &'static str,
    /// A value as an example.
    pub example: &'static str,
}

/// What is wrong with the options of a provider key, in words for the person who wrote them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OptionError {
    /// The provider has no such option.
    #[error("{title} has no option `{option}`{}", list(.known))]
    Unknown {
        /// The provider's title.
        title: &'static str,
        /// What was named, shortened, without control characters.
        option: String,
        /// The options that it has.
        known: Vec<&'static str>,
    },
    /// An option is needed and is not there, nor is a base URL that would do without it.
    #[error(transparent)]
    NoBase(#[from] MissingOption),
    /// An option is needed, with a base URL or without.
    #[error("A key of {title} needs the option `{option}`. {hint} An example: {example}.")]
    Missing {
        /// The provider's title.
        title: &'static str,
        /// The option's name.
        option: &'static str,
        /// What it is.
        hint: &'static str,
        /// A value as an example.
        example: &'static str,
    },
    /// A value has characters that it may not have, or too many.
    #[error(
        "The option `{option}` of {title} cannot be `{value}`: it has 1 to 128 letters, digits, `.`, `_` and `-`, begins with a letter or digit, and has no `..`. {hint} An example: {example}."
    )]
    Invalid {
        /// The provider's title.
        title: &'static str,
        /// The option's name.
        option: &'static str,
        /// What was given, shortened, without control characters.
        value: String,
        /// What it is.
        hint: &'static str,
        /// A value as an example.
        example: &'static str,
    },
}

impl OptionError {
    /// The option's name, for the field that is wrong: `options.<name>`.
    #[must_use]
    pub fn option(&self) -> &str {
        match self {
            Self::Unknown { option, .. } => option,
            Self::NoBase(missing) => missing.option,
            Self::Missing { option, .. } | Self::Invalid { option, .. } => option,
        }
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        "; it has none.".into()
    } else {
        format!("; it has {}.", names.join(", "))
    }
}

/// Checks the options of a provider key before it is saved.
///
/// # Errors
/// The first unknown, wrong or missing one; unknown ones first.
pub fn check_options(
    manifest: &Manifest,
    options: &BTreeMap<String, String>,
    has_base_url: bool,
) -> Result<(), OptionError> {
    let title = manifest.title;
    for (name, value) in options {
        let Some(option) = manifest.option(name) else {
            return Err(OptionError::Unknown {
                title,
                option: shown(name),
                known: manifest.options.iter().map(|option| option.name).collect(),
            });
        };
        if !is_value(value) {
            return Err(OptionError::Invalid {
                title,
                option: option.name,
                value: shown(value),
                hint: option.hint,
                example: option.example,
            });
        }
    }
    for option in manifest.options {
        if option.required && value(option, options).is_none() {
            return Err(OptionError::Missing {
                title,
                option: option.name,
                hint: option.hint,
                example: option.example,
            });
        }
    }
    if !has_base_url {
        base(manifest, None, options)?;
    }
    Ok(())
}

/// Where a key's requests go: its own base URL, else the manifest's with the options filled in; no slash at the end.
/// A value that [`check_options`] would refuse counts as missing.
///
/// # Errors
/// [`MissingOption`] where the manifest's base URL has an option that neither the key nor a default gives.
pub fn base<'a>(
    manifest: &Manifest,
    key_base_url: Option<&'a str>,
    options: &BTreeMap<String, String>,
) -> Result<Cow<'a, str>, MissingOption> {
    match key_base_url {
        Some(own) => Ok(Cow::Borrowed(own.trim_end_matches('/'))),
        None => filled(manifest, manifest.base_url, options),
    }
}

/// `template` with each `{name}` replaced by the option's value.
pub(crate) fn filled(
    manifest: &Manifest,
    template: &'static str,
    options: &BTreeMap<String, String>,
) -> Result<Cow<'static, str>, MissingOption> {
    if !template.contains('{') {
        return Ok(Cow::Borrowed(template));
    }
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        if let Some(option) = manifest.option(name) {
            out.push_str(value(option, options).ok_or(MissingOption {
                title: manifest.title,
                option: option.name,
                hint: option.hint,
                example: option.example,
            })?);
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// The option's value, where it has one that may be used.
pub(crate) fn value<'a>(
    option: &KeyOption,
    options: &'a BTreeMap<String, String>,
) -> Option<&'a str> {
    match options.get(option.name) {
        Some(value) => Some(value.as_str()).filter(|value| is_value(value)),
        None => option.default,
    }
}

fn is_value(value: &str) -> bool {
    value.len() <= MAX_VALUE
        && value.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !value.contains("..")
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(ECHO_CHARS)
        .collect();
    if text.chars().nth(ECHO_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

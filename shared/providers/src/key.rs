//! Whether a pasted key can be the provider's, and what is wrong with it where not (FEATURES.md, A5).
//!
//! Nothing here can repeat a key: [`KeyFormatError`] holds static text and numbers only.

use crate::manifest::{KeyFormat, Manifest};
use crate::{all, manifest::Charset};
use lockgate_host::Secret;
use thiserror::Error;

/// Keys of others who have no manifest, by prefix. A manifest's own prefix of the same length comes first.
const FOREIGN: &[(&str, &str)] = &[
    ("lgk_", "Lockgate itself (a gateway key)"),
    ("lga_", "Lockgate itself (an admin token)"),
    ("r8_", "Replicate"),
    ("ghp_", "GitHub"),
    ("github_pat_", "GitHub"),
    ("glpat-", "GitLab"),
    ("sk_live_", "Stripe"),
    ("sk_test_", "Stripe"),
    ("rk_live_", "Stripe"),
    ("whsec_", "a webhook"),
];

/// What is wrong with a key, and the way out, in words for the person who pasted it. It never contains the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyFormatError {
    /// Nothing was given.
    #[error("The {title} key is empty. Paste the whole key; one looks like {example}.")]
    Empty {
        /// The provider's title.
        title: &'static str,
        /// A masked key of the provider.
        example: &'static str,
    },
    /// White space before or after it.
    #[error(
        "There is white space before or after the {title} key; a line break counts. Paste it without."
    )]
    WhitespaceAround {
        /// The provider's title.
        title: &'static str,
    },
    /// White space in the middle: two keys, a wrapped line.
    #[error(
        "There is white space inside the {title} key, after {at} characters. Paste one key, on one line."
    )]
    WhitespaceInside {
        /// The provider's title.
        title: &'static str,
        /// Characters before it.
        at: usize,
    },
    /// A header was pasted.
    #[error("The {title} key begins with “Bearer”. Paste only what stands after it.")]
    PastedBearer {
        /// The provider's title.
        title: &'static str,
    },
    /// A line of a shell or of an `.env` file was pasted.
    #[error(
        "A variable's name and “=” stand before the {title} key. Paste only what stands after “=”."
    )]
    PastedAssignment {
        /// The provider's title.
        title: &'static str,
    },
    /// Quotation marks at either end.
    #[error("There are quotation marks around the {title} key. Paste it without them.")]
    Quoted {
        /// The provider's title.
        title: &'static str,
    },
    /// A key as consoles show it afterwards.
    #[error(
        "This is the masked form of a key, not the key: a part of it was left out. {title} shows a key only when it is made; make a new one if this one is lost."
    )]
    Masked {
        /// The provider's title.
        title: &'static str,
    },
    /// Characters that no header can carry.
    #[error(
        "The {title} key has a character that is not plain ASCII, or an invisible one, after {at} others. Copy the key again from where it was made."
    )]
    NotAscii {
        /// The provider's title.
        title: &'static str,
        /// Bytes before it.
        at: usize,
    },
    /// It begins as another provider's keys do.
    #[error(
        "This looks like a key of {other}, not of {title}. Save it under {other}, or paste a key of {title}; one looks like {example}. If it is right all the same, save it with “force”."
    )]
    OtherProvider {
        /// The provider's title.
        title: &'static str,
        /// A masked key of the provider.
        example: &'static str,
        /// The other provider's title.
        other: &'static str,
        /// The other provider's slug.
        other_slug: &'static str,
    },
    /// It begins as the keys of someone do who is no provider here.
    #[error(
        "This looks like a key of {other}, not of {title}. Paste a key of {title}; one looks like {example}. If it is right all the same, save it with “force”."
    )]
    Foreign {
        /// The provider's title.
        title: &'static str,
        /// A masked key of the provider.
        example: &'static str,
        /// Whose key it looks like.
        other: &'static str,
    },
    /// It begins unlike the provider's keys.
    #[error(
        "A key of {title} begins otherwise: one looks like {example}. Paste the whole key from its first character. If it is right all the same, save it with “force”."
    )]
    WrongPrefix {
        /// The provider's title.
        title: &'static str,
        /// A masked key of the provider.
        example: &'static str,
    },
    /// Shorter than any known.
    #[error(
        "The {title} key is too short: {len} characters, where at least {min} are usual. Paste the whole key. If it is right all the same, save it with “force”."
    )]
    TooShort {
        /// The provider's title.
        title: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The shortest known.
        min: usize,
    },
    /// Longer than any known.
    #[error(
        "The {title} key is too long: {len} characters, where at most {max} are usual. Paste the key alone. If it is right all the same, save it with “force”."
    )]
    TooLong {
        /// The provider's title.
        title: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The longest known.
        max: usize,
    },
    /// A character that the provider's keys do not have.
    #[error(
        "The {title} key has a character that keys of {title} do not have, after {at} others: they are made of {allowed}. Copy the key again. If it is right all the same, save it with “force”."
    )]
    WrongCharacter {
        /// The provider's title.
        title: &'static str,
        /// Characters before it.
        at: usize,
        /// What keys are made of.
        allowed: &'static str,
    },
}

/// Whether a header can carry `key`: printable ASCII and inner spaces, at least one. What cannot be sent is not to be
/// saved, `force` or not: a line break would be another header.
#[must_use]
pub fn can_be_sent(key: &Secret) -> bool {
    let bytes = key.expose();
    !bytes.trim_ascii().is_empty() && bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// Checks that `key` can be a key of the provider. Slips of the hand are told first (white space, quotation marks, a
/// pasted `Bearer`), then another's prefix, then the provider's own format.
///
/// # Errors
/// The first thing that is wrong. Where the provider needs no key, none is right, and so is any that a header can carry.
pub fn check_key(manifest: &'static Manifest, key: &Secret) -> Result<(), KeyFormatError> {
    let bytes = key.expose();
    if bytes.is_empty() && !manifest.needs_key() {
        return Ok(());
    }
    check_paste(manifest, bytes)?;
    let own = check_format(manifest, bytes);
    if manifest.local {
        return own;
    }
    match owner(bytes) {
        Owner::Foreign(other) => Err(KeyFormatError::Foreign {
            title: manifest.title,
            example: manifest.key.example_masked,
            other,
        }),
        Owner::Providers { prefix, best } if !has_prefix(manifest, prefix, bytes) => {
            Err(other_provider(manifest, best))
        }
        // Several providers share a prefix (`sk-`): the format then tells.
        Owner::Providers { best, .. } => own.map_err(|error| {
            if check_format(best, bytes).is_ok() {
                other_provider(manifest, best)
            } else {
                error
            }
        }),
        Owner::Nobody => own,
    }
}

/// The provider whose key this is by its prefix, the longest one known; `None` where no manifest has such a prefix.
/// Where several share it, the one whose format fits.
#[must_use]
pub fn looks_like(key: &Secret) -> Option<&'static Manifest> {
    match owner(key.expose().trim_ascii()) {
        Owner::Providers { best, .. } => Some(best),
        Owner::Foreign(_) | Owner::Nobody => None,
    }
}

fn other_provider(manifest: &Manifest, other: &Manifest) -> KeyFormatError {
    KeyFormatError::OtherProvider {
        title: manifest.title,
        example: manifest.key.example_masked,
        other: other.title,
        other_slug: other.slug,
    }
}

/// Whose prefix a key has.
enum Owner {
    Nobody,
    Foreign(&'static str),
    /// The length of the prefix, and the provider among those that have it whose format fits best.
    Providers {
        prefix: usize,
        best: &'static Manifest,
    },
}

fn owner(key: &[u8]) -> Owner {
    let foreign = FOREIGN
        .iter()
        .filter(|(prefix, _)| key.starts_with(prefix.as_bytes()))
        .max_by_key(|(prefix, _)| prefix.len());
    let known = told_apart()
        .flat_map(|manifest| manifest.key.prefixes)
        .filter(|prefix| key.starts_with(prefix.as_bytes()))
        .map(|prefix| prefix.len())
        .max();
    if let Some((prefix, other)) = foreign
        && known.is_none_or(|len| prefix.len() > len)
    {
        return Owner::Foreign(other);
    }
    let Some(prefix) = known else {
        return Owner::Nobody;
    };
    let sharing = || told_apart().filter(|manifest| has_prefix(manifest, prefix, key));
    let fitting = sharing().find(|manifest| check_format(manifest, key).is_ok());
    match fitting.or_else(|| sharing().next()) {
        Some(best) => Owner::Providers { prefix, best },
        None => Owner::Nobody,
    }
}

/// The providers whose keys are known by their looks.
fn told_apart() -> impl Iterator<Item = &'static Manifest> {
    all().iter().filter(|manifest| !manifest.key.shared)
}

/// Whether the first `len` bytes of `key` are one of the provider's prefixes.
fn has_prefix(manifest: &Manifest, len: usize, key: &[u8]) -> bool {
    let prefixes = manifest.key.prefixes;
    prefixes
        .iter()
        .any(|prefix| prefix.len() == len && key.starts_with(prefix.as_bytes()))
}

/// What goes wrong between a clipboard and a form.
fn check_paste(manifest: &Manifest, key: &[u8]) -> Result<(), KeyFormatError> {
    let title = manifest.title;
    let trimmed = key.trim_ascii();
    if trimmed.is_empty() {
        return Err(KeyFormatError::Empty {
            title,
            example: manifest.key.example_masked,
        });
    }
    if trimmed.len() != key.len() {
        return Err(KeyFormatError::WhitespaceAround { title });
    }
    if is_assignment(key) {
        return Err(KeyFormatError::PastedAssignment { title });
    }
    if is_bearer(key) {
        return Err(KeyFormatError::PastedBearer { title });
    }
    let quote = |byte: Option<&u8>| matches!(byte, Some(b'"' | b'\'' | b'`'));
    if quote(key.first()) || quote(key.last()) {
        return Err(KeyFormatError::Quoted { title });
    }
    let masks: [&[u8]; 3] = [b"***", b"...", "…".as_bytes()];
    if masks
        .iter()
        .any(|mask| key.windows(mask.len()).any(|part| part == *mask))
    {
        return Err(KeyFormatError::Masked { title });
    }
    if let Some(at) = key.iter().position(u8::is_ascii_whitespace) {
        return Err(KeyFormatError::WhitespaceInside { title, at });
    }
    if let Some(at) = key.iter().position(|byte| !byte.is_ascii_graphic()) {
        return Err(KeyFormatError::NotAscii { title, at });
    }
    Ok(())
}

/// `Bearer sk-…` or `Authorization: Bearer sk-…`.
fn is_bearer(key: &[u8]) -> bool {
    let start = strip_word(key, b"authorization:").unwrap_or(key);
    strip_word(start, b"bearer").is_some_and(|rest| {
        rest.first()
            .is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b':')
    })
}

/// `export OPENAI_API_KEY=sk-…`, `api_key = …`: a name that speaks of a key, `=`, and more. A key may contain `=`, so
/// the name must be one.
fn is_assignment(key: &[u8]) -> bool {
    let line = strip_word(key, b"export ").unwrap_or(key);
    let mut halves = line.splitn(2, |byte| *byte == b'=');
    let (Some(name), Some(value)) = (halves.next(), halves.next()) else {
        return false;
    };
    let name = name.trim_ascii_end();
    let speaks = |word: &[u8]| {
        name.windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word))
    };
    name.iter()
        .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        && (speaks(b"key") || speaks(b"token") || speaks(b"secret"))
        && value.len() >= 8
}

/// What follows `word`, in any case, and white space after it where `word` does not end there itself.
fn strip_word<'a>(text: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(word.len())?;
    if !start.eq_ignore_ascii_case(word) {
        return None;
    }
    Some(if word.ends_with(b":") || word.ends_with(b" ") {
        rest.trim_ascii_start()
    } else {
        rest
    })
}

/// The provider's own format.
fn check_format(manifest: &Manifest, key: &[u8]) -> Result<(), KeyFormatError> {
    let title = manifest.title;
    let KeyFormat {
        prefixes,
        prefix_required,
        shared: _,
        min_len: min,
        max_len: max,
        charset,
        example_masked: example,
    } = manifest.key;
    let len = key.len();
    let prefixed = prefixes
        .iter()
        .any(|prefix| key.starts_with(prefix.as_bytes()));
    if prefix_required && !prefixes.is_empty() && !prefixed {
        return Err(KeyFormatError::WrongPrefix { title, example });
    }
    if len < min {
        return Err(KeyFormatError::TooShort { title, len, min });
    }
    if len > max {
        return Err(KeyFormatError::TooLong { title, len, max });
    }
    match wrong_character(charset, key) {
        Some(at) => Err(KeyFormatError::WrongCharacter {
            title,
            at,
            allowed: charset.describe(),
        }),
        None => Ok(()),
    }
}

fn wrong_character(charset: Charset, key: &[u8]) -> Option<usize> {
    key.iter().position(|byte| !charset.has(*byte))
}

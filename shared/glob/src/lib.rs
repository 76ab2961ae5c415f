//! Globs as API.md has them everywhere: `*` matches any run of characters, none and `/` included; every other character
//! is itself.
#![forbid(unsafe_code)]

use memchr::memmem;

/// Whether `pattern` matches the whole of `text`. Takes time linear in both, whatever the pattern, and allocates nothing.
///
/// ```
/// use lockgate_glob::glob;
/// assert!(glob("gpt-*", "gpt-4o"));
/// assert!(glob("accounts/*/models/*", "accounts/fireworks/models/glm-5p3"));
/// assert!(!glob("gpt-*", "my-gpt-4o"));
/// ```
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    // A glob matches itself, and most patterns are plain names.
    if pattern == text {
        return true;
    }
    let mut parts = pattern.as_bytes().split(|byte| *byte == b'*');
    let (Some(start), Some(end)) = (parts.next(), parts.next_back()) else {
        return false;
    };
    let between = text
        .as_bytes()
        .strip_prefix(start)
        .and_then(|text| text.strip_suffix(end));
    let Some(mut between) = between else {
        return false;
    };
    // Each part is taken where it is found first: a later place would only leave less for the parts after it. So
    // nothing is ever tried twice, and each search is linear.
    for part in parts {
        match after(between, part) {
            Some(rest) => between = rest,
            None => return false,
        }
    }
    true
}

/// A text this short is searched faster by trying every place than by a search that has to be prepared.
const SHORT: usize = 128;

/// What follows the first `part` in `text`. As UTF-8 synchronises itself, no part is found across characters.
fn after<'t>(text: &'t [u8], part: &[u8]) -> Option<&'t [u8]> {
    let Some(first) = part.first() else {
        return Some(text);
    };
    let at = if text.len() > SHORT {
        memmem::find(text, part)?
    } else {
        text.windows(part.len())
            .position(|window| window.first() == Some(first) && window == part)?
    };
    text.get(at + part.len()..)
}

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
    let Some(mut between) = without(text.as_bytes(), start, end) else {
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
    if part.is_empty() {
        return Some(text);
    }
    let at = if text.len() > SHORT {
        memmem::find(text, part)?
    } else {
        text.windows(part.len())
            .position(|window| same(window, part))?
    };
    text.get(at + part.len()..)
}

/// What is between `start` and `end` if `text` begins and ends with them.
fn without<'t>(text: &'t [u8], start: &[u8], end: &[u8]) -> Option<&'t [u8]> {
    let (head, text) = text.split_at_checked(start.len())?;
    let (between, tail) = text.split_at_checked(text.len().checked_sub(end.len())?)?;
    (same(head, start) && same(tail, end)).then_some(between)
}

/// Whether two pieces of one length are the same. Most differ in their first byte, so a call to compare memory would cost more.
fn same(text: &[u8], part: &[u8]) -> bool {
    text.iter().eq(part)
}

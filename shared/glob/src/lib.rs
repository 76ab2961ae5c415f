//! Globs as API.md has them everywhere: `*` matches any run of characters, none and `/` included; every other character
//! is itself.
#![forbid(unsafe_code)]

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
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    let between = text
        .strip_prefix(start)
        .and_then(|text| text.strip_suffix(end));
    let Some(mut between) = between else {
        return false;
    };
    // Each part is taken where it is found first: a later place would only leave less for the parts after it. So
    // nothing is ever tried twice, and std's search for one part is linear.
    for part in middle.split('*') {
        match between.split_once(part) {
            Some((_, after)) => between = after,
            None => return false,
        }
    }
    true
}

//! Which provider keys a resource pattern covers.
//!
//! A pattern with a slash is a glob over `<provider>/<key name>` and `<provider>/<key id>`; one without is a glob over the
//! provider's slug and the key's id.

use lockgate_glob::glob;

use crate::KeyFacts;

/// With this begins the id of every provider key.
const ID_PREFIX: &str = "pk_";

/// Whether `pattern` covers `key`.
pub(crate) fn covers(pattern: &str, key: &KeyFacts<'_>) -> bool {
    if pattern.contains('/') {
        joined(pattern, key.provider, key.name) || joined(pattern, key.provider, key.id)
    } else {
        glob(pattern, key.provider) || glob(pattern, key.id)
    }
}

/// Whether `pattern` can cover a key that `provider` does not have yet. Nobody can have written down the id of such a key,
/// but the beginning of it.
pub(crate) fn may_cover(pattern: &str, provider: &str) -> bool {
    if pattern.contains('/') {
        cuts(pattern).any(|(before, after)| !after.is_empty() && glob(before, provider))
    } else {
        glob(pattern, provider)
            || pattern
                .split_once('*')
                .is_some_and(|(head, _)| head.starts_with(ID_PREFIX) || ID_PREFIX.starts_with(head))
    }
}

/// Whether `pattern` covers every key that `provider` can ever have. As names are free, it can do so only by a star at
/// its end that takes the whole name, or all of the id but its beginning.
pub(crate) fn covers_all(pattern: &str, provider: &str) -> bool {
    if pattern.contains('/') {
        pattern.ends_with('*')
            && (joined(pattern, provider, "") || joined(pattern, provider, ID_PREFIX))
    } else {
        glob(pattern, provider) || pattern.ends_with('*') && glob(pattern, ID_PREFIX)
    }
}

/// Whether `pattern` matches `<provider>/<rest>`, without putting the two together: the slash between them is either the
/// pattern's own or is taken by one of its stars, which then stands on both sides.
fn joined(pattern: &str, provider: &str, rest: &str) -> bool {
    cuts(pattern).any(|(before, after)| glob(before, provider) && glob(after, rest))
}

/// All ways to cut a pattern where a slash of the text can be.
fn cuts(pattern: &str) -> impl Iterator<Item = (&str, &str)> {
    pattern
        .match_indices(['/', '*'])
        .filter_map(|(at, found)| match found {
            "/" => Some((pattern.get(..at)?, pattern.get(at + 1..)?)),
            _ => Some((pattern.get(..=at)?, pattern.get(at..)?)),
        })
}

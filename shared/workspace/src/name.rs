//! The names that people give to things, and what such a name may not be: one rule for `/api` and for documents.

use crate::is_id;

/// Characters of a name, at most.
pub const MAX: usize = 128;

/// Checks a name: 1 to [`MAX`] characters, none of them a control character or a slash, no white space at either end,
/// and, with the prefix of a kind's ids, not of their form.
///
/// # Errors
/// What is wrong with it, as the end of a sentence: “it has a slash, …”. It does not repeat the name.
pub fn check(name: &str, prefix: Option<&str>) -> Result<(), String> {
    let length = name.chars().count();
    if length == 0 {
        return Err("it is empty".into());
    }
    if length > MAX {
        return Err(format!("it has {length} characters; at most {MAX}"));
    }
    if name.chars().any(char::is_control) {
        return Err("it has a control character".into());
    }
    if name.trim() != name {
        return Err("it has a space at its ends".into());
    }
    if name.contains('/') {
        return Err("it has a slash, which separates a provider from a name".into());
    }
    match prefix.filter(|prefix| is_id(name, prefix)) {
        Some(prefix) => Err(format!("it looks like an id ({prefix}_…)")),
        None => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        let long = "ü".repeat(MAX + 1);
        for (name, problem) in [
            ("", "it is empty"),
            (&*long, "it has 129 characters; at most 128"),
            ("a\nb", "it has a control character"),
            ("\u{85}", "it has a control character"),
            (" a", "it has a space at its ends"),
            ("a\u{a0}", "it has a space at its ends"),
            (
                "a/b",
                "it has a slash, which separates a provider from a name",
            ),
            ("pk_aaaaaaaaaaaaaaaa", "it looks like an id (pk_…)"),
        ] {
            assert_eq!(check(name, Some("pk")).unwrap_err(), problem, "{name:?}");
        }
    }

    #[test]
    fn names_are_names() {
        for name in ["a", "Über uns", "*", "pk_", &"ü".repeat(MAX)] {
            assert_eq!(check(name, Some("pk")), Ok(()), "{name}");
        }
        // An id of another kind is a name, and without a kind every id is.
        assert_eq!(check("ws_aaaaaaaaaaaaaaaa", Some("pk")), Ok(()));
        assert_eq!(check("pk_aaaaaaaaaaaaaaaa", None), Ok(()));
    }
}

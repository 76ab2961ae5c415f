//! What SQLite's words mean. The interface passes an error on as text, so the text is all there is to go by.

use lockgate_host::StoreError;

/// Sorts an error message of SQLite's.
pub(crate) fn classify(message: String) -> StoreError {
    let lower = message.to_ascii_lowercase();
    if lower.contains("constraint failed") {
        StoreError::Constraint(message)
    } else if [
        "disk image is malformed",
        "malformed database schema",
        "not a database",
    ]
    .iter()
    .any(|words| lower.contains(words))
    {
        StoreError::Corrupt(message)
    } else {
        StoreError::Unavailable(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_sorted() {
        let sort = |text: &str| classify(text.to_owned());
        for text in [
            "UNIQUE constraint failed: gateways.name",
            "CHECK constraint failed: length(x) > 0",
            "FOREIGN KEY constraint failed",
            "NOT NULL constraint failed: t.a",
        ] {
            assert!(matches!(sort(text), StoreError::Constraint(_)), "{text}");
        }
        for text in ["database disk image is malformed", "file is not a database"] {
            assert!(matches!(sort(text), StoreError::Corrupt(_)), "{text}");
        }
        for text in [
            "database is locked",
            "disk I/O error",
            "unable to open database file",
            "malformed JSON",
        ] {
            assert!(matches!(sort(text), StoreError::Unavailable(_)), "{text}");
        }
    }
}

//! Forms of arguments that several commands take.

/// `NAME=VALUE`; the value may be empty and may hold further equals signs.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is written NAME=VALUE, such as region=eu-west-1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::pair;

    #[test]
    fn a_pair_is_a_name_and_a_value() {
        let two = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(pair("region=eu-west-1"), two("region", "eu-west-1"));
        assert_eq!(pair("a=b=c"), two("a", "b=c"));
        assert_eq!(pair("a="), two("a", ""));
        assert!(pair("region").is_err() && pair("=x").is_err());
    }
}

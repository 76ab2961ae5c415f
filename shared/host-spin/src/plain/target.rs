//! Where a request goes: an absolute URL taken apart into what `wasi:http` wants.

/// An `http` or `https` URL in parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// Whether the scheme is `https`.
    pub(crate) tls: bool,
    /// Host and port; never with user information.
    pub(crate) authority: &'a str,
    /// Path and query, beginning with `/`, without a fragment.
    pub(crate) path: std::borrow::Cow<'a, str>,
}

impl<'a> Target<'a> {
    /// Takes `url` apart; `None` where it is not an absolute `http` or `https` URL. The host validates the parts.
    pub(crate) fn parse(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let tls = if scheme.eq_ignore_ascii_case("https") {
            true
        } else if scheme.eq_ignore_ascii_case("http") {
            false
        } else {
            return None;
        };
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.is_empty() || authority.contains('@') {
            return None;
        }
        let path = if path.starts_with('/') {
            path.into()
        } else {
            format!("/{path}").into()
        };
        Some(Self {
            tls,
            authority,
            path,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> Option<(bool, &str, String)> {
        Target::parse(url).map(|target| (target.tls, target.authority, target.path.into_owned()))
    }

    #[test]
    fn urls_are_taken_apart() {
        assert_eq!(
            parts("https://api.openai.com/v1/models?a=b#c"),
            Some((true, "api.openai.com", "/v1/models?a=b".into()))
        );
        assert_eq!(
            parts("HTTP://[::1]:8080"),
            Some((false, "[::1]:8080", "/".into()))
        );
        assert_eq!(parts("http://h?x=1"), Some((false, "h", "/?x=1".into())));
    }

    #[test]
    fn others_are_refused() {
        for url in [
            "",
            "/v1",
            "ftp://h/",
            "http://",
            "http:///x",
            "http://u:p@h/",
            "h:80/x",
        ] {
            assert_eq!(parts(url), None, "{url}");
        }
    }
}

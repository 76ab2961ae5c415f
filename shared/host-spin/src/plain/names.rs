//! Which headers may cross the gateway, and in which direction.

use lockgate_host::WITHHELD_HEADERS;

/// Those of [`WITHHELD_HEADERS`] that `wasi:http` lets a guest name. It keeps the others, which belong to the connection,
/// from guests itself.
pub(crate) const NOT_OF_THE_CONNECTION: &[&str] = &["te", "trailer", "set-cookie", "server"];

/// Whether a provider's header `name` stays behind. `connection` is what the answer's own `connection` header names.
pub(crate) fn withheld(name: &str, connection: &[u8]) -> bool {
    among(WITHHELD_HEADERS, name) || named_by_connection(connection, name)
}

/// Whether a client's header `name` is never forwarded, even if asked for: those of the connection, those the engine
/// sets itself, and what Spin injects for the component.
pub(crate) fn kept_from_provider(name: &str) -> bool {
    among(WITHHELD_HEADERS, name)
        || among(&["content-length", "accept-encoding"], name)
        || name
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case("spin-"))
}

fn among(names: &[&str], name: &str) -> bool {
    names.iter().any(|other| other.eq_ignore_ascii_case(name))
}

fn named_by_connection(connection: &[u8], name: &str) -> bool {
    !connection.is_empty()
        && connection
            .split(|byte| *byte == b',')
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What wasmtime's `wasi:http` forbids guests.
    const OF_THE_CONNECTION: &[&str] = &[
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "host",
        "http2-settings",
    ];

    #[test]
    fn every_withheld_header_is_accounted_for() {
        let known =
            |name: &&&str| NOT_OF_THE_CONNECTION.contains(name) || OF_THE_CONNECTION.contains(name);
        assert_eq!(WITHHELD_HEADERS.iter().find(|name| !known(name)), None);
    }

    #[test]
    fn hop_by_hop_and_withheld_names_stay_behind() {
        for name in ["Connection", "transfer-encoding", "Set-Cookie", "server"] {
            assert!(withheld(name, b""), "{name}");
        }
        assert!(!withheld("content-type", b""));
        assert!(withheld("X-Hop", b"close, x-hop"));
        assert!(!withheld("x-hop", b"close, x-hopper"));
    }

    #[test]
    fn spin_and_framing_headers_never_go_upstream() {
        for name in [
            "spin-path-info",
            "Spin-Full-Url",
            "content-length",
            "host",
            "accept-encoding",
        ] {
            assert!(kept_from_provider(name), "{name}");
        }
        for name in ["spinner", "spin", "content-type", "é-x", ""] {
            assert!(!kept_from_provider(name), "{name}");
        }
    }
}

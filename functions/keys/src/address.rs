//! Where a provider key may be sent: `https` anywhere, `http` to loopback and to what `LOCKGATE_HTTP_HOSTS` names;
//! never to link-local or cloud-metadata addresses, which hand out the platform's own credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;
use lockgate_refusal::{Code, Refusal};

/// Names of metadata services.
const METADATA_HOSTS: &[&str] = &[
    "metadata.google.internal",
    "metadata.goog",
    "metadata",
    "instance-data",
];

/// Checks a `base_url` and returns it without a slash at its end.
pub(crate) fn check(text: &str, http_hosts: &[String]) -> Result<String, Refusal> {
    match problem(text, http_hosts) {
        None => Ok(text.trim_end_matches('/').to_owned()),
        Some(problem) => Err(Refusal::new(
            Code::INVALID_REQUEST,
            format!("The base_url cannot be used: {problem}."),
        )
        .param("base_url")),
    }
}

fn problem(text: &str, http_hosts: &[String]) -> Option<String> {
    let Ok(uri) = text.parse::<Uri>() else {
        return Some("it is not a URL".into());
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Some("it needs a scheme and a host, such as https://api.openai.com/v1".into());
    };
    if authority.as_str().contains('@') {
        return Some("it holds a user name or password; a credential belongs into `secret`".into());
    }
    if uri.query().is_some() || text.contains('#') {
        return Some("it has a query or fragment; it ends with a path".into());
    }
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    let host = host.trim_matches(['[', ']']).trim_end_matches('.');
    let address = match host.parse::<IpAddr>() {
        Ok(address) => Some(unmapped(address)),
        // `127.1`, `2130706433` and `0x7f000001` are addresses to some resolvers; what ends in a number is no name.
        Err(_) if numeric(host) => {
            return Some(format!("“{host}” is neither a name nor a full IP address"));
        }
        Err(_) => None,
    };
    if METADATA_HOSTS.contains(&host) || address.is_some_and(forbidden) {
        return Some(format!(
            "“{host}” is a link-local or cloud-metadata address"
        ));
    }
    let loopback = address.map_or(host == "localhost", |a| a.is_loopback());
    match scheme {
        "https" => None,
        "http" if loopback => None,
        "http" => {
            let with_port = uri.port_u16().map(|port| format!("{host}:{port}"));
            let named = |wanted: &String| *wanted == host || Some(wanted) == with_port.as_ref();
            if http_hosts.iter().any(named) {
                None
            } else {
                Some(format!(
                    "plain http is allowed to loopback and to the hosts in LOCKGATE_HTTP_HOSTS only, and “{host}” is neither"
                ))
            }
        }
        other => Some(format!("its scheme is `{other}`; it must be https")),
    }
}

fn numeric(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    last.is_empty()
        || last.bytes().all(|b| b.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4 == Ipv4Addr::new(100, 100, 100, 200)
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::problem;

    #[test]
    fn addresses() {
        let hosts = ["ollama:11434".to_owned(), "llm.internal".to_owned()];
        for good in [
            "https://api.openai.com/v1",
            "https://api.openai.com/v1/",
            "https://10.0.0.1/v1",
            "http://127.0.0.1:8080/v1",
            "http://localhost:11434/v1",
            "http://[::1]:1/v1",
            "http://ollama:11434/v1",
            "http://llm.internal:9/v1",
        ] {
            assert_eq!(problem(good, &hosts), None, "{good}");
        }
        for bad in [
            "",
            "api.openai.com/v1",
            "ftp://x/",
            "http://api.openai.com/v1",
            "http://ollama:1/v1",
            "https://u:p@x/",
            "https://169.254.169.254/latest",
            "http://169.254.169.254/",
            "https://[::ffff:169.254.169.254]/",
            "https://[fe80::1]/",
            "https://metadata.google.internal/",
            "https://METADATA.google.internal./",
            "http://2130706433/",
            "http://127.1/",
            "https://0xa9fea9fe/",
            "https://x/?key=1",
            "https://x/#f",
            "https://0.0.0.0/",
            "https://[fd00:ec2::254]/",
            "https://100.100.100.200/",
        ] {
            assert!(problem(bad, &hosts).is_some(), "{bad}");
        }
    }
}

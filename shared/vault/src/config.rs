//! Reading the settings of vaults.

use http::Uri;
use lockgate_host::{Host, Misconfigured, Secret};

/// Where vaults may be: `https` anywhere, plain `http` to loopback and to the hosts of `LOCKGATE_HTTP_HOSTS`.
pub struct Places {
    /// `name` or `name:port`, in lower case.
    pub http_hosts: Vec<String>,
}

impl Places {
    /// An address without a slash at its end.
    ///
    /// # Errors
    /// What is none, or is over plain `http` where that is not allowed.
    pub(crate) fn check(&self, setting: &'static str, text: &str) -> Result<String, Misconfigured> {
        let problem = |problem: &str| Misconfigured {
            setting,
            problem: problem.into(),
        };
        let address = text.trim().trim_end_matches('/');
        let uri: Uri = address
            .parse()
            .map_err(|_| problem("it is no address such as https://vault.example:8200"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(problem(
                "it is no address such as https://vault.example:8200",
            ));
        };
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(problem("it has more than scheme, host, port and path"));
        }
        let host = authority.host().to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let loopback = bare == "localhost"
            || bare
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.is_loopback());
        let with_port = authority.as_str().to_ascii_lowercase();
        let listed = self
            .http_hosts
            .iter()
            .any(|h| *h == host || *h == with_port);
        match scheme {
            "https" => Ok(address.to_owned()),
            "http" if loopback || listed => Ok(address.to_owned()),
            "http" => Err(problem(
                "plain http goes to loopback only; list the host in LOCKGATE_HTTP_HOSTS to allow it",
            )),
            _ => Err(problem("it has to begin with https://")),
        }
    }
}

/// A setting that has to be there.
pub(crate) async fn required<H: Host>(
    host: &H,
    setting: &'static str,
    hint: &str,
) -> Result<String, Misconfigured> {
    let text = optional(host, setting).await?;
    text.ok_or_else(|| Misconfigured {
        setting,
        problem: format!("it is not set, and LOCKGATE_VAULT needs it: {hint}"),
    })
}

/// A secret one that has to be there.
pub(crate) async fn required_secret<H: Host>(
    host: &H,
    setting: &'static str,
    hint: &str,
) -> Result<Secret, Misconfigured> {
    required(host, setting, hint).await.map(Secret::from)
}

/// A setting without the white space around it; `None` where nothing else is there.
pub(crate) async fn optional<H: Host>(
    host: &H,
    setting: &'static str,
) -> Result<Option<String>, Misconfigured> {
    let text = host.variable(setting).await?.unwrap_or_default();
    let text = text.trim();
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// The names in a comma-separated setting.
pub(crate) async fn list<H: Host>(
    host: &H,
    setting: &'static str,
) -> Result<Vec<String>, Misconfigured> {
    let text = optional(host, setting).await?.unwrap_or_default();
    let parts = text.split(',').map(str::trim);
    Ok(parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect())
}

/// A number of milliseconds from 1 to `most`.
pub(crate) async fn millis<H: Host>(
    host: &H,
    setting: &'static str,
    default: u64,
    most: u64,
) -> Result<u64, Misconfigured> {
    let Some(text) = optional(host, setting).await? else {
        return Ok(default);
    };
    let number = text.parse().ok();
    number
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| Misconfigured {
            setting,
            problem: format!(
                "“{}” is not a whole number of milliseconds from 1 to {most}",
                text.chars().take(40).collect::<String>()
            ),
        })
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn plain_http_goes_where_it_may() {
        let places = Places {
            http_hosts: vec!["vault:8200".into(), "bao".into()],
        };
        let check = |text: &str| places.check("LOCKGATE_VAULT_ADDR", text).ok();
        for fine in [
            "https://vault.example",
            "https://vault.example:8200/path",
            "http://127.0.0.1:8200",
            "http://[::1]:8200",
            "http://localhost",
            "http://vault:8200",
            "http://bao:1",
        ] {
            assert_eq!(check(fine).as_deref(), Some(fine));
        }
        assert_eq!(check(" https://v/ ").as_deref(), Some("https://v"));
        for wrong in [
            "",
            "vault",
            "ftp://vault",
            "http://vault:8201",
            "http://vault.example",
            "http://127.0.0.1.example",
            "https://user:password@vault",
            "https://vault?token=x",
            "/path",
        ] {
            assert_eq!(check(wrong), None, "{wrong}");
        }
    }
}

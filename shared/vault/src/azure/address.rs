//! The address of a key in Azure Key Vault or a managed HSM, and what follows from it.

use http::Uri;
use lockgate_host::Misconfigured;

use super::KEY;
use crate::config::Places;

/// The services of Azure's clouds, and where their tokens come from.
/// <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers>,
/// <https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud>.
const CLOUDS: [(&str, &str); 6] = [
    (DEFAULT_SERVICE, DEFAULT_LOGIN),
    ("managedhsm.azure.net", DEFAULT_LOGIN),
    ("vault.azure.cn", "https://login.partner.microsoftonline.cn"),
    (
        "managedhsm.azure.cn",
        "https://login.partner.microsoftonline.cn",
    ),
    (
        "vault.usgovcloudapi.net",
        "https://login.microsoftonline.us",
    ),
    (
        "managedhsm.usgovcloudapi.net",
        "https://login.microsoftonline.us",
    ),
];
const DEFAULT_SERVICE: &str = "vault.azure.net";
const DEFAULT_LOGIN: &str = "https://login.microsoftonline.com";
const FORM: &str = "https://<vault>.vault.azure.net/keys/<name>, with or without /<version>";

/// A key.
pub(super) struct Address {
    /// `https://<vault>/keys/<name>`, the host in lower case and without the port that goes without saying: what is stored begins
    /// with it, however the setting spells it.
    pub(super) key: String,
    /// The one version that new data keys are wrapped under, where the setting names one.
    pub(super) version: Option<String>,
    /// Where tokens come from, unless a setting says otherwise.
    pub(super) login: &'static str,
    /// What a token is asked for.
    pub(super) scope: String,
}

impl Address {
    pub(super) fn read(places: &Places, text: &str) -> Result<Self, Misconfigured> {
        let address = places.check(KEY, text)?;
        let wrong = || Misconfigured {
            setting: KEY,
            problem: format!(
                "“{}” is no address of a key; it is {FORM}",
                address.chars().take(200).collect::<String>()
            ),
        };
        let uri: Uri = address.parse().map_err(|_| wrong())?;
        let mut parts = uri.path().split('/');
        let (Some(""), Some("keys"), Some(name), version, None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(wrong());
        };
        if !is_name(name) || !version.is_none_or(is_version) {
            return Err(wrong());
        }
        let scheme = uri.scheme_str().unwrap_or_default();
        let server = uri.authority().map(|a| a.as_str().to_ascii_lowercase());
        let server = server.unwrap_or_default();
        let server = match scheme {
            "https" => server.strip_suffix(":443").unwrap_or(&server),
            _ => &server,
        };
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let cloud = host
            .split_once('.')
            .and_then(|(_, rest)| CLOUDS.into_iter().find(|(service, _)| *service == rest));
        // A host that is none of Azure's stands in for the public cloud.
        let (service, login) = cloud.unwrap_or((DEFAULT_SERVICE, DEFAULT_LOGIN));
        Ok(Self {
            key: format!("{scheme}://{server}/keys/{name}"),
            version: version.map(str::to_owned),
            login,
            scope: format!("https://{service}/.default"),
        })
    }

    /// The version in the identifier of a key that the service gave, where it is one of this key. Case and the default port
    /// may differ from the setting's.
    pub(super) fn version_of<'i>(&self, kid: &'i str) -> Option<&'i str> {
        let (key, version) = kid.rsplit_once('/')?;
        let plain = |address: &str| {
            let address = address.to_ascii_lowercase();
            let (server, name) = address.split_once("/keys/")?;
            let server = server.strip_suffix(":443").unwrap_or(server);
            Some(format!("{server}/keys/{name}"))
        };
        (plain(key)? == plain(&self.key)? && is_version(version)).then_some(version)
    }

    /// The version in the name of a KEK that is stored, where it is one of this key.
    pub(super) fn stored_version<'k>(&self, kek: &'k str) -> Option<&'k str> {
        let version = kek.strip_prefix(&self.key)?.strip_prefix('/')?;
        is_version(version).then_some(version)
    }
}

/// Names of keys are letters, digits and hyphens.
fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    (1..=127).contains(&text.len()) && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Versions are 32 hexadecimal digits; anything that cannot change the meaning of an address is taken.
fn is_version(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Address;
    use crate::config::Places;

    fn read(text: &str) -> Option<Address> {
        let places = Places {
            http_hosts: Vec::new(),
        };
        Address::read(&places, text).ok()
    }

    #[test]
    fn clouds_follow_from_the_host() {
        for (host, scope, login) in [
            (
                "v.vault.azure.net",
                "https://vault.azure.net/.default",
                "https://login.microsoftonline.com",
            ),
            (
                "V.ManagedHSM.azure.net",
                "https://managedhsm.azure.net/.default",
                "https://login.microsoftonline.com",
            ),
            (
                "v.vault.azure.cn",
                "https://vault.azure.cn/.default",
                "https://login.partner.microsoftonline.cn",
            ),
            (
                "v.vault.usgovcloudapi.net",
                "https://vault.usgovcloudapi.net/.default",
                "https://login.microsoftonline.us",
            ),
            (
                "vault.azure.net.evil.example",
                "https://vault.azure.net/.default",
                "https://login.microsoftonline.com",
            ),
        ] {
            let address = read(&format!("https://{host}/keys/kek")).unwrap();
            assert_eq!((address.scope.as_str(), address.login), (scope, login));
        }
    }

    #[test]
    fn a_version_is_taken_off() {
        let address = read("https://v.vault.azure.net/keys/keys/0af1/").unwrap();
        assert_eq!(address.key, "https://v.vault.azure.net/keys/keys");
        assert_eq!(address.version.as_deref(), Some("0af1"));
        // A name that ends like the version.
        let address = read("https://v.vault.azure.net/keys/a1/1").unwrap();
        assert_eq!(address.key, "https://v.vault.azure.net/keys/a1");
        let address = read("https://v.vault.azure.net/keys/kek").unwrap();
        assert_eq!(address.key, "https://v.vault.azure.net/keys/kek");
        assert_eq!(address.version, None);
    }

    #[test]
    fn spelling_changes_nothing() {
        for text in [
            "HTTPS://V.Vault.Azure.net/keys/kek",
            "https://v.vault.azure.net:443/keys/kek/",
            "https://V.vault.azure.net:443/keys/kek/0af1",
        ] {
            let address = read(text).unwrap();
            assert_eq!(address.key, "https://v.vault.azure.net/keys/kek", "{text}");
        }
        let address = read("https://v.vault.azure.net:8443/keys/kek").unwrap();
        assert_eq!(address.key, "https://v.vault.azure.net:8443/keys/kek");
        let address = read("http://127.0.0.1:443/keys/kek").unwrap();
        assert_eq!(address.key, "http://127.0.0.1:443/keys/kek");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in [
            "https://v.vault.azure.net",
            "https://v.vault.azure.net/keys/",
            "https://v.vault.azure.net/secrets/kek",
            "https://v.vault.azure.net/x/keys/kek",
            "https://v.vault.azure.net/keys/kek/v/unwrapkey",
            "https://v.vault.azure.net/keys/k_k",
            "https://v.vault.azure.net/keys/k%2fk",
            "https://v.vault.azure.net/keys/kek/0.1",
            "http://v.vault.azure.net/keys/kek",
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn only_versions_of_this_key_are_its_own() {
        let address = read("https://v.vault.azure.net/keys/kek").unwrap();
        for kid in [
            "https://v.vault.azure.net/keys/kek/0af1",
            "https://v.vault.azure.net:443/keys/KEK/0af1",
        ] {
            assert_eq!(address.version_of(kid), Some("0af1"), "{kid}");
        }
        let stored = "https://v.vault.azure.net/keys/kek/0af1";
        assert_eq!(address.stored_version(stored), Some("0af1"));
        for kid in [
            "",
            "0af1",
            "https://v.vault.azure.net/keys/kek",
            "https://v.vault.azure.net/keys/kek/",
            "https://v.vault.azure.net/keys/kek2/0af1",
            "https://v.vault.azure.net/keys/kek/../other",
            "https://v.vault.azure.net/keys/kek/..",
            "https://v.vault.azure.net/keys/kek/a?b",
            "https://v.vault.azure.net.evil.example/keys/kek/0af1",
            "https://evil.example/https://v.vault.azure.net/keys/kek/0af1",
            "https://evil.example#https://v.vault.azure.net/keys/kek/0af1",
            "http://v.vault.azure.net/keys/kek/0af1",
        ] {
            assert_eq!(address.version_of(kid), None, "{kid}");
            assert_eq!(address.stored_version(kid), None, "{kid}");
        }
    }
}

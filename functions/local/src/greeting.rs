//! What the local gateway prints before it serves: where it is, secrets that are shown once, and a line to try.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use lockgate_host::Secret;
use lockgate_providers::{Manifest, ModelKind, all};
use lockgate_vault::Vaults;

use crate::first_start::Welcome;
use crate::own_secrets::{AdminToken, Origin, TOKEN, TOKEN_FILE};

/// The lines, secrets among them where they were made just now.
pub(crate) fn lines(
    address: SocketAddr,
    data_dir: &Path,
    token: &AdminToken,
    welcome: &Welcome,
) -> Vec<String> {
    let url = format!("http://{}", reachable(address));
    let token_file = data_dir.join(TOKEN_FILE);
    let mut lines = vec![format!(
        "lockgate {} keeps its data in {}",
        env!("CARGO_PKG_VERSION"),
        data_dir.display()
    )];
    match token.origin {
        Origin::Made => lines.push(format!(
            "admin token, shown only now and kept in {}: {}",
            token_file.display(),
            shown(&token.secret)
        )),
        Origin::File => lines.push(format!("admin token: in {}", token_file.display())),
        Origin::Environment => lines.push(format!("admin token: as {TOKEN} says")),
    }
    lines.extend(welcome.notes.iter().cloned());
    if let Some(key) = &welcome.gateway_key {
        lines.push(format!("gateway key, shown only now: {}", shown(key)));
    }
    match (welcome.provider, &welcome.gateway_key) {
        (Some(provider), Some(key)) => {
            lines.push("try it:".to_owned());
            lines.push(format!("  {}", chat(&url, shown(key), &model(provider))));
        }
        (Some(_), None) => {}
        (None, _) => {
            let variables: Vec<&str> = all()
                .iter()
                .filter_map(|provider| provider.env_vars.first().copied())
                .collect();
            lines.push(format!(
                "there is no provider key yet: set one of {} and start again, or save one:",
                variables.join(", ")
            ));
            let token = match token.origin {
                Origin::Environment => format!("${TOKEN}"),
                Origin::File | Origin::Made => format!("$(cat '{}')", token_file.display()),
            };
            lines.push(format!(
                r#"  curl {url}/api/provider-keys -H "Authorization: Bearer {token}" -H 'Content-Type: application/json' -d '{{"provider":"openai","name":"default","secret":"YOUR-KEY"}}'"#
            ));
        }
    }
    lines
}

/// Which vault is in force, and what is still read beside it.
pub(crate) fn vault(vaults: &Vaults) -> String {
    let beside = vaults.readable();
    let names: Vec<&str> = beside
        .iter()
        .filter_map(|held| held.prefix.split(':').next())
        .collect();
    if names.is_empty() {
        return format!("vault: {}", vaults.adapter());
    }
    format!(
        "vault: {}; {} can still be read, `lockgate vault rewrap` moves what is there",
        vaults.adapter(),
        names.join(", ")
    )
}

/// A line that streams an answer.
fn chat(url: &str, key: &str, model: &str) -> String {
    format!(
        r#"curl -N {url}/v1/chat/completions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"Say hello."}}]}}'"#
    )
}

/// A model of the provider, under a name that cannot be taken for another provider's.
fn model(provider: &Manifest) -> String {
    let known = provider.models.iter();
    let Some(model) = known.clone().find(|model| model.kind == ModelKind::Chat) else {
        return format!("{}/YOUR-MODEL", provider.slug);
    };
    let others = all().iter().filter(|other| other.slug != provider.slug);
    if others.clone().any(|other| other.model(model.id).is_some()) {
        format!("{}/{}", provider.slug, model.id)
    } else {
        model.id.to_owned()
    }
}

/// An address that a client on this machine can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The one place where a secret becomes text for a person.
fn shown(secret: &Secret) -> &str {
    secret.expose_str().unwrap_or_default()
}

//! What the local gateway does at start through its own management plane: it imports provider keys from the environment
//! (FEATURES.md A8) and, on the first start, makes a role, an agent that has it, and a gateway key for the agent.
//!
//! What was done is written to `imported.json`, names only, so that nothing which was deleted ever comes back.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;

use anyhow::{Context, bail};
use http::Uri;
use lockgate_access::USE_PROVIDER_KEY;
use lockgate_host::Secret;
use lockgate_host_native::Folder;
use lockgate_providers::{EnvFinding, Manifest, env_candidates};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::inside::{Inside, Reply};
use crate::kek_file::KEK_FILE;
use crate::own_secrets::KEK;
use crate::refusal::Refused;

const MARKER_FILE: &str = "imported.json";
/// Name of the role, the agent and the gateway key that are made.
const LOCAL: &str = "local";
/// How gateway keys begin: one in a provider's variable is there for an application's sake.
const GATEWAY_KEY_PREFIX: &str = "lgk_";

/// What has been done once and is not done again.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Done {
    /// Variables whose keys were imported.
    #[serde(default)]
    variables: BTreeSet<String>,
    /// Whether the gateway key was made.
    #[serde(default)]
    gateway_key: bool,
}

/// What there is to tell.
pub(crate) struct Welcome {
    /// In words, one line each.
    pub(crate) notes: Vec<String>,
    /// The gateway key, where it was made just now.
    pub(crate) gateway_key: Option<Secret>,
    /// A provider to try, the one imported just now if there is one.
    pub(crate) provider: Option<&'static Manifest>,
}

/// Imports and makes what has not been yet.
pub(crate) async fn prepare(
    api: &Inside<'_>,
    folder: &Folder,
    variables: &HashMap<String, String>,
    address: SocketAddr,
) -> anyhow::Result<Welcome> {
    let mut done: Done = match folder.read(MARKER_FILE)? {
        Some(text) => serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged", folder.path().join(MARKER_FILE).display()))?,
        None => Done::default(),
    };
    let mut notes = Vec::new();
    let mut imported = None;
    let mut waiting: Vec<String> = Vec::new();
    for finding in env_candidates(set(variables)) {
        match finding {
            EnvFinding::Import {
                provider,
                variable,
                index,
                base_url_variable,
            } => {
                if done.variables.contains(&variable) {
                    continue;
                }
                // Others would only wait for the vault as well.
                if !waiting.is_empty() {
                    waiting.push(variable);
                    continue;
                }
                let found = Found {
                    provider,
                    variable,
                    default: index == 1,
                    base_url_variable,
                };
                match import(api, variables, address, &found, &mut notes).await? {
                    Imported::No => continue,
                    Imported::NotNow(why) => {
                        notes.push(format!("{} is not imported: {why}", found.variable));
                        waiting.push(found.variable);
                        continue;
                    }
                    Imported::Now => {
                        imported.get_or_insert(provider);
                    }
                    Imported::Before => {}
                }
                done.variables.insert(found.variable);
                mark(folder, &done)?;
            }
            EnvFinding::NearMiss {
                variable,
                did_you_mean,
                provider,
            } => notes.push(format!(
                "{variable} is not read; did you mean {did_you_mean} ({})?",
                provider.title
            )),
        }
    }
    if !waiting.is_empty() {
        notes.push(format!(
            "the next start imports what is waiting for the vault: {}",
            waiting.join(", ")
        ));
    }
    let gateway_key = if done.gateway_key {
        None
    } else {
        let key = caller(api, &mut notes).await?;
        done.gateway_key = true;
        mark(folder, &done)?;
        Some(key)
    };
    notes.extend(openness(api).await?);
    let provider = match imported {
        Some(provider) => Some(provider),
        None => any_provider(api).await?,
    };
    Ok(Welcome {
        notes,
        gateway_key,
        provider,
    })
}

/// Names of variables that are not empty.
fn set(variables: &HashMap<String, String>) -> impl Iterator<Item = &str> {
    variables
        .iter()
        .filter(|(_, value)| !value.trim().is_empty())
        .map(|(name, _)| name.as_str())
}

fn mark(folder: &Folder, done: &Done) -> anyhow::Result<()> {
    Ok(folder.write(MARKER_FILE, &serde_json::to_vec_pretty(done)?)?)
}

/// A variable with a key in it.
struct Found {
    provider: &'static Manifest,
    variable: String,
    default: bool,
    base_url_variable: Option<&'static str>,
}

enum Imported {
    /// As a new key.
    Now,
    /// The key is there: the process ended before it could be noted.
    Before,
    /// Not; a note says why.
    No,
    /// Not, for this reason, since the vault cannot be used.
    NotNow(String),
}

async fn import(
    api: &Inside<'_>,
    variables: &HashMap<String, String>,
    address: SocketAddr,
    found: &Found,
    notes: &mut Vec<String>,
) -> anyhow::Result<Imported> {
    let Found {
        provider, variable, ..
    } = found;
    let Some(secret) = variables.get(variable).map(|value| value.trim()) else {
        return Ok(Imported::No);
    };
    if secret.starts_with(GATEWAY_KEY_PREFIX) {
        notes.push(format!(
            "{variable} holds a gateway key, not one of {}: it is not imported",
            provider.title
        ));
        return Ok(Imported::No);
    }
    let mut body = json!({"provider": provider.slug, "name": variable, "secret": secret});
    if found.default {
        body["default"] = json!(true);
    }
    if let Some(name) = found.base_url_variable
        && let Some(base_url) = variables.get(name).map(|value| value.trim())
    {
        if is_ours(base_url, address) {
            notes.push(format!(
                "{name} is this gateway's own address; {variable} goes to {}",
                provider.base_url
            ));
        } else {
            body["base_url"] = json!(base_url);
            // Whoever stands in for the provider may have keys of its own form.
            body["force"] = json!(true);
        }
    }
    let options = provider.options.iter().filter_map(|option| {
        let value = variables.get(option.env?)?.trim();
        (!value.is_empty()).then(|| (option.name.to_owned(), json!(value)))
    });
    let options: serde_json::Map<String, Value> = options.collect();
    if !options.is_empty() {
        body["options"] = options.into();
    }
    let reply = api.post("/api/provider-keys", &body).await?;
    match reply.status {
        201 => {
            notes.push(format!(
                "imported {variable} as provider key {variable} of {}",
                provider.title
            ));
            Ok(Imported::Now)
        }
        409 if reply.code() == "already_exists" => Ok(Imported::Before),
        503 if reply.code() == "vault_unavailable" => {
            Ok(Imported::NotNow(reply.message().to_owned()))
        }
        400..=499 => {
            notes.push(format!("{variable} is not imported: {}", reply.message()));
            Ok(Imported::No)
        }
        _ => refused("import a provider key", &reply),
    }
}

/// Whether a base URL leads back here: applications are given the gateway in the same variable.
fn is_ours(base_url: &str, address: SocketAddr) -> bool {
    let Ok(uri) = base_url.parse::<Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let local = host.eq_ignore_ascii_case("localhost")
        || host.parse().is_ok_and(|ip: std::net::IpAddr| {
            ip.is_loopback() || ip.is_unspecified() || ip == address.ip()
        });
    let port = uri.port_u16().or_else(|| match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    });
    local && port == Some(address.port())
}

/// Makes the role, the agent with it, and the gateway key. Where a start ended in between, the next one goes on: the
/// agent is made with its role in one step, so an agent that is there has what it was given.
async fn caller(api: &Inside<'_>, notes: &mut Vec<String>) -> anyhow::Result<Secret> {
    let role = json!({"name": LOCAL, "statements": [{
        "effect": "allow", "actions": [USE_PROVIDER_KEY], "resources": ["*"],
    }]});
    made("role", &api.post("/api/roles", &role).await?, notes)?;
    let agent = json!({"name": LOCAL, "roles": [LOCAL]});
    made("agent", &api.post("/api/agents", &agent).await?, notes)?;
    let key = json!({"name": LOCAL, "agent": LOCAL});
    let key = api.post("/api/gateway-keys", &key).await?;
    if key.status != 201 {
        refused("make the gateway key", &key)?;
    }
    notes.push(format!(
        "made a gateway key for agent `{LOCAL}`, whose role `{LOCAL}` allows every provider key of this workspace; to narrow that, \
         change the role's statements (docs/access.md), and ask beforehand: lockgate simulate --agent {LOCAL} --model MODEL"
    ));
    let text = key.body.get("key").and_then(Value::as_str);
    let text = text.context("a gateway key was made, but not shown")?;
    Ok(Secret::from(text.to_owned()))
}

/// Sees that something was made, or notes that it was there.
fn made(kind: &str, reply: &Reply, notes: &mut Vec<String>) -> anyhow::Result<()> {
    match reply.status {
        201 => Ok(()),
        409 if reply.code() == "already_exists" => {
            notes.push(format!(
                "{kind} `{LOCAL}` is there already and stays as it is"
            ));
            Ok(())
        }
        _ => refused(&format!("make the {kind}"), reply),
    }
}

/// A warning where roles do not count, as in stores from before there were roles.
async fn openness(api: &Inside<'_>) -> anyhow::Result<Option<String>> {
    let workspace = api.get("/api/workspaces/default").await?;
    if workspace.status != 200 {
        refused("look at the workspace", &workspace)?;
    }
    let open = workspace.body.get("access").and_then(Value::as_str) == Some("open");
    Ok(open.then(|| {
        "warning: workspace `default` is open, so every agent may use every provider key in it. To close it, attach a role to each \
         agent (lockgate role create, lockgate agent patch), then PATCH /api/workspaces/default with {\"access\":\"enforced\"}; \
         the lines are in docs/access.md"
            .to_owned()
    }))
}

async fn any_provider(api: &Inside<'_>) -> anyhow::Result<Option<&'static Manifest>> {
    let keys = api.get("/api/provider-keys").await?;
    if keys.status != 200 {
        refused("list provider keys", &keys)?;
    }
    let items = keys.body.get("items").and_then(Value::as_array);
    Ok(items
        .into_iter()
        .flatten()
        .filter(|key| key.get("enabled") != Some(&Value::Bool(false)))
        .filter_map(|key| key.get("provider")?.as_str())
        .find_map(lockgate_providers::find))
}

fn refused<T>(to: &str, reply: &Reply) -> anyhow::Result<T> {
    if reply.code() == "misconfigured" {
        let mut message = reply.message().to_owned();
        if reply.param().starts_with(KEK) {
            message.push_str(&format!(
                " While {KEK} is not set, the file `{KEK_FILE}` in the data folder has a KEK on each line: the first is the one in force, \
                 the others are still read."
            ));
        }
        return Err(Refused(message).into());
    }
    bail!("cannot {to}: {} {}", reply.status, reply.message())
}

//! The management plane of a running gateway, over HTTP: what the command line's other commands talk to.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use lockgate_host::{Credential, Method, Outbound, OutboundBody, Secret};
use lockgate_host_native::Caller;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use thiserror::Error;

use crate::data_dir;
use crate::output::text;
use crate::own_secrets::{TOKEN, TOKEN_FILE};
use crate::refusal::Refused;

/// A write waits until no lease from before it is left, at most 60 s; this is longer.
const TIMEOUT: Duration = Duration::from_secs(90);
/// The largest answer that is read.
const MAX_ANSWER: usize = 16 << 20;

/// Which gateway, and who asks.
#[derive(Args)]
pub(crate) struct Target {
    /// The gateway's address.
    #[arg(
        long,
        global = true,
        env = "LOCKGATE_URL",
        default_value = "http://127.0.0.1:41002"
    )]
    url: String,
    /// Admin token [default: the one in the data folder].
    #[arg(
        long,
        global = true,
        env = "LOCKGATE_ADMIN_TOKEN",
        hide_env_values = true
    )]
    admin_token: Option<String>,
    /// Folder of the local gateway, where its admin token is [default: the user's data folder].
    #[arg(long, global = true, env = "LOCKGATE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Workspace, by name or id [default: the admin token's own, else `default`].
    #[arg(long, global = true)]
    workspace: Option<String>,
}

impl Target {
    /// The local gateway's folder.
    pub(crate) fn folder(&self) -> anyhow::Result<PathBuf> {
        data_dir::or_default(self.data_dir.clone())
    }
}

/// A gateway to ask.
pub(crate) struct Remote {
    caller: Caller,
    url: String,
    workspace: Option<String>,
    token: Secret,
}

/// Runs an asynchronous command on a runtime of its own.
pub(crate) fn with<T>(
    target: Target,
    work: impl AsyncFnOnce(&Remote) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { work(&Remote::new(target)?).await })
}

impl Remote {
    fn new(target: Target) -> anyhow::Result<Self> {
        let given = target.admin_token.as_deref();
        let token = match given.filter(|token| !token.is_empty()) {
            Some(token) => token.to_owned(),
            None => {
                let file = target.folder()?.join(TOKEN_FILE);
                std::fs::read_to_string(&file).map_err(|error| {
                    Refused(format!(
                        "there is no admin token: set {TOKEN}, or point --data-dir at the gateway's folder ({}: {error})",
                        file.display()
                    ))
                })?
            }
        };
        Ok(Self {
            caller: Caller::new()?,
            url: target.url.trim_end_matches('/').to_owned(),
            workspace: target.workspace,
            token: Secret::from(token.trim().to_owned()),
        })
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, path, None, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(body), None).await
    }

    /// A `POST` to a resource that must still be as `etag` says.
    pub(crate) async fn post_if(
        &self,
        path: &str,
        body: &Value,
        etag: &str,
    ) -> anyhow::Result<Value> {
        self.call(Method::POST, path, Some(body), Some(etag)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::PUT, path, Some(body), None).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::PATCH, path, Some(body), None).await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.call(Method::DELETE, path, None, None).await.map(drop)
    }

    /// All items of a list.
    pub(crate) async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut page = self.get(&format!("{path}?limit=1000{cursor}")).await?;
            if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            match page.get("next_cursor").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={}", escaped(next)),
                None => return Ok(items),
            }
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        etag: Option<&str>,
    ) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.url);
        let body = match body {
            Some(body) => OutboundBody::Bytes(serde_json::to_vec(body)?),
            None => OutboundBody::Empty,
        };
        let workspace = self.workspace.as_deref();
        let set: Vec<_> = [("content-type", "application/json")]
            .into_iter()
            .chain(workspace.map(|workspace| ("lockgate-workspace", workspace)))
            .chain(etag.map(|etag| ("if-match", etag)))
            .collect();
        let outbound = Outbound {
            method,
            url: &url,
            forward: None,
            set: &set,
            credential: Some(Credential {
                header: "authorization",
                prefix: "Bearer ",
                secret: &self.token,
            }),
            body,
            head_timeout: TIMEOUT,
            idle_timeout: TIMEOUT,
        };
        let (status, answer) = self
            .caller
            .call(outbound, MAX_ANSWER)
            .await
            .with_context(|| format!("the gateway at {} does not answer", self.url))?;
        if status == 204 {
            return Ok(Value::Null);
        }
        let answer: Value = serde_json::from_slice(&answer)
            .with_context(|| format!("{url} answered {status} without JSON: is it a gateway?"))?;
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        match answer.get("error") {
            Some(error) => Err(Declined {
                message: text(error, "message"),
                code: text(error, "code"),
                details: error.get("lockgate").cloned().unwrap_or_default(),
            }
            .into()),
            None => bail!("{url} answered {status}"),
        }
    }
}

/// What the gateway said where it would not.
#[derive(Debug, Error)]
#[error("{message}")]
pub(crate) struct Declined {
    message: String,
    /// For programs.
    pub(crate) code: String,
    /// The error's `lockgate` object.
    pub(crate) details: Value,
}

/// A name or id as one segment of a path.
pub(crate) fn escaped(segment: &str) -> String {
    utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string()
}

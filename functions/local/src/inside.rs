//! The management plane, called inside this process: the first start goes the same way as everybody's requests.

use std::str::FromStr;

use anyhow::{Context, bail};
use http::Method;
use lockgate_host::{AnswerBody, Secret};
use lockgate_host_native::{Body, Incoming, NativeHeaders, NativeHost};
use serde_json::Value;
use zeroize::Zeroizing;

/// A caller with the admin token.
pub(crate) struct Inside<'a> {
    pub(crate) host: &'a NativeHost,
    pub(crate) token: &'a Secret,
}

/// What the management plane answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Reply {
    /// The error's stable code.
    pub(crate) fn code(&self) -> &str {
        self.text("code")
    }

    /// The error in words.
    pub(crate) fn message(&self) -> &str {
        self.text("message")
    }

    /// The field or setting that is to blame; empty where there is none.
    pub(crate) fn param(&self) -> &str {
        self.text("param")
    }

    fn text(&self, field: &str) -> &str {
        self.body
            .pointer(&format!("/error/{field}"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

impl Inside<'_> {
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Reply> {
        self.call("GET", path, Vec::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Reply> {
        self.call("POST", path, serde_json::to_vec(body)?).await
    }

    async fn call(&self, method: &str, target: &str, body: Vec<u8>) -> anyhow::Result<Reply> {
        let token = self
            .token
            .expose_str()
            .context("the admin token is no text")?;
        let authorization = Zeroizing::new(format!("Bearer {token}"));
        let length = body.len().to_string();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let answer = lockgate_keys::handle(
            self.host,
            Incoming {
                method: Method::from_str(method)?,
                path: path.to_owned(),
                query,
                headers: NativeHeaders::from_pairs([
                    ("authorization", authorization.as_str()),
                    ("content-type", "application/json"),
                    ("content-length", &length),
                ]),
                body: Body::bytes(body),
            },
        )
        .await;
        let AnswerBody::Bytes(bytes) = answer.body else {
            bail!("{method} {path} did not answer at once");
        };
        let body = serde_json::from_slice(&bytes)
            .with_context(|| format!("{method} {path} answered {} without JSON", answer.status))?;
        Ok(Reply {
            status: answer.status,
            body,
        })
    }
}

//! Sends a request to a provider and waits for the head of the answer.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use lockgate_host::{Credential as Header, Headers, Host, Inbound, Method, Outbound, OutboundBody};
use lockgate_providers::Manifest;
use lockgate_providers::call::{self, Operation, Sending};
use lockgate_refusal::{Code, Refusal};
use lockgate_sigv4::Credentials;
use lockgate_workspace::Settings;
use lockgate_workspace::health::rejects_key;
use lockgate_workspace::plan::Cause;
use lockgate_workspace::snapshot::KeyPointer;

use crate::credential::Credential;
use crate::endpoint::BodyKind;
use crate::failure::{self, Failure, Who};
use crate::log::Draft;
use crate::target::Target;
use crate::{Request, health};

/// Headers of the client's request that every provider gets (API.md, “Data plane”).
const FORWARDED: &[&str] = &[
    "content-type",
    "accept",
    "anthropic-version",
    "anthropic-beta",
    "openai-beta",
    "idempotency-key",
    "user-agent",
];
/// The same where the request is translated: what is left says nothing of the body's dialect.
const FORWARDED_TRANSLATED: &[&str] = &["idempotency-key", "user-agent"];
/// The same where the platform's account is called: what is left changes neither the price nor what others get to see, as
/// a key for repeated requests that another workspace uses too would.
const FORWARDED_MANAGED: &[&str] = &["user-agent"];
/// Of those that every provider gets, the ones that the platform's does not.
const WITHHELD_MANAGED: &[&str] = &["anthropic-beta", "openai-beta", "idempotency-key"];
/// Bytes of a provider's error that are read for its message.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// What is to be sent.
pub(crate) struct Outgoing<'a, H: Host> {
    pub(crate) method: Method,
    pub(crate) operation: Operation<'a>,
    pub(crate) body: OutboundBody<H>,
    /// Whether the body is of the gateway's own making, in the provider's dialect.
    pub(crate) translated: bool,
    /// How long to wait for the head of the answer.
    pub(crate) within: Duration,
}

/// Sends the request; an answer with a success status comes back with its body unread.
pub(crate) async fn send<H: Host>(
    host: &H,
    settings: &Rc<Settings>,
    request: &Request<'_, H>,
    target: &Target<'_>,
    credential: &Credential,
    outgoing: Outgoing<'_, H>,
    draft: &Draft,
) -> Result<Inbound<H>, Failure> {
    let manifest = target.manifest;
    let key = &*credential.key;
    draft.attempt(host, target, credential);
    let base = lockgate_providers::base(manifest, key.base_url.as_deref(), &key.options).map_err(
        |missing| {
            not_ready(
                Refusal::new(Code::PROVIDER_NOT_READY, missing.to_string())
                    .provider(manifest.slug)
                    .remedy("Save the provider key again with the option."),
            )
        },
    )?;
    let query = request.query.filter(|_| !outgoing.translated);
    let url = call::url(manifest, &base, outgoing.operation, &key.options, query);

    let mut set: Vec<(&str, &str)> = Vec::new();
    let names = if outgoing.translated && credential.managed {
        set.push(("content-type", "application/json"));
        Cow::Borrowed(FORWARDED_MANAGED)
    } else if outgoing.translated {
        set.push(("content-type", "application/json"));
        Cow::Borrowed(FORWARDED_TRANSLATED)
    } else if credential.managed {
        let all = FORWARDED
            .iter()
            .filter(|name| !WITHHELD_MANAGED.contains(name));
        Cow::Owned(all.copied().collect())
    } else if manifest.forward_headers.is_empty() {
        Cow::Borrowed(FORWARDED)
    } else {
        Cow::Owned([FORWARDED, manifest.forward_headers].concat())
    };
    // The boundary by which a form was read is the one that the provider gets, however many the client has sent.
    let kind = (request.call.body == BodyKind::Form)
        .then(|| request.headers.get("content-type"))
        .flatten();
    if let Some(kind) = &kind {
        set.push(("content-type", kind));
    }
    for (name, value) in manifest.headers {
        if !names.contains(name) || request.headers.get(name).is_none() {
            set.push((name, value));
        }
    }
    let signed;
    let sending = credential
        .secret
        .as_deref()
        .map(|secret| (secret, manifest.sending(secret)));
    let header = match &sending {
        Some((secret, Sending::Header { name, prefix })) => Some(Header {
            header: name,
            prefix,
            secret,
        }),
        Some((secret, Sending::SigV4)) => {
            signed = Signed::of(host, key, manifest, &outgoing, &url, secret, &set)
                .map_err(not_ready)?;
            set.extend(
                signed
                    .headers
                    .iter()
                    .map(|(name, value)| (*name, value.as_str())),
            );
            signed
                .credentials
                .session_token
                .as_ref()
                .map(|token| Header {
                    header: "x-amz-security-token",
                    prefix: "",
                    secret: token,
                })
        }
        None => None,
    };
    let sent = host
        .fetch(Outbound {
            method: outgoing.method,
            url: &url,
            forward: Some((request.headers, &names)),
            set: &set,
            credential: header,
            body: outgoing.body,
            head_timeout: outgoing.within,
            idle_timeout: settings.provider_idle,
        })
        .await;
    let reply = match sent {
        Ok(reply) => reply,
        Err(error) => {
            draft.head(host, None);
            return Err(failure::unanswered(&error, target, outgoing.within));
        }
    };
    draft.head(host, Some(reply.status));
    if (200..300).contains(&reply.status) {
        return Ok(reply);
    }
    let retry_after = reply
        .headers
        .get("retry-after")
        .and_then(|text| text.trim().parse().ok());
    // AWS says what kind of error it is in a header.
    let kind = reply.headers.get("x-amzn-errortype");
    let kind = kind.map(|kind| kind.into_owned());
    let body = host.read(reply.body, MAX_ERROR_BYTES).await;
    let status = reply.status;
    let said = body.map(|body| failure::said(status, body.as_ref(), credential));
    let mut said = said.unwrap_or_default();
    said.code = said.code.or(kind);
    if rejects_key(reply.status, said.message.as_deref()) {
        health::rejected(host, settings, credential.workspace(draft), key);
    }
    let who = Who::of(target, credential);
    Err(failure::refused(reply.status, retry_after, said, &who))
}

/// The key is not whole, so that another one is needed.
fn not_ready(refusal: Refusal) -> Failure {
    Failure::new(refusal, Some(Cause::KeyMissing))
}

/// A request that is signed, not sent with its key (AWS Signature Version 4).
struct Signed {
    credentials: Credentials,
    headers: Vec<(&'static str, String)>,
}

impl Signed {
    fn of<H: Host>(
        host: &H,
        key: &KeyPointer,
        manifest: &Manifest,
        outgoing: &Outgoing<'_, H>,
        url: &str,
        secret: &lockgate_host::Secret,
        set: &[(&str, &str)],
    ) -> Result<Self, Refusal> {
        let credentials = Credentials::parse(secret).ok_or_else(|| {
            Refusal::new(
                Code::PROVIDER_NOT_READY,
                format!(
                    "Provider key `{}` is neither an API key of {} nor of the form ACCESS_KEY_ID:SECRET_ACCESS_KEY.",
                    key.name, manifest.title
                ),
            )
            .provider(manifest.slug)
            .remedy("Rotate it to one that is.")
        })?;
        let body = match &outgoing.body {
            OutboundBody::Bytes(bytes) => bytes.as_slice(),
            OutboundBody::Payload(payload) => payload.as_ref(),
            OutboundBody::Empty | OutboundBody::Stream(_) => &[],
        };
        let option = |name: &str| {
            let declared = manifest.options.iter().find(|option| option.name == name);
            key.options
                .get(name)
                .map(String::as_str)
                .or_else(|| declared?.default)
        };
        let request = lockgate_sigv4::Request {
            method: outgoing.method.as_str(),
            url,
            headers: set,
            payload: body,
        };
        let headers = lockgate_sigv4::sign(
            &credentials,
            option("region").unwrap_or("us-east-1"),
            "bedrock",
            &request,
            host.now_ms(),
        );
        Ok(Self {
            credentials,
            headers,
        })
    }
}

//! AWS Key Management Service (FEATURES G3): data keys are wrapped under a symmetric KMS key, with the binding as encryption
//! context. <https://docs.aws.amazon.com/kms/latest/APIReference/Welcome.html>, its JSON protocol
//! (<https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>), signed with Signature Version 4.
//!
//! The KEK's name is the ARN of the key, as each answer gives it. AWS keeps every version of a key's material under the same
//! ARN and finds the right one by itself, so a rotation inside the key changes no name and leaves nothing to rewrap.

mod answer;
mod settings;

use std::borrow::Cow;

use data_encoding::BASE64;
use lockgate_host::{Credential, Host, Method, Misconfigured, Secret};
use lockgate_sigv4::{Credentials, Request, sign};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroizing;

use self::settings::Arn;
use crate::adapter::{Adapter, Wrapped};
use crate::config::Places;
use crate::envelope::Dek;
use crate::line::{Call, Line};
use crate::{Binding, OpenError, VaultError};

/// The longest blob that KMS takes, in bytes.
const MAX_BLOB: usize = 6_144;
/// What a blob and a data key come to in JSON beside the binding, which is counted by itself: names and key ARNs.
const FRAME: usize = 8_192;

/// A key of AWS KMS, and how to get to it.
pub(crate) struct AwsKms {
    /// The key's id, ARN, alias or alias ARN.
    key: String,
    region: String,
    /// Where all calls go, if not to AWS's own endpoint of the region.
    endpoint: Option<String>,
    credentials: Credentials,
}

/// What is bound to a wrapped data key. It stands in AWS's log in plain text.
#[derive(Serialize)]
struct Context<'a> {
    #[serde(rename = "lockgate:workspace")]
    workspace: &'a str,
    #[serde(rename = "lockgate:provider")]
    provider: &'a str,
    #[serde(rename = "lockgate:key")]
    key: &'a str,
    #[serde(rename = "lockgate:version")]
    version: String,
}

impl<'a> From<&Binding<'a>> for Context<'a> {
    fn from(binding: &Binding<'a>) -> Self {
        Self {
            workspace: binding.workspace,
            provider: binding.provider,
            key: binding.key_id,
            version: binding.version.to_string(),
        }
    }
}

/// The fields of all requests that are made.
#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Ask<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_spec: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext_blob: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_context: Option<Context<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_encryption_context: Option<Context<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_encryption_context: Option<Context<'a>>,
}

impl Ask<'_> {
    /// As JSON, in memory that does not grow, since growing would leave a copy of the data key behind.
    fn body(&self) -> Zeroizing<Vec<u8>> {
        let contexts = [
            &self.encryption_context,
            &self.source_encryption_context,
            &self.destination_encryption_context,
        ];
        let bound: usize = contexts
            .into_iter()
            .flatten()
            .map(|context| context.workspace.len() + context.provider.len() + context.key.len())
            .sum();
        let blob = self.ciphertext_blob.as_ref().map_or(0, String::len);
        // A character is six in JSON at most.
        let mut body = Zeroizing::new(Vec::with_capacity(FRAME + blob + bound * 6));
        // Text fits into memory always.
        let _ = serde_json::to_writer(&mut *body, self);
        body
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypted {
    ciphertext_blob: String,
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypted {
    #[serde(deserialize_with = "secret")]
    plaintext: Secret,
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Generated {
    #[serde(deserialize_with = "secret")]
    plaintext: Secret,
    ciphertext_blob: String,
    key_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    key_metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    arn: String,
    key_state: String,
    key_spec: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Rotated {
    key_id: String,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::from)
}

impl AwsKms {
    pub(crate) async fn read<H: Host>(host: &H, places: &Places) -> Result<Self, Misconfigured> {
        settings::read(host, places).await
    }

    /// One call to a region, and what was answered to it.
    async fn ask<H: Host, T: DeserializeOwned>(
        &self,
        line: &Line<'_, H>,
        region: &str,
        operation: &'static str,
        ask: &Ask<'_>,
    ) -> Result<T, VaultError> {
        let body = ask.body();
        let target = format!("TrentService.{operation}");
        let url = match &self.endpoint {
            Some(endpoint) => format!("{endpoint}/"),
            None => format!("{}/", settings::endpoint(region)),
        };
        let mut headers: Vec<(&str, Cow<'_, str>)> = vec![
            ("content-type", "application/x-amz-json-1.1".into()),
            ("x-amz-target", target.as_str().into()),
        ];
        let plain: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
            .collect();
        let request = Request {
            method: "POST",
            url: &url,
            headers: &plain,
            payload: &body,
        };
        let now = line.host.now_ms();
        let signed = sign(&self.credentials, region, "kms", &request, now);
        let signed = signed.into_iter().map(|(name, value)| (name, value.into()));
        headers.extend(signed);
        let token = self.credentials.session_token.as_ref();
        let call = Call {
            method: Method::POST,
            url,
            headers,
            credential: token.map(|secret| Credential {
                header: "x-amz-security-token",
                prefix: "",
                secret,
            }),
            body,
            busy: answer::busy,
        };
        let reply = line.call(&call).await?;
        if reply.ok() {
            return reply.json().ok_or_else(|| line.nonsense(operation));
        }
        let sent = [token.and_then(Secret::expose_str), ask.plaintext];
        Err(answer::failure(line, operation, &reply, &sent))
    }

    /// A call to the configured region.
    async fn here<H: Host, T: DeserializeOwned>(
        &self,
        line: &Line<'_, H>,
        operation: &'static str,
        ask: &Ask<'_>,
    ) -> Result<T, VaultError> {
        self.ask(line, &self.region, operation, ask).await
    }

    async fn describe<H: Host>(&self, line: &Line<'_, H>) -> Result<String, VaultError> {
        let ask = Ask {
            key_id: Some(&self.key),
            ..Ask::default()
        };
        let described: Described = self.here(line, "DescribeKey", &ask).await?;
        let Metadata {
            arn,
            key_state,
            key_spec,
        } = described.key_metadata;
        if Arn::read(&arn).is_none() {
            return Err(line.nonsense("DescribeKey"));
        }
        if key_state != "Enabled" {
            return Err(line.refused(format!(
                "the key {arn} is not enabled, its state is {key_state}; enable it, or set LOCKGATE_VAULT_AWS_KEY to another"
            )));
        }
        if key_spec.is_some_and(|spec| spec != "SYMMETRIC_DEFAULT") {
            return Err(line.refused(format!(
                "the key {arn} is not a symmetric encryption key; set LOCKGATE_VAULT_AWS_KEY to one that is"
            )));
        }
        Ok(arn)
    }
}

impl Encrypted {
    fn wrapped<H: Host>(
        self,
        line: &Line<'_, H>,
        operation: &'static str,
    ) -> Result<Wrapped, VaultError> {
        let blob = BASE64.decode(self.ciphertext_blob.as_bytes()).ok();
        let blob = blob.filter(|blob| (1..=MAX_BLOB).contains(&blob.len()));
        match (blob, Arn::read(&self.key_id)) {
            (Some(blob), Some(_)) => Ok(Wrapped {
                blob,
                kek: self.key_id,
            }),
            _ => Err(line.nonsense(operation)),
        }
    }
}

/// A data key out of an answer.
fn dek<H: Host>(
    line: &Line<'_, H>,
    operation: &'static str,
    plaintext: &Secret,
) -> Result<Dek, VaultError> {
    let bytes = BASE64.decode(plaintext.expose()).map(Zeroizing::new).ok();
    let dek = bytes.and_then(|bytes| Dek::read(&bytes));
    dek.ok_or_else(|| line.nonsense(operation))
}

/// A blob as KMS may be sent it.
fn encoded(blob: &[u8]) -> Result<String, OpenError> {
    match blob.len() {
        0 => Err(OpenError::Truncated),
        1..=MAX_BLOB => Ok(BASE64.encode(blob)),
        _ => Err(OpenError::WrongKekOrBinding),
    }
}

impl Adapter for AwsKms {
    async fn wrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
        dek: &Dek,
    ) -> Result<Wrapped, VaultError> {
        let plaintext = Zeroizing::new(BASE64.encode(dek.expose()));
        let ask = Ask {
            key_id: Some(&self.key),
            plaintext: Some(&plaintext),
            encryption_context: Some(binding.into()),
            ..Ask::default()
        };
        let encrypted: Encrypted = self.here(line, "Encrypt", &ask).await?;
        encrypted.wrapped(line, "Encrypt")
    }

    async fn unwrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
        kek: &str,
        blob: &[u8],
    ) -> Result<Dek, VaultError> {
        let not_held = || VaultError::NotHeld { kek: kek.into() };
        let arn = Arn::read(kek).ok_or_else(not_held)?;
        let ask = Ask {
            key_id: Some(kek),
            ciphertext_blob: Some(encoded(blob)?),
            encryption_context: Some(binding.into()),
            ..Ask::default()
        };
        let decrypted: Decrypted = self.ask(line, arn.region, "Decrypt", &ask).await?;
        if decrypted.key_id != kek {
            return Err(line.nonsense("Decrypt"));
        }
        self::dek(line, "Decrypt", &decrypted.plaintext)
    }

    async fn data_key<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
    ) -> Result<(Dek, Wrapped), VaultError> {
        let ask = Ask {
            key_id: Some(&self.key),
            key_spec: Some("AES_256"),
            encryption_context: Some(binding.into()),
            ..Ask::default()
        };
        let generated: Generated = self.here(line, "GenerateDataKey", &ask).await?;
        let dek = dek(line, "GenerateDataKey", &generated.plaintext)?;
        let encrypted = Encrypted {
            ciphertext_blob: generated.ciphertext_blob,
            key_id: generated.key_id,
        };
        Ok((dek, encrypted.wrapped(line, "GenerateDataKey")?))
    }

    async fn rewrap<H: Host>(
        &self,
        line: &Line<'_, H>,
        binding: &Binding<'_>,
        kek: &str,
        blob: &[u8],
    ) -> Result<Wrapped, VaultError> {
        if Arn::read(kek).is_none_or(|arn| arn.region != self.region) {
            // KMS re-encrypts within a region only.
            let dek = self.unwrap(line, binding, kek, blob).await?;
            return self.wrap(line, binding, &dek).await;
        }
        let ask = Ask {
            ciphertext_blob: Some(encoded(blob)?),
            source_key_id: Some(kek),
            source_encryption_context: Some(binding.into()),
            destination_key_id: Some(&self.key),
            destination_encryption_context: Some(binding.into()),
            ..Ask::default()
        };
        let encrypted: Encrypted = self.here(line, "ReEncrypt", &ask).await?;
        encrypted.wrapped(line, "ReEncrypt")
    }

    async fn current<H: Host>(&self, line: &Line<'_, H>) -> Result<String, VaultError> {
        self.describe(line).await
    }

    async fn rotate<H: Host>(&self, line: &Line<'_, H>) -> Result<(), VaultError> {
        // An alias is not taken here.
        let arn = self.describe(line).await?;
        let ask = Ask {
            key_id: Some(&arn),
            ..Ask::default()
        };
        let rotated: Rotated = self.here(line, "RotateKeyOnDemand", &ask).await?;
        if rotated.key_id.is_empty() || !arn.ends_with(&rotated.key_id) {
            return Err(line.nonsense("RotateKeyOnDemand"));
        }
        Ok(())
    }
}

//! The settings of AWS KMS, and the names of its keys.

use lockgate_host::{Host, Misconfigured, Secret};
use lockgate_sigv4::Credentials;

use super::AwsKms;
use crate::config::{Places, optional, required, required_secret};

const KEY: &str = "LOCKGATE_VAULT_AWS_KEY";
const REGION: &str = "LOCKGATE_VAULT_AWS_REGION";
const ACCESS_KEY_ID: &str = "LOCKGATE_VAULT_AWS_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "LOCKGATE_VAULT_AWS_SECRET_ACCESS_KEY";
const SESSION_TOKEN: &str = "LOCKGATE_VAULT_AWS_SESSION_TOKEN";
const ENDPOINT: &str = "LOCKGATE_VAULT_AWS_ENDPOINT";

const KEY_FORMS: &str = "it is a key id, `alias/…`, or the ARN of a key or an alias";

/// What an ARN of KMS says: `arn:<partition>:kms:<region>:<account>:key/<id>`, or `…:alias/<name>`.
pub(super) struct Arn<'a> {
    pub(super) region: &'a str,
}

impl<'a> Arn<'a> {
    /// Its parts, where each has the characters that it may have: an ARN decides where a call goes.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next();
        let (arn, partition, service) = (next()?, next()?, next()?);
        let (region, account, resource) = (next()?, next()?, next()?);
        let named = |kind: &str| resource.strip_prefix(kind).is_some_and(name);
        let whole = arn == "arn"
            && (partition == "aws" || partition.starts_with("aws-"))
            && service == "kms"
            && code(partition)
            && code(region)
            && !account.is_empty()
            && account.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && (named("key/") || named("alias/"));
        whole.then_some(Self { region })
    }
}

/// A key's id, or the name of an alias.
fn name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 256
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/'))
}

/// A region, or a partition.
fn code(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// AWS's own endpoint of a region: <https://docs.aws.amazon.com/general/latest/gr/kms.html>. What stands outside the partitions
/// that are named here is set with `LOCKGATE_VAULT_AWS_ENDPOINT`.
pub(super) fn endpoint(region: &str) -> String {
    let suffix = match region.split_once('-') {
        Some(("cn", _)) => "amazonaws.com.cn",
        Some(("eusc", _)) => "amazonaws.eu",
        _ => "amazonaws.com",
    };
    format!("https://kms.{region}.{suffix}")
}

/// What was found, so far as it cannot be a secret in the wrong place.
fn found(text: &str) -> String {
    if text.len() <= 30 || text.starts_with("arn:") || text.starts_with("alias/") {
        let shown: String = text.chars().take(120).collect();
        return format!("`{shown}`");
    }
    format!("a text of {} characters", text.chars().count())
}

pub(super) async fn read<H: Host>(host: &H, places: &Places) -> Result<AwsKms, Misconfigured> {
    let (key, region) = key(host).await?;
    let endpoint = match optional(host, ENDPOINT).await? {
        Some(text) => Some(as_sent(&places.check(ENDPOINT, &text)?)),
        None => None,
    };
    Ok(AwsKms {
        key,
        region,
        endpoint,
        credentials: credentials(host).await?,
    })
}

async fn key<H: Host>(host: &H) -> Result<(String, String), Misconfigured> {
    let key = required(host, KEY, KEY_FORMS).await?;
    let alias = key.strip_prefix("alias/").is_some_and(name);
    let id = name(&key) && !key.contains('/');
    let arn = Arn::read(&key);
    if arn.is_none() && !alias && !id {
        return Err(Misconfigured {
            setting: KEY,
            problem: format!("{KEY_FORMS}, not {}", found(&key)),
        });
    }
    let of_key = arn.map(|arn| arn.region.to_owned());
    let set = optional(host, REGION).await?;
    let region = match (of_key, set) {
        (_, Some(set)) if !code(&set) => Err(format!(
            "it is a region such as eu-central-1, not {}",
            found(&set)
        )),
        (Some(of_key), Some(set)) if of_key != set => Err(format!(
            "it is {set}, and {KEY} is in {of_key}; leave one out or make them agree"
        )),
        (Some(region), _) | (None, Some(region)) => Ok(region),
        (None, None) => Err(format!(
            "it is not set, and {KEY} is no ARN that would say it: set the key's region, such as eu-central-1"
        )),
    };
    let region = region.map_err(|problem| Misconfigured {
        setting: REGION,
        problem,
    })?;
    Ok((key, region))
}

async fn credentials<H: Host>(host: &H) -> Result<Credentials, Misconfigured> {
    let id = required(host, ACCESS_KEY_ID, "the id of an access key, `AKIA…`").await?;
    if !(16..=128).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Misconfigured {
            setting: ACCESS_KEY_ID,
            problem: format!(
                "it is 16 to 128 letters and digits, such as AKIA…; what is set has {} characters",
                id.chars().count()
            ),
        });
    }
    let secret = required_secret(host, SECRET_ACCESS_KEY, "the secret of that access key").await?;
    check(SECRET_ACCESS_KEY, &secret)?;
    let session_token = optional(host, SESSION_TOKEN).await?.map(Secret::from);
    match &session_token {
        Some(token) => check(SESSION_TOKEN, token)?,
        None if id.starts_with("ASIA") => {
            return Err(Misconfigured {
                setting: SESSION_TOKEN,
                problem: format!(
                    "it is not set, and {ACCESS_KEY_ID} is of temporary credentials (ASIA…), which need their token"
                ),
            });
        }
        None => {}
    }
    Ok(Credentials {
        access_key_id: id,
        secret,
        session_token,
    })
}

/// A secret whose characters AWS never uses was not copied whole, or is something else.
fn check(setting: &'static str, secret: &Secret) -> Result<(), Misconfigured> {
    if secret.expose().iter().all(u8::is_ascii_graphic) {
        return Ok(());
    }
    Err(Misconfigured {
        setting,
        problem:
            "it has characters that are none of its kind, such as spaces or line breaks inside"
                .into(),
    })
}

/// The address as an engine says it in `host`, which is signed: in lower case, without the scheme's own port.
fn as_sent(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let authority = authority.to_ascii_lowercase();
    let port = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(port).unwrap_or(&authority);
    format!("{scheme}://{authority}{path}")
}

#[cfg(test)]
mod tests {
    use super::{Arn, as_sent, endpoint};

    #[test]
    fn arns_are_read() {
        for (text, region) in [
            (
                "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
                "eu-west-1",
            ),
            (
                "arn:aws-cn:kms:cn-north-1:111122223333:alias/lockgate/one",
                "cn-north-1",
            ),
            (
                "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/mrk-1234abcd12ab34cd56ef1234567890ab",
                "us-gov-west-1",
            ),
        ] {
            assert_eq!(
                Arn::read(text).map(|arn| arn.region),
                Some(region),
                "{text}"
            );
        }
        for wrong in [
            "",
            "alias/lockgate",
            "arn:aws:kms:eu-west-1:111122223333",
            "arn:aws:kms:eu-west-1:111122223333:key/",
            "arn:aws:kms:eu-west-1:111122223333:key/a b",
            "arn:aws:kms:eu-west-1:111122223333:grant/a",
            "arn:aws:kms::111122223333:key/a",
            "arn:aws:kms:eu-west-1::key/a",
            "arn:aws:s3:eu-west-1:111122223333:key/a",
            "arn:other:kms:eu-west-1:111122223333:key/a",
            // Whoever can write the database must not lead calls elsewhere.
            "arn:aws:kms:evil.example/:111122223333:key/a",
            "arn:aws:kms:x@evil.example:111122223333:key/a",
            "arn:aws:kms:EU-WEST-1:111122223333:key/a",
        ] {
            assert!(Arn::read(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn regions_have_endpoints() {
        for (region, address) in [
            ("eu-west-1", "https://kms.eu-west-1.amazonaws.com"),
            ("us-gov-west-1", "https://kms.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "https://kms.cn-north-1.amazonaws.com.cn"),
            ("eusc-de-east-1", "https://kms.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(endpoint(region), address);
        }
    }

    #[test]
    fn what_is_signed_is_what_is_sent() {
        for (set, sent) in [
            ("https://KMS.example:443", "https://kms.example"),
            ("http://localhost:80", "http://localhost"),
            ("https://kms.example:8443", "https://kms.example:8443"),
            ("https://kms.example/Path", "https://kms.example/Path"),
        ] {
            assert_eq!(as_sent(set), sent);
        }
    }
}

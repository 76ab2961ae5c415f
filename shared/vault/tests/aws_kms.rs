//! The adapter for AWS KMS (FEATURES G3): against moto's server, written by others, and against a strict fake for what moto
//! does not have.
#![allow(clippy::unwrap_used)]

#[path = "aws_kms/bad_days.rs"]
mod bad_days;
mod common;
#[path = "aws_kms/fake.rs"]
mod fake;
#[path = "aws_kms/moto.rs"]
mod moto;
#[path = "aws_kms/refusals.rs"]
mod refusals;
#[path = "aws_kms/settings.rs"]
mod settings;
#[path = "aws_kms/signed.rs"]
mod signed;

/// The credentials of most tests.
const ACCESS_KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-west-1";

/// The settings that lead to a key behind an endpoint.
fn at<'a>(endpoint: &'a str, key: &'a str, region: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("LOCKGATE_VAULT", "aws-kms"),
        ("LOCKGATE_VAULT_AWS_KEY", key),
        ("LOCKGATE_VAULT_AWS_REGION", region),
        ("LOCKGATE_VAULT_AWS_ENDPOINT", endpoint),
        ("LOCKGATE_VAULT_AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("LOCKGATE_VAULT_AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
    ]
}

/// The settings with some of them changed, or added.
fn with<'a>(
    mut settings: Vec<(&'a str, &'a str)>,
    others: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    for (name, value) in others {
        settings.retain(|(known, _)| known != name);
        settings.push((name, value));
    }
    settings
}

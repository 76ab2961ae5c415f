//! The settings: what is wrong is named, what is secret is not shown.

use crate::common::misconfigured;
use crate::{REGION, SECRET_ACCESS_KEY, at, with};

const KEY: &str = "LOCKGATE_VAULT_AWS_KEY";
const REGION_SETTING: &str = "LOCKGATE_VAULT_AWS_REGION";
const ID: &str = "LOCKGATE_VAULT_AWS_ACCESS_KEY_ID";
const SECRET: &str = "LOCKGATE_VAULT_AWS_SECRET_ACCESS_KEY";
const TOKEN: &str = "LOCKGATE_VAULT_AWS_SESSION_TOKEN";
const ENDPOINT: &str = "LOCKGATE_VAULT_AWS_ENDPOINT";
const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

#[test]
fn what_is_wrong_is_named() {
    for (changed, setting, said) in [
        ((KEY, ""), KEY, "is not set"),
        ((KEY, "alias/"), KEY, "`alias/`"),
        ((KEY, "my key"), KEY, "`my key`"),
        ((KEY, "lockgate/key"), KEY, "`lockgate/key`"),
        ((KEY, "arn:aws:s3:::bucket"), KEY, "`arn:aws:s3:::bucket`"),
        ((KEY, SECRET_ACCESS_KEY), KEY, "a text of 40 characters"),
        ((REGION_SETTING, ""), REGION_SETTING, "is not set"),
        ((REGION_SETTING, "EU West"), REGION_SETTING, "`EU West`"),
        (
            (REGION_SETTING, "evil.example/"),
            REGION_SETTING,
            "`evil.example/`",
        ),
        (
            (REGION_SETTING, SECRET_ACCESS_KEY),
            REGION_SETTING,
            "40 characters",
        ),
        ((ID, ""), ID, "is not set"),
        ((ID, "AKIA"), ID, "has 4 characters"),
        ((ID, SECRET_ACCESS_KEY), ID, "has 40 characters"),
        ((SECRET, ""), SECRET, "is not set"),
        ((SECRET, "two words"), SECRET, "such as spaces"),
        ((SECRET, "line\nbreak"), SECRET, "line breaks"),
        ((TOKEN, "two words"), TOKEN, "such as spaces"),
        ((ID, "ASIAIOSFODNN7EXAMPLE"), TOKEN, "need their token"),
        ((ENDPOINT, "kms"), ENDPOINT, "https://"),
        ((ENDPOINT, "http://kms.example"), ENDPOINT, "plain http"),
        (
            (ENDPOINT, "https://user:password@kms.example"),
            ENDPOINT,
            "more than",
        ),
    ] {
        let settings = with(
            at("https://kms.example", "1234abcd-12ab", REGION),
            &[changed],
        );
        let problem = misconfigured(&settings);
        assert_eq!(problem.setting, setting, "{problem}");
        assert!(problem.problem.contains(said), "{problem}");
        for secret in [SECRET_ACCESS_KEY, "two words", "password"] {
            assert!(
                !format!("{problem} {problem:?}").contains(secret),
                "{problem}"
            );
        }
    }
}

#[test]
fn an_arn_and_the_region_agree() {
    let problem = misconfigured(&at("https://kms.example", ARN, "eu-central-1"));
    assert_eq!(problem.setting, REGION_SETTING);
    assert!(
        problem.problem.contains("eu-central-1") && problem.problem.contains("eu-west-1"),
        "{problem}"
    );
}

/// It is read as well where it only serves what was sealed before.
#[test]
fn settings_are_read_for_the_previous_vault_too() {
    let settings = with(
        at("https://kms.example", ARN, REGION),
        &[
            ("LOCKGATE_VAULT", "local"),
            ("LOCKGATE_VAULT_PREVIOUS", "aws-kms"),
            (SECRET, ""),
        ],
    );
    assert_eq!(misconfigured(&settings).setting, SECRET);
}

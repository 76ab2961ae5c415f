//! FEATURES.md, A8: keys found in the environment by name, and names that miss narrowly.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use lockgate_providers::{EnvFinding, all, env_candidates};
use proptest::prelude::*;

/// Findings in short: `openai OPENAI_API_KEY_2 #2 OPENAI_BASE_URL`, `OPENAI_KEY? OPENAI_API_KEY`.
fn found(names: &[&str]) -> Vec<String> {
    env_candidates(names)
        .into_iter()
        .map(|finding| match finding {
            EnvFinding::Import {
                provider,
                variable,
                index,
                base_url_variable,
            } => format!(
                "{} {variable} #{index} {}",
                provider.slug,
                base_url_variable.unwrap_or("-")
            ),
            EnvFinding::NearMiss {
                variable,
                did_you_mean,
                ..
            } => format!("{variable}? {did_you_mean}"),
        })
        .collect()
}

#[test]
fn keys_are_found_and_numbered() {
    assert_eq!(
        found(&[
            "PATH",
            "OPENAI_API_KEY_10",
            "OPENAI_API_KEY_2",
            "OPENAI_BASE_URL",
            "OPENAI_API_KEY",
            "GROQ_API_KEY",
            "MISTRAL_API_KEY_1",
        ]),
        [
            "groq GROQ_API_KEY #1 -",
            "mistral MISTRAL_API_KEY_1 #1 -",
            "openai OPENAI_API_KEY #1 OPENAI_BASE_URL",
            "openai OPENAI_API_KEY_2 #2 OPENAI_BASE_URL",
            "openai OPENAI_API_KEY_10 #10 OPENAI_BASE_URL",
        ]
    );
}

#[test]
fn near_misses_are_pointed_out() {
    assert_eq!(
        found(&[
            "OPENAI_KEY",
            "OPENAI_KEY_2",
            "openai_api_key",
            "OPENAI_API_KEY2",
            "OPENAI_API_KEY_02",
            "OPENAI-API-KEY",
            "GROK_API_KEY",
        ]),
        [
            "GROK_API_KEY? XAI_API_KEY",
            "OPENAI-API-KEY? OPENAI_API_KEY",
            "OPENAI_API_KEY2? OPENAI_API_KEY_2",
            "OPENAI_API_KEY_02? OPENAI_API_KEY_2",
            "OPENAI_KEY? OPENAI_API_KEY",
            "OPENAI_KEY_2? OPENAI_API_KEY_2",
            "openai_api_key? OPENAI_API_KEY",
        ]
    );
}

#[test]
fn others_are_left_alone() {
    let names = [
        "HOME",
        "OPENAI_ORG_ID",
        "OPENAI_API_KEY_FILE",
        "MY_OPENAI_API_KEY",
        "",
        "1",
        "_",
        "LOCKGATE_KEK",
    ];
    assert_eq!(found(&names), Vec::<String>::new());
}

#[test]
fn every_variable_of_every_manifest_is_found() {
    for manifest in all() {
        for variable in manifest.env_vars {
            assert_eq!(
                found(&[variable]),
                [format!("{} {variable} #1 -", manifest.slug)]
            );
        }
        for miss in manifest.near_misses {
            assert_eq!(
                found(&[miss]),
                [format!("{miss}? {}", manifest.env_vars[0])]
            );
        }
    }
}

proptest! {
    #[test]
    fn any_names_are_judged_without_a_panic(names in prop::collection::vec("\\PC{0,20}|OPENAI_[A-Z_]{0,9}[0-9_]{0,12}", 0..20)) {
        let findings = env_candidates(&names);
        prop_assert!(findings.len() <= names.len());
    }
}

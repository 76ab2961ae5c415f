//! What a key has beside its secret, and the base URL that follows (`src/options.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{examples, made_up, options};
use lockgate_providers::{Dialect, Layout, OptionError, all, base, check_options, find};
use proptest::prelude::*;

#[test]
fn options_are_filled_into_the_base_url() {
    let manifest = made_up(
        Dialect::OpenAiChat,
        Layout::OpenAi,
        "https://{resource}.acme.example/{tier}/v1",
    );
    let of = |pairs: &[(&str, &str)]| base(&manifest, None, &options(pairs)).map(String::from);
    assert_eq!(
        of(&[("resource", "eu-1")]).unwrap(),
        "https://eu-1.acme.example/free/v1"
    );
    assert_eq!(
        of(&[("resource", "eu-1"), ("tier", "paid")]).unwrap(),
        "https://eu-1.acme.example/paid/v1"
    );
    for missing in [
        vec![],
        vec![("resource", "evil.example/")],
        vec![("resource", "")],
    ] {
        let error = of(&missing).unwrap_err();
        assert_eq!(
            error.to_string(),
            "A key of Acme needs the option `resource`, or a base_url of its own. Where it lies. An example: acme-1."
        );
    }
    assert_eq!(
        base(&manifest, Some("https://own/v1/"), &options(&[])).unwrap(),
        "https://own/v1"
    );
}

#[test]
fn wrong_options_are_named() {
    let manifest = made_up(
        Dialect::OpenAiChat,
        Layout::OpenAi,
        "https://{resource}.acme.example/v1",
    );
    let check = |pairs: &[(&str, &str)], own| check_options(&manifest, &options(pairs), own);
    assert_eq!(check(&[("resource", "a.b_c-1")], false), Ok(()));
    assert_eq!(check(&[], true), Ok(()));
    let error = check(&[], false).unwrap_err();
    assert!(matches!(error, OptionError::NoBase(_)));
    assert_eq!(error.option(), "resource");
    let error = check(&[("colour", "red")], true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Acme has no option `colour`; it has resource, api_version, tier."
    );
    for bad in [
        "",
        " ",
        "a/b",
        "a..b",
        ".a",
        "-a",
        "a@b",
        "é",
        "a:1",
        "a\r\nb",
        &"a".repeat(129),
    ] {
        let error = check(&[("resource", bad)], false).unwrap_err();
        assert!(matches!(error, OptionError::Invalid { .. }), "{bad:?}");
        assert!(!error.to_string().contains(['\r', '\n']));
        assert!(error.to_string().len() < 400);
    }
    let error = check_options(find("openai").unwrap(), &options(&[("a", "b")]), false);
    assert_eq!(
        error.unwrap_err().to_string(),
        "OpenAI has no option `a`; it has none."
    );
}

proptest! {
    #[test]
    fn an_option_never_changes_the_host(value in "\\PC{0,20}|[a-z./:@-]{0,20}") {
        for manifest in all().iter().filter(|manifest| manifest.base_url.contains('{')) {
            let mut options = examples(manifest);
            for option in manifest.options {
                options.insert(option.name.to_owned(), value.clone());
            }
            let Ok(base) = base(manifest, None, &options) else {
                prop_assert!(check_options(manifest, &options, false).is_err());
                continue;
            };
            let host = |url: &str| url.split('/').nth(2).unwrap().to_owned();
            let template = host(manifest.base_url);
            let end = template.rsplit('}').next().unwrap();
            prop_assert!(host(&base).ends_with(end));
            prop_assert_eq!(base.matches('/').count(), manifest.base_url.matches('/').count());
        }
    }
}

//! FEATURES.md, A5: what is wrong with a key is said, and the key is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use lockgate_host::Secret;
use lockgate_providers::{KeyFormatError, Manifest, all, can_be_sent, check_key, find, looks_like};
use proptest::prelude::*;

const OPENAI: &str = "sk-proj-0123456789abcdefghijABCDEFGHIJ0123456789";
const LEGACY: &str = "sk-0123456789abcdefghijABCDEFGHIJ0123456789abcdef01";
const DEEPSEEK: &str = "sk-0123456789abcdef0123456789abcdef";
const OPENROUTER: &str =
    "sk-or-v1-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const ANTHROPIC: &str = "sk-ant-api03-0123456789abcdefghijABCDEFGHIJ0123456789-AA";
const GOOGLE: &str = "AIzaSy0123456789abcdefghijABCDEFGHIJ-_0";
const AWS: &str = "AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const GROQ: &str = "gsk_0123456789abcdefghijABCDEFGHIJ0123456789abcdefghijAB";

fn provider(slug: &str) -> &'static Manifest {
    find(slug).unwrap()
}

fn check(slug: &str, key: &str) -> Result<(), KeyFormatError> {
    check_key(provider(slug), &Secret::from(key.to_owned()))
}

fn message(slug: &str, key: &str) -> String {
    check(slug, key).unwrap_err().to_string()
}

#[test]
fn right_keys_pass() {
    for (slug, key) in [
        ("openai", OPENAI),
        ("openai", LEGACY),
        ("deepseek", DEEPSEEK),
        ("openrouter", OPENROUTER),
        ("groq", GROQ),
        ("mistral", "0123456789abcdefGHIJ0123456789ab"),
        (
            "together",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ),
        ("fireworks", "fw_0123456789abcdefGHIJ01"),
        ("anthropic", ANTHROPIC),
        ("google", GOOGLE),
        (
            "google",
            "AQ.Ab8RN6Lx0123456789abcdefghijABCDEFGHIJ0123456789-_",
        ),
        ("azure-openai", "0123456789abcdef0123456789abcdef"),
        ("bedrock", AWS),
        (
            "bedrock",
            &format!("{AWS}:IQoJb3JpZ2luX2VjE+/aWm0123456789=="),
        ),
        ("bedrock", &format!("ABSK{}==", "QmVkcm9j".repeat(16))),
        ("cohere", "0123456789abcdefghijABCDEFGHIJ0123456789"),
        ("voyage", "pa-0123456789abcdefghijABCDEFGHIJ0123456789abc"),
        ("huggingface", "hf_abcdefghijABCDEFGHIJabcdefghijABCD"),
        ("moonshot", LEGACY),
        ("alibaba", DEEPSEEK),
        ("siliconflow", LEGACY),
        ("zai", "0123456789abcdef0123456789abcdef.0123456789abcdef"),
        (
            "minimax",
            "eyJhbGciOiJSUzI1NiJ9.eyJHcm91cE5hbWUiOiJ4In0.c2lnbmF0dXJl",
        ),
        ("novita", "sk_0123456789abcdefghijABCDEFGHIJ0123456789ab"),
        ("databricks", "dapi0123456789abcdef0123456789abcdef-2"),
        ("scaleway", "01234567-89ab-cdef-0123-456789abcdef"),
        ("ollama", ""),
        ("vllm", "token-abc123"),
        // A key of one's own choice in front of a local server may look like anything.
        ("vllm", OPENAI),
    ] {
        assert_eq!(check(slug, key), Ok(()), "{slug}");
    }
}

#[test]
fn slips_of_the_hand_are_told_apart() {
    use KeyFormatError as E;
    type Is = fn(&E) -> bool;
    let cases: [(&str, Is); 18] = [
        ("", |e| matches!(e, E::Empty { .. })),
        (" \n", |e| matches!(e, E::Empty { .. })),
        (&format!("{OPENAI}\n"), |e| {
            matches!(e, E::WhitespaceAround { .. })
        }),
        (&format!("\t{OPENAI}"), |e| {
            matches!(e, E::WhitespaceAround { .. })
        }),
        (&format!("{OPENAI} {OPENAI}"), |e| {
            matches!(e, E::WhitespaceInside { at: 48, .. })
        }),
        (&format!("Bearer {OPENAI}"), |e| {
            matches!(e, E::PastedBearer { .. })
        }),
        (&format!("bearer: {OPENAI}"), |e| {
            matches!(e, E::PastedBearer { .. })
        }),
        (&format!("Authorization: Bearer {OPENAI}"), |e| {
            matches!(e, E::PastedBearer { .. })
        }),
        (&format!("OPENAI_API_KEY={OPENAI}"), |e| {
            matches!(e, E::PastedAssignment { .. })
        }),
        (&format!("export OPENAI_API_KEY=\"{OPENAI}\""), |e| {
            matches!(e, E::PastedAssignment { .. })
        }),
        (&format!("api_key = {OPENAI}"), |e| {
            matches!(e, E::PastedAssignment { .. })
        }),
        (&format!("\"{OPENAI}\""), |e| matches!(e, E::Quoted { .. })),
        (&format!("'{OPENAI}"), |e| matches!(e, E::Quoted { .. })),
        ("sk-proj-…wxyz", |e| matches!(e, E::Masked { .. })),
        ("sk-proj-********wxyz", |e| matches!(e, E::Masked { .. })),
        (&format!("{OPENAI}\u{200b}"), |e| {
            matches!(e, E::NotAscii { at: 48, .. })
        }),
        (&format!("sk-proj-\u{7}{OPENAI}"), |e| {
            matches!(e, E::NotAscii { at: 8, .. })
        }),
        ("sk-proj-пароль", |e| matches!(e, E::NotAscii { .. })),
    ];
    for (key, is) in cases {
        let error = check("openai", key).unwrap_err();
        assert!(is(&error), "{key:?}: {error:?}");
        assert!(error.to_string().contains("OpenAI"));
    }
    assert!(matches!(
        check_key(provider("openai"), &Secret::new(vec![b'a', 0xff, 0xfe])),
        Err(E::NotAscii { at: 1, .. })
    ));
}

#[test]
fn what_no_header_can_carry_cannot_be_sent() {
    for (key, can) in [
        ("", false),
        (" ", false),
        ("sk-\u{e9}", false),
        ("sk-a\r\nx-evil: 1", false),
        ("sk-a\0", false),
        ("sk-short", true),
        (" Bearer x ", true),
    ] {
        assert_eq!(can_be_sent(&Secret::from(key.to_owned())), can, "{key:?}");
    }
}

#[test]
fn anothers_key_is_recognised_by_its_longest_prefix() {
    for (slug, key, other) in [
        ("openai", OPENROUTER, "OpenRouter"),
        ("openai", ANTHROPIC, "Anthropic"),
        ("openai", GROQ, "Groq"),
        ("anthropic", OPENAI, "OpenAI"),
        ("anthropic", GOOGLE, "Google Gemini"),
        ("google", AWS, "AWS Bedrock"),
        (
            "mistral",
            "hf_abcdefghijABCDEFGHIJabcdefghijABCD",
            "Hugging Face",
        ),
        // Keys that several make alike are not told apart, so nobody is accused of the wrong one of them.
        ("moonshot", OPENAI, "OpenAI"),
        ("moonshot", ANTHROPIC, "Anthropic"),
        (
            "groq",
            "r8_0123456789abcdefghijABCDEFGHIJ0123456789",
            "Replicate",
        ),
        ("novita", "sk_live_0123456789abcdefghijABCDEFGHIJ", "Stripe"),
        ("openai", DEEPSEEK, "DeepSeek"),
        ("deepseek", LEGACY, "OpenAI"),
        ("deepseek", OPENAI, "OpenAI"),
        ("openrouter", OPENAI, "OpenAI"),
        (
            "groq",
            "xai-0123456789abcdefghijABCDEFGHIJ0123456789",
            "xAI",
        ),
        ("together", "fw_0123456789abcdefGHIJ01", "Fireworks AI"),
        (
            "mistral",
            "pplx-0123456789abcdefghijABCDEFGHIJ0123456789",
            "Perplexity",
        ),
        (
            "openai",
            "lgk_0123456789abcdefghijABCDEFGHIJ0123456789",
            "Lockgate itself (a gateway key)",
        ),
    ] {
        let said = message(slug, key);
        assert!(
            said.contains(&format!("a key of {other}, not of")),
            "{said}"
        );
    }
    assert!(matches!(
        check("openai", GROQ),
        Err(KeyFormatError::OtherProvider {
            other_slug: "groq",
            ..
        })
    ));
}

#[test]
fn looks_like_names_a_provider_or_nobody() {
    let slug = |key: &str| looks_like(&Secret::from(key.to_owned())).map(|m| m.slug);
    assert_eq!(slug(OPENAI), Some("openai"));
    assert_eq!(slug(&format!(" {LEGACY}\n")), Some("openai"));
    assert_eq!(slug(DEEPSEEK), Some("deepseek"));
    assert_eq!(slug(OPENROUTER), Some("openrouter"));
    assert_eq!(slug(ANTHROPIC), Some("anthropic"));
    assert_eq!(slug(AWS), Some("bedrock"));
    assert_eq!(slug("r8_0123456789abcdefghijABCDEFGHIJ0123456789"), None);
    assert_eq!(slug("0123456789abcdef0123456789abcdef"), None);
    assert_eq!(slug(""), None);
}

#[test]
fn the_providers_own_format_is_checked() {
    use KeyFormatError as E;
    assert!(matches!(
        check("groq", "0123456789abcdefghijABCDEFGHIJ0123456789ab"),
        Err(E::WrongPrefix { .. })
    ));
    assert!(matches!(
        check("groq", "gsk_0123"),
        Err(E::TooShort {
            len: 8,
            min: 40,
            ..
        })
    ));
    assert!(matches!(
        check("groq", &format!("gsk_{}", "a".repeat(200))),
        Err(E::TooLong { len: 204, .. })
    ));
    assert!(matches!(
        check("groq", &format!("{GROQ}+")),
        Err(E::WrongCharacter { at: 56, .. })
    ));
    assert!(matches!(
        check("mistral", "0123456789abcdef0123456789abcd-f"),
        Err(E::WrongCharacter { at: 30, .. })
    ));
    assert!(message("groq", "gsk_0123").contains("save it with “force”"));
}

/// A key that is wrong in some way, and the part of it that no message may have.
fn wrong() -> impl Strategy<Value = (String, String)> {
    let prefixes: Vec<String> = all()
        .iter()
        .flat_map(|manifest| manifest.key.prefixes)
        .chain(&[
            "",
            "sk-ant-",
            "lgk_",
            "Bearer ",
            "OPENAI_API_KEY=",
            "\"",
            " ",
        ])
        .map(|prefix| (*prefix).to_owned())
        .collect();
    let secret = "[A-Za-z0-9]{12,80}";
    let tail = prop_oneof![
        Just(String::new()),
        Just("\n".into()),
        Just("\"".into()),
        "\\PC{0,3}",
        "[ -~]{0,3}"
    ];
    (prop::sample::select(prefixes), secret, tail)
        .prop_map(|(prefix, secret, tail)| (format!("{prefix}{secret}{tail}"), secret))
}

proptest! {
    #[test]
    fn no_key_is_ever_echoed((key, secret) in wrong()) {
        for manifest in all() {
            if let Err(error) = check_key(manifest, &Secret::from(key.clone())) {
                let said = format!("{error} {error:?}");
                for start in 0..=secret.len() - 8 {
                    prop_assert!(!said.contains(&secret[start..start + 8]), "{said}");
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(key in prop::collection::vec(any::<u8>(), 0..300)) {
        let secret = Secret::new(key.clone());
        let _ = looks_like(&secret);
        for manifest in all() {
            if check_key(manifest, &secret).is_ok() && !key.is_empty() {
                prop_assert!(can_be_sent(&secret));
            }
        }
    }

    #[test]
    fn a_key_of_one_provider_is_never_right_for_one_with_other_prefixes(
        from in prop::sample::select(all().iter().filter(|m| !m.key.prefixes.is_empty() && !m.key.shared).collect::<Vec<_>>()),
        filler in "[A-Za-z0-9]{48}",
    ) {
        let prefix = from.key.prefixes[0];
        let key = Secret::from(format!("{prefix}{filler}"));
        for to in all().iter().filter(|to| !to.local && !to.key.prefixes.contains(&prefix)) {
            prop_assert!(check_key(to, &key).is_err(), "{} for {}", from.slug, to.slug);
        }
    }
}

//! The URLs of calls, and how credentials travel (`src/call.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{examples, made_up, options};
use lockgate_host::Secret;
use lockgate_providers::call::{Operation, Sending, health_url, url};
use lockgate_providers::{
    Auth, Dialect, Layout, Manifest, Surface, all, base, check_options, find,
};
use proptest::prelude::*;

fn passing<'a>(surface: Surface, path: &'a str, model: Option<&'a str>) -> Operation<'a> {
    Operation::Surface {
        surface,
        path,
        model,
    }
}

fn chat(model: &str) -> Operation<'_> {
    Operation::Chat {
        model,
        stream: false,
    }
}

#[test]
fn openais_paths_follow_the_base_url() {
    let manifest = find("openai").unwrap();
    let none = options(&[]);
    let at = |operation, query| url(manifest, "https://h/v1/", operation, &none, query);
    assert_eq!(at(chat("m"), None), "https://h/v1/chat/completions");
    assert_eq!(
        at(
            Operation::Embed {
                model: "m",
                many: true
            },
            None
        ),
        "https://h/v1/embeddings"
    );
    assert_eq!(at(Operation::Models, None), "https://h/v1/models");
    let file = passing(Surface::Files, "/files/file-1/content", None);
    assert_eq!(
        at(file, Some("a=b&api-version=1&c")),
        "https://h/v1/files/file-1/content?a=b&c"
    );
    // A client's query is of its own dialect, so a translated request leaves it behind.
    assert_eq!(
        at(chat("m"), Some("beta=true")),
        "https://h/v1/chat/completions"
    );

    let responses = made_up(Dialect::OpenAiResponses, Layout::OpenAi, "https://h/v1");
    assert_eq!(
        url(&responses, "https://h/v1", chat("m"), &none, None),
        "https://h/v1/responses"
    );
}

#[test]
fn azure_has_two_apis() {
    let manifest = made_up(Dialect::OpenAiChat, Layout::Azure, "https://h");
    let dated = options(&[("api_version", "2024-10-21")]);
    let none = options(&[]);
    let base = "https://r.openai.azure.com";
    for (base, options, operation, query, expected) in [
        (
            base,
            &none,
            chat("gpt"),
            None,
            "/openai/v1/chat/completions",
        ),
        (
            base,
            &dated,
            chat("my gpt/1"),
            None,
            "/openai/deployments/my%20gpt%2F1/chat/completions?api-version=2024-10-21",
        ),
        (
            base,
            &none,
            chat("gpt"),
            Some("api-version=2025-01-01&x=1"),
            "/openai/deployments/gpt/chat/completions?api-version=2025-01-01",
        ),
        (
            base,
            &dated,
            passing(Surface::Images, "/images/generations", Some("dall-e")),
            Some("api-version=2025-01-01&x=1"),
            "/openai/deployments/dall-e/images/generations?api-version=2024-10-21&x=1",
        ),
        (
            base,
            &none,
            passing(Surface::Responses, "/responses/r1", None),
            Some("api-version=preview"),
            "/openai/v1/responses/r1?api-version=preview",
        ),
        (
            base,
            &dated,
            passing(Surface::Responses, "/responses", Some("gpt")),
            None,
            "/openai/responses?api-version=2024-10-21",
        ),
        (
            base,
            &dated,
            passing(Surface::Files, "/files/f1", None),
            None,
            "/openai/files/f1?api-version=2024-10-21",
        ),
        (
            base,
            &dated,
            Operation::Embed {
                model: "e",
                many: false,
            },
            None,
            "/openai/deployments/e/embeddings?api-version=2024-10-21",
        ),
        (base, &none, Operation::Models, None, "/openai/v1/models"),
        (
            base,
            &dated,
            Operation::Models,
            None,
            "/openai/models?api-version=2024-10-21",
        ),
    ] {
        assert_eq!(
            url(&manifest, base, operation, options, query),
            format!("{base}{expected}")
        );
    }
    for (base, options, expected) in [
        (
            "https://h/openai",
            &none,
            "https://h/openai/v1/chat/completions",
        ),
        (
            "https://h/openai/",
            &dated,
            "https://h/openai/deployments/m/chat/completions?api-version=2024-10-21",
        ),
        (
            "https://h/openai/v1/",
            &none,
            "https://h/openai/v1/chat/completions",
        ),
        (
            "https://h/openai/v1",
            &dated,
            "https://h/openai/v1/chat/completions",
        ),
    ] {
        assert_eq!(url(&manifest, base, chat("m"), options, None), expected);
    }
}

#[test]
fn anthropic_cohere_gemini_and_bedrock_have_their_own() {
    let none = options(&[]);
    let of = |dialect, layout| made_up(dialect, layout, "https://h");
    let anthropic = of(Dialect::Anthropic, Layout::Anthropic);
    for base in ["https://h", "https://h/", "https://h/v1"] {
        assert_eq!(
            url(&anthropic, base, chat("m"), &none, None),
            "https://h/v1/messages"
        );
        assert_eq!(
            url(&anthropic, base, Operation::Models, &none, None),
            "https://h/v1/models"
        );
        let count = passing(Surface::CountTokens, "/messages/count_tokens", None);
        assert_eq!(
            url(&anthropic, base, count, &none, Some("beta=true")),
            "https://h/v1/messages/count_tokens?beta=true"
        );
    }

    let cohere = of(Dialect::Cohere, Layout::Cohere);
    assert_eq!(
        url(&cohere, "https://h", chat("m"), &none, None),
        "https://h/v2/chat"
    );
    let embed = |many| Operation::Embed { model: "e", many };
    assert_eq!(
        url(&cohere, "https://h", embed(true), &none, None),
        "https://h/v2/embed"
    );

    let gemini = of(Dialect::Gemini, Layout::Gemini);
    let stream = Operation::Chat {
        model: "gemini-2.5-pro",
        stream: true,
    };
    for (operation, expected) in [
        (
            chat("gemini-2.5-pro"),
            "models/gemini-2.5-pro:generateContent",
        ),
        (
            stream,
            "models/gemini-2.5-pro:streamGenerateContent?alt=sse",
        ),
        (chat("models/gemini"), "models/gemini:generateContent"),
        (chat("tunedModels/mine"), "tunedModels/mine:generateContent"),
        (
            chat("a/../b?c#d"),
            "models/a%2F..%2Fb%3Fc%23d:generateContent",
        ),
        (embed(false), "models/e:embedContent"),
        (embed(true), "models/e:batchEmbedContents"),
    ] {
        for base in ["https://h", "https://h/v1beta"] {
            assert_eq!(
                url(&gemini, base, operation, &none, None),
                format!("https://h/v1beta/{expected}")
            );
        }
    }

    let bedrock = of(Dialect::Bedrock, Layout::Bedrock);
    let converse = |model, stream| {
        url(
            &bedrock,
            "https://h",
            Operation::Chat { model, stream },
            &none,
            None,
        )
    };
    assert_eq!(
        converse("eu.anthropic.claude-v1:0", false),
        "https://h/model/eu.anthropic.claude-v1%3A0/converse"
    );
    assert_eq!(
        converse("arn:aws:bedrock:eu-west-1:1:inference-profile/x", true),
        "https://h/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Fx/converse-stream"
    );
    assert_eq!(converse("..", false), "https://h/model/%252E%252E/converse");
}

#[test]
fn a_path_cannot_leave_the_base_url() {
    let manifest = find("openai").unwrap();
    for (path, expected) in [
        ("/files/../organization", "/files/%252E%252E/organization"),
        (
            "/files/%2e%2E/organization",
            "/files/%252E%252E/organization",
        ),
        ("/files/.%2e", "/files/%252E%252E"),
        ("/files/./x", "/files/%252E/x"),
        ("/files/..%2f..%2Fkeys", "/files/..%252f..%252Fkeys"),
        ("/files/a%5cb", "/files/a%255cb"),
        ("/files/a\\b", "/files/a%5Cb"),
        ("/files/a?b#c", "/files/a%3Fb%23c"),
        ("/files/a%", "/files/a%25"),
        ("/files/a%3Ab:c", "/files/a%3Ab:c"),
        ("/files/é", "/files/%C3%A9"),
        ("files", "/files"),
        ("", "/"),
    ] {
        assert_eq!(
            url(
                manifest,
                "https://h/v1",
                passing(Surface::Files, path, None),
                &options(&[]),
                None
            ),
            format!("https://h/v1{expected}"),
            "{path}"
        );
    }
}

#[test]
fn a_key_is_checked_where_it_may_go() {
    let mut manifest = made_up(
        Dialect::OpenAiChat,
        Layout::OpenAi,
        "https://{resource}.acme.example/v1",
    );
    let eu = options(&[("resource", "eu")]);
    let at = |manifest: &Manifest, own| health_url(manifest, own, &eu).unwrap();
    assert_eq!(
        at(&manifest, None).unwrap(),
        "https://eu.acme.example/v1/models"
    );
    assert_eq!(
        at(&manifest, Some("https://own")).unwrap(),
        "https://own/v1/models"
    );
    assert!(health_url(&manifest, None, &options(&[])).is_err());
    manifest.health = Some("/key");
    assert_eq!(
        at(&manifest, Some("https://own/v1")).unwrap(),
        "https://own/v1/key"
    );
    manifest.health = Some("https://control.{resource}.acme.example/models");
    assert_eq!(
        at(&manifest, None).unwrap(),
        "https://control.eu.acme.example/models"
    );
    assert_eq!(at(&manifest, Some("https://own")), None);
    manifest.health = None;
    assert_eq!(at(&manifest, None), None);
}

#[test]
fn aws_keys_sign_or_are_sent_by_their_looks() {
    let mut manifest = made_up(Dialect::Bedrock, Layout::Bedrock, "https://h");
    manifest.auth = Auth::SigV4;
    let bearer = Sending::Header {
        name: "authorization",
        prefix: "Bearer ",
    };
    let sending = |manifest: &Manifest, key: &str| manifest.sending(&Secret::from(key.to_owned()));
    assert_eq!(sending(&manifest, "AKIA0123:secret"), Sending::SigV4);
    assert_eq!(sending(&manifest, ""), Sending::SigV4);
    assert_eq!(sending(&manifest, "ABSKQmVkcm9jaw=="), bearer);
    assert_eq!(sending(&manifest, "bedrock-api-key-YmVk"), bearer);
    manifest.auth = Auth::None;
    assert_eq!(sending(&manifest, "AKIA0123:secret"), bearer);
    manifest.auth = Auth::Header("x-api-key");
    assert_eq!(
        sending(&manifest, "ABSK"),
        Sending::Header {
            name: "x-api-key",
            prefix: ""
        }
    );
}

fn well_formed(url: &str, base: &str) -> bool {
    let rest = url.strip_prefix(base);
    rest.is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && !url.contains(['{', '}', '#', '\\'])
        && !url.split(['/', '?']).any(|part| matches!(part, "." | ".."))
        && url.matches('?').count() <= 1
}

#[test]
fn every_manifest_has_a_base_url_and_well_formed_calls() {
    for manifest in all() {
        let slug = manifest.slug;
        let options = examples(manifest);
        assert_eq!(check_options(manifest, &options, false), Ok(()), "{slug}");
        let base = base(manifest, None, &options).unwrap();
        assert!(
            base.contains("://") && !base.contains('{'),
            "{slug}: {base}"
        );
        for surface in manifest.surfaces {
            let made = url(
                manifest,
                &base,
                passing(*surface, surface.path(), None),
                &options,
                None,
            );
            assert!(well_formed(&made, &base), "{slug}: {made}");
            assert!(made.contains(surface.path()), "{slug}: {made}");
        }
        for model in ["some-model", "maker/model:free", "..", "é?#"] {
            for stream in [true, false] {
                let calls = [
                    Operation::Chat { model, stream },
                    Operation::Embed {
                        model,
                        many: stream,
                    },
                    Operation::Models,
                ];
                for call in calls {
                    let made = url(manifest, &base, call, &options, Some("api-version=1"));
                    assert!(well_formed(&made, &base), "{slug}: {made}");
                }
            }
        }
        let health = health_url(manifest, None, &options).unwrap();
        assert_eq!(health.is_some(), manifest.health.is_some());
        if let Some(health) = health {
            let own = health.starts_with(&*base);
            assert!(well_formed(&health, "https:/") || own, "{slug}: {health}");
        }
    }
}

proptest! {
    #[test]
    fn nothing_that_a_client_writes_leaves_the_base_url(
        path in "(/([a-z.%\\\\?#/]|%2[eEfF]|\\PC){0,12}){0,4}",
        model in "(models/)?[a-z./%?#:\\PC]{0,20}",
        query in prop::option::of("[a-z=&%-]{0,20}"),
        stream in any::<bool>(),
    ) {
        for manifest in all() {
            let options = examples(manifest);
            let base = base(manifest, None, &options).unwrap();
            for operation in [
                passing(Surface::Files, &path, Some(&model)),
                Operation::Chat { model: &model, stream },
                Operation::Embed { model: &model, many: stream },
            ] {
                let made = url(manifest, &base, operation, &options, query.as_deref());
                let rest = made.strip_prefix(&*base).unwrap();
                let (path, _) = rest.split_once('?').unwrap_or((rest, ""));
                prop_assert!(path.starts_with('/'), "{}", made);
                prop_assert!(made.bytes().all(|byte| byte.is_ascii_graphic()), "{}", made);
                prop_assert!(!path.contains(['#', '\\']), "{}", made);
                for part in path.split('/') {
                    let lower = part.to_ascii_lowercase();
                    prop_assert!(!matches!(lower.replace("%2e", ".").as_str(), "." | ".."), "{}", made);
                    prop_assert!(!lower.contains("%2f") || !matches!(operation, Operation::Surface { .. }) || manifest.layout == Layout::Azure, "{}", made);
                }
            }
        }
    }
}

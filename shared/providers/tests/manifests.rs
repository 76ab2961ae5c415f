//! Every manifest is what docs/adding-a-provider.md says, and the build refuses those that are not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../build/check.rs"]
mod check;
#[path = "../build/manifest.rs"]
#[allow(dead_code)] // The tests read only what they check.
mod manifest;

use lockgate_host::Secret;
use lockgate_providers::{
    Auth, Charset, Dialect, Layout, Manifest, ModelKind, Quirks, Surface, TokenLimit, all,
    check_key, find, looks_like,
};

/// A key of the right format.
fn sample(manifest: &Manifest) -> String {
    let prefix = manifest.key.prefixes.first().copied().unwrap_or_default();
    let filler = "0a1B2c3D4e5F6g7H8i9J"
        .chars()
        .cycle()
        .take(manifest.key.min_len - prefix.len());
    prefix.chars().chain(filler).collect()
}

#[test]
fn providers_are_there_in_order() {
    let slugs: Vec<_> = all().iter().map(|manifest| manifest.slug).collect();
    for slug in [
        "ai21",
        "alibaba",
        "anthropic",
        "azure-openai",
        "baseten",
        "bedrock",
        "cerebras",
        "cloudflare-workers-ai",
        "cohere",
        "databricks",
        "deepinfra",
        "deepseek",
        "fireworks",
        "friendli",
        "google",
        "groq",
        "huggingface",
        "inception",
        "llama-cpp",
        "lm-studio",
        "minimax",
        "mistral",
        "moonshot",
        "nebius",
        "novita",
        "nvidia-nim",
        "ollama",
        "openai",
        "openrouter",
        "perplexity",
        "sambanova",
        "scaleway",
        "siliconflow",
        "together",
        "upstage",
        "venice",
        "vercel-ai-gateway",
        "vllm",
        "voyage",
        "xai",
        "zai",
    ] {
        assert!(slugs.contains(&slug), "{slug}");
    }
    assert!(slugs.is_sorted());
}

#[test]
fn what_a_provider_does_follows_from_dialect_and_surfaces() {
    let of = |slug: &str| {
        let manifest = find(slug).unwrap();
        (
            manifest.dialect,
            manifest.layout,
            manifest.chats(),
            manifest.embeds(),
        )
    };
    assert_eq!(
        of("openai"),
        (Dialect::OpenAiChat, Layout::OpenAi, true, true)
    );
    assert_eq!(
        of("groq"),
        (Dialect::OpenAiChat, Layout::OpenAi, true, false)
    );
    assert_eq!(
        of("azure-openai"),
        (Dialect::OpenAiChat, Layout::Azure, true, true)
    );
    assert_eq!(
        of("anthropic"),
        (Dialect::Anthropic, Layout::Anthropic, true, false)
    );
    assert_eq!(of("google"), (Dialect::Gemini, Layout::Gemini, true, true));
    assert_eq!(of("cohere"), (Dialect::Cohere, Layout::Cohere, true, true));
    assert_eq!(
        of("bedrock"),
        (Dialect::Bedrock, Layout::Bedrock, true, false)
    );
    assert_eq!(of("voyage"), (Dialect::Voyage, Layout::OpenAi, false, true));

    let anthropic = find("anthropic").unwrap();
    assert_eq!(anthropic.auth.header(), ("x-api-key", ""));
    assert_eq!(anthropic.headers, [("anthropic-version", "2023-06-01")]);
    assert!(anthropic.serves(Surface::CountTokens) && !anthropic.serves(Surface::Files));
    // Its API refuses a request that does not limit the answer, so every model's limit is known.
    assert!(anthropic.models.iter().all(|m| m.max_output.is_some()));

    let bedrock = find("bedrock").unwrap();
    assert_eq!(bedrock.auth, Auth::SigV4);
    let region = bedrock.option("region").unwrap();
    assert!(region.required && region.default.is_none());
    assert_eq!(region.env, Some("AWS_REGION"));

    let mistral = find("mistral").unwrap().quirks;
    assert_eq!(mistral.seed, Some("random_seed"));
    assert_eq!(mistral.required_tool_choice, "any");
    assert_eq!(mistral.max_tokens.field(), "max_tokens");
    assert!(!mistral.stream_usage && mistral.lacks("logprobs") && !mistral.lacks("stop"));
    let deepseek = find("deepseek").unwrap().quirks;
    assert_eq!(deepseek.reasoning, Some("reasoning_content"));
    assert_eq!(deepseek.seed, None);
    assert!(!deepseek.json_schema && !deepseek.developer_role);
    let openai = find("openai").unwrap().quirks;
    assert_eq!(openai.max_tokens.field(), "max_completion_tokens");
    assert!(openai.developer_role && openai.unsupported.is_empty());

    // Open lists of models say nothing of a key.
    assert_eq!(find("nvidia-nim").unwrap().health, None);
    assert_eq!(find("openrouter").unwrap().health, Some("/key"));
    assert_eq!(find("openai").unwrap().health, Some("/models"));
}

#[test]
fn every_manifest_is_found_and_accepts_its_own_keys() {
    for manifest in all() {
        let slug = manifest.slug;
        assert_eq!(find(slug), Some(manifest));
        let key = Secret::from(sample(manifest));
        assert_eq!(check_key(manifest, &key), Ok(()), "{slug}");
        if !manifest.key.prefixes.is_empty() && !manifest.key.shared {
            assert_eq!(looks_like(&key).map(|m| m.slug), Some(slug));
        }
        assert_eq!(
            check_key(manifest, &Secret::from(String::new())).is_ok(),
            !manifest.needs_key(),
            "{slug}"
        );
        assert!(manifest.surfaces.iter().all(|s| manifest.serves(*s)));
    }
    assert_eq!(find("OpenAI"), None);
    assert_eq!(find(""), None);
}

#[test]
fn data_arrives_as_the_file_spells_it() {
    let openai = find("openai").unwrap();
    assert_eq!(openai.base_url, "https://api.openai.com/v1");
    assert_eq!(openai.auth, Auth::Bearer);
    assert_eq!(openai.auth.header(), ("authorization", "Bearer "));
    assert_eq!(openai.env_vars, ["OPENAI_API_KEY"]);
    assert_eq!(openai.base_url_env, Some("OPENAI_BASE_URL"));
    assert!(openai.near_misses.contains(&"OPENAI_KEY"));
    assert!(openai.quirks.done_marker && !openai.local);
    let model = openai.model("gpt-4o").unwrap();
    assert_eq!(model.kind, ModelKind::Chat);
    assert_eq!(
        (model.context, model.max_output),
        (Some(128_000), Some(16_384))
    );
    assert_eq!(model.input_microusd_per_mtok, Some(2_500_000));
    assert_eq!(model.cached_input_microusd_per_mtok, Some(1_250_000));
    assert_eq!(model.output_microusd_per_mtok, Some(10_000_000));
    let embedding = openai.model("text-embedding-3-small").unwrap();
    assert_eq!(embedding.output_microusd_per_mtok, None);

    let ollama = find("ollama").unwrap();
    assert_eq!(ollama.base_url, "http://127.0.0.1:11434/v1");
    assert!(ollama.local && !ollama.needs_key());
    assert_eq!(find("vllm").unwrap().base_url, "http://127.0.0.1:8000/v1");
    assert!(!find("groq").unwrap().serves(Surface::Embeddings));
    assert!(!find("perplexity").unwrap().quirks.done_marker);
    assert!(Charset::UrlSafe.has(b'_') && !Charset::Alphanumeric.has(b'_'));
}

const GOOD: &str = r#"
slug = "acme"
title = "Acme"
base_url = "https://api.acme.example/v1"
dialect = "openai-chat"
auth = { header = "x-acme-key" }
surfaces = ["chat"]
models_path = "/models"
docs_url = "https://acme.example/docs"
model_patterns = ["acme-*"]
[key]
prefixes = ["ak-"]
min_len = 20
max_len = 40
charset = "url-safe"
example_masked = "ak-…wxyz"
console_url = "https://acme.example/keys"
hint = "Made at https://acme.example/keys."
[env]
key = ["ACME_API_KEY"]
near_misses = ["ACME_KEY"]
[quirks]
done_marker = true
[[models]]
id = "acme-1"
kind = "chat"
context = 1000
max_output = 100
price = { input = 10, cached_input = 1, output = 20 }
"#;

#[test]
fn a_good_manifest_is_read() {
    let manifest = check::read("acme.toml", GOOD).map_err(|p| p.join("\n"));
    assert_eq!(manifest.unwrap().slug, "acme");
}

#[test]
fn the_example_in_the_docs_is_a_good_manifest() {
    let page = include_str!("../../../docs/adding-a-provider.md");
    let example = page
        .split("```")
        .nth(1)
        .unwrap()
        .strip_prefix("toml")
        .unwrap();
    let manifest = check::read("acme.toml", example).map_err(|p| p.join("\n"));
    assert_eq!(manifest.unwrap().models.len(), 1);
}

#[test]
fn a_manifest_with_a_mistake_is_refused_and_the_mistake_named() {
    let cases = [
        (
            "slug = \"acme\"",
            "slug = \"acme2\"",
            "named after its slug",
        ),
        ("title = \"Acme\"", "title = \" \"", "empty title"),
        (
            "title = \"Acme\"",
            "title = \"Acme\"\ncolour = 1",
            "unknown field `colour`",
        ),
        (
            "https://api.acme.example/v1",
            "http://api.acme.example/v1",
            "neither https",
        ),
        (
            "https://api.acme.example/v1",
            "https://api.acme.example/v1/",
            "slash at its end",
        ),
        (
            "https://api.acme.example/v1",
            "https://u:p@acme.example",
            "scheme, host and path",
        ),
        (
            "dialect = \"openai-chat\"",
            "dialect = \"smalltalk\"",
            "smalltalk",
        ),
        (
            "auth = { header = \"x-acme-key\" }",
            "auth = { header = \"X-Key\" }",
            "header name",
        ),
        ("surfaces = [\"chat\"]", "surfaces = []", "no surface"),
        (
            "surfaces = [\"chat\"]",
            "surfaces = [\"embeddings\"]",
            "no listed surface",
        ),
        (
            "surfaces = [\"chat\"]",
            "surfaces = [\"files\"]",
            "its own dialect",
        ),
        ("kind = \"chat\"", "kind = \"image\"", "no listed surface"),
        (
            "dialect = \"openai-chat\"",
            "dialect = \"openai-chat\"\nlayout = \"gemini\"",
            "layout",
        ),
        (
            "auth = { header = \"x-acme-key\" }",
            "auth = \"sigv4\"",
            "go together",
        ),
        (
            "surfaces",
            "headers = [[\"authorization\", \"x\"]]\nsurfaces",
            "may not be set",
        ),
        (
            "surfaces",
            "headers = [[\"x-a\", \"a\\n\"]]\nsurfaces",
            "unprintable value",
        ),
        (
            "surfaces",
            "health = \"http://acme.example/key\"\nsurfaces",
            "neither a path",
        ),
        (
            "https://api.acme.example/v1",
            "https://{region}.acme.example/v1",
            "not in [[options]]",
        ),
        ("done_marker = true", "seed = \"seeds\"", "no known word"),
        (
            "done_marker = true",
            "unsupported = [\"colour\"]",
            "no field to name",
        ),
        (
            "[[models]]",
            "[[options]]\nname = \"region\"\nhint = \"Where.\"\nexample = \"a/b\"\n[[models]]",
            "may not be",
        ),
        (
            "[[models]]",
            "[[options]]\nname = \"region\"\nhint = \"Where\"\nexample = \"a\"\n[[models]]",
            "no sentence",
        ),
        (
            "models_path = \"/models\"",
            "models_path = \"models\"",
            "does not begin with /",
        ),
        (
            "surfaces",
            "forward_headers = [\"openai-organization\"]\nsurfaces",
            "may not be listed",
        ),
        (
            "surfaces",
            "forward_headers = [\"X-Big\"]\nsurfaces",
            "lower-case",
        ),
        ("[\"acme-*\"]", "[\"*\"]", "only *"),
        ("min_len = 20", "min_len = 50", "min ≤ max"),
        ("prefixes = [\"ak-\"]", "prefixes = [\"\"]", "key prefix"),
        (
            "example_masked = \"ak-…wxyz\"",
            "example_masked = \"ak-123\"",
            "example_masked",
        ),
        (
            "hint = \"Made at https://acme.example/keys.\"",
            "hint = \"Ask.\"",
            "key.hint",
        ),
        (
            "console_url = \"https://acme.example/keys\"",
            "",
            "no key.console_url",
        ),
        ("key = [\"ACME_API_KEY\"]", "key = []", "no env.key"),
        (
            "key = [\"ACME_API_KEY\"]",
            "key = [\"acme\"]",
            "more than A-Z",
        ),
        (
            "key = [\"ACME_API_KEY\"]",
            "key = [\"ACME_API_KEY_2\"]",
            "ends in a digit",
        ),
        ("id = \"acme-1\"", "id = \"acme 1\"", "model id"),
        ("max_output = 100", "max_output = 2000", "context holds"),
        ("max_output = 100", "max_output = 0", "0 tokens"),
        ("input = 10,", "input = 0.1,", "invalid type"),
        ("input = 10,", "input = 2_000_000_000,", "micro-USD"),
        ("cached_input = 1", "cached_input = 11", "dearer"),
        (", output = 20", "", "output price"),
        (
            "[[models]]",
            "[[models]]\nid = \"acme-1\"\nkind = \"chat\"\n[[models]]",
            "twice",
        ),
    ];
    for (from, to, expected) in cases {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let problems = check::read("acme.toml", &text).err().unwrap_or_default();
        assert!(
            problems
                .iter()
                .any(|p| p.contains(expected) && p.starts_with("acme.toml")),
            "{from} → {to}: {problems:?}"
        );
    }
}

#[test]
fn local_means_plain_http_on_loopback() {
    let local = GOOD.replace("docs_url", "local = true\ndocs_url");
    assert!(check::read("acme.toml", &local).is_err());
    let loopback = local.replace("https://api.acme.example/v1", "http://127.0.0.1:9/v1");
    assert!(check::read("acme.toml", &loopback).is_ok());
    let elsewhere = local.replace(
        "https://api.acme.example/v1",
        "http://127.0.0.1.evil.example/v1",
    );
    assert!(check::read("acme.toml", &elsewhere).is_err());
}

#[test]
fn an_option_picks_no_other_host() {
    let with = |base: &str| {
        let option = "[[options]]\nname = \"place\"\nhint = \"Where.\"\nexample = \"eu-1\"\n[key]";
        let text = GOOD
            .replace("https://api.acme.example/v1", base)
            .replacen("[key]", option, 1);
        check::read("acme.toml", &text)
            .map(|manifest| manifest.base_url)
            .map_err(|problems| problems.join("\n"))
    };
    for good in [
        "https://{place}.acme.example/v1",
        "https://api-{place}.acme.example/v1",
        "https://acme.example/{place}/v1",
    ] {
        assert_eq!(with(good).unwrap(), good);
    }
    for bad in [
        "https://{place}/v1",
        "https://{place}.example/v1",
        "https://acme.{place}/v1",
        "https://api{place}acme.example.com/v1",
        "https://{plaice}.acme.example/v1",
        "https://{place.acme.example/v1",
    ] {
        assert!(with(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_manifest_without_quirks_has_the_default_ones() {
    let text = GOOD.replace("[quirks]\ndone_marker = true\n", "");
    let quirks = check::read("acme.toml", &text)
        .map_err(|p| p.join("\n"))
        .unwrap()
        .quirks;
    let default = Quirks::default();
    assert_eq!(quirks.done_marker, default.done_marker);
    assert_eq!(quirks.stream_usage, default.stream_usage);
    assert_eq!(quirks.developer_role, default.developer_role);
    assert_eq!(Some(quirks.seed.as_str()), default.seed);
    assert_eq!(quirks.required_tool_choice, default.required_tool_choice);
    assert_eq!(
        (quirks.reasoning.as_str(), default.reasoning),
        ("none", None)
    );
    assert_eq!(quirks.reasoning_effort, default.reasoning_effort);
    assert_eq!(quirks.json_schema, default.json_schema);
    assert_eq!(quirks.parallel_tool_calls, default.parallel_tool_calls);
    assert_eq!(quirks.unsupported.len(), default.unsupported.len());
    assert_eq!(default.max_tokens, TokenLimit::MaxTokens);
    assert!(matches!(quirks.max_tokens, manifest::TokenLimit::MaxTokens));
    assert!(!default.lacks("n"));
}

#[test]
fn variables_slugs_and_patterns_are_nobody_elses() {
    let one = || {
        check::read("acme.toml", GOOD)
            .map_err(|p| p.join("\n"))
            .unwrap()
    };
    let mut other = one();
    assert_eq!(check::together(&[one()]), Vec::<String>::new());
    let all_shared = check::together(&[one(), one()]);
    assert_eq!(all_shared.len(), 4, "{all_shared:?}");

    other.slug = "other".into();
    other.model_patterns.clear();
    other.env.key = vec!["ACME_KEY".into()];
    other.env.near_misses.clear();
    let problems = check::together(&[one(), other]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].contains("ACME_KEY"));
}

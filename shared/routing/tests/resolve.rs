//! The order of API.md, "Which target a request gets", from the exact model id on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use lockgate_glob::glob;
use lockgate_providers::{all, find};
use lockgate_routing::resolve;
use proptest::prelude::*;

/// `provider model`, with `!` where the model was rewritten.
fn goes(model: &str, enabled: &[&str]) -> String {
    match resolve(model, enabled) {
        Ok(to) => format!(
            "{} {}{}",
            to.manifest.slug,
            to.model,
            if to.rewritten { "!" } else { "" }
        ),
        Err(_) => "nowhere".into(),
    }
}

#[test]
fn an_exact_id_goes_to_its_provider_even_without_a_key() {
    assert_eq!(goes("gpt-4o", &["openai", "groq"]), "openai gpt-4o");
    assert_eq!(goes("gpt-4o", &["groq"]), "openai gpt-4o");
    assert_eq!(goes("sonar-pro", &[]), "perplexity sonar-pro");
    assert_eq!(
        goes("accounts/fireworks/models/glm-5p3", &[]),
        "fireworks accounts/fireworks/models/glm-5p3"
    );
    assert_eq!(
        goes("zai-org/GLM-5.3", &["openai", "groq"]),
        "together zai-org/GLM-5.3"
    );
}

#[test]
fn of_several_that_list_an_id_one_with_a_key_is_taken() {
    let id = "openai/gpt-oss-120b";
    assert_eq!(goes(id, &["groq", "openai"]), format!("groq {id}"));
    assert_eq!(goes(id, &["together"]), format!("together {id}"));
    assert_eq!(
        goes(id, &["openrouter", "openai"]),
        format!("openrouter {id}")
    );
    // Equals: the first by slug, in whatever order they are enabled.
    assert_eq!(
        goes(id, &["together", "openrouter", "groq"]),
        format!("groq {id}")
    );
}

#[test]
fn a_slug_is_cut_off() {
    assert_eq!(goes("openai/gpt-4o", &["openai"]), "openai gpt-4o!");
    assert_eq!(
        goes("openai/some-new-model", &["groq"]),
        "openai some-new-model!"
    );
    assert_eq!(
        goes("ollama/llama3:8b", &["openai", "groq"]),
        "ollama llama3:8b!"
    );
    assert_eq!(
        goes("openrouter/openai/gpt-4o", &["openrouter"]),
        "openrouter openai/gpt-4o!"
    );
    assert_eq!(
        goes("together/zai-org/GLM-5.3", &[]),
        "together zai-org/GLM-5.3!"
    );
    assert_eq!(goes("openai//x", &[]), "openai /x!");
}

#[test]
fn an_exact_id_that_begins_with_a_slug_counts_while_its_provider_has_a_key() {
    assert_eq!(
        goes("openai/gpt-4o", &["openrouter"]),
        "openrouter openai/gpt-4o"
    );
    assert_eq!(
        goes("openai/gpt-4o", &["openai", "openrouter"]),
        "openrouter openai/gpt-4o"
    );
    assert_eq!(goes("openai/gpt-4o", &["groq"]), "openai gpt-4o!");
    assert_eq!(goes("openai/gpt-4o", &[]), "openai gpt-4o!");
    // As does a name that fits a pattern of one with a key, while the slug's own provider has none.
    assert_eq!(
        goes("anthropic/claude-9", &["openai", "openrouter"]),
        "openrouter anthropic/claude-9"
    );
    assert_eq!(
        goes("anthropic/claude-9", &["anthropic", "openrouter"]),
        "anthropic claude-9!"
    );
    assert_eq!(
        goes("anthropic/claude-9", &["openai", "groq"]),
        "anthropic claude-9!"
    );
    assert_eq!(
        goes("google/gemini-9", &["openrouter"]),
        "openrouter google/gemini-9"
    );
    // Ids that begin with their own provider's slug stay whole.
    assert_eq!(goes("groq/compound", &["groq"]), "groq groq/compound");
    assert_eq!(
        goes("openrouter/auto", &["openrouter"]),
        "openrouter openrouter/auto"
    );
}

#[test]
fn then_name_patterns() {
    assert_eq!(goes("gpt-9-nova", &["groq", "xai"]), "openai gpt-9-nova");
    assert_eq!(goes("grok-9", &[]), "xai grok-9");
    assert_eq!(goes("ft:gpt-4o:acme::1", &[]), "openai ft:gpt-4o:acme::1");
    assert_eq!(goes("claude-9-opus", &["groq"]), "anthropic claude-9-opus");
    assert_eq!(
        goes("gemini-9-pro", &["groq", "xai"]),
        "google gemini-9-pro"
    );
    assert_eq!(goes("command-z", &["groq", "xai"]), "cohere command-z");
    assert_eq!(
        goes("eu.anthropic.claude-9-v1:0", &["openai", "bedrock"]),
        "bedrock eu.anthropic.claude-9-v1:0"
    );
    assert_eq!(
        goes("@cf/maker/new-1", &["openai", "groq"]),
        "cloudflare-workers-ai @cf/maker/new-1"
    );
    // Hosts, not makers: `deepseek-ai/…` is no name of DeepSeek's own.
    assert_eq!(
        goes("deepseek-ai/DeepSeek-V9", &["deepseek"]),
        "together deepseek-ai/DeepSeek-V9"
    );
    // More specific than `gpt-*`.
    assert_eq!(
        goes("gpt-oss:20b", &["openai", "ollama"]),
        "ollama gpt-oss:20b"
    );
    assert_eq!(
        goes("gpt-oss:20b", &["openai", "groq"]),
        "openai gpt-oss:20b"
    );
}

#[test]
fn then_the_only_provider_with_a_key() {
    assert_eq!(goes("brand-new", &["groq"]), "groq brand-new");
    assert_eq!(goes("brand/new", &["groq", "groq"]), "groq brand/new");
    assert_eq!(goes("brand-new", &["groq", "unheard-of"]), "groq brand-new");
    assert_eq!(goes("openai/", &["groq"]), "groq openai/");
    assert_eq!(goes("brand-new", &["groq", "xai"]), "nowhere");
    assert_eq!(goes("brand-new", &["unheard-of"]), "nowhere");
    assert_eq!(goes("", &["groq"]), "nowhere");
}

#[test]
fn the_error_says_what_to_write_and_lists_providers_with_keys_first() {
    let error = resolve("brand-new", &["xai", "groq"]).unwrap_err();
    assert_eq!(error.enabled, ["groq", "xai"]);
    assert_eq!(error.enabled.len() + error.others.len(), all().len());
    let said = error.to_string();
    assert!(
        said.starts_with("No provider is known for the model `brand-new`. Write `provider/model`")
    );
    assert!(
        said.contains("Providers with an enabled key: groq, xai; without one: ai21, alibaba"),
        "{said}"
    );

    let said = resolve("", &[]).unwrap_err().to_string();
    assert!(said.starts_with("The request names no model."));
    assert!(said.contains("No provider has an enabled key in this workspace; add one for ai21,"));

    let hostile = format!("a\r\n\u{1b}[31m{}", "é".repeat(10_000));
    let error = resolve(&hostile, &["xai", "groq"]).unwrap_err();
    assert_eq!(error.model.chars().count(), 101);
    assert!(!error.to_string().contains(['\r', '\n', '\u{1b}']));
}

fn slugs() -> impl Strategy<Value = Vec<&'static str>> {
    let known: Vec<_> = all().iter().map(|m| m.slug).chain(["unheard-of"]).collect();
    prop::collection::vec(prop::sample::select(known), 0..6)
}

fn models() -> impl Strategy<Value = String> {
    let ids: Vec<_> = all().iter().flat_map(|m| m.models).map(|m| m.id).collect();
    let slugs: Vec<_> = all().iter().map(|m| m.slug).collect();
    let id = prop::sample::select(ids).prop_map(str::to_owned);
    prop_oneof![
        id.clone(),
        (prop::sample::select(slugs), id).prop_map(|(slug, id)| format!("{slug}/{id}")),
        "[a-z0-9/:.-]{0,20}",
        "\\PC{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_resolved_follows_a_rule(model in models(), enabled in slugs()) {
        let resolved = resolve(&model, &enabled);
        let known: std::collections::BTreeSet<_> = enabled.iter().filter_map(|s| find(s)).map(|m| m.slug).collect();
        match resolved {
            Ok(to) => {
                prop_assert_eq!(to.rewritten, to.model.len() != model.len());
                if to.rewritten {
                    prop_assert_eq!(format!("{}/{}", to.manifest.slug, to.model), model);
                } else {
                    let listed = to.manifest.model(&model).is_some();
                    let fits = to.manifest.model_patterns.iter().any(|p| glob(p, &model));
                    let only = known.len() == 1 && known.contains(to.manifest.slug);
                    prop_assert!(listed || fits || only);
                    // A provider without a key is never taken where one with a key lists the id.
                    let better = all().iter().any(|m| m.model(&model).is_some() && known.contains(m.slug));
                    prop_assert!(!better || (listed && known.contains(to.manifest.slug)));
                }
            }
            Err(error) => {
                prop_assert!(model.is_empty() || known.len() != 1);
                prop_assert_eq!(error.enabled, known.into_iter().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_order_and_number_of_keys_is_of_no_matter(model in models(), enabled in slugs(), seed in any::<usize>()) {
        let mut shuffled = enabled.clone();
        shuffled.extend_from_slice(&enabled);
        if !shuffled.is_empty() {
            let by = seed % shuffled.len();
            shuffled.rotate_left(by);
        }
        prop_assert_eq!(resolve(&model, &enabled), resolve(&model, &shuffled));
    }
}

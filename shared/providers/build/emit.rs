//! Writes checked manifests as Rust statics (`src/manifest.rs` has the types).

use crate::manifest::{
    Auth, Charset, Dialect, KeyOption, Kind, Layout, Manifest, Model, Quirks, Surface, TokenLimit,
};
use std::fmt::Write;

/// The source of `static MANIFESTS`.
pub(crate) fn rust(manifests: &[Manifest]) -> String {
    let mut out = format!("static MANIFESTS: [Manifest; {}] = [\n", manifests.len());
    for manifest in manifests {
        let key = &manifest.key;
        let env = &manifest.env;
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "Manifest {{ slug: {:?}, title: {:?}, base_url: {:?}, local: {}, dialect: Dialect::{}, layout: Layout::{}, \
             auth: {}, headers: &{:?}, key: KeyFormat {{ prefixes: &{:?}, prefix_required: {}, shared: {}, min_len: {}, max_len: {}, \
             charset: {}, example_masked: {:?} }}, key_hint: {:?}, console_url: {:?}, env_vars: &{:?}, base_url_env: {:?}, \
             near_misses: &{:?}, options: &[{}], models_path: {:?}, health: {:?}, model_patterns: &{:?}, models: &[{}], \
             surfaces: &[{}], forward_headers: &{:?}, quirks: {}, docs_url: {:?} }},",
            manifest.slug,
            manifest.title,
            manifest.base_url,
            manifest.local,
            dialect(manifest.dialect),
            layout(manifest.layout()),
            match &manifest.auth {
                Auth::Bearer => "Auth::Bearer".into(),
                Auth::Header(name) => format!("Auth::Header({name:?})"),
                Auth::None => "Auth::None".to_owned(),
                Auth::Sigv4 => "Auth::SigV4".to_owned(),
            },
            manifest.headers,
            key.prefixes,
            key.prefix_required,
            key.shared,
            key.min_len,
            key.max_len,
            match key.charset {
                Charset::Alphanumeric => "Charset::Alphanumeric",
                Charset::UrlSafe => "Charset::UrlSafe",
                Charset::Printable => "Charset::Printable",
            },
            key.example_masked,
            key.hint,
            key.console_url,
            env.key,
            env.base_url,
            env.near_misses,
            list(&manifest.options, option),
            manifest.models_path,
            manifest.health(),
            manifest.model_patterns,
            list(&manifest.models, model),
            list(&manifest.surfaces, |one| format!(
                "Surface::{}",
                surface(*one)
            )),
            manifest.forward_headers,
            quirks(&manifest.quirks),
            manifest.docs_url,
        );
    }
    out.push_str("];\n");
    out
}

fn dialect(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenaiChat => "OpenAiChat",
        Dialect::OpenaiResponses => "OpenAiResponses",
        Dialect::Anthropic => "Anthropic",
        Dialect::Gemini => "Gemini",
        Dialect::Cohere => "Cohere",
        Dialect::Bedrock => "Bedrock",
        Dialect::Voyage => "Voyage",
    }
}

fn layout(layout: Layout) -> &'static str {
    match layout {
        Layout::Openai => "OpenAi",
        Layout::Azure => "Azure",
        Layout::Anthropic => "Anthropic",
        Layout::Gemini => "Gemini",
        Layout::Cohere => "Cohere",
        Layout::Bedrock => "Bedrock",
    }
}

fn surface(surface: Surface) -> &'static str {
    match surface {
        Surface::Chat => "Chat",
        Surface::Responses => "Responses",
        Surface::Messages => "Messages",
        Surface::CountTokens => "CountTokens",
        Surface::Completions => "Completions",
        Surface::Embeddings => "Embeddings",
        Surface::Images => "Images",
        Surface::Audio => "Audio",
        Surface::Moderations => "Moderations",
        Surface::Files => "Files",
        Surface::Batches => "Batches",
    }
}

fn option(option: &KeyOption) -> String {
    format!(
        "KeyOption {{ name: {:?}, required: {}, default: {:?}, hint: {:?}, example: {:?}, env: {:?} }}",
        option.name, option.required, option.default, option.hint, option.example, option.env
    )
}

fn quirks(quirks: &Quirks) -> String {
    let named = |name: &str| Some(name).filter(|name| *name != "none").map(str::to_owned);
    format!(
        "Quirks {{ done_marker: {}, stream_usage: {}, max_tokens: TokenLimit::{}, developer_role: {}, seed: {:?}, \
         required_tool_choice: {:?}, reasoning: {:?}, reasoning_effort: {}, json_schema: {}, parallel_tool_calls: {}, \
         unsupported: &{:?} }}",
        quirks.done_marker,
        quirks.stream_usage,
        match quirks.max_tokens {
            TokenLimit::MaxTokens => "MaxTokens",
            TokenLimit::MaxCompletionTokens => "MaxCompletionTokens",
            TokenLimit::Both => "Both",
        },
        quirks.developer_role,
        named(&quirks.seed),
        quirks.required_tool_choice,
        named(&quirks.reasoning),
        quirks.reasoning_effort,
        quirks.json_schema,
        quirks.parallel_tool_calls,
        quirks.unsupported,
    )
}

fn model(model: &Model) -> String {
    format!(
        "Model {{ id: {:?}, kind: ModelKind::{}, context: {:?}, max_output: {:?}, input_microusd_per_mtok: {:?}, \
         cached_input_microusd_per_mtok: {:?}, output_microusd_per_mtok: {:?} }}",
        model.id,
        match model.kind {
            Kind::Chat => "Chat",
            Kind::Completion => "Completion",
            Kind::Embedding => "Embedding",
            Kind::Image => "Image",
            Kind::Audio => "Audio",
            Kind::Moderation => "Moderation",
        },
        model.context,
        model.max_output,
        model.price.map(|price| price.input),
        model.price.and_then(|price| price.cached_input),
        model.price.and_then(|price| price.output),
    )
}

fn list<T>(items: &[T], one: impl Fn(&T) -> String) -> String {
    items.iter().map(one).collect::<Vec<_>>().join(", ")
}

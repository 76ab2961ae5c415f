//! Writes checked manifests as Rust statics (`src/manifest.rs` has the types).

use crate::manifest::{Auth, Charset, Dialect, Kind, Manifest, Model};
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
            "Manifest {{ slug: {:?}, title: {:?}, base_url: {:?}, local: {}, dialect: {}, auth: {}, \
             key: KeyFormat {{ prefixes: &{:?}, prefix_required: {}, min_len: {}, max_len: {}, charset: {}, \
             example_masked: {:?} }}, key_hint: {:?}, console_url: {:?}, env_vars: &{:?}, base_url_env: {:?}, \
             near_misses: &{:?}, models_path: {:?}, model_patterns: &{:?}, models: &[{}], surfaces: &[{}], \
             forward_headers: &{:?}, quirks: Quirks {{ done_marker: {} }}, docs_url: {:?} }},",
            manifest.slug,
            manifest.title,
            manifest.base_url,
            manifest.local,
            match manifest.dialect {
                Dialect::OpenaiChat => "Dialect::OpenAiChat",
            },
            match &manifest.auth {
                Auth::Bearer => "Auth::Bearer".into(),
                Auth::Header(name) => format!("Auth::Header({name:?})"),
                Auth::None => "Auth::None".to_owned(),
            },
            key.prefixes,
            key.prefix_required,
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
            manifest.models_path,
            manifest.model_patterns,
            list(&manifest.models, model),
            list(&manifest.surfaces, |surface| kind("Surface", *surface, "s")),
            manifest.forward_headers,
            manifest.quirks.done_marker,
            manifest.docs_url,
        );
    }
    out.push_str("];\n");
    out
}

fn model(model: &Model) -> String {
    format!(
        "Model {{ id: {:?}, kind: {}, context: {:?}, max_output: {:?}, input_microusd_per_mtok: {:?}, \
         cached_input_microusd_per_mtok: {:?}, output_microusd_per_mtok: {:?} }}",
        model.id,
        kind("ModelKind", model.kind, ""),
        model.context,
        model.max_output,
        model.price.map(|price| price.input),
        model.price.and_then(|price| price.cached_input),
        model.price.and_then(|price| price.output),
    )
}

fn kind(of: &str, kind: Kind, plural: &str) -> String {
    match kind {
        Kind::Chat => format!("{of}::Chat"),
        Kind::Completion => format!("{of}::Completion{plural}"),
        Kind::Embedding => format!("{of}::Embedding{plural}"),
    }
}

fn list<T>(items: &[T], one: impl Fn(&T) -> String) -> String {
    items.iter().map(one).collect::<Vec<_>>().join(", ")
}

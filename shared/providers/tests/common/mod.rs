//! What the tests of calls and of options share.

use std::collections::BTreeMap;

use lockgate_providers::{
    Auth, Charset, Dialect, KeyFormat, KeyOption, Layout, Manifest, Quirks, Surface,
};

static OPTIONS: [KeyOption; 3] = [
    option("resource", false, None),
    option("api_version", false, None),
    option("tier", false, Some("free")),
];

const fn option(name: &'static str, required: bool, default: Option<&'static str>) -> KeyOption {
    KeyOption {
        name,
        required,
        default,
        hint: "Where it lies.",
        example: "acme-1",
        env: None,
    }
}

/// A provider made up for one layout.
pub(crate) fn made_up(dialect: Dialect, layout: Layout, base_url: &'static str) -> Manifest {
    Manifest {
        slug: "acme",
        title: "Acme",
        base_url,
        local: false,
        dialect,
        layout,
        auth: Auth::Bearer,
        headers: &[],
        options: &OPTIONS,
        key: KeyFormat {
            prefixes: &[],
            prefix_required: false,
            shared: false,
            min_len: 1,
            max_len: 9,
            charset: Charset::Printable,
            example_masked: "…",
        },
        key_hint: "",
        console_url: None,
        env_vars: &[],
        base_url_env: None,
        near_misses: &[],
        models_path: Some("/v1/models"),
        health: Some("/v1/models"),
        model_patterns: &[],
        models: &[],
        surfaces: &[Surface::Chat],
        forward_headers: &[],
        quirks: Quirks::default(),
        docs_url: "",
    }
}

pub(crate) fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Options of the manifest's own examples.
pub(crate) fn examples(manifest: &Manifest) -> BTreeMap<String, String> {
    let pairs = manifest.options.iter();
    pairs
        .map(|option| (option.name.to_owned(), option.example.to_owned()))
        .collect()
}

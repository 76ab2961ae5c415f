//! Provider manifests: one TOML file per provider (`manifests/<slug>.toml`), checked and turned into static data when
//! this crate is built, so that nothing is parsed at run time. DESIGN.md, "Providers"; docs/adding-a-provider.md.
//!
//! ```
//! let openai = lockgate_providers::find("openai").ok_or("no manifest")?;
//! assert_eq!(openai.base_url, "https://api.openai.com/v1");
//!
//! let pasted = lockgate_host::Secret::from("Bearer sk-proj-0123456789".to_owned());
//! assert!(lockgate_providers::check_key(openai, &pasted).is_err());
//! # Ok::<(), &'static str>(())
//! ```
#![forbid(unsafe_code)]

pub mod call;
mod env;
mod key;
mod manifest;
mod options;
mod quirks;

pub use env::{EnvFinding, env_candidates};
pub use key::{KeyFormatError, can_be_sent, check_key, looks_like};
pub use manifest::{
    Auth, Charset, Dialect, KeyFormat, KeyOption, Layout, Manifest, Model, ModelKind, Surface,
};
pub use options::{MissingOption, OptionError, base, check_options};
pub use quirks::{Quirks, TokenLimit};

// Defines `static MANIFESTS: [Manifest; N]`, sorted by slug.
include!(concat!(env!("OUT_DIR"), "/manifests.rs"));

/// Every manifest, sorted by slug.
#[must_use]
pub fn all() -> &'static [Manifest] {
    &MANIFESTS
}

/// The manifest of the provider `slug`; slugs are lower case.
#[must_use]
pub fn find(slug: &str) -> Option<&'static Manifest> {
    let at = MANIFESTS
        .binary_search_by(|manifest| manifest.slug.cmp(slug))
        .ok()?;
    MANIFESTS.get(at)
}

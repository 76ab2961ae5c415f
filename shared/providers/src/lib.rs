//! Provider manifests: one TOML file per provider.

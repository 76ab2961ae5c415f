//! Turns `manifests/<slug>.toml` into static Rust data, so that nothing is parsed at run time and no TOML parser gets
//! into a wasm. A manifest with a mistake stops the build, with its file and what is wrong.
#![forbid(unsafe_code)]

#[path = "build/check.rs"]
mod check;
#[path = "build/emit.rs"]
mod emit;
#[path = "build/manifest.rs"]
mod manifest;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("manifests");
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-changed=build");

    let mut files: Vec<PathBuf> = fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    files.sort();

    let mut manifests = Vec::with_capacity(files.len());
    let mut problems = Vec::new();
    for file in &files {
        let name = file
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        match check::read(&name, &fs::read_to_string(file)?) {
            Ok(manifest) => manifests.push(manifest),
            Err(found) => problems.extend(found),
        }
    }
    manifests.sort_by(|a, b| a.slug.cmp(&b.slug));
    problems.extend(check::together(&manifests));
    if !problems.is_empty() {
        return Err(format!("manifests:\n  {}", problems.join("\n  ")).into());
    }

    let out = Path::new(&env::var("OUT_DIR")?).join("manifests.rs");
    fs::write(out, emit::rust(&manifests))?;
    Ok(())
}

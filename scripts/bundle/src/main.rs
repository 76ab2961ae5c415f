//! Builds the Worker's module from what `cargo` made of `functions/edge`.
//!
//! `bundle-worker <in.wasm> <out folder> <script.js>...` runs wasm-bindgen and writes `index.js` and `index_bg.wasm`.
//! `index.js` is a plain concatenation: the scripts (the engine's glue and the entry, in the order given), and a
//! function `instantiate(glue)` around what wasm-bindgen wrote. Because everything that wasm-bindgen keeps (memory, table,
//! caches) lives inside that function, the entry can begin a fresh instance after a panic while requests that are
//! under way finish on the old one; the usual builds of Rust Workers reset one shared instance and lose them all.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use wasm_bindgen_cli_support::Bindgen;

/// What wasm-bindgen calls the object that it makes in its `no-modules` form.
const GLOBAL: &str = "bindings";

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let usage = "usage: bundle-worker <in.wasm> <out folder> <script.js>...";
    let input = arguments.next().context(usage)?;
    let out = arguments.next().context(usage)?;
    let scripts: Vec<PathBuf> = arguments.collect();
    ensure!(!scripts.is_empty(), usage);

    let mut bindgen = Bindgen::new();
    bindgen
        .input_path(&input)
        .no_modules(true)?
        .no_modules_global(GLOBAL)?
        .typescript(false)
        // The names are what a profiler shows; they are left out otherwise, as nobody else needs them.
        .remove_name_section(env::var_os("LOCKGATE_BUILD_NAMES").is_none())
        .remove_producers_section(true);
    let mut output = bindgen.generate_output()?;
    ensure!(
        output.local_modules().is_empty() && output.snippets().values().all(Vec::is_empty),
        "a dependency brings JavaScript of its own, which this builder does not bundle"
    );

    fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    write(&out.join("index_bg.wasm"), &output.wasm_mut().emit_wasm())?;
    write(
        &out.join("index.js"),
        module(output.js(), &scripts)?.as_bytes(),
    )
}

/// The text of `index.js`.
fn module(bindings: &str, scripts: &[PathBuf]) -> Result<String> {
    let mut text = String::from("import wasm from \"./index_bg.wasm\";\n");
    for script in scripts {
        text.push_str(
            &fs::read_to_string(script)
                .with_context(|| format!("cannot read {}", script.display()))?,
        );
    }
    text.push_str("\n/** A fresh instance, which calls `glue` and nothing else outside. */\nfunction instantiate(glue) {\n");
    text.push_str(bindings);
    text.push_str(&format!(
        "\n{GLOBAL}.initSync({{ module: wasm }});\nreturn {GLOBAL};\n}}\n"
    ));
    Ok(text)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

//! Where the local gateway keeps things unless told otherwise.

use std::path::PathBuf;

use anyhow::Context;

/// The folder named, or `$XDG_DATA_HOME/lockgate`, which is `~/.local/share/lockgate` where that variable is not set.
pub(crate) fn or_default(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(named) = named.filter(|path| !path.as_os_str().is_empty()) {
        return Ok(named);
    }
    let base = std::env::var_os("XDG_DATA_HOME").filter(|value| !value.is_empty());
    base.map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".local/share")))
        .map(|base| base.join("lockgate"))
        .context("no home folder is known: say where to keep things with --data-dir")
}

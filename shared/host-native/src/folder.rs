//! The data folder: one process at a time, and nobody else's eyes.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the data folder cannot be used.
#[derive(Debug, Error)]
pub enum FolderError {
    /// Another process serves it.
    #[error("{} is in use by another gateway: stop that one, or give this one another data folder", .0.display())]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("cannot use {}: {problem}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        problem: io::Error,
    },
}

impl FolderError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |problem| Self::Io {
            path: path.to_owned(),
            problem,
        }
    }
}

/// A folder that this process has for itself until this is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder (mode 0700) where it is missing, and takes its lock. A folder that is there keeps its mode.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn take(path: &Path) -> Result<Self, FolderError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(FolderError::io(path))?;
        let path_of_lock = path.join("lock");
        let lock = create_private(&path_of_lock)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(FolderError::io(&path_of_lock)(error)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The text of the file `name`, `None` where there is no such file.
    ///
    /// # Errors
    /// [`FolderError::Io`], also where it is no text.
    pub fn read(&self, name: &str) -> Result<Option<String>, FolderError> {
        let path = self.path.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FolderError::io(&path)(error)),
        }
    }

    /// Writes the file `name` with mode 0600, so that it is there whole or not at all, also after a crash.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), FolderError> {
        let written = replace_file(&self.path, name, content, || Ok(()));
        written.map_err(FolderError::io(&self.path.join(name)))
    }
}

/// Writes a file of a folder with mode 0600, whole or not at all, also after a crash. What is there is replaced only if `may`
/// says so at the last moment.
///
/// # Errors
/// What `may` says, or what went wrong; the file is what it was.
pub fn replace_file(
    folder: &Path,
    name: &str,
    content: &[u8],
    may: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let beside = folder.join(format!("{name}.new"));
    let mut file = private().create(true).truncate(true).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    if let Err(error) = may() {
        std::fs::remove_file(&beside)?;
        return Err(error);
    }
    std::fs::rename(&beside, folder.join(name))?;
    // The new name is durable only with its folder.
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Opens a file for reading and writing; where it is missing it is made with mode 0600. What is in it stays.
pub(crate) fn create_private(path: &Path) -> Result<File, FolderError> {
    private()
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(FolderError::io(path))
}

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
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FolderError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// A folder that this process has for itself until this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    _lock: File,
}

impl Folder {
    /// Makes the folder (mode 0700) where it is missing, and takes its lock.
    pub(crate) fn take(path: &Path) -> Result<Self, FolderError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(FolderError::io(path))?;
        let path_of_lock = path.join("lock");
        let lock = create_private(&path_of_lock)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => Err(FolderError::io(&path_of_lock)(error)),
        }
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Opens a file for reading and writing; where it is missing it is made with mode 0600. What is in it stays.
///
/// # Errors
/// [`FolderError::Io`].
pub fn create_private(path: &Path) -> Result<File, FolderError> {
    private()
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(FolderError::io(path))
}

/// Writes a file with mode 0600 so that it is there whole or not at all, also after a crash.
///
/// # Errors
/// [`FolderError::Io`].
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), FolderError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let beside = PathBuf::from(name);
    let write = || {
        let mut file = private().create(true).truncate(true).open(&beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        // The new name is durable only with its folder.
        #[cfg(unix)]
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(FolderError::io(path))
}

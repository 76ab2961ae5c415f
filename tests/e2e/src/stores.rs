//! The files that a stopped gateway leaves: what is in them, and how a test tampers with them.
//!
//! Natively and on WASI the key-value entries are in `kv.sqlite` and the authority in a SQLite file beside it; under
//! workerd each Durable Object, the KV stand-in's too, is a SQLite file below `objects`. All are found by their tables.

use std::path::{Path, PathBuf};

use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use memchr::memmem;
use rusqlite::Connection;

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect()
}

/// The ways a text may lie in a file: as it is, in hex, and in base64 at any alignment.
pub(crate) fn forms(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut forms = vec![
        bytes.to_vec(),
        HEXLOWER.encode(bytes).into_bytes(),
        HEXUPPER.encode(bytes).into_bytes(),
    ];
    for before in 0..3 {
        let mut shifted = vec![0; before];
        shifted.extend_from_slice(bytes);
        // The characters that neighbours share bits with are left out at both ends.
        let (first, last) = ((before * 4).div_ceil(3), shifted.len() * 4 / 3);
        for alphabet in [&BASE64, &BASE64URL] {
            forms.push(alphabet.encode(&shifted).as_bytes()[first..last].to_vec());
        }
    }
    forms
}

/// Whether any form of the text is in the bytes.
pub(crate) fn holds(bytes: &[u8], text: &str) -> bool {
    forms(text)
        .iter()
        .any(|form| memmem::find(bytes, form).is_some())
}

/// The files below a folder that hold some form of the text.
pub(crate) fn holders(folder: &Path, text: &str) -> Vec<PathBuf> {
    let forms = forms(text);
    files(folder)
        .into_iter()
        .filter(|file| {
            let bytes = std::fs::read(file).unwrap_or_default();
            forms
                .iter()
                .any(|form| memmem::find(&bytes, form).is_some())
        })
        .collect()
}

/// The SQLite files below a folder.
pub(crate) fn databases(folder: &Path) -> Vec<PathBuf> {
    files(folder)
        .into_iter()
        .filter(|file| {
            std::fs::read(file).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0"))
        })
        .collect()
}

/// The databases that have a table.
fn with_table(folder: &Path, table: &str) -> Vec<Connection> {
    databases(folder)
        .iter()
        .filter_map(|file| {
            let database = Connection::open(file).unwrap();
            let found: i64 = database
                .query_row(
                    "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1",
                    [table],
                    |row| row.get(0),
                )
                .unwrap();
            (found == 1).then_some(database)
        })
        .collect()
}

/// The key-value store in a data folder.
pub(crate) struct Entries {
    database: Connection,
    table: &'static str,
}

impl Entries {
    pub(crate) fn open(folder: &Path) -> Self {
        for table in ["entries", "spin_key_value"] {
            if let Some(database) = with_table(folder, table).pop() {
                return Self { database, table };
            }
        }
        panic!("no key-value store below {}", folder.display());
    }

    /// The entries of a provider key, by name and value.
    pub(crate) fn of(&self, provider_key: &str) -> Vec<(String, Vec<u8>)> {
        self.database
            .prepare(&format!(
                "SELECT key, value FROM {} WHERE key LIKE ?1 ORDER BY key",
                self.table
            ))
            .unwrap()
            .query_map([format!("%{provider_key}%")], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    /// Puts another value under a name that exists.
    pub(crate) fn overwrite(&self, name: &str, value: &[u8]) {
        let changed = self
            .database
            .execute(
                &format!("UPDATE {} SET value = ?2 WHERE key = ?1", self.table),
                (name, value),
            )
            .unwrap();
        assert_eq!(changed, 1);
    }

    pub(crate) fn remove(&self, name: &str) {
        let changed = self
            .database
            .execute(
                &format!("DELETE FROM {} WHERE key = ?1", self.table),
                [name],
            )
            .unwrap();
        assert_eq!(changed, 1);
    }
}

/// The authority's database that knows a provider key.
pub(crate) fn authority(folder: &Path, provider_key: &str) -> Connection {
    with_table(folder, "provider_key_versions")
        .into_iter()
        .find(|database| {
            database
                .query_row(
                    "SELECT count(*) FROM provider_key_versions WHERE provider_key = ?1",
                    [provider_key],
                    |row| row.get::<_, i64>(0),
                )
                .is_ok_and(|count| count > 0)
        })
        .expect("the authority's database")
}

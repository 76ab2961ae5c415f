//! The key-encryption key and the admin token of a gateway that was given none: made on the first start, kept in the
//! data folder (API.md, "Settings"). What the environment sets wins, and is never written down.

use std::collections::HashMap;

use data_encoding::BASE32_NOPAD;
use lockgate_host::Secret;
use lockgate_host_native::{DATABASE_FILE, Folder};
use lockgate_vault::Kek;
use lockgate_workspace::MIN_ADMIN_TOKEN;
use zeroize::Zeroizing;

use crate::kek_file::{KEK_FILE, KekFile};
use crate::refusal::Refused;

/// The setting that [`KEK_FILE`] stands in for, and the one for KEKs that are still read, which comes on top of it.
pub(crate) const KEK: &str = "LOCKGATE_KEK";
pub(crate) const KEK_PREVIOUS: &str = "LOCKGATE_KEK_PREVIOUS";
/// The setting, and the file that stands in for it.
pub(crate) const TOKEN: &str = "LOCKGATE_ADMIN_TOKEN";
pub(crate) const TOKEN_FILE: &str = "admin-token";
/// How admin tokens begin.
const TOKEN_PREFIX: &str = "lga_";

/// Where the admin token is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The environment.
    Environment,
    /// A file that was there.
    File,
    /// Made just now.
    Made,
}

/// The admin token in force.
pub(crate) struct AdminToken {
    pub(crate) secret: Secret,
    pub(crate) origin: Origin,
}

/// Looks at what the environment sets, before anything is written.
pub(crate) fn check(variables: &HashMap<String, String>) -> Result<(), Refused> {
    if let Some(kek) = set(variables, KEK) {
        // What is wrong names the setting already.
        Kek::parse(kek).map_err(|error| Refused(error.to_string()))?;
    }
    for kek in listed(variables, KEK_PREVIOUS) {
        Kek::parse(kek).map_err(|error| Refused(format!("{KEK_PREVIOUS}: {error}")))?;
    }
    if let Some(token) = set(variables, TOKEN) {
        check_token(token, TOKEN)?;
    }
    Ok(())
}

/// Completes the settings with the folder's own secrets, which are made where they are missing.
pub(crate) fn complete(
    variables: &mut HashMap<String, String>,
    folder: &Folder,
) -> anyhow::Result<AdminToken> {
    if set(variables, KEK).is_none() {
        let file = kek_file(folder)?;
        let previous: Vec<Zeroizing<String>> = file.previous.iter().map(Kek::to_base64).collect();
        let mut all: Vec<&str> = previous.iter().map(|kek| kek.as_str()).collect();
        all.extend(listed(variables, KEK_PREVIOUS));
        let all = all.join(",");
        variables.insert(KEK.to_owned(), file.first.to_base64().to_string());
        variables.insert(KEK_PREVIOUS.to_owned(), all);
    }
    if let Some(token) = set(variables, TOKEN) {
        return Ok(AdminToken {
            secret: Secret::from(token.to_owned()),
            origin: Origin::Environment,
        });
    }
    let (token, origin) = token(folder)?;
    variables.insert(TOKEN.to_owned(), token.to_string());
    Ok(AdminToken {
        secret: Secret::from(token.to_string()),
        origin,
    })
}

fn kek_file(folder: &Folder) -> anyhow::Result<KekFile> {
    if let Some(text) = folder.read(KEK_FILE)? {
        let text = Zeroizing::new(text);
        return Ok(KekFile::parse(&text, &place(folder, KEK_FILE))?);
    }
    let database = folder.path().join(DATABASE_FILE);
    if std::fs::metadata(&database).is_ok_and(|file| file.len() > 0) {
        // A new one would open nothing of what is there.
        return Err(Refused(format!(
            "the key-encryption key is missing: {} has data, but there is neither {} nor the setting {KEK}",
            database.display(),
            place(folder, KEK_FILE),
        ))
        .into());
    }
    let file = KekFile::made();
    folder.write(KEK_FILE, file.text().as_bytes())?;
    Ok(file)
}

fn token(folder: &Folder) -> anyhow::Result<(Zeroizing<String>, Origin)> {
    if let Some(text) = folder.read(TOKEN_FILE)? {
        let text = Zeroizing::new(text);
        check_token(&text, &place(folder, TOKEN_FILE))?;
        return Ok((Zeroizing::new(text.trim().to_owned()), Origin::File));
    }
    let mut bytes = Zeroizing::new([0; 32]);
    random(bytes.as_mut_slice());
    let mut token = Zeroizing::new(String::with_capacity(64));
    token.push_str(TOKEN_PREFIX);
    BASE32_NOPAD.encode_append(bytes.as_slice(), &mut token);
    token.make_ascii_lowercase();
    folder.write(TOKEN_FILE, token.as_bytes())?;
    Ok((token, Origin::Made))
}

/// Fills `buffer` with what nobody can guess.
pub(crate) fn random(buffer: &mut [u8]) {
    if let Err(error) = getrandom::fill(buffer) {
        // Keys made of anything else would be worse than no gateway.
        eprintln!("lockgate: the system gives no random numbers: {error}");
        std::process::abort();
    }
}

fn place(folder: &Folder, file: &str) -> String {
    folder.path().join(file).display().to_string()
}

fn set<'a>(variables: &'a HashMap<String, String>, name: &str) -> Option<&'a str> {
    let value = variables.get(name)?.as_str();
    (!value.is_empty()).then_some(value)
}

/// The parts of a setting that is separated by commas.
fn listed<'a>(variables: &'a HashMap<String, String>, name: &str) -> impl Iterator<Item = &'a str> {
    let parts = set(variables, name).unwrap_or_default().split(',');
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn check_token(text: &str, place: &str) -> Result<(), Refused> {
    let characters = text.trim().chars().count();
    if characters >= MIN_ADMIN_TOKEN {
        return Ok(());
    }
    Err(Refused(format!(
        "{place}: an admin token has at least {MIN_ADMIN_TOKEN} characters, this one has {characters}"
    )))
}

//! The file `kek` of the data folder: a local KEK on each line, the one in force first, those after it still read
//! (FEATURES G4). `lockgate vault new-kek` puts one in front, `lockgate vault drop-keks` takes out those that nothing is under.

use std::io;
use std::path::Path;

use anyhow::Context;
use lockgate_host_native::{Folder, FolderError, replace_file};
use lockgate_vault::Kek;
use zeroize::Zeroizing;

use crate::output::say;
use crate::own_secrets::{KEK, KEK_PREVIOUS, random};
use crate::refusal::Refused;
use crate::standing::Standing;

/// The file's name in the data folder.
pub(crate) const KEK_FILE: &str = "kek";
/// Characters of a line: 32 bytes in base64, and the line's end.
const LINE: usize = 45;

/// The KEKs of the file.
pub(crate) struct KekFile {
    /// The one in force.
    pub(crate) first: Kek,
    /// Those that are still read.
    pub(crate) previous: Vec<Kek>,
}

impl KekFile {
    /// A file with one KEK, made now.
    pub(crate) fn made() -> Self {
        Self {
            first: Kek::generate(&mut |buffer| random(buffer)),
            previous: Vec::new(),
        }
    }

    /// Reads the text of the file that is at `place`. Lines without anything on them do not count, nor does a KEK that stands
    /// there already.
    pub(crate) fn parse(text: &str, place: &str) -> Result<Self, Refused> {
        let mut keks: Vec<Kek> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            // What is wrong says no part of the line.
            let kek = Kek::parse(line)
                .map_err(|error| Refused(format!("{place}, line {}: {error}", index + 1)))?;
            if keks.iter().all(|known| known.id() != kek.id()) {
                keks.push(kek);
            }
        }
        let mut keks = keks.into_iter();
        let Some(first) = keks.next() else {
            return Err(Refused(format!(
                "{place} is empty: it has a KEK on each line"
            )));
        };
        Ok(Self {
            first,
            previous: keks.collect(),
        })
    }

    /// What is written into the file.
    pub(crate) fn text(&self) -> Zeroizing<String> {
        // So long from the start, that no part of it is left behind where it had to grow.
        let mut text = Zeroizing::new(String::with_capacity(LINE * (1 + self.previous.len())));
        for kek in std::iter::once(&self.first).chain(&self.previous) {
            text.push_str(&kek.to_base64());
            text.push('\n');
        }
        text
    }

    /// Reads the file, which has to be there and to count.
    fn find(folder: &Path) -> anyhow::Result<(Zeroizing<String>, Self)> {
        let path = folder.join(KEK_FILE);
        let place = path.display();
        if std::env::var_os(KEK).is_some_and(|value| !value.is_empty()) {
            return Err(Refused(format!(
                "{KEK} is set, so {place} counts for nothing. To rotate, put a new KEK (`openssl rand -base64 32`) into {KEK} and the one \
                 that is there now into {KEK_PREVIOUS}, start the gateway, and run `lockgate vault rewrap`; then {KEK_PREVIOUS} can go"
            ))
            .into());
        }
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Refused(format!(
                    "there is no {place}: a gateway makes it on its first start; point --data-dir at its folder"
                ))
                .into());
            }
            Err(error) => return Err(error).context(format!("cannot read {place}")),
        };
        let file = Self::parse(&text, &place.to_string())?;
        Ok((text, file))
    }
}

/// `lockgate vault new-kek`.
pub(crate) fn add(folder: &Path) -> anyhow::Result<()> {
    KekFile::find(folder)?;
    let folder = Folder::take(folder).context("the KEK cannot be replaced now")?;
    // Once more, since now nobody else changes it.
    let (_, file) = KekFile::find(folder.path())?;
    let mut previous = vec![file.first];
    previous.extend(file.previous);
    let file = KekFile {
        previous,
        ..KekFile::made()
    };
    folder.write(KEK_FILE, file.text().as_bytes())?;
    let old = file.previous.first().map(Kek::id).unwrap_or_default();
    say(&format!(
        "{} is in force with the next start, and {old} is still read",
        file.first.id()
    ));
    say("next: start the gateway, run `lockgate vault rewrap`, then `lockgate vault drop-keks`");
    Ok(())
}

/// `lockgate vault drop-keks`: takes out what a gateway that serves from this folder has nothing under.
pub(crate) fn retire(folder: &Path, standing: &Standing) -> anyhow::Result<()> {
    let (text, file) = KekFile::find(folder)?;
    if file.previous.is_empty() {
        say(&format!("{} is the only KEK there is", file.first.id()));
        return Ok(());
    }
    ours(folder, &file, standing)?;
    let mut kept = Vec::new();
    let mut dropped = Vec::new();
    for kek in file.previous {
        match standing.needs(&kek.id()) {
            Some(what) => {
                say(&format!("{} stays: {what}", kek.id()));
                kept.push(kek);
            }
            None => dropped.push(kek.id()),
        }
    }
    let left = kept.len();
    if !dropped.is_empty() {
        let file = KekFile {
            first: file.first,
            previous: kept,
        };
        replace(folder, &text, &file.text())
            .with_context(|| format!("cannot write {}", folder.join(KEK_FILE).display()))?;
        say(&format!("dropped {}", dropped.join(", ")));
    }
    if left > 0 {
        anyhow::bail!(
            "{left} of the KEKs are still needed: run `lockgate vault rewrap`, then this again"
        );
    }
    Ok(())
}

/// That the gateway which was asked is the one that serves from this folder, and knows every line of the file.
fn ours(folder: &Path, file: &KekFile, standing: &Standing) -> anyhow::Result<()> {
    match Folder::take(folder) {
        Err(FolderError::InUse(_)) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => {
            return Err(Refused(format!(
                "no gateway serves from {}: it is asked what is under each KEK, so start it, and see that --url and --data-dir are \
                 of the same gateway",
                folder.display()
            ))
            .into());
        }
    }
    let wrong = |kek: &Kek| {
        Refused(format!(
            "the gateway does not know {} as the file has it: start it anew, and see that --url and --data-dir are of the same gateway",
            kek.id()
        ))
    };
    if standing.local() != Some(file.first.id().as_str()) {
        return Err(wrong(&file.first).into());
    }
    match file.previous.iter().find(|kek| !standing.lists(&kek.id())) {
        Some(kek) => Err(wrong(kek).into()),
        None => Ok(()),
    }
}

/// Writes the file beside a gateway that holds the folder, if it still is what was read.
fn replace(folder: &Path, read: &str, text: &str) -> io::Result<()> {
    replace_file(folder, KEK_FILE, text.as_bytes(), || {
        let now = Zeroizing::new(std::fs::read_to_string(folder.join(KEK_FILE))?);
        if *now == *read {
            return Ok(());
        }
        Err(io::Error::other("somebody else has just changed it"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::KekFile;

    const ONE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const TWO: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

    #[test]
    fn each_line_is_a_kek_and_the_first_is_in_force() {
        let file = KekFile::parse(&format!("\n{ONE}\r\n\n  {TWO} \n{ONE}\n"), "kek").unwrap();
        assert_eq!(file.first.to_base64().as_str(), ONE);
        assert_eq!(file.previous.len(), 1);
        let again = KekFile::parse(&file.text(), "kek").unwrap();
        let ids = |file: &KekFile| {
            let all = std::iter::once(&file.first).chain(&file.previous);
            all.map(lockgate_vault::Kek::id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&again), ids(&file));
        // As the first versions wrote it.
        assert!(KekFile::parse(ONE, "kek").unwrap().previous.is_empty());
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number_alone() {
        let said = |text: &str| KekFile::parse(text, "D/kek").err().unwrap().0;
        let wrong = said(&format!("{ONE}\n\nnonsense\n{TWO}"));
        assert!(wrong.starts_with("D/kek, line 3: "), "{wrong}");
        assert!(!wrong.contains("nonsense") && !wrong.contains(ONE));
        for empty in ["", " \n\n"] {
            assert!(said(empty).starts_with("D/kek is empty"));
        }
    }
}

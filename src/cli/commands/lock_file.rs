//! `clipmill.lock`, beside the definitions it is about.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::base::files::{read_text_capped, write_atomic};
use crate::base::{Error, Kind, Result};
use crate::definition::lock::{self, LockFile, Locked};

/// Its name.
pub(super) const NAME: &str = "clipmill.lock";
/// A line a file: room for a hundred thousand shards.
const CAP_BYTES: u64 = 64 << 20;

/// The lock of a definition.
pub(super) fn path(definition: &Path) -> PathBuf {
    definition.with_file_name(NAME)
}

/// The name of a definition in its lock.
pub(super) fn key(definition: &Path) -> String {
    definition.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The lock beside a definition; none where there is no file.
pub(super) fn read(definition: &Path) -> Result<Option<LockFile>> {
    let path = path(definition);
    if !path.is_file() {
        return Ok(None);
    }
    let text = read_text_capped(&path, CAP_BYTES)?;
    lock::read(&path.display().to_string(), &text).map(Some)
}

/// The lock beside a definition, to be written again; with it, why the one that is there cannot be
/// read and is written anew. It says nothing of definitions that are not there any more: those are
/// given last.
///
/// # Errors
/// As [`read()`], for a lock that is not to be written over.
pub(super) fn read_to_write(definition: &Path) -> Result<(LockFile, Option<String>, Vec<String>)> {
    let path = path(definition);
    let mut file = match read(definition) {
        Ok(file) => file.unwrap_or_default(),
        Err(error) => {
            let text = read_text_capped(&path, CAP_BYTES)?;
            if !lock::is_spoilt(&text) {
                return Err(error);
            }
            return Ok((LockFile::default(), Some(error.what().to_owned()), Vec::new()));
        }
    };
    let is_gone = |name: &String| !path.with_file_name(name).exists();
    let gone: Vec<String> = file.definitions.keys().filter(|name| is_gone(name)).cloned().collect();
    for name in &gone {
        file.definitions.remove(name);
    }
    Ok((file, None, gone))
}

/// What the lock says of a definition, which it must know.
///
/// # Errors
/// [`Kind::MissingInput`] where there is no lock, or it does not know the definition.
pub(super) fn of(definition: &Path) -> Result<Locked> {
    let path = path(definition);
    let help = format!("`clipmill lock {}` writes it; commit it", definition.display());
    let Some(mut file) = read(definition)? else {
        return Err(Error::new(Kind::MissingInput, "is not there").at(path.display()).help(help));
    };
    let name = key(definition);
    file.definitions.remove(&name).ok_or_else(|| {
        Error::new(Kind::MissingInput, format!("does not know {name}"))
            .at(path.display())
            .help(help)
    })
}

/// Writes the lock beside a definition; false where it says the same already.
pub(super) fn write(definition: &Path, file: &LockFile) -> Result<bool> {
    let path = path(definition);
    let text = lock::write(file);
    if path.is_file() && read_text_capped(&path, CAP_BYTES)? == text {
        return Ok(false);
    }
    write_atomic(&path, |to| {
        to.write_all(text.as_bytes())
            .map_err(|cause| Error::io("cannot write", path.display(), cause))
    })?;
    Ok(true)
}

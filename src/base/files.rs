//! Files: read under a cap, written durably (temporary file, fsync, rename, fsync of the folder).

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use super::error::{Error, Result};

/// Reads a whole file of at most `cap_bytes`.
///
/// # Errors
/// When it cannot be read or is larger.
pub fn read_capped(path: &Path, cap_bytes: u64) -> Result<Vec<u8>> {
    let place = path.display().to_string();
    let file = File::open(path).map_err(|cause| Error::io("cannot open", &place, cause))?;
    super::capped::read_all(file, cap_bytes, &place)
}

/// Reads a whole UTF-8 file of at most `cap_bytes`.
///
/// # Errors
/// When it cannot be read, is larger, or is no UTF-8.
pub fn read_text_capped(path: &Path, cap_bytes: u64) -> Result<String> {
    let bytes = read_capped(path, cap_bytes)?;
    String::from_utf8(bytes).map_err(|cause| {
        Error::new(super::Kind::BadInput, "is not UTF-8").at(path.display()).caused_by(cause)
    })
}

/// Writes a file so that a reader sees the old content or the new one, never a part, also
/// after a crash.
///
/// # Errors
/// When writing, syncing or renaming fails; the old file is then untouched.
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>,
) -> Result<()> {
    let place = path.display().to_string();
    let io = |what: &'static str| {
        let place = place.clone();
        move |cause: std::io::Error| Error::io(what, place, cause)
    };
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder).map_err(io("cannot make the folder of"))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".clipmill-").suffix(".tmp");
    // As any file a program makes: the umask decides who else may read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let temporary =
        builder.tempfile_in(folder).map_err(io("cannot make a temporary file beside"))?;
    let mut writer = BufWriter::new(temporary.as_file());
    write(&mut writer)?;
    writer.flush().map_err(io("cannot write"))?;
    drop(writer);
    temporary.as_file().sync_all().map_err(io("cannot sync"))?;
    temporary.persist(path).map_err(|cause| Error::io("cannot rename to", &place, cause.error))?;
    sync_folder(folder)
}

/// Makes a rename in `folder` durable.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|cause| Error::io("cannot sync the folder", folder.display(), cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/a.txt");
        write_atomic(&path, |w| {
            w.write_all(b"old").unwrap();
            Ok(())
        })
        .unwrap();
        let failed = write_atomic(&path, |w| {
            w.write_all(b"new").unwrap();
            Err(Error::new(super::super::Kind::Internal, "no"))
        });
        assert!(failed.is_err());
        assert_eq!(read_text_capped(&path, 10).unwrap(), "old");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(read_capped(&path, 2).is_err());
    }
}

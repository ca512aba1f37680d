//! Files: read under a cap, written durably (temporary file, fsync, rename, fsync of the folder).

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::cancel::Cancel;
use super::capped::Capped;
use super::error::{Error, Result};

/// Bytes that are read at a time: enough for all cores to hash, and little beside a model.
const PIECE_BYTES: usize = 1 << 20;

/// Symbolic links that are followed one after another, as many as Linux follows.
const MOST_LINKS: usize = 40;

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

/// Gives all bytes of `reader` in order, whole pieces but for the last. A read that a signal
/// interrupts is tried again.
///
/// # Errors
/// When reading fails, or `cancel` is set: ask it which of the two it was.
pub fn in_pieces(
    mut reader: impl Read,
    cancel: &Cancel,
    mut each: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0_u8; PIECE_BYTES];
    loop {
        let mut held = 0;
        while let Some(room) = buffer.get_mut(held..).filter(|room| !room.is_empty()) {
            match reader.read(room) {
                Ok(0) => break,
                Ok(read) => held += read,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
        let Some(piece) = buffer.get(..held).filter(|piece| !piece.is_empty()) else {
            return Ok(());
        };
        if cancel.is_cancelled() {
            return Err(io::Error::other("stopped on request"));
        }
        each(piece);
    }
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
    let folder = above(path);
    make_folder(folder)?;
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

/// Writes what a user names, as [`write_atomic`] does a file. A symbolic link stays, and what it
/// leads to is written; a pipe or a device stays too, and is written into.
///
/// # Errors
/// As [`write_atomic`]; a pipe or a device may have taken a part by then.
pub fn write_named(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>,
) -> Result<()> {
    let replaceable = fs::metadata(path).map_or(true, |there| there.is_file());
    match led_to(path).filter(|_| replaceable) {
        Some(file) => write_atomic(&file, write),
        None => {
            let io = |what| move |cause| Error::io(what, path.display(), cause);
            // What else is in a file that standard output goes to is not ours.
            let file = File::options().append(true).open(path).map_err(io("cannot open"))?;
            let mut writer = BufWriter::new(&file);
            write(&mut writer)?;
            writer.flush().map_err(io("cannot write"))
        }
    }
}

/// The name at the end of symbolic links; there need be nothing yet. None where one is of the
/// system's, such as `/dev/stdout`: what that says need not be a name, and renaming to it would
/// take the file from those who have it open.
fn led_to(path: &Path) -> Option<PathBuf> {
    let mut name = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(next) = fs::read_link(&name) else { return Some(name) };
        if fs::canonicalize(above(&name)).is_ok_and(|folder| folder.starts_with("/proc")) {
            return None;
        }
        name = above(&name).join(next);
    }
    None
}

/// Copies a file of at most `cap_bytes`, as [`write_atomic`] writes one.
///
/// # Errors
/// When it cannot be read or is larger, and as [`write_atomic`].
pub fn copy_capped(from: &Path, to: &Path, cap_bytes: u64) -> Result<()> {
    let file = File::open(from).map_err(|c| Error::io("cannot open", from.display(), c))?;
    let mut capped = Capped::new(file, cap_bytes);
    write_atomic(to, |out| {
        let what = format!("cannot take a copy of {}", from.display());
        std::io::copy(&mut capped, out)
            .map(drop)
            .map_err(|cause| Error::io(what, to.display(), cause))
    })
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

/// Makes a folder and those above it, where they are missing, so that they survive a crash.
///
/// # Errors
/// When one cannot be made, as where a file has its name, or the one above it cannot be synced.
pub fn make_folder(folder: &Path) -> Result<()> {
    for new in missing_folders(folder) {
        match fs::create_dir(new) {
            // another process may make the same one at this very moment
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists && new.is_dir() => {}
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
                return Err(Error::io("cannot make the folder", new.display(), cause)
                    .help("a file has this name: move it away, or name another folder"));
            }
            made => {
                made.map_err(|cause| Error::io("cannot make the folder", new.display(), cause))?;
            }
        }
        sync_folder(above(new))?;
    }
    Ok(())
}

/// Of a folder and those above it, the ones that are not there, highest first.
#[must_use]
pub fn missing_folders(folder: &Path) -> Vec<&Path> {
    let missing = |one: &&Path| !one.as_os_str().is_empty() && !one.is_dir();
    let mut missing: Vec<&Path> = folder.ancestors().take_while(missing).collect();
    missing.reverse();
    missing
}

/// The folder that a name lies in.
#[must_use]
pub fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, and is interrupted before each.
    struct Stuttering<'a>(&'a [u8], bool);

    impl Read for Stuttering<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let room = buf.len().min(1 << 20);
            self.0.read(&mut buf[..room])
        }
    }

    #[test]
    fn pieces_are_all_bytes_however_they_come() {
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES + 7] {
            let bytes: Vec<u8> = (0_u8..=250).cycle().take(length).collect();
            let mut given = Vec::new();
            let each = |piece: &[u8]| given.extend_from_slice(piece);
            in_pieces(Stuttering(&bytes, false), &Cancel::new(), each).unwrap();
            assert!(given == bytes, "{length}");
        }
        let cancel = Cancel::new();
        cancel.cancel();
        assert!(in_pieces(&b"abc"[..], &cancel, |_| {}).is_err());
    }

    #[test]
    fn a_copy_has_the_same_bytes_or_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        write_atomic(&from, |w| w.write_all(&bytes).map_err(|c| Error::io("no", "a", c))).unwrap();
        let error = copy_capped(&from, &to, 99_999).unwrap_err();
        assert!(error.to_string().contains("more than the cap"), "{error}");
        assert!(!to.exists());
        copy_capped(&from, &to, 100_000).unwrap();
        assert_eq!(read_capped(&to, 100_000).unwrap(), bytes);
    }

    #[test]
    fn a_folder_is_made_with_those_above_it_and_never_in_place_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let (a, deep) = (dir.path().join("a"), dir.path().join("a/b/c"));
        assert_eq!(missing_folders(&deep), [&a, &dir.path().join("a/b"), &deep]);
        make_folder(&deep).unwrap();
        assert!(deep.is_dir());
        assert!(missing_folders(&deep).is_empty());
        make_folder(&deep).unwrap();
        make_folder(&dir.path().join("new/../a")).unwrap();
        make_folder(Path::new("")).unwrap();
        assert_eq!((above(Path::new("x")), above(&a)), (Path::new("."), dir.path()));

        let file = a.join("file");
        write_atomic(&file, |_| Ok(())).unwrap();
        let below = file.join("deeper");
        for refused in [make_folder(&file), make_folder(&below), write_atomic(&below, |_| Ok(()))] {
            let error = refused.unwrap_err();
            assert_eq!(error.kind(), super::super::Kind::Io, "{error}");
            assert_eq!(error.place(), Some(file.display().to_string().as_str()), "{error}");
            assert!(error.help_text().unwrap().contains("a file has this name"), "{error:?}");
        }
        assert!(file.is_file());
    }

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

    #[cfg(unix)]
    #[test]
    fn a_link_that_a_user_names_stays_and_what_it_leads_to_is_written() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let put = |name: &str, text: &str| {
            write_named(&path(name), |w| {
                w.write_all(text.as_bytes()).unwrap();
                Ok(())
            })
        };
        let text = |name: &str| read_text_capped(&path(name), 100).unwrap();
        fs::create_dir(path("deep")).unwrap();
        symlink("deep/two", path("one")).unwrap();
        symlink("../file", path("deep/two")).unwrap();
        for said in ["a new file", "another"] {
            put("one", said).unwrap();
            assert_eq!((text("one"), text("file")), (said.to_owned(), said.to_owned()));
            assert!(path("one").is_symlink() && path("deep/two").is_symlink());
            assert!(path("file").symlink_metadata().unwrap().is_file());
        }
        put("plain", "as ever").unwrap();
        assert_eq!(text("plain"), "as ever");

        symlink("round", path("round")).unwrap();
        for wrong in ["round", "deep"] {
            assert_eq!(put(wrong, "no").unwrap_err().kind(), super::super::Kind::Io, "{wrong}");
        }
        assert!(path("round").is_symlink() && path("deep").is_dir());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_that_a_user_names_stays_and_is_written_into() {
        use std::os::fd::AsRawFd;
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || read_text_capped(&pipe, 100).unwrap())
        };
        let say = |path: &Path| {
            write_named(path, |w| {
                w.write_all(b"said").unwrap();
                Ok(())
            })
        };
        say(&pipe).unwrap();
        assert_eq!(reader.join().unwrap(), "said");
        assert!(!pipe.symlink_metadata().unwrap().is_file());

        // As `/dev/stdout` is: the system's link to a file that others have open.
        let log = dir.path().join("log");
        let mut open = File::options().create_new(true).append(true).open(&log).unwrap();
        open.write_all(b"before, ").unwrap();
        say(Path::new(&format!("/proc/self/fd/{}", open.as_raw_fd()))).unwrap();
        open.write_all(b", after").unwrap();
        assert_eq!(read_text_capped(&log, 100).unwrap(), "before, said, after");
    }
}

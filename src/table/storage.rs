//! The file operations that make a store durable, behind a small seam.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A file being written.
pub trait StoredFile: Write + Send {
    /// Returns once what was written would survive a crash.
    ///
    /// # Errors
    /// As the operating system says.
    fn sync(&mut self) -> io::Result<()>;
}

/// Every change a store makes to its folder goes through here, in this order: create, write,
/// sync, rename or link, sync of the folder. All calls block. Reading does not pass this seam.
pub trait Storage: Debug + Send + Sync {
    /// Makes a folder and those above it.
    ///
    /// # Errors
    /// As the operating system says.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// A new, empty file.
    ///
    /// # Errors
    /// `AlreadyExists` when there is one; else as the operating system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>>;
    /// Gives a file another name, in place of what has that name; atomic.
    ///
    /// # Errors
    /// As the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, which must be free; atomic.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken; else as the operating system says.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound` when there is none; else as the operating system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Returns once the names in a folder would survive a crash.
    ///
    /// # Errors
    /// As the operating system says.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// The names of the files in a folder, sorted; none where there is no folder.
    ///
    /// # Errors
    /// As the operating system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

struct DiskFile(File);

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl StoredFile for DiskFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

impl Storage for Disk {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn StoredFile>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Box::new(DiskFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(folder) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = Vec::new();
        for entry in entries {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

/// How a durable file gets its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    /// The name must be free.
    New,
    /// What had the name is replaced.
    Replace,
}

/// Writes a whole file so that it is there completely or not at all, also after a crash.
pub(super) fn write_durable(
    storage: &dyn Storage,
    path: &Path,
    bytes: &[u8],
    naming: Naming,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let temporary = temporary_beside(path);
    let written = (|| {
        let mut file = storage.create(&temporary)?;
        file.write_all(bytes)?;
        file.sync()?;
        drop(file);
        match naming {
            Naming::Replace => storage.rename(&temporary, path),
            Naming::New => {
                storage.link(&temporary, path)?;
                // the name is given: a left-over temporary name harms nobody
                let _ = storage.remove(&temporary);
                Ok(())
            }
        }
    })();
    if written.is_err() {
        let _ = storage.remove(&temporary);
    }
    written?;
    storage.sync_folder(folder)
}

/// A hidden name beside `path` that no other writer uses: readers and vacuum skip it.
pub(super) fn temporary_beside(path: &Path) -> std::path::PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    path.with_file_name(format!(".{name}.{process}-{counter}.tmp"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::files::read_capped;

    #[test]
    fn a_new_name_is_never_taken_from_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("00.json");
        write_durable(&Disk, &path, b"first", Naming::New).unwrap();
        let taken = write_durable(&Disk, &path, b"second", Naming::New).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read_capped(&path, 100).unwrap(), b"first");
        write_durable(&Disk, &path, b"third", Naming::Replace).unwrap();
        assert_eq!(read_capped(&path, 100).unwrap(), b"third");
        assert_eq!(Disk.list(dir.path()).unwrap(), ["00.json"]);
        assert!(Disk.list(&dir.path().join("none")).unwrap().is_empty());
    }
}

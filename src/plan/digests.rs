//! Digests of big files, kept by size, times and inode, so that weights are read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder;
pub use super::folder::KnownFiles;
use crate::base::{Cancel, Digest, Error, FileStamp, Kind, Result, files};

const FORMAT: u32 = 2;
const CAP_BYTES: u64 = 64 << 20;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    stamp: FileStamp,
    blake3: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// A folder has one entry, however many files it holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct FolderEntry {
    /// Digest of the names and stamps of all files below it.
    stamps: Digest,
    content: FolderDigest,
}

/// What a folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderDigest {
    /// Digest of the names and contents of all files below it, links not followed. When the files
    /// changed does not matter.
    pub blake3: Digest,
    /// Their bytes in all.
    pub size_bytes: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Stored {
    format: u32,
    files: BTreeMap<String, Entry>,
    #[serde(default)]
    folders: BTreeMap<String, FolderEntry>,
}

/// The kept digests of a store.
#[derive(Debug, Clone)]
pub struct FileDigests {
    path: PathBuf,
    stored: Stored,
    changed: bool,
}

impl FileDigests {
    /// Opens what is kept under `folder`; a damaged or older file is no error: digests are
    /// computed again.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        let path = folder.join("digests.json");
        let stored = files::read_capped(&path, CAP_BYTES)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Stored>(&bytes).ok())
            .filter(|stored| stored.format == FORMAT)
            .unwrap_or_else(|| Stored { format: FORMAT, ..Stored::default() });
        Self { path, stored, changed: false }
    }

    /// The blake3 digest of a file.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be read.
    pub fn blake3(&mut self, path: &Path) -> Result<Digest> {
        let stamp = FileStamp::at(path)?;
        let name = name_of(path);
        if let Some(entry) = self.stored.files.get(&name).filter(|e| e.stamp == stamp) {
            return Ok(entry.blake3);
        }
        let blake3 = Digest::of_file(path, &Cancel::new())?;
        self.stored.files.insert(name, Entry { stamp, blake3, sha256: None });
        self.changed = true;
        Ok(blake3)
    }

    /// The SHA-256 of a file, as publishers print it: 64 lower-case digits.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be read.
    pub fn sha256(&mut self, path: &Path) -> Result<String> {
        self.blake3(path)?;
        let name = name_of(path);
        if let Some(known) = self.stored.files.get(&name).and_then(|e| e.sha256.clone()) {
            return Ok(known);
        }
        let digest = sha256(path)?;
        if let Some(entry) = self.stored.files.get_mut(&name) {
            entry.sha256 = Some(digest.clone());
            self.changed = true;
        }
        Ok(digest)
    }

    /// The digest of a folder. Its files are read where one of them is not as it was, but for those
    /// whose digest `known` tells.
    ///
    /// # Errors
    /// [`Kind::Io`] when a folder or file cannot be read, [`Kind::BadInput`] when there are too
    /// many, [`Kind::Interrupted`].
    pub fn folder(
        &mut self,
        root: &Path,
        known: &dyn Fn() -> KnownFiles,
        cancel: &Cancel,
    ) -> Result<FolderDigest> {
        let files = folder::files(root, cancel)?;
        let stamps = folder::stamps(root, &files);
        let name = name_of(root);
        if let Some(entry) = self.stored.folders.get(&name).filter(|e| e.stamps == stamps) {
            return Ok(entry.content);
        }
        let (blake3, size_bytes) = folder::content(root, &files, &known(), cancel)?;
        let content = FolderDigest { blake3, size_bytes };
        self.stored.folders.insert(name, FolderEntry { stamps, content });
        self.changed = true;
        Ok(content)
    }

    /// Reads every file again that would be taken for the one of before, and gives how many were
    /// read and those, or folders of those, whose bytes are others than the kept digest says. Files
    /// that are gone or look changed are left out: a run reads them anyway.
    ///
    /// # Errors
    /// [`Kind::Io`] when a file cannot be read, [`Kind::Interrupted`].
    pub fn verify(&self, cancel: &Cancel) -> Result<(u64, Vec<PathBuf>)> {
        let (mut read, mut wrong) = (0, Vec::new());
        for (name, entry) in &self.stored.files {
            cancel.check()?;
            let path = Path::new(name);
            if FileStamp::at(path).ok() != Some(entry.stamp) {
                continue;
            }
            read += 1;
            if Digest::of_file(path, cancel)? != entry.blake3 {
                wrong.push(path.to_owned());
            }
        }
        for (name, entry) in &self.stored.folders {
            let path = Path::new(name);
            // one that is gone, or closed by now, is no longer taken for what it was
            let files = folder::files(path, cancel);
            cancel.check()?;
            let Ok(files) = files else { continue };
            if folder::stamps(path, &files) != entry.stamps {
                continue;
            }
            read += files.len() as u64;
            if folder::content(path, &files, &KnownFiles::new(), cancel)?.0 != entry.content.blake3
            {
                wrong.push(path.to_owned());
            }
        }
        Ok((read, wrong))
    }

    /// Writes what was learned.
    ///
    /// # Errors
    /// [`Kind::Io`] when it cannot be written.
    pub fn save(&mut self) -> Result<()> {
        if !self.changed {
            return Ok(());
        }
        files::write_atomic(&self.path, |w| {
            serde_json::to_writer(w, &self.stored).map_err(|cause| {
                Error::new(Kind::Io, "cannot write the kept digests").caused_by(cause)
            })
        })?;
        self.changed = false;
        Ok(())
    }
}

/// One name a file, however its path was spelt.
fn name_of(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    whole.to_string_lossy().into_owned()
}

fn sha256(path: &Path) -> Result<String> {
    use sha2::Digest as _;
    let io = |cause| Error::io("cannot read", path.display(), cause);
    let mut hasher = sha2::Sha256::new();
    let file = std::fs::File::open(path).map_err(io)?;
    files::in_pieces(file, &Cancel::new(), |piece| hasher.update(piece)).map_err(io)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn put(file: &Path, text: &str) {
        files::write_atomic(file, |w| {
            w.write_all(text.as_bytes()).unwrap();
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn digests_are_kept_and_follow_changes() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("w.bin");
        let put = |text: &str| put(&file, text);
        put("abc");
        let mut digests = FileDigests::open(dir.path());
        assert_eq!(digests.blake3(&file).unwrap(), Digest::of(b"abc"));
        assert_eq!(
            digests.sha256(&file).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        digests.save().unwrap();
        let mut again = FileDigests::open(dir.path());
        assert_eq!(again.blake3(&file).unwrap(), Digest::of(b"abc"));
        assert!(!again.changed);
        assert_eq!(again.verify(&Cancel::new()).unwrap(), (1, Vec::new()));
        let forged = FileStamp::at(&file).unwrap();
        for entry in again.stored.files.values_mut() {
            entry.blake3 = Digest::of(b"xyz");
            assert_eq!(entry.stamp, forged);
        }
        assert_eq!(again.verify(&Cancel::new()).unwrap().1.len(), 1);
        put("abd");
        assert_eq!(again.verify(&Cancel::new()).unwrap(), (0, Vec::new()));
        assert_eq!(again.blake3(&file).unwrap(), Digest::of(b"abd"));
    }

    #[test]
    fn an_edit_in_place_with_the_old_size_and_time_is_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("w.bin");
        let edit = |text: &str, time: Option<std::time::SystemTime>| {
            let mut open =
                std::fs::File::options().create(true).write(true).truncate(false).open(&file);
            let open = open.as_mut().unwrap();
            open.write_all(text.as_bytes()).unwrap();
            if let Some(time) = time {
                let times = std::fs::FileTimes::new().set_modified(time);
                open.set_times(times).unwrap();
            }
            std::fs::metadata(&file).unwrap()
        };
        let before = edit("abc", None);
        let mut digests = FileDigests::open(dir.path());
        assert_eq!(digests.blake3(&file).unwrap(), Digest::of(b"abc"));
        // the clock of a file system may tick more slowly than this runs
        let after = loop {
            let after = edit("abd", before.modified().ok());
            if FileStamp::of(&after) != FileStamp::of(&before) {
                break after;
            }
        };
        let shown = |meta: &std::fs::Metadata| (meta.len(), meta.modified().unwrap());
        assert_eq!(shown(&after), shown(&before));
        assert_eq!(digests.blake3(&file).unwrap(), Digest::of(b"abd"));
    }

    #[test]
    fn digests_of_an_older_format_are_taken_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("w.bin");
        files::write_atomic(&file, |_| Ok(())).unwrap();
        let old = serde_json::json!({"format": 1, "files": {name_of(&file): {
            "stat": {"size_bytes": 0, "modified_ns": 0, "inode": 0},
            "blake3": Digest::of(b"xyz"),
        }}});
        files::write_atomic(&dir.path().join("digests.json"), |w| {
            w.write_all(old.to_string().as_bytes()).unwrap();
            Ok(())
        })
        .unwrap();
        assert_eq!(FileDigests::open(dir.path()).blake3(&file).unwrap(), Digest::of(b""));
    }

    #[test]
    fn a_folder_is_read_once_and_again_once_a_file_changed() {
        let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let put = |name: &str, text: &str| put(&dir.path().join(name), text);
        put("a.jpg", "one");
        put("sub/b.jpg", "four");
        let nothing = KnownFiles::new;
        let cancel = Cancel::new();
        let mut digests = FileDigests::open(state.path());
        let first = digests.folder(dir.path(), &nothing, &cancel).unwrap();
        assert_eq!(first.size_bytes, 7);
        digests.save().unwrap();
        let mut again = FileDigests::open(state.path());
        assert_eq!(again.folder(dir.path(), &nothing, &cancel).unwrap(), first);
        assert!(!again.changed);
        assert_eq!(again.verify(&cancel).unwrap(), (2, Vec::new()));
        // what is kept is believed, so nothing was read; and `verify` reads it
        let forged = FolderDigest { blake3: Digest::of(b"forged"), size_bytes: 1 };
        again.stored.folders.values_mut().for_each(|entry| entry.content = forged);
        assert_eq!(again.folder(dir.path(), &nothing, &cancel).unwrap(), forged);
        assert_eq!(again.verify(&cancel).unwrap().1.len(), 1);
        put("sub/b.jpg", "five");
        assert_eq!(again.verify(&cancel).unwrap(), (0, Vec::new()));
        let changed = again.folder(dir.path(), &nothing, &cancel).unwrap();
        assert_ne!(changed.blake3, first.blake3);
        put("sub/b.jpg", "four");
        assert_eq!(again.folder(dir.path(), &nothing, &cancel).unwrap(), first);
        let stopped = Cancel::new();
        stopped.cancel();
        assert_eq!(
            again.folder(dir.path(), &nothing, &stopped).unwrap_err().kind(),
            Kind::Interrupted
        );
    }

    #[test]
    fn a_file_of_a_folder_whose_digest_is_known_is_not_read_and_one_that_changed_since_is() {
        let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = dir.path().join("sub/a.jpg");
        let put = |text: &str| put(&file, text);
        let digest = |known: &dyn Fn() -> KnownFiles| {
            let mut digests = FileDigests::open(state.path());
            digests.folder(dir.path(), known, &Cancel::new()).unwrap().blake3
        };
        put("one");
        let read = digest(&KnownFiles::new);
        let stamp = FileStamp::at(&file).unwrap();
        let of = |text: &str| {
            let one = (PathBuf::from("sub/a.jpg"), (stamp, Digest::of(text.as_bytes())));
            KnownFiles::from([one])
        };
        assert_eq!(digest(&|| of("one")), read);
        assert_ne!(digest(&|| of("forged")), read, "it is believed");
        put("two");
        assert_eq!(digest(&|| of("one")), digest(&KnownFiles::new));
        assert_ne!(digest(&|| of("one")), read);
    }
}

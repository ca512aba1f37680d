//! Digests of folders: of what their files hold, and of what is cheap to know of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::digest::Digester;
use crate::base::{Cancel, Digest, Error, FileStamp, Kind, Result};

/// Most files that a folder may hold.
const MOST_FILES: usize = 20_000_000;

/// Digests of files of a folder that are kept elsewhere, by their paths below it, each with the stamp
/// of the file that it is of.
pub type KnownFiles = BTreeMap<PathBuf, (FileStamp, Digest)>;

/// A file below a folder.
pub(super) struct Below {
    path: PathBuf,
    stamp: FileStamp,
}

/// All files below `root`, links not followed, sorted by bytes.
pub(super) fn files(root: &Path, cancel: &Cancel) -> Result<Vec<Below>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        cancel.check()?;
        let io = |cause| Error::io("cannot list", folder.display(), cause);
        for entry in std::fs::read_dir(&folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let kind = entry.file_type().map_err(io)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                let stamp = FileStamp::of(&entry.metadata().map_err(io)?);
                files.push(Below { path: entry.path(), stamp });
            }
            if files.len() + folders.len() > MOST_FILES {
                return Err(Error::new(Kind::BadInput, "holds too many files").at(root.display()));
            }
        }
    }
    files.sort_by(|a: &Below, b: &Below| {
        let (a, b) = (a.path.as_os_str(), b.path.as_os_str());
        a.as_encoded_bytes().cmp(b.as_encoded_bytes())
    });
    Ok(files)
}

/// The digest of the files' names and stamps.
pub(super) fn stamps(root: &Path, files: &[Below]) -> Digest {
    let mut digester = Digester::new();
    for file in files {
        digester.field("name", file.name(root)).field("stamp", &file.stamp.to_bytes());
    }
    digester.finish()
}

/// The digest of the files' names and contents, and their bytes in all.
pub(super) fn content(
    root: &Path,
    files: &[Below],
    known: &KnownFiles,
    cancel: &Cancel,
) -> Result<(Digest, u64)> {
    let mut digester = Digester::new();
    for file in files {
        let below = file.path.strip_prefix(root).unwrap_or(&file.path);
        let content = match known.get(below) {
            Some((stamp, content)) if *stamp == file.stamp => *content,
            _ => Digest::of_file(&file.path, cancel)?,
        };
        digester.field("name", file.name(root)).field("content", content.as_bytes());
    }
    let sizes = files.iter().map(|file| file.stamp.size_bytes());
    Ok((digester.finish(), sizes.sum()))
}

impl Below {
    fn name(&self, root: &Path) -> &[u8] {
        self.path.strip_prefix(root).unwrap_or(&self.path).as_os_str().as_encoded_bytes()
    }
}

//! What the file system says of everything a run reads: while it says the same, nothing changed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::base::digest::Digester;
use crate::base::{Digest, Error, Result};
use crate::plan::stage::SplitRule;
use crate::plan::{Plan, Work};

/// The stamps of some files, and the newest time among them.
#[derive(Debug, Clone)]
pub(super) struct Stamps {
    pub digest: Digest,
    /// Nanoseconds since 1970.
    pub newest_ns: i128,
}

/// One file or folder: its name, size, times and inode. Writing to a file, truncating it or
/// putting another in its place changes at least one of them.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Stamp {
    name: Vec<u8>,
    numbers: [i128; 5],
}

impl Stamp {
    fn of(name: &Path, path: &Path) -> Self {
        // What is not there is told apart from everything that is.
        let numbers = std::fs::symlink_metadata(path).map_or([-1; 5], |meta| {
            // The time at which a folder changed says no more than its entries do.
            let times = if meta.is_dir() { [0; 2] } else { times(&meta) };
            let [modified, changed] = times;
            let is_link = i128::from(meta.is_symlink());
            [i128::from(meta.size()), modified, changed, i128::from(meta.ino()), is_link]
        });
        let name = name.as_os_str().as_encoded_bytes().to_vec();
        // A link is as old as what it leads to.
        match std::fs::metadata(path) {
            Ok(meta) if numbers.last() == Some(&1) => {
                let [modified, changed] = times(&meta);
                let (size, inode) = (i128::from(meta.size()), i128::from(meta.ino()));
                Self { name, numbers: [size, modified, changed, inode, 1] }
            }
            _ => Self { name, numbers },
        }
    }

    fn newest_ns(&self) -> i128 {
        let [_, modified, changed, ..] = self.numbers;
        modified.max(changed)
    }
}

fn times(meta: &std::fs::Metadata) -> [i128; 2] {
    let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
    [ns(meta.mtime(), meta.mtime_nsec()), ns(meta.ctime(), meta.ctime_nsec())]
}

/// The stamps of every archive, folder and caption file of a plan. Weights are not among them:
/// their digests are part of the stages' fingerprints.
///
/// # Errors
/// When a folder cannot be listed.
pub(super) fn of_inputs(plan: &Plan) -> Result<Stamps> {
    let mut paths = std::collections::BTreeSet::new();
    for stage in &plan.stages {
        match &stage.work {
            Work::IndexImages(work) => paths.extend(work.source.paths.iter()),
            Work::ReadCaptions(work) => {
                paths.extend(work.source.paths.iter());
                if let SplitRule::Listed(lists) = &work.split {
                    paths.extend(lists.files.iter().map(|(_, path)| path));
                }
            }
            _ => {}
        }
    }
    let mut stamps = Vec::new();
    for path in paths {
        stamps.push(Stamp::of(path, path));
        if path.is_dir() {
            stamps.extend(below(path)?);
        }
    }
    Ok(sum(&stamps))
}

/// The stamps of a table: its log, its parts, and what is staged for it.
///
/// # Errors
/// When a folder cannot be listed.
pub(super) fn of_table(folder: &Path) -> Result<Digest> {
    if !folder.is_dir() {
        return Ok(sum(&[]).digest);
    }
    below(folder).map(|stamps| sum(&stamps).digest)
}

/// Everything below a folder, sorted.
fn below(root: &Path) -> Result<Vec<Stamp>> {
    let mut stamps = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let full = root.join(&folder);
        let fault = |cause| Error::io("cannot list the folder", full.display(), cause);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&full).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let name = folder.join(entry.file_name());
            if entry.file_type().map_err(fault)?.is_dir() {
                folders.push(name.clone());
            }
            names.push(name);
        }
        stamps.par_extend(names.par_iter().map(|name| Stamp::of(name, &root.join(name))));
    }
    stamps.par_sort_unstable();
    Ok(stamps)
}

fn sum(stamps: &[Stamp]) -> Stamps {
    let mut digester = Digester::new();
    for stamp in stamps {
        digester.field("name", &stamp.name);
        for number in stamp.numbers {
            digester.bytes(&number.to_le_bytes());
        }
    }
    let newest_ns = stamps.iter().map(Stamp::newest_ns).max().unwrap_or(0);
    Stamps { digest: digester.finish(), newest_ns }
}

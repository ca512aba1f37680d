//! Folders of images, walked without following links.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::member::{Layout, Member, stamp_of_file};
use super::scan::Scan;
use super::selection::{Found, Selection, Verdict};
use super::tarball::EntryKind;
use crate::base::capped;
use crate::base::units::Bytes;
use crate::base::{Cancel, Error, FileStamp, Kind, Result};
use crate::flow::RejectClass;

/// Lists the files below `root` in byte order of their paths.
pub(crate) fn scan(
    root: &Path,
    selection: &Selection,
    archive: usize,
    label: Option<&str>,
    cancel: &Cancel,
) -> Result<Scan> {
    let mut below = walk(root, selection, cancel)?;
    below.sort_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    let mut scan = Scan::default();
    for Below { path, fault } in below {
        cancel.check()?;
        let name = path.as_os_str().as_encoded_bytes();
        let mut found = Found {
            name,
            kind: if fault.is_some() { EntryKind::Directory } else { EntryKind::File },
            size_bytes: 0,
            offset: 0,
            fault,
            layout: Layout::File(path.as_path().into()),
        };
        let mut file = None;
        match fs::symlink_metadata(root.join(&path)) {
            Ok(meta) => {
                found.kind = EntryKind::of(meta.file_type());
                found.size_bytes = meta.len();
                file = Some(FileStamp::of(&meta));
            }
            Err(cause) => {
                let unreadable = || (RejectClass::Unreadable, cause.to_string());
                found.fault.get_or_insert_with(unreadable);
            }
        }
        let cap = selection.source.caps.name_bytes;
        if name.len() as u64 > cap && found.kind != EntryKind::Directory {
            let why = format!("its path is longer than the cap of {}", Bytes(cap));
            found.fault = Some((RejectClass::OverCap, why));
        }
        match selection.judge(found, archive, label) {
            Verdict::Ignored => scan.ignored += 1,
            Verdict::Reject(reject) => scan.rejects.push(reject),
            Verdict::Member(mut member) => {
                member.stamp = stamp_of_file(name, member.size_bytes, file);
                scan.members.push(*member);
            }
        }
    }
    Ok(scan)
}

/// What a walk came upon.
struct Below {
    path: PathBuf,
    /// Of a folder, why the walk did not go into it; files have none.
    fault: Option<(RejectClass, String)>,
}

/// All paths below `root` in no order; of folders only those that could not be gone into.
fn walk(root: &Path, selection: &Selection, cancel: &Cancel) -> Result<Vec<Below>> {
    let cap_bytes = selection.source.caps.name_bytes;
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        cancel.check()?;
        let full = root.join(&folder);
        let unreadable = |cause| Error::io("cannot list the folder", full.display(), cause);
        let entries = match fs::read_dir(&full) {
            Ok(entries) => entries,
            // one folder that is closed to us is one reject; the source itself must be open
            Err(cause) if !folder.as_os_str().is_empty() => {
                let why = format!(
                    "it is a folder that cannot be listed, so what it holds is not read: {cause}; \
                     open it to this user, or move it out of the source"
                );
                found.push(Below { path: folder, fault: Some((RejectClass::Unreadable, why)) });
                continue;
            }
            Err(cause) => return Err(unreadable(cause)),
        };
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            let path = folder.join(entry.file_name());
            let is_folder = entry.file_type().map_err(unreadable)?.is_dir();
            let long = path.as_os_str().len() as u64 > cap_bytes;
            if is_folder && !long {
                folders.push(path);
                continue;
            }
            let fault = is_folder.then(|| {
                let why = format!(
                    "it is a folder whose path is longer than the cap of {}, so what it holds is \
                     not read; shorten it, or raise `max_name_bytes` of its source",
                    Bytes(cap_bytes)
                );
                (RejectClass::OverCap, why)
            });
            found.push(Below { path, fault });
        }
        let cap = selection.source.caps.members;
        if found.len() as u64 > cap {
            return Err(super::scan::too_many(root, cap));
        }
    }
    Ok(found)
}

/// Reads one file, if it still is the one that was listed.
pub(crate) fn read(root: &Path, below: &Path, member: &Member) -> Result<Vec<u8>, String> {
    let path = root.join(below);
    let before = fs::symlink_metadata(&path).map_err(|cause| cause.to_string())?;
    if !before.file_type().is_file() {
        return Err("it was a file when it was listed and is none now".into());
    }
    let file = File::open(&path).map_err(|cause| cause.to_string())?;
    let meta = file.metadata().map_err(|cause| cause.to_string())?;
    let same = (meta.ino(), meta.dev()) == (before.ino(), before.dev());
    let name = below.as_os_str().as_encoded_bytes();
    if !same || stamp_of_file(name, meta.len(), Some(FileStamp::of(&meta))) != member.stamp {
        return Err("it changed after it was listed; run again".into());
    }
    capped::read_all(file, member.size_bytes, "").map_err(|error| error.to_string())
}

/// What a folder is asked to be.
pub(crate) fn check_root(root: &Path) -> Result<()> {
    let meta = super::compressed::metadata(root)?;
    if meta.is_dir() {
        return Ok(());
    }
    Err(Error::new(Kind::BadInput, "is no folder")
        .at(root.display())
        .help("a source of kind `folder` names folders; an archive is of kind `tar`"))
}

//! Folders of images, walked without following links.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::file_stamp::FileStamp;
use super::member::{Layout, Member, stamp_of_file};
use super::scan::Scan;
use super::selection::{Found, Selection, Verdict};
use super::tarball::EntryKind;
use crate::base::capped;
use crate::base::units::Bytes;
use crate::base::{Cancel, Error, Kind, Result};
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
    below.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    let mut scan = Scan::default();
    for path in below {
        cancel.check()?;
        let name = path.as_os_str().as_encoded_bytes();
        let mut found = Found {
            name,
            kind: EntryKind::File,
            size_bytes: 0,
            offset: 0,
            fault: None,
            layout: Layout::File(path.as_path().into()),
        };
        let mut file = None;
        match fs::symlink_metadata(root.join(&path)) {
            Ok(meta) => {
                found.kind = kind(meta.file_type());
                found.size_bytes = meta.len();
                file = Some(FileStamp::of(&meta));
            }
            Err(cause) => found.fault = Some((RejectClass::Unreadable, cause.to_string())),
        }
        let cap = selection.source.caps.name_bytes;
        if name.len() as u64 > cap {
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

/// All paths below `root` but folders, in no order.
fn walk(root: &Path, selection: &Selection, cancel: &Cancel) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        cancel.check()?;
        let full = root.join(&folder);
        let unreadable = |cause| Error::io("cannot list the folder", full.display(), cause);
        let entries = match fs::read_dir(&full) {
            Ok(entries) => entries,
            // one folder that is closed to us is one reject; the source itself must be open
            Err(_) if !folder.as_os_str().is_empty() => {
                paths.push(folder);
                continue;
            }
            Err(cause) => return Err(unreadable(cause)),
        };
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            let path = folder.join(entry.file_name());
            let is_folder = entry.file_type().map_err(unreadable)?.is_dir();
            let long = path.as_os_str().len() as u64 > selection.source.caps.name_bytes;
            if is_folder && !long { folders.push(path) } else { paths.push(path) }
        }
        let cap = selection.source.caps.members;
        if paths.len() as u64 > cap {
            return Err(super::scan::too_many(root, cap));
        }
    }
    Ok(paths)
}

fn kind(kind: fs::FileType) -> EntryKind {
    if kind.is_symlink() {
        EntryKind::Symlink
    } else if kind.is_dir() {
        EntryKind::Directory
    } else if kind.is_fifo() {
        EntryKind::Fifo
    } else if kind.is_char_device() {
        EntryKind::CharDevice
    } else if kind.is_block_device() {
        EntryKind::BlockDevice
    } else if kind.is_file() {
        EntryKind::File
    } else {
        EntryKind::Unknown(b's')
    }
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

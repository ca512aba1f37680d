//! Listing a plain tar by its headers alone.

use std::fs::File;
use std::io;
use std::path::Path;

use super::compressed;
use super::member::{Cheap, Layout, Member};
use super::selection::{Found, Selection, Verdict};
use super::tarball::{BLOCK_BYTES, Broken, Entries, Entry, FileInput, Header, Input, read_full_at};
use crate::base::capped::PastCap;
use crate::base::units::count;
use crate::base::{Cancel, Digest, Error, FileStamp, Kind, Result};
use crate::flow::{Origin, Reject, RejectClass};

/// What a look at one archive found, in its order.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) members: Vec<Member>,
    pub(crate) rejects: Vec<Reject>,
    /// Folders, junk and what is no image.
    pub(crate) ignored: u64,
}

/// More members than the cap.
pub(crate) fn too_many(path: &Path, cap: u64) -> Error {
    Error::new(Kind::BadInput, format!("holds more than {} members", count(cap)))
        .at(path.display())
        .help("raise `max_members` of its source if this is meant")
}

/// The first header is none.
pub(crate) fn not_a_tar(path: &Path, broken: &Broken) -> Error {
    if let Some(past) = broken.past_cap {
        return compressed::too_large(path, past);
    }
    Error::new(Kind::BadInput, format!("is no tar archive: {}", broken.message))
        .at(path.display())
        .help("get the archive again, or name the right file in the definition")
}

/// The archive ends too early: a row that says where.
pub(crate) fn end(
    selection: &Selection,
    path: &Path,
    label: Option<&str>,
    broken: &Broken,
) -> Reject {
    Reject {
        class: if broken.past_cap.is_some() {
            RejectClass::OverCap
        } else {
            RejectClass::BrokenMember
        },
        message: match broken.past_cap {
            Some(past) => over_cap(past),
            None => format!(
                "the archive is broken at byte {}: {}; what lies behind is lost",
                broken.at, broken.message
            ),
        },
        ..whole(selection, path, label, broken.at)
    }
}

/// A row about a whole archive.
pub(crate) fn whole(
    selection: &Selection,
    path: &Path,
    label: Option<&str>,
    offset: u64,
) -> Reject {
    let file = path.file_name().unwrap_or(path.as_os_str());
    let shown = || super::names::display(file.as_encoded_bytes());
    let member = label.map_or_else(shown, str::to_owned).into();
    Reject {
        origin: Origin { source: selection.name.clone(), member, offset },
        image_id: None,
        class: RejectClass::BrokenMember,
        message: String::new(),
        digest: None,
    }
}

/// No more may be unpacked.
pub(crate) fn over_cap(past: PastCap) -> String {
    format!(
        "the file unpacks to {past}, and what lies behind is not read: raise \
         `max_unpacked_bytes` of its source if this is meant"
    )
}

/// What is wrong with the end of a tar.
pub(crate) struct OddEnd {
    pub(crate) class: RejectClass,
    pub(crate) message: String,
    /// Whether it could not be read to the end of its packing: what was read may be wrong.
    pub(crate) is_damaged: bool,
}

/// What is wrong behind the end of a tar that is a stream, or may be one.
///
/// # Errors
/// [`Kind::Interrupted`].
pub(crate) fn check_end<I: Input>(
    entries: &mut Entries<I>,
    cancel: &Cancel,
) -> Result<Option<OddEnd>> {
    Ok(match behind_end(entries, cancel)? {
        Ok(odd) => odd.map(|message| OddEnd {
            class: RejectClass::BrokenMember,
            message,
            is_damaged: false,
        }),
        Err(cause) => {
            let (class, message) = damaged(&cause);
            Some(OddEnd { class, message, is_damaged: true })
        }
    })
}

/// Looks at what lies behind the end of a tar, to the end of its file or packing. Gives what is odd there.
///
/// An inner error is that of reading: of a packing, also that its checksum is wrong.
///
/// # Errors
/// [`Kind::Interrupted`].
fn behind_end<I: Input>(
    entries: &mut Entries<I>,
    cancel: &Cancel,
) -> Result<io::Result<Option<String>>> {
    let marked = entries.is_marked();
    let mut at = entries.next_at() + if marked { BLOCK_BYTES as u64 } else { 0 };
    let mut more = false;
    let mut buffer = vec![0; 128 * BLOCK_BYTES];
    loop {
        cancel.check()?;
        let read = match entries.input().read_at(at, &mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(cause) => return Ok(Err(cause)),
        };
        at += read as u64;
        // The rest of a writer's last record may hold anything but a header.
        let (blocks, _) = buffer.get(..read).unwrap_or_default().as_chunks::<BLOCK_BYTES>();
        let mut headers = blocks.iter().map(|block| Header(*block));
        more |= headers.any(|header| !header.is_zero() && header.checksum_fits());
    }
    let what = match (marked, more) {
        (true, false) => return Ok(Ok(None)),
        (true, true) => {
            "there are members behind the archive's end marker, and they are not read: of archives \
             that were joined, name each one in `paths`"
        }
        (false, _) => {
            "the archive has no end marker, as if it were cut behind its last member; all members are \
             read: get it again, or write it anew, if it should hold more"
        }
    };
    Ok(Ok(Some(what.to_owned())))
}

/// What became of an archive that could not be read to the end of its packing.
fn damaged(cause: &io::Error) -> (RejectClass, String) {
    match PastCap::of(cause) {
        Some(past) => (RejectClass::OverCap, over_cap(past)),
        None => (
            RejectClass::BrokenMember,
            format!(
                "the archive is damaged somewhere: {cause}; what was read of it may be wrong, so get \
                 it again"
            ),
        ),
    }
}

/// What decides about an entry.
pub(crate) fn found(entry: &Entry) -> Found<'_> {
    Found {
        name: &entry.name,
        kind: entry.kind,
        size_bytes: entry.size_bytes,
        offset: entry.offset,
        fault: entry.fault.clone(),
        layout: match &entry.pieces {
            None => Layout::Whole,
            Some(pieces) => Layout::Sparse(pieces.clone()),
        },
    }
}

/// Reads the headers of a plain tar, seeking over the bodies.
pub(crate) fn scan(
    path: &Path,
    file: &File,
    selection: &Selection,
    archive: usize,
    label: Option<&str>,
    cancel: &Cancel,
) -> Result<Scan> {
    let io = |cause| Error::io("cannot read", path.display(), cause);
    let meta = file.metadata().map_err(io)?;
    let (len_bytes, of_file) = (meta.len(), FileStamp::of(&meta));
    let caps = &selection.source.caps;
    let mut entries = Entries::new(FileInput::new(file, len_bytes), caps);
    let mut scan = Scan::default();
    let mut seen = 0_u64;
    let mut told = false;
    loop {
        if seen.is_multiple_of(1024) {
            cancel.check()?;
        }
        let entry = match entries.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => {
                if let Some(message) = behind_end(&mut entries, cancel)?.map_err(io)? {
                    let of = whole(selection, path, label, entries.next_at());
                    scan.rejects.push(Reject { message, ..of });
                }
                return Ok(scan);
            }
            Err(broken) if broken.at == 0 => return Err(not_a_tar(path, &broken)),
            Err(broken) => {
                if !told {
                    scan.rejects.push(end(selection, path, label, &broken));
                }
                return Ok(scan);
            }
        };
        seen += 1;
        if seen > caps.members {
            return Err(too_many(path, caps.members));
        }
        match selection.judge(found(&entry), archive, label) {
            Verdict::Ignored => scan.ignored += 1,
            Verdict::Reject(reject) => {
                // the member that the archive ends in: one reject tells of both
                told = reject.class == RejectClass::BrokenMember
                    && entry.offset.saturating_add(entry.stored_bytes) > len_bytes;
                scan.rejects.push(reject);
            }
            Verdict::Member(mut member) => {
                let input = entries.input();
                member.stamp =
                    stamp(input, of_file, &entry.name, &member, &entry.header).map_err(io)?;
                scan.members.push(*member);
            }
        }
    }
}

/// The stamp of a member of a plain tar.
fn stamp(
    input: &mut impl Input,
    file: FileStamp,
    name: &[u8],
    member: &Member,
    header: &[u8; BLOCK_BYTES],
) -> io::Result<Digest> {
    let Member { size_bytes, layout, .. } = member;
    Cheap { name, size_bytes: *size_bytes, header, layout, file }.stamp(&mut |at, buf| match input
        .read_at(
        member.origin.offset + at,
        buf,
    )? {
        read if read == buf.len() => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    })
}

/// Whether a few members, evenly spread, still have the headers and bytes they had.
pub(crate) fn still_there(file: &File, members: &[Member], label: Option<&str>) -> bool {
    const LOOKS: usize = 16;
    let step = members.len().div_ceil(LOOKS).max(1);
    let Ok(meta) = file.metadata() else { return false };
    members.iter().step_by(step).chain(members.last()).all(|member| {
        let Some(at) = member.origin.offset.checked_sub(BLOCK_BYTES as u64) else { return false };
        if member.layout != Layout::Whole {
            return true;
        }
        let name = match label {
            Some(label) => member.origin.member.strip_prefix(label).and_then(|n| n.get(1..)),
            None => Some(&*member.origin.member),
        };
        let Some(name) = name else { return false };
        let mut header = [0; BLOCK_BYTES];
        let mut input = FileInput::new(file, meta.len());
        read_full_at(file, at, &mut header).is_ok_and(|read| read == BLOCK_BYTES)
            && stamp(&mut input, FileStamp::of(&meta), name.as_bytes(), member, &header)
                .is_ok_and(|stamp| stamp == member.stamp)
    })
}

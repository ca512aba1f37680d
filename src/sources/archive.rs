//! One archive or folder of a source: what it holds, and its bytes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;

use super::compressed::{self, Packing};
use super::index;
use super::member::{Cheap, Item, Layout, Listing, Member};
use super::scan::{self, Scan};
use super::selection::{Selection, Verdict};
use super::tarball::{Entries, Entry, FileInput, Input, StreamInput, read_full_at};
use super::{folder, names};
use crate::base::capped::PastCap;
use crate::base::units;
use crate::base::{Cancel, Digest, Error, FileStamp, Kind, Result};
use crate::flow::{Reject, RejectClass};
use crate::plan::source::{ImageSource, ImageSourceKind};

/// One path of a source: a tar, plain or packed, or a folder.
///
/// It may be used by many threads at once. The file is opened anew by each operation, and one
/// that changed since [`open`] is refused rather than read at stale positions.
#[derive(Debug)]
pub struct Archive {
    selection: Arc<Selection>,
    path: PathBuf,
    /// Which of the source's paths this is.
    number: usize,
    /// In front of members' names, where the source has more than one path.
    label: Option<String>,
    packing: Packing,
    file: FileStamp,
    index_path: PathBuf,
    ignored: AtomicU64,
    /// Whether the kept index holds what the latest listing found.
    held: AtomicBool,
}

/// Opens every path of a source; indexes of what they hold are kept in `index_dir`. Only the
/// first bytes are looked at.
///
/// # Errors
/// Of all paths that cannot be opened at once: [`Kind::MissingInput`] when a path is not there,
/// [`Kind::BadInput`] when it is of the wrong kind or packed in a way that is not read.
/// [`Kind::Definition`] when a glob is none.
pub fn open(source: &ImageSource, index_dir: &Path) -> Result<Vec<Archive>> {
    every(opened(source, index_dir)?)
}

/// Whether every path of a source can be read, as far as the first header of an archive tells.
///
/// # Errors
/// As [`open`], and [`Kind::BadInput`] for what is no archive.
pub fn probe(source: &ImageSource, index_dir: &Path) -> Result<()> {
    let probed = opened(source, index_dir)?.map(|archive| archive?.probe());
    every(probed).map(|_: Vec<()>| ())
}

/// All of them, or all that is wrong.
fn every<T>(of: impl Iterator<Item = Result<T>>) -> Result<Vec<T>> {
    let (mut good, mut errors) = (Vec::new(), Vec::new());
    for one in of {
        match one {
            Ok(one) => good.push(one),
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors)?;
    Ok(good)
}

fn opened(source: &ImageSource, index_dir: &Path) -> Result<impl Iterator<Item = Result<Archive>>> {
    let selection = Arc::new(Selection::new(source)?);
    let labels = names::labels(&source.paths);
    let several = labels.len() > 1;
    Ok(source.paths.iter().zip(labels).enumerate().map(move |(number, (path, label))| {
        let packing = match source.kind {
            ImageSourceKind::Folder => {
                folder::check_root(path)?;
                Packing::Plain
            }
            ImageSourceKind::Tar | ImageSourceKind::WebDataset => tar_packing(path)?,
        };
        Ok(Archive {
            selection: selection.clone(),
            file: FileStamp::of(&compressed::metadata(path)?),
            index_path: index_dir.join(index_name(&source.name, path)),
            path: path.clone(),
            number,
            label: several.then_some(label),
            packing,
            ignored: AtomicU64::new(0),
            held: AtomicBool::new(false),
        })
    }))
}

fn tar_packing(path: &Path) -> Result<Packing> {
    let wrong = |what: &str, help: &str| {
        Err(Error::new(Kind::BadInput, what).at(path.display()).help(help))
    };
    if compressed::metadata(path)?.is_dir() {
        return wrong("is a folder, not a tar archive", "use a source of kind `folder` for it");
    }
    match compressed::sniff(path)? {
        Packing::Zip => wrong("is a zip, not a tar archive", "unpack it and use kind `folder`"),
        packing => Ok(packing),
    }
}

/// The name of the index that is kept of one path of a source.
pub(super) fn index_name(source: &str, path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let digest = Digest::of(absolute.as_os_str().as_encoded_bytes());
    format!("{source}-{}.members", digest.short())
}

impl Archive {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether members can be read in any order, by [`Self::read`].
    #[must_use]
    pub fn is_seekable(&self) -> bool {
        self.packing == Packing::Plain
    }

    /// How many members the latest listing or streaming passed over without a word: folders,
    /// junk of archivers, files that are no images.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored.load(Ordering::Relaxed)
    }

    fn settings(&self) -> Digest {
        self.selection.digest(self.label.as_deref())
    }

    fn is_folder(&self) -> bool {
        self.selection.source.kind == ImageSourceKind::Folder
    }

    fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// The index that is kept, and whether it is whole: that of a folder, or of an archive that
    /// is as it was. Of an archive that changed there is none to speak of.
    pub(super) fn kept(&self) -> Option<(index::Index, bool)> {
        let kept = index::read(&self.index_path, &self.selection.source.name, self.number)?;
        let same = kept.file == self.file && kept.settings == self.settings();
        (same || self.is_folder()).then_some((kept, same && !self.is_folder()))
    }

    /// Where the index is kept.
    pub(super) fn index_path(&self) -> &Path {
        &self.index_path
    }

    /// Reads the first header of an archive.
    fn probe(&self) -> Result<()> {
        if self.is_folder() {
            return Ok(());
        }
        let caps = &self.selection.source.caps;
        let first = if self.is_seekable() {
            let file = compressed::open(&self.path)?;
            Entries::new(FileInput::new(&file, self.file.size_bytes()), caps).next_entry()
        } else {
            let reader = compressed::unpack(&self.path, self.packing, caps.unpacked_bytes)?;
            Entries::new(StreamInput::new(reader), caps).next_entry()
        };
        match first {
            Err(broken) if broken.at == 0 => Err(scan::not_a_tar(&self.path, &broken)),
            _ => Ok(()),
        }
    }

    /// What it holds. Of a plain tar only the headers are read, and what lies behind its end;
    /// where an index was kept and the file is as it was then, only a few headers. After a change,
    /// members whose stamp is unchanged keep their digest; what a stamp is worth says
    /// [`Member::stamp`].
    ///
    /// # Errors
    /// [`Kind::BadInput`] when it is no tar at all or holds more members than the cap,
    /// [`Kind::Io`] when it cannot be read, [`Kind::Interrupted`].
    pub fn list(&self, cancel: &Cancel) -> Result<Listing> {
        let kept = index::read(&self.index_path, &self.selection.source.name, self.number);
        let same = kept.as_ref().is_some_and(|kept| {
            !self.is_folder() && kept.file == self.file && kept.settings == self.settings()
        });
        if !self.is_seekable() {
            let Some(kept) = kept.filter(|_| same) else { return Ok(Listing::Streamed) };
            self.ignored.store(kept.ignored, Ordering::Relaxed);
            self.held.store(true, Ordering::Relaxed);
            return Ok(Listing::Known { members: kept.members, rejects: kept.rejects });
        }
        if self.is_folder() {
            let scan =
                folder::scan(&self.path, &self.selection, self.number, self.label(), cancel)?;
            return Ok(self.listed(scan, kept));
        }
        let file = self.unchanged_file()?;
        let whole = same
            && kept.as_ref().is_some_and(|k| scan::still_there(&file, &k.members, self.label()));
        let kept = match kept {
            Some(kept) if whole => {
                self.ignored.store(kept.ignored, Ordering::Relaxed);
                self.held.store(true, Ordering::Relaxed);
                return Ok(Listing::Known { members: kept.members, rejects: kept.rejects });
            }
            other => other,
        };
        let scan =
            scan::scan(&self.path, &file, &self.selection, self.number, self.label(), cancel)?;
        Ok(self.listed(scan, kept))
    }

    /// Whether the kept index holds all that the latest [`Self::list`] found: it did then, or
    /// [`Self::keep_index`] wrote it since.
    #[must_use]
    pub fn index_holds(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    /// Members whose stamp an old index knows have the digest it knows.
    fn listed(&self, mut scan: Scan, kept: Option<index::Index>) -> Listing {
        self.ignored.store(scan.ignored, Ordering::Relaxed);
        // Of a folder every file is looked at, so its index holds if it names the same files.
        let held = self.is_folder()
            && kept.as_ref().is_some_and(|kept| {
                kept.settings == self.settings()
                    && kept.members.len() == scan.members.len()
                    && kept.members.iter().zip(&scan.members).all(|(a, b)| a.stamp == b.stamp)
                    && kept.rejects == scan.rejects
            });
        self.held.store(held, Ordering::Relaxed);
        let known = kept.map(|kept| kept.digests()).unwrap_or_default();
        for member in &mut scan.members {
            member.digest = known.get(&member.stamp).copied().flatten();
        }
        Listing::Known { members: scan.members, rejects: scan.rejects }
    }

    /// Opens the file, if it still is what [`open`] saw.
    fn unchanged_file(&self) -> Result<File> {
        let file = compressed::open(&self.path)?;
        let meta = file
            .metadata()
            .map_err(|cause| Error::io("cannot look at", self.path.display(), cause))?;
        if FileStamp::of(&meta) == self.file {
            return Ok(file);
        }
        Err(Error::new(Kind::BadInput, "changed while it was in use")
            .at(self.path.display())
            .help("wait until it is written, then run again"))
    }

    /// Reads one listed member of a plain tar or a folder.
    ///
    /// # Errors
    /// A reject when its bytes cannot be had, or the file changed since it was listed.
    #[expect(clippy::result_large_err, reason = "a reject is a row, and rare")]
    pub fn read(&self, member: &Member) -> Result<Bytes, Reject> {
        let reject = |message: String| Reject {
            origin: member.origin.clone(),
            image_id: Some(member.image_id.clone()),
            class: RejectClass::Unreadable,
            message,
            digest: None,
        };
        let cap = self.selection.source.caps.member_bytes;
        if member.size_bytes > cap {
            return Err(Reject {
                class: RejectClass::OverCap,
                ..reject(format!("it is larger than the cap of {}", units::Bytes(cap)))
            });
        }
        if let Layout::File(below) = &member.layout {
            return folder::read(&self.path, below, member).map(Bytes::from).map_err(reject);
        }
        if !self.is_seekable() {
            return Err(reject("a compressed archive can only be streamed".into()));
        }
        let file = self.unchanged_file().map_err(|error| reject(error.to_string()))?;
        read_member(file, member).map(Bytes::from).map_err(reject)
    }

    /// Gives every image for which `wanted` says so, in the archive's order, and every reject.
    /// A compressed archive is read once and `wanted` sees each member's digest; of others
    /// only what is wanted is read, and `wanted` sees a digest where one is known. Either may
    /// end it: `each` by breaking, `cancel` by being set. Where the archive is broken its end
    /// is a reject, after all members before it.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn stream(
        &self,
        wanted: &mut dyn FnMut(&Member) -> bool,
        each: &mut dyn FnMut(Item) -> ControlFlow<()>,
        cancel: &Cancel,
    ) -> Result<()> {
        if !self.is_seekable() {
            return self.stream_packed(wanted, each, cancel);
        }
        let Listing::Known { members, rejects } = self.list(cancel)? else { return Ok(()) };
        let mut rejects = rejects.into_iter().peekable();
        let before = |reject: &Reject, member: &Member| {
            if self.is_folder() {
                reject.origin.member < member.origin.member
            } else {
                reject.origin.offset < member.origin.offset
            }
        };
        for mut member in members {
            cancel.check()?;
            while let Some(reject) = rejects.next_if(|reject| before(reject, &member)) {
                if each(Item::Reject(reject)).is_break() {
                    return Ok(());
                }
            }
            if !wanted(&member) {
                continue;
            }
            let item = match self.read(&member) {
                Ok(bytes) => {
                    member.digest = Some(Digest::of(&bytes));
                    Item::Sample(member, bytes)
                }
                Err(reject) => Item::Reject(reject),
            };
            if each(item).is_break() {
                return Ok(());
            }
        }
        for reject in rejects {
            if each(Item::Reject(reject)).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn stream_packed(
        &self,
        wanted: &mut dyn FnMut(&Member) -> bool,
        each: &mut dyn FnMut(Item) -> ControlFlow<()>,
        cancel: &Cancel,
    ) -> Result<()> {
        let caps = &self.selection.source.caps;
        let reader = compressed::unpack(&self.path, self.packing, caps.unpacked_bytes)?;
        let mut entries = Entries::new(StreamInput::new(reader), caps);
        self.ignored.store(0, Ordering::Relaxed);
        let mut seen = 0_u64;
        loop {
            cancel.check()?;
            let entry = match entries.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => {
                    if let Some(odd) = scan::check_end(&mut entries, cancel)? {
                        let (class, message) = (odd.class, odd.message);
                        let at = entries.next_at();
                        let whole = scan::whole(&self.selection, &self.path, self.label(), at);
                        let _ = each(Item::Reject(Reject { class, message, ..whole }));
                    }
                    return Ok(());
                }
                Err(broken) if broken.at == 0 => return Err(scan::not_a_tar(&self.path, &broken)),
                Err(broken) => {
                    let _ = each(Item::Reject(scan::end(
                        &self.selection,
                        &self.path,
                        self.label(),
                        &broken,
                    )));
                    return Ok(());
                }
            };
            seen += 1;
            if seen > caps.members {
                return Err(scan::too_many(&self.path, caps.members));
            }
            let verdict = self.selection.judge(scan::found(&entry), self.number, self.label());
            let flow = match verdict {
                Verdict::Ignored => {
                    self.ignored.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Verdict::Reject(reject) => each(Item::Reject(reject)),
                Verdict::Member(member) => {
                    match content(&mut entries, &entry, *member, self.file) {
                        Ok((member, bytes)) if wanted(&member) => each(Item::Sample(member, bytes)),
                        Ok(_) => continue,
                        Err(reject) => {
                            let _ = each(Item::Reject(reject));
                            return Ok(());
                        }
                    }
                }
            };
            if flow.is_break() {
                return Ok(());
            }
        }
    }

    /// Keeps what this archive holds, so that the next [`Self::list`] need not read it:
    /// `members` as they were listed or streamed, with the digests of their contents where
    /// they are known by now, and the rejects of reading, not those of decoding.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn keep_index(&self, members: &[Member], rejects: &[Reject]) -> Result<()> {
        let settings = self.settings();
        index::write(&self.index_path, self.file, settings, self.ignored(), members, rejects)?;
        self.held.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// The next content of a stream, with digest and stamp, or why the archive ends here.
#[expect(clippy::result_large_err, reason = "a reject is a row, and rare")]
fn content<I: Input>(
    entries: &mut Entries<I>,
    entry: &Entry,
    mut member: Member,
    file: FileStamp,
) -> Result<(Member, Bytes), Reject> {
    // what is allocated follows what arrives, not what a header claims
    let mut bytes = Vec::with_capacity(usize::try_from(entry.size_bytes).unwrap_or(0).min(1 << 20));
    #[expect(clippy::disallowed_methods, reason = "the content ends at its size, which is capped")]
    let read = entries.content(entry).read_to_end(&mut bytes);
    if let Err(cause) = read {
        let (class, message) = match PastCap::of(&cause) {
            Some(past) => (RejectClass::OverCap, scan::over_cap(past)),
            None => (
                RejectClass::BrokenMember,
                format!("the archive ends in the middle of it: {cause}"),
            ),
        };
        return Err(Reject {
            origin: member.origin,
            image_id: Some(member.image_id),
            class,
            message,
            digest: None,
        });
    }
    let cheap = Cheap {
        name: &entry.name,
        size_bytes: member.size_bytes,
        header: &entry.header,
        layout: &member.layout,
        file,
    };
    let stamp = cheap.stamp(&mut |at, buf| {
        let part = usize::try_from(at).ok().and_then(|at| bytes.get(at..at + buf.len()));
        buf.copy_from_slice(part.ok_or(std::io::ErrorKind::UnexpectedEof)?);
        Ok(())
    });
    // of bytes that are at hand, every place can be looked at
    member.stamp = stamp.unwrap_or(member.stamp);
    member.digest = Some(Digest::of(&bytes));
    Ok((member, Bytes::from(bytes)))
}

/// Reads a member by its position; its size is within the cap and within the file.
fn read_member(mut file: File, member: &Member) -> Result<Vec<u8>, String> {
    const SHORT: &str = "the archive ends in the middle of it";
    let size = usize::try_from(member.size_bytes).map_err(|e| e.to_string())?;
    let Layout::Sparse(pieces) = &member.layout else {
        // Not over zeros: each byte would be written twice.
        let mut bytes = Vec::with_capacity(size);
        let at = SeekFrom::Start(member.origin.offset);
        #[expect(clippy::disallowed_methods, reason = "it ends at its size, which is capped")]
        let read = file.seek(at).and_then(|_| file.take(member.size_bytes).read_to_end(&mut bytes));
        return match read {
            Ok(read) if read == size => Ok(bytes),
            Ok(_) => Err(SHORT.to_string()),
            Err(cause) => Err(cause.to_string()),
        };
    };
    let mut bytes = vec![0; size];
    let mut from = member.origin.offset;
    for piece in pieces.iter() {
        let range =
            usize::try_from(piece.at).ok().zip(usize::try_from(piece.at + piece.length_bytes).ok());
        let part = range.and_then(|(start, end)| bytes.get_mut(start..end));
        let part = part.ok_or("its sparse map is broken")?;
        let wanted = part.len();
        match read_full_at(&file, from, part) {
            Ok(read) if read == wanted => from += piece.length_bytes,
            Ok(_) => return Err(SHORT.to_string()),
            Err(cause) => return Err(cause.to_string()),
        }
    }
    Ok(bytes)
}

/// Every member of a tar, whatever it is, with its content where it is a file: for tests and
/// for looking at an archive by hand.
///
/// # Errors
/// As [`Archive::list`], and where the archive ends too early.
pub fn each_entry(
    path: &Path,
    caps: &crate::plan::source::Caps,
    each: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    fn all<I: Input>(
        path: &Path,
        mut entries: Entries<I>,
        each: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<()>,
    ) -> Result<()> {
        loop {
            match entries.next_entry() {
                Ok(Some(entry)) => each(&entry, &mut entries.content(&entry))?,
                Ok(None) => return Ok(()),
                Err(broken) => return Err(scan::not_a_tar(path, &broken)),
            }
        }
    }
    match tar_packing(path)? {
        Packing::Plain => {
            let file = compressed::open(path)?;
            let len_bytes = compressed::metadata(path)?.len();
            all(path, Entries::new(FileInput::new(&file, len_bytes), caps), each)
        }
        packing => {
            let reader = compressed::unpack(path, packing, caps.unpacked_bytes)?;
            all(path, Entries::new(StreamInput::new(reader), caps), each)
        }
    }
}

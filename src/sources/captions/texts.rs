//! The texts that a path holds: the file itself, unpacked, or members of an archive.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use super::collector::Collector;
use crate::base::capped::{Capped, PastCap};
use crate::base::{Cancel, Error, Kind, Result};
use crate::flow::RejectClass;
use crate::plan::source::Caps;
use crate::sources::compressed::{self, Packing};
use crate::sources::names::{self, Globs};
use crate::sources::scan;
use crate::sources::tarball::{
    BLOCK_BYTES, Entries, EntryKind, FileInput, Header, Input, StreamInput,
};

/// Byte order marks.
const UTF_16: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Which members of an archive are read.
pub(super) struct Pick {
    pub(super) globs: Globs,
    /// The patterns, for messages.
    pub(super) patterns: Vec<String>,
    /// Whether they were asked for by name, so that several may match.
    pub(super) named: bool,
    /// Whether they lie among the images of shards: any number of them, and none in a broken one.
    pub(super) shards: bool,
}

/// One text, at its start.
pub(super) struct Text<'a> {
    /// Its own name.
    pub(super) name: String,
    /// As it is shown.
    pub(super) member: String,
    /// Where it begins in its archive.
    pub(super) offset: u64,
    pub(super) reader: &'a mut dyn BufRead,
}

/// What reads a text. An inner error is the text's, an outer one the source's.
pub(super) type Each<'e, 'c> =
    dyn FnMut(Text<'_>, &mut Collector<'c>) -> Result<io::Result<()>> + 'e;

pub(super) struct Opener<'a> {
    pub(super) path: &'a Path,
    /// In front of members' names, where the source has more than one path.
    pub(super) label: Option<&'a str>,
    pub(super) caps: &'a Caps,
    pub(super) pick: &'a Pick,
    pub(super) cancel: &'a Cancel,
}

/// How the members of an archive went by.
#[derive(Default)]
struct Tally {
    seen: u64,
    names: Vec<String>,
    picked: Option<String>,
}

impl Opener<'_> {
    /// Reads every text of the path. Gives what is wrong with an archive that holds none; a shard is
    /// a reject by then.
    pub(super) fn each<'c>(
        &self,
        out: &mut Collector<'c>,
        each: &mut Each<'_, 'c>,
    ) -> Result<Option<Error>> {
        if compressed::metadata(self.path)?.is_dir() {
            return Err(Error::new(Kind::BadInput, "is a folder, not a caption file")
                .at(self.path.display()));
        }
        match compressed::sniff(self.path)? {
            Packing::Zip => self.zip(out, each),
            packing => {
                let cap = self.caps.unpacked_bytes;
                let mut reader = compressed::unpack(self.path, packing, cap)?;
                let mut head = Vec::new();
                #[expect(clippy::disallowed_methods, reason = "taken up to one block")]
                let read = reader.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut head);
                if let Err(cause) = read {
                    let (class, why) = of_break(&cause);
                    return self.unusable(compressed::unread(self.path, cause), class, why, out);
                }
                let block = <[u8; BLOCK_BYTES]>::try_from(head.as_slice()).map(Header);
                let is_tar = block.is_ok_and(|block| !block.is_zero() && block.checksum_fits());
                if is_tar && packing == Packing::Plain {
                    let file = compressed::open(self.path)?;
                    let len_bytes = compressed::metadata(self.path)?.len();
                    return self.tar(FileInput::new(&file, len_bytes), out, each);
                }
                let whole = Cursor::new(head).chain(reader);
                if is_tar {
                    return self.tar(StreamInput::new(whole), out, each);
                }
                let file = self.path.file_name().unwrap_or(self.path.as_os_str());
                let name = names::display(file.as_encoded_bytes());
                let unpacked = [".gz", ".zst"].iter().find_map(|end| name.strip_suffix(end));
                if self.pick.shards && !self.pick.globs.matches(unpacked.unwrap_or(&name)) {
                    let what = "is no tar and no zip archive";
                    let error = Error::new(Kind::BadInput, what).at(self.path.display());
                    let patterns = self.pick.patterns.join("`, `");
                    let error = error.help(format!(
                        "shards are archives; captions that were taken out of one are called \
                         `{patterns}`, or as `member` says"
                    ));
                    return self.unusable(
                        error,
                        RejectClass::BrokenMember,
                        format!("it {what}"),
                        out,
                    );
                }
                self.text(name, &self.whole(), 0, whole, out, each)?;
                Ok(None)
            }
        }
    }

    fn shown(&self, name: &str) -> String {
        match self.label {
            Some(label) => format!("{label}/{name}"),
            None => name.to_string(),
        }
    }

    /// The path itself, as it is shown.
    fn whole(&self) -> String {
        let file = self.path.file_name().unwrap_or(self.path.as_os_str());
        let shown = || names::display(file.as_encoded_bytes());
        self.label.map_or_else(shown, str::to_owned)
    }

    /// Has a text read. Says whether what lies behind it can be read, too.
    fn text<'c>(
        &self,
        name: String,
        member: &str,
        offset: u64,
        content: impl Read,
        out: &mut Collector<'c>,
        each: &mut Each<'_, 'c>,
    ) -> Result<bool> {
        let capped = Capped::new(content, self.caps.member_bytes);
        let mut reader = BufReader::with_capacity(1 << 16, capped);
        let begun = match reader.fill_buf() {
            // one of a shard is told with its image
            Ok(head) if !self.pick.shards && UTF_16.iter().any(|mark| head.starts_with(mark)) => {
                let why = "it is UTF-16 or UTF-32: make it UTF-8 (`iconv -t UTF-8`)".to_string();
                out.reject(member, offset, None, RejectClass::BadText, why, None);
                return Ok(true);
            }
            // a reader that failed once may end at its next call
            Err(cause) if cause.kind() != io::ErrorKind::Interrupted => Err(cause),
            _ => Ok(()),
        };
        let text = Text { name, member: member.to_owned(), offset, reader: &mut reader };
        let read = match begun {
            Ok(()) => each(text, out)?,
            failed => failed,
        };
        let Err(cause) = read else { return Ok(true) };
        let capped = reader.get_ref();
        // a text of a shard stands where it begins, and lines before the break where they do
        let at = if self.pick.shards { offset } else { capped.given_bytes() };
        if capped.is_past() {
            let why = format!(
                "it has {cause}, and what lies behind is not read: raise `max_member_bytes` of its \
                 source if this is meant"
            );
            out.reject(member, at, None, RejectClass::OverCap, why, None);
            return Ok(true);
        }
        self.broken(member, at, &cause, out);
        Ok(false)
    }

    /// A path of which nothing can be read: of a shard a reject, and what is wrong with it; any other
    /// is an error.
    fn unusable(
        &self,
        error: Error,
        class: RejectClass,
        why: String,
        out: &mut Collector<'_>,
    ) -> Result<Option<Error>> {
        if !self.pick.shards {
            return Err(error);
        }
        out.reject(&self.whole(), 0, None, class, why, None);
        Ok(Some(error))
    }

    /// A text that could not be read to its end: what came before stays.
    fn broken(&self, member: &str, offset: u64, cause: &io::Error, out: &mut Collector<'_>) {
        let (class, message) = of_break(cause);
        out.reject(member, offset, None, class, message, None);
    }

    fn tar<'c, I: Input>(
        &self,
        input: I,
        out: &mut Collector<'c>,
        each: &mut Each<'_, 'c>,
    ) -> Result<Option<Error>> {
        let mut entries = Entries::new(input, self.caps);
        let mut tally = Tally::default();
        loop {
            self.cancel.check()?;
            let entry = match entries.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => {
                    let odd = scan::check_end(&mut entries, self.cancel)?;
                    let told = odd.as_ref().is_some_and(|odd| odd.is_damaged);
                    if let Some(odd) = odd {
                        let (class, why) = (odd.class, odd.message);
                        out.reject(&self.whole(), entries.next_at(), None, class, why, None);
                    }
                    return Ok(self.settle(&tally, told, out));
                }
                Err(broken) => {
                    let cause = match broken.past_cap {
                        Some(past) => io::Error::other(past),
                        None => io::Error::other(broken.message),
                    };
                    self.broken(&self.whole(), broken.at, &cause, out);
                    return Ok(self.settle(&tally, true, out));
                }
            };
            let name = names::display(&entry.name);
            let is_file = entry.kind == EntryKind::File;
            if entry.kind == EntryKind::Directory || !self.picks(&name, is_file, &mut tally)? {
                continue;
            }
            let member = self.shown(&name);
            let fault = match entry.fault.clone() {
                _ if !is_file => Some((
                    RejectClass::NotAFile,
                    format!("it is {}; only files are read", entry.kind.name()),
                )),
                // what is there of it is read
                _ if entry.is_cut => None,
                fault => fault,
            };
            if let Some((class, why)) = fault {
                out.reject(&member, entry.offset, None, class, why, None);
                continue;
            }
            let content = entries.content(&entry);
            if !self.text(name, &member, entry.offset, content, out, each)? {
                return Ok(None);
            }
        }
    }

    fn zip<'c>(&self, out: &mut Collector<'c>, each: &mut Each<'_, 'c>) -> Result<Option<Error>> {
        let reader: BufReader<File> = BufReader::new(compressed::open(self.path)?);
        let mut archive = match zip::ZipArchive::new(reader) {
            Ok(archive) => archive,
            Err(cause) => {
                let what = "is no zip that can be read";
                let why = format!("it {what}: {cause}");
                let error = Error::new(Kind::BadInput, what).at(self.path.display());
                let error = error.caused_by(cause);
                return self.unusable(error, RejectClass::BrokenMember, why, out);
            }
        };
        let mut tally = Tally::default();
        let (mut unpacked_bytes, mut told) = (0, false);
        for at in 0..archive.len() {
            self.cancel.check()?;
            let described = archive.by_index_raw(at).map_err(io::Error::other).map(|member| {
                let kind = match (member.is_dir(), member.is_symlink()) {
                    (true, _) => EntryKind::Directory,
                    (_, true) => EntryKind::Symlink,
                    _ => EntryKind::File,
                };
                (names::display(member.name_raw()), kind)
            });
            let (name, kind) = match described {
                Ok(described) => described,
                // its own header is damaged; the directory has its name, too
                Err(cause) => {
                    let name = archive.name_for_index(at).and_then(|name| name.ok());
                    let name = name.map(|name| names::display(name.as_bytes()));
                    let picked = match &name {
                        Some(name) => self.picks(name, false, &mut tally)?,
                        None => true,
                    };
                    if picked {
                        told = true;
                        let shown = name.map_or_else(|| self.whole(), |name| self.shown(&name));
                        self.broken(&shown, 0, &cause, out);
                    }
                    continue;
                }
            };
            let is_file = kind == EntryKind::File;
            if kind == EntryKind::Directory || !self.picks(&name, is_file, &mut tally)? {
                continue;
            }
            let shown = self.shown(&name);
            if !is_file {
                let why = format!("it is {}; only files are read", kind.name());
                out.reject(&shown, 0, None, RejectClass::NotAFile, why, None);
                continue;
            }
            let member = match archive.by_index(at) {
                Ok(member) => member,
                Err(cause) => {
                    self.broken(&shown, 0, &io::Error::other(cause), out);
                    continue;
                }
            };
            let mut member = Capped::new(member, self.caps.unpacked_bytes).after(unpacked_bytes);
            self.text(name, &shown, 0, &mut member, out, each)?;
            if member.is_past() {
                break;
            }
            unpacked_bytes = member.given_bytes();
        }
        Ok(self.settle(&tally, told, out))
    }

    /// Whether a member is to be read; counts it either way.
    fn picks(&self, name: &str, is_file: bool, tally: &mut Tally) -> Result<bool> {
        tally.seen += 1;
        if tally.seen > self.caps.members {
            return Err(scan::too_many(self.path, self.caps.members));
        }
        if names::is_junk(name) {
            return Ok(false);
        }
        if tally.names.len() < 8 {
            tally.names.push(name.to_string());
        }
        if !self.pick.globs.matches(name) {
            return Ok(false);
        }
        let one = !self.pick.named && !self.pick.shards;
        if let Some(first) = tally.picked.as_ref().filter(|_| one && is_file) {
            let what = format!("holds `{first}` and `{name}`: which one is meant is unclear");
            return Err(Error::new(Kind::BadInput, what)
                .at(self.path.display())
                .help("name it with `member`"));
        }
        tally.picked.get_or_insert_with(|| name.to_string());
        Ok(true)
    }

    /// An archive must hold what was asked for: gives what is wrong with one that does not. A shard
    /// may where others do, and becomes a reject, unless one was `told` of it.
    fn settle(&self, tally: &Tally, told: bool, out: &mut Collector<'_>) -> Option<Error> {
        if tally.picked.is_some() {
            return None;
        }
        let what = format!("holds no member named `{}`", self.pick.patterns.join("`, `"));
        if self.pick.shards && !told {
            let (class, why) = (RejectClass::BrokenMember, format!("it {what}"));
            out.reject(&self.whole(), 0, None, class, why, None);
        }
        let help = format!("it holds: {}; name one with `member`", tally.names.join(", "));
        Some(Error::new(Kind::BadInput, what).at(self.path.display()).help(help))
    }
}

/// What a break in the middle of a text is to be called.
fn of_break(cause: &io::Error) -> (RejectClass, String) {
    match PastCap::of(cause) {
        Some(past) => (RejectClass::OverCap, scan::over_cap(past)),
        None => (RejectClass::BrokenMember, format!("it could not be read to its end: {cause}")),
    }
}

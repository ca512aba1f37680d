//! Which members of a source are images, and what is wrong with those that cannot be.

use std::sync::Arc;

use super::member::{Layout, Member};
use super::names::{self, Globs, Named};
use super::tarball::EntryKind;
use crate::base::Digest;
use crate::base::digest::Digester;
use crate::base::units::Bytes;
use crate::base::{Error, Result};
use crate::flow::{Origin, Reject, RejectClass};
use crate::plan::source::{IdRule, ImageSource, ImageSourceKind};

/// A source's rules, compiled once for all its archives.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) source: ImageSource,
    /// The source's, for origins.
    pub(crate) name: Arc<str>,
    include: Globs,
}

/// What is known of a member without its content.
pub(crate) struct Found<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) kind: EntryKind,
    pub(crate) size_bytes: u64,
    pub(crate) offset: u64,
    pub(crate) fault: Option<(RejectClass, String)>,
    pub(crate) layout: Layout,
}

/// What becomes of a member.
pub(crate) enum Verdict {
    /// Nobody asked for it: a folder, junk, no image.
    Ignored,
    /// It can be no row.
    Reject(Reject),
    /// An image. Its stamp is not known yet.
    Member(Box<Member>),
}

impl Selection {
    pub(crate) fn new(source: &ImageSource) -> Result<Self> {
        let include = Globs::new(&source.include)
            .map_err(|error: Error| error.at(format!("sources.{}: include", source.name)))?;
        Ok(Self { source: source.clone(), name: source.name.as_str().into(), include })
    }

    /// Digest of all that decides what a listing holds, but for the files themselves.
    pub(crate) fn digest(&self, label: Option<&str>) -> Digest {
        let source = &self.source;
        let rule = match &source.id {
            IdRule::Stem => String::new(),
            IdRule::Pattern(pattern) => pattern.to_string(),
        };
        let caps = &source.caps;
        let mut digester = Digester::new();
        digester
            .field("source", source.name.as_bytes())
            .field("kind", format!("{:?}", source.kind).as_bytes())
            .field("label", label.unwrap_or_default().as_bytes())
            .field("id", rule.as_bytes())
            // an index of before knows no reject of an end that is odd
            .field("ends", b"told");
        for cap in [caps.member_bytes, caps.members, caps.name_bytes] {
            digester.field("cap", &cap.to_le_bytes());
        }
        for glob in &source.include {
            digester.field("include", glob.as_bytes());
        }
        digester.finish()
    }

    /// Decides about one member of the archive number `archive`, whose members are shown as
    /// `label/name` when there is a label.
    pub(crate) fn judge(&self, found: Found<'_>, archive: usize, label: Option<&str>) -> Verdict {
        let name = names::display(found.name);
        // A folder that could not be gone into may hold images; an archive lists all it holds.
        let closed = found.kind == EntryKind::Directory
            && found.fault.is_some()
            && self.source.kind == ImageSourceKind::Folder;
        let skipped = matches!(found.kind, EntryKind::Directory | EntryKind::Metadata(_));
        if (skipped && !closed) || names::is_junk(&name) {
            return Verdict::Ignored;
        }
        let named = match self.source.kind {
            ImageSourceKind::WebDataset => Named::Shard,
            ImageSourceKind::Tar | ImageSourceKind::Folder => Named::File,
        };
        let all = self.source.include.is_empty();
        let included =
            if all { names::is_image(&name, named) } else { self.include.matches(&name) };
        let is_file = found.kind == EntryKind::File;
        // of a member whose name is over the cap it cannot be said what it is
        let doubtful = matches!(found.fault, Some((RejectClass::OverCap, _)));
        // a link is told about even without an image's name: nobody expects one here
        if !included && !doubtful && !closed && (is_file || !all) {
            return Verdict::Ignored;
        }
        let id = match std::str::from_utf8(found.name) {
            Ok(text) => names::image_id(text, &self.source.id, named),
            Err(_) => Err("its name is no UTF-8, so it gives no image id".to_string()),
        };
        let origin = Origin {
            source: self.name.clone(),
            member: match label {
                Some(label) => format!("{label}/{name}").into(),
                None => name.into(),
            },
            offset: found.offset,
        };
        let reject = |class, message, image_id| {
            let origin = origin.clone();
            Verdict::Reject(Reject { origin, image_id, class, message, digest: None })
        };
        if !is_file && !closed {
            let message = format!("it is {}; only files are read", found.kind.name());
            return reject(RejectClass::NotAFile, message, id.ok());
        }
        if let Some((class, message)) = found.fault {
            return reject(class, message, id.ok().filter(|_| !closed));
        }
        let image_id = match id {
            Ok(image_id) => image_id,
            Err(message) => return reject(RejectClass::BadName, message, None),
        };
        let cap = self.source.caps.member_bytes;
        if found.size_bytes > cap {
            let message = format!("it has {}, the cap is {}", Bytes(found.size_bytes), Bytes(cap));
            return reject(RejectClass::OverCap, message, Some(image_id));
        }
        Verdict::Member(Box::new(Member {
            image_id,
            origin,
            archive,
            size_bytes: found.size_bytes,
            stamp: Digest::of(&[]),
            digest: None,
            layout: found.layout,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::source::Caps;

    #[test]
    fn a_folder_that_cannot_be_gone_into_is_a_reject_and_one_of_an_archive_is_ignored() {
        let verdict = |kind, fault: Option<RejectClass>, include: &[&str]| {
            let source = ImageSource {
                name: "photos".into(),
                kind,
                paths: Vec::new(),
                id: IdRule::Stem,
                include: include.iter().map(|glob| (*glob).to_owned()).collect(),
                caps: Caps::default(),
            };
            let found = Found {
                name: b"a/closed",
                kind: EntryKind::Directory,
                size_bytes: 0,
                offset: 0,
                fault: fault.map(|class| (class, "why".to_owned())),
                layout: Layout::Whole,
            };
            match Selection::new(&source).unwrap().judge(found, 0, None) {
                Verdict::Ignored => None,
                Verdict::Reject(reject) => {
                    assert_eq!((&*reject.origin.member, &reject.image_id), ("a/closed", &None));
                    assert_eq!(reject.message, "why");
                    Some(reject.class)
                }
                Verdict::Member(_) => panic!("a folder is no member"),
            }
        };
        for class in [RejectClass::Unreadable, RejectClass::OverCap] {
            assert_eq!(verdict(ImageSourceKind::Folder, Some(class), &[]), Some(class));
            assert_eq!(verdict(ImageSourceKind::Folder, Some(class), &["*.png"]), Some(class));
            assert_eq!(verdict(ImageSourceKind::Tar, Some(class), &[]), None);
        }
        assert_eq!(verdict(ImageSourceKind::Folder, None, &[]), None);
    }
}

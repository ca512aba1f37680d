//! What a kept index knows of the files of a folder, for those who digest the folder whole.

use std::path::Path;

use super::archive::index_name;
use super::index;
use super::member::{Layout, stamp_of_file};
use crate::base::FileStamp;
use crate::plan::digests::KnownFiles;

/// The files of the source's folder `folder` that are what they were when the index in `index_dir` was
/// kept, each with the digest of its content.
#[must_use]
pub fn known_files(source: &str, folder: &Path, index_dir: &Path) -> KnownFiles {
    let mut known = KnownFiles::new();
    let index = index::read(&index_dir.join(index_name(source, folder)), source, 0);
    for member in index.into_iter().flat_map(|index| index.members) {
        let (Layout::File(below), Some(digest)) = (&member.layout, member.digest) else { continue };
        let Ok(meta) = std::fs::symlink_metadata(folder.join(below)) else { continue };
        let stamp = FileStamp::of(&meta);
        let name = below.as_os_str().as_encoded_bytes();
        if stamp_of_file(name, meta.len(), Some(stamp)) == member.stamp {
            known.insert(below.to_path_buf(), (stamp, digest));
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::PathBuf;

    use super::*;
    use crate::base::{Cancel, Digest, files};
    use crate::plan::source::{Caps, IdRule, ImageSource, ImageSourceKind};
    use crate::sources::{Listing, open};

    #[test]
    fn files_are_known_by_what_an_index_kept_until_they_change() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, indexes) = (dir.path().join("photos"), dir.path().join("index"));
        let put = |name: &str, text: &str| {
            files::write_atomic(&folder.join(name), |w| {
                w.write_all(text.as_bytes()).unwrap();
                Ok(())
            })
            .unwrap();
        };
        put("a.jpg", "one");
        put("deeper/b.jpg", "two");
        put("c.jpg", "of no digest yet");
        let source = ImageSource {
            name: "photos".into(),
            kind: ImageSourceKind::Folder,
            paths: vec![folder.clone()],
            id: IdRule::Stem,
            include: Vec::new(),
            caps: Caps::default(),
        };
        assert!(known_files("photos", &folder, &indexes).is_empty());
        let archives = open(&source, &indexes).unwrap();
        let Listing::Known { mut members, rejects } = archives[0].list(&Cancel::new()).unwrap()
        else {
            panic!("a folder is listed")
        };
        for member in members.iter_mut().filter(|member| member.image_id != "c") {
            let Layout::File(below) = &member.layout else { panic!("a file") };
            let bytes = files::read_capped(&folder.join(below), 100).unwrap();
            member.digest = Some(Digest::of(&bytes));
        }
        archives[0].keep_index(&members, &rejects).unwrap();
        let contents = || {
            let known = known_files("photos", &folder, &indexes).into_iter();
            known.map(|(below, (_, digest))| (below, digest)).collect::<Vec<_>>()
        };
        let deeper = (PathBuf::from("deeper/b.jpg"), Digest::of(b"two"));
        assert_eq!(contents(), [(PathBuf::from("a.jpg"), Digest::of(b"one")), deeper.clone()]);
        put("a.jpg", "another");
        assert_eq!(contents(), [deeper]);
    }
}

//! Sources on real data, on odd data, and on what our own writer writes.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

#[path = "sources/caption_caps.rs"]
mod caption_caps;
#[path = "sources/captions.rs"]
mod captions;
#[path = "sources/cut.rs"]
mod cut;
#[path = "../fuzz/targets/captions.rs"]
mod fuzz_captions;
#[path = "../fuzz/targets/tar.rs"]
mod fuzz_tar;
#[path = "sources/images.rs"]
mod images;
#[path = "sources/index.rs"]
mod index;
#[path = "sources/odd_archives.rs"]
mod odd_archives;
#[path = "sources/seeded.rs"]
mod seeded;
#[path = "sources/shards.rs"]
mod shards;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clipmill::base::Cancel;
use clipmill::base::environment::Environment;
use clipmill::flow::Reject;
use clipmill::plan::source::{Caps, IdRule, ImageSource, ImageSourceKind};
use clipmill::sources::{Archive, Item, Listing, Member};

/// A file of the real data, or `None` (said aloud) where there is none.
fn real(below: &str) -> Option<PathBuf> {
    let Some(folder) = Environment::of_process().get("CLIPMILL_TESTDATA").map(PathBuf::from) else {
        eprintln!("skipped: CLIPMILL_TESTDATA is not set, so there is no {below}");
        return None;
    };
    let path = folder.join(below);
    assert!(path.exists(), "{} is missing", path.display());
    Some(path)
}

fn image_source(kind: ImageSourceKind, paths: &[&Path]) -> ImageSource {
    ImageSource {
        name: "photos".into(),
        kind,
        paths: paths.iter().map(|path| path.to_path_buf()).collect(),
        id: IdRule::Stem,
        include: Vec::new(),
        caps: Caps::default(),
    }
}

fn open(source: &ImageSource, index: &Path) -> Archive {
    clipmill::sources::open(source, index).unwrap().remove(0)
}

fn known(archive: &Archive) -> (Vec<Member>, Vec<Reject>) {
    match archive.list(&Cancel::new()).unwrap() {
        Listing::Known { members, rejects } => (members, rejects),
        Listing::Streamed => panic!("expected a listing"),
    }
}

/// Streams everything.
fn streamed(archive: &Archive) -> (Vec<(Member, bytes::Bytes)>, Vec<Reject>) {
    let (mut samples, mut rejects) = (Vec::new(), Vec::new());
    let each = &mut |item| {
        match item {
            Item::Sample(member, bytes) => samples.push((member, bytes)),
            Item::Reject(reject) => rejects.push(reject),
        }
        ControlFlow::Continue(())
    };
    archive.stream(&mut |_| true, each, &Cancel::new()).unwrap();
    (samples, rejects)
}

//! Kept indexes against what archives hold: every content is read and digested again.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::archive::{self, Archive};
use super::member::Item;
use crate::base::{Cancel, Digest, Result};
use crate::plan::source::ImageSource;

/// What reading one archive again showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexVerdict {
    /// The archive or folder.
    pub path: PathBuf,
    /// The index that is kept of it; `None` where there is none, or the archive is another now,
    /// so that the next run reads it anyway.
    pub index: Option<PathBuf>,
    /// Members that were read.
    pub members: u64,
    /// Where the index is wrong, in words.
    pub faults: Vec<String>,
}

/// Reads every archive of `source` whole and compares it with the index that is kept of it in
/// `index_dir`. Nothing is written.
///
/// # Errors
/// As [`Archive::stream`], and [`crate::base::Kind::Interrupted`].
pub fn verify(
    source: &ImageSource,
    index_dir: &Path,
    cancel: &Cancel,
) -> Result<Vec<IndexVerdict>> {
    let kept = archive::open(source, index_dir)?;
    // where no index is, archives are listed anew
    let anew = archive::open(source, &index_dir.join("none"))?;
    kept.iter().zip(&anew).map(|(kept, anew)| one(kept, anew, cancel)).collect()
}

fn one(kept: &Archive, anew: &Archive, cancel: &Cancel) -> Result<IndexVerdict> {
    let mut verdict =
        IndexVerdict { path: kept.path().to_owned(), index: None, members: 0, faults: Vec::new() };
    let Some((index, whole)) = kept.kept() else { return Ok(verdict) };
    verdict.index = Some(kept.index_path().to_owned());
    let mut lacking: BTreeMap<(Arc<str>, u64), Option<Digest>> = match whole {
        true => index
            .members
            .iter()
            .map(|m| ((m.origin.member.clone(), m.origin.offset), m.digest))
            .collect(),
        // what a changed folder lacks is listed by the next run
        false => BTreeMap::new(),
    };
    let by_stamp = index.digests();
    let mut wanted = |_: &super::Member| true;
    let mut each = |item: Item| {
        let Item::Sample(member, _) = item else { return ControlFlow::Continue(()) };
        verdict.members += 1;
        let place = (member.origin.member.clone(), member.origin.offset);
        let there = lacking.remove(&place);
        if whole && there.is_none() {
            verdict.faults.push(format!("it lacks the member {}", member.origin.member));
        }
        // Of an archive that seems untouched a run believes what stands for the place, of any
        // other what stands for the stamp.
        let known = there.flatten().or_else(|| by_stamp.get(&member.stamp).copied().flatten());
        if known.is_some_and(|known| Some(known) != member.digest) {
            verdict.faults.push(format!(
                "the content of {} has another digest than it says, though nothing of it that is \
                 cheap to look at changed",
                member.origin.member
            ));
        }
        ControlFlow::Continue(())
    };
    anew.stream(&mut wanted, &mut each, cancel)?;
    cancel.check()?;
    let gone = lacking.into_keys().map(|(member, _)| format!("there is no member {member}"));
    verdict.faults.extend(gone);
    Ok(verdict)
}

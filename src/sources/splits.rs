//! Which part an image belongs to: from files that list ids, or from a seed.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::sync::Arc;

use super::compressed;
use super::lines::Lines;
use super::names::{self, Named};
use crate::base::digest::Digester;
use crate::base::units::Bytes;
use crate::base::{Digest, Result};
use crate::flow::{Origin, Reject, RejectClass, Split};
use crate::plan::source::SplitSource;

/// Reads split files, one image id a line. An image that two files list stays in the part
/// that lists it first, and the second line is a reject.
///
/// # Errors
/// When a file is not there, cannot be read or is larger than its cap.
pub fn read(source: &SplitSource) -> Result<(BTreeMap<String, Split>, Vec<Reject>)> {
    let mut splits = BTreeMap::new();
    let mut rejects = Vec::new();
    let name: Arc<str> = source.name.as_str().into();
    let paths: Vec<_> = source.files.iter().map(|(_, path)| path.clone()).collect();
    for ((split, path), member) in source.files.iter().zip(names::labels(&paths)) {
        let member: Arc<str> = member.into();
        let packing = compressed::sniff(path)?;
        let reader = compressed::unpack(path, packing, source.caps.unpacked_bytes)?;
        let mut reader = BufReader::new(reader);
        let mut lines = Lines::new(&mut reader, source.caps.line_bytes);
        let unread = |cause| compressed::unread(path, cause);
        while let Some(line) = lines.next_line().map_err(unread)? {
            let mut reject = |class, image_id, message: String| {
                let (member, offset) = (member.clone(), line.offset);
                rejects.push(Reject {
                    origin: Origin { source: name.clone(), member, offset },
                    image_id,
                    class,
                    message,
                    digest: Some(Digest::of(line.bytes)),
                });
            };
            if line.over {
                let cap = Bytes(source.caps.line_bytes);
                reject(RejectClass::OverCap, None, format!("it is longer than the cap of {cap}"));
                continue;
            }
            let Ok(text) = std::str::from_utf8(line.bytes) else {
                reject(RejectClass::BadText, None, "it is no UTF-8".into());
                continue;
            };
            if text.trim().is_empty() {
                continue;
            }
            let id = match names::image_id(text.trim(), &source.id, Named::Text) {
                Ok(id) => id,
                Err(why) => {
                    reject(RejectClass::BadName, None, why);
                    continue;
                }
            };
            match splits.get(&id) {
                Some(first) => {
                    let why = format!("{id} is listed in {split}, and in {first} already");
                    reject(RejectClass::DuplicateId, Some(id), why);
                }
                None => {
                    splits.insert(id, *split);
                }
            }
        }
    }
    Ok((splits, rejects))
}

/// The part of an image by chance: the same for the same seed whatever other images there
/// are, so that all its captions stay together and a growing data set moves nothing.
///
/// `ratios` are shares of any sum above zero; without one the image is in training.
#[must_use]
pub fn seeded(image_id: &str, ratios: &[(Split, f64)], seed: u64) -> Split {
    let digest = Digester::new()
        .field("split seed", &seed.to_le_bytes())
        .field("image", image_id.as_bytes())
        .finish();
    let first = digest.as_bytes().first_chunk::<8>().copied().unwrap_or_default();
    // 53 bits are what an f64 holds exactly
    let draw = (u64::from_le_bytes(first) >> 11) as f64 / (1_u64 << 53) as f64;
    let total: f64 = ratios.iter().map(|(_, share)| share.max(0.0)).sum();
    let mut below = 0.0;
    for (split, share) in ratios {
        below += share.max(0.0) / total;
        if draw < below {
            return *split;
        }
    }
    ratios.iter().rev().find(|(_, share)| *share > 0.0).map_or(Split::Train, |(split, _)| *split)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATIOS: &[(Split, f64)] = &[(Split::Train, 0.9), (Split::Val, 0.05), (Split::Test, 0.05)];

    #[test]
    fn shares_are_kept_and_seeds_differ() {
        let ids: Vec<String> = (0..20_000).map(|n| format!("{n}.jpg")).collect();
        let count = |seed| {
            let mut counts = BTreeMap::new();
            for id in &ids {
                *counts.entry(seeded(id, RATIOS, seed)).or_insert(0_u32) += 1;
            }
            counts
        };
        let counts = count(0);
        assert!((17_800..18_200).contains(&counts[&Split::Train]), "{counts:?}");
        assert!((850..1_150).contains(&counts[&Split::Val]), "{counts:?}");
        let moved = ids.iter().filter(|id| seeded(id, RATIOS, 0) != seeded(id, RATIOS, 1)).count();
        assert!(moved > 1_000);
    }

    #[test]
    fn the_draw_never_changes() {
        // stored splits depend on it
        let parts: Vec<&str> = (0..12)
            .map(|n| {
                seeded(
                    &n.to_string(),
                    &[(Split::Train, 1.0), (Split::Val, 1.0), (Split::Test, 1.0)],
                    7,
                )
                .name()
            })
            .collect();
        assert_eq!(parts.join(" "), "val train val test test test val test test train train train");
    }

    #[test]
    fn odd_ratios_have_an_answer() {
        assert_eq!(seeded("x", &[], 0), Split::Train);
        assert_eq!(seeded("x", &[(Split::Train, 0.0), (Split::Test, 2.0)], 0), Split::Test);
    }
}

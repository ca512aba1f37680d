//! Stored images that have more pixels than may be now.
//!
//! Limits are in no fingerprint: raising one makes no row again. What a lower one refuses has to
//! leave all the same, or tables would tell of limits of the past. An image's sides are stored, so
//! that no bytes are read for it. What decoding takes in memory is not.

use std::collections::BTreeMap;

use arrow::array::{Int32Array, RecordBatch, StringArray};
use rayon::prelude::*;

use crate::base::{Digest, Kind, Result};
use crate::decode::{Fault, Limits};
use crate::flow::{ImageHeader, RejectClass};
use crate::plan::Stage;
use crate::table::{Part, Snapshot, Store};

use super::rows;
use super::state::State;

/// Columns of an image's sides.
const SIDES: [&str; 2] = ["width_px", "height_px"];
/// And of its content and what made the row.
const COLUMNS: [&str; 4] = ["width_px", "height_px", "digest", "fingerprint"];

/// The contents that rows of the present fingerprint have, published or staged, and that are
/// refused now.
pub(super) fn oversized(
    store: &Store,
    stage: &Stage,
    state: &State,
    most_pixels: u64,
) -> Result<BTreeMap<Digest, Fault>> {
    let rule = Rule {
        limits: Limits { pixels: most_pixels, ..Limits::default() },
        fingerprint: stage.fingerprint.digest().to_string(),
    };
    let mut read: Vec<Result<Vec<(Digest, Fault)>>> = Vec::new();
    if let Some(snapshot) = &state.snapshot {
        let parts = snapshot.parts().iter().enumerate();
        let parts: Vec<&Part> =
            parts.filter(|(number, _)| !state.is_damaged(*number)).map(|(_, part)| part).collect();
        parts.par_iter().map(|part| rule.of_part(snapshot, part)).collect_into_vec(&mut read);
    }
    read.extend(state.staged.iter().map(|staged| {
        let mut found = Vec::new();
        for batch in store.scan_staged(&stage.table, &stage.contract, staged, &COLUMNS)? {
            found.extend(rule.of_batch(&batch?)?);
        }
        Ok(found)
    }));
    let mut found = BTreeMap::new();
    for of in read {
        match of {
            Ok(of) => found.extend(of),
            // Damage is found where rows are read, and rows without sides are not judged.
            Err(error) if matches!(error.kind(), Kind::Store | Kind::Query) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// What refuses.
struct Rule {
    limits: Limits,
    fingerprint: String,
}

impl Rule {
    fn of_part(&self, snapshot: &Snapshot, part: &Part) -> Result<Vec<(Digest, Fault)>> {
        // Most often all are small enough, and nobody has to read what they are.
        let mut any = false;
        for batch in snapshot.scan_part(part, &SIDES)? {
            let batch = batch?;
            let sides = Sides::of(&batch)?;
            any |= (0..batch.num_rows()).any(|at| self.refuses(&sides, at).is_some());
        }
        let mut found = Vec::new();
        if any {
            for batch in snapshot.scan_part(part, &COLUMNS)? {
                found.extend(self.of_batch(&batch?)?);
            }
        }
        Ok(found)
    }

    fn of_batch(&self, batch: &RecordBatch) -> Result<Vec<(Digest, Fault)>> {
        let sides = Sides::of(batch)?;
        let digests = rows::column::<StringArray>(batch, "digest")?;
        let fingerprints = rows::column::<StringArray>(batch, "fingerprint")?;
        let of = |at: usize| {
            // Another operator may have seen other sides: the row is made anew in any case.
            let fault = self.refuses(&sides, at)?;
            let digest = digests.value(at).parse::<Digest>().ok()?;
            (fingerprints.value(at) == self.fingerprint).then_some((digest, fault))
        };
        Ok((0..batch.num_rows()).filter_map(of).collect())
    }

    fn refuses(&self, sides: &Sides<'_>, at: usize) -> Option<Fault> {
        let px = |side: &Int32Array| u32::try_from(side.value(at)).unwrap_or(0);
        let (width_px, height_px) = (px(sides.width), px(sides.height));
        let header = ImageHeader { width_px, height_px, format: "", mode: "" };
        let fault = self.limits.check_pixels(&header).err()?;
        (fault.class == RejectClass::ImageTooLarge).then_some(fault)
    }
}

struct Sides<'a> {
    width: &'a Int32Array,
    height: &'a Int32Array,
}

impl<'a> Sides<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self> {
        let [width, height] = SIDES;
        Ok(Self { width: rows::column(batch, width)?, height: rows::column(batch, height)? })
    }
}

//! The first rows of a run in a reduced numeric type are computed in `f32` too. No row is durable
//! before that: what a part's manifest says of them goes with it, so that a contract which bounds
//! it also holds for rows that a later run takes over.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;

use crate::base::{Cancel, Result};
use crate::embed::{ImageEncoder, SAMPLE_ROWS, Sample, TextEncoder};
use crate::flow::{Fidelity, Vectors};
use crate::plan::model::{Dtype, ModelSpec};

/// Whether features of this model are of a reduced type.
pub(super) fn is_reduced(model: &ModelSpec) -> bool {
    model.dtype != Dtype::F32
}

fn in_f32(model: &ModelSpec) -> ModelSpec {
    ModelSpec { dtype: Dtype::F32, ..model.clone() }
}

/// Images that go through the model in `f32` at once: each time its weights are read anew.
const AT_ONCE: usize = 32;

/// A comparison of image features under way: few inputs are kept, and one block of the model in
/// `f32`.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    full: Option<ImageEncoder>,
    sample: Sample,
    /// Inputs that wait to be computed in `f32`, and what the model made of them.
    input: Vec<u8>,
    made: Vectors,
    /// Rows that wait for its end.
    pub held: Vec<RecordBatch>,
}

impl Comparison {
    /// Takes as many of a batch's rows as the sample wants, and computes them in `f32` where
    /// enough have come together.
    ///
    /// # Errors
    /// When the model cannot be loaded in `f32`, or fails.
    pub(super) fn add(
        &mut self,
        (model, encoder): (&ModelSpec, &ImageEncoder),
        input: &[u8],
        made: &Vectors,
    ) -> Result<()> {
        let each = input.len().checked_div(made.rows()).unwrap_or(0);
        for (input, made_row) in input.chunks(each.max(1)).zip(made.iter()) {
            if self.is_full() {
                break;
            }
            self.made.width = made.width;
            self.made.data.extend_from_slice(made_row);
            self.input.extend_from_slice(input);
            if self.made.rows() >= AT_ONCE {
                self.compute(model, encoder)?;
            }
        }
        Ok(())
    }

    fn compute(&mut self, model: &ModelSpec, encoder: &ImageEncoder) -> Result<()> {
        let (input, made) = (std::mem::take(&mut self.input), std::mem::take(&mut self.made));
        if made.rows() == 0 {
            return Ok(());
        }
        let full = match &mut self.full {
            Some(full) => full,
            slot => slot.insert(encoder.load_beside(&in_f32(model))?),
        };
        let other = full.encode_levels(&input, made.rows())?;
        self.sample.push(&made, &other);
        Ok(())
    }

    /// Whether the sample is full.
    pub(super) fn is_full(&self) -> bool {
        self.sample.room() <= self.made.rows()
    }

    /// What it says; nothing where no row was computed.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub(super) fn measure(
        &mut self,
        model: &ModelSpec,
        encoder: &ImageEncoder,
    ) -> Result<Option<Fidelity>> {
        self.compute(model, encoder)?;
        Ok(self.sample.measure())
    }
}

/// Compares the first distinct ones of the texts that are to be embedded; nothing for `f32`, where
/// there are none, or where it was asked to stop.
///
/// # Errors
/// When the model cannot be loaded in `f32`, or fails.
pub(super) fn texts<'t>(
    model: &ModelSpec,
    batch_rows: Option<usize>,
    encoder: &TextEncoder,
    texts: impl Iterator<Item = &'t str>,
    cancel: &Cancel,
) -> Result<Option<Fidelity>> {
    if !is_reduced(model) {
        return Ok(None);
    }
    let mut seen = BTreeSet::new();
    let texts: Vec<_> = texts.filter(|text| seen.insert(*text)).take(SAMPLE_ROWS).collect();
    if texts.is_empty() {
        return Ok(None);
    }
    let mut ids = encoder.token_ids(&texts)?;
    ids.sort_by_key(Vec::len);
    let mut made = Vectors::default();
    for batch in ids.chunks(encoder.batch_rows(batch_rows)) {
        if cancel.is_cancelled() {
            return Ok(None);
        }
        let of_batch = encoder.encode_ids(batch)?;
        made.width = of_batch.width;
        made.data.extend(of_batch.data);
    }
    // All at once: each time its weights are read anew.
    let full = encoder.load_beside(&in_f32(model))?.encode_ids(&ids)?;
    let mut sample = Sample::default();
    sample.push(&made, &full);
    Ok(sample.measure())
}

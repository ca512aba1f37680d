//! Computed rows become durable parts, every few thousand rows or half a minute.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use crate::base::Result;
use crate::plan::contract::Contract;
use crate::table::{PartLabel, PartWriter, StagedPart, Store};

/// Rows of a part: a change of one row in a million rewrites well under a hundredth.
pub(super) const PART_ROWS: u64 = 4096;
const PART_AGE: Duration = Duration::from_secs(30);

/// Rows on their way to the table of this number.
pub(super) type Write = (usize, RecordBatch);

/// Writes one table's rows into parts that no version names yet.
#[derive(Debug)]
pub(super) struct Sink {
    store: Store,
    table: String,
    contract: Contract,
    fingerprint: String,
    writer: Option<(PartWriter, Instant)>,
    parts: Vec<StagedPart>,
}

impl Sink {
    pub(super) fn new(store: &Store, table: &str, contract: &Contract, fingerprint: &str) -> Self {
        Self {
            store: store.clone(),
            table: table.to_owned(),
            contract: contract.clone(),
            fingerprint: fingerprint.to_owned(),
            writer: None,
            parts: Vec::new(),
        }
    }

    /// Takes rows; some of them may become durable.
    ///
    /// # Errors
    /// When a part cannot be written; what was durable stays so.
    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut at = 0;
        while at < batch.num_rows() {
            if self.writer.is_none() {
                let label = PartLabel {
                    fingerprint: self.fingerprint.clone(),
                    unit: format!("{}-{}", self.table, self.parts.len()),
                };
                let writer = self.store.part_writer(&self.table, &self.contract, label)?;
                self.writer = Some((writer, Instant::now()));
            }
            let Some((writer, begun)) = self.writer.as_mut() else { break };
            let room = usize::try_from(PART_ROWS.saturating_sub(writer.rows())).unwrap_or(1).max(1);
            let take = room.min(batch.num_rows() - at);
            writer.write(&batch.slice(at, take))?;
            at += take;
            if writer.rows() >= PART_ROWS || begun.elapsed() >= PART_AGE {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if let Some((writer, _)) = self.writer.take() {
            self.parts.push(writer.finish()?);
        }
        Ok(())
    }

    /// Makes the last rows durable and gives all parts.
    ///
    /// # Errors
    /// When the last part cannot be written.
    pub(super) fn finish(mut self) -> Result<Vec<StagedPart>> {
        self.flush()?;
        Ok(self.parts)
    }
}

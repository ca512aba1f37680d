//! Computed rows become durable parts, every few thousand rows or half a minute.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use crate::base::Result;
use crate::plan::PartSize;
use crate::plan::contract::Contract;
use crate::table::{PartLabel, PartWriter, StagedPart, Store};

/// Rows on their way to the table of this number.
pub(super) type Write = (usize, RecordBatch);

/// Writes one table's rows into parts that no version names yet.
#[derive(Debug)]
pub(super) struct Sink {
    store: Store,
    size: PartSize,
    table: String,
    contract: Contract,
    fingerprint: String,
    /// The unit of work that the rows belong to.
    unit: String,
    writer: Option<(PartWriter, Instant)>,
    parts: Vec<StagedPart>,
}

impl Sink {
    pub(super) fn new(
        store: &Store,
        size: PartSize,
        table: &str,
        contract: &Contract,
        fingerprint: &str,
    ) -> Self {
        Self {
            store: store.clone(),
            size,
            table: table.to_owned(),
            contract: contract.clone(),
            fingerprint: fingerprint.to_owned(),
            unit: table.to_owned(),
            writer: None,
            parts: Vec::new(),
        }
    }

    /// Labels the parts with a unit of work.
    pub(super) fn of_unit(mut self, unit: Option<&str>) -> Self {
        if let Some(unit) = unit {
            unit.clone_into(&mut self.unit);
        }
        self
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
                    unit: format!("{}-{}", self.unit, self.parts.len()),
                };
                let writer = self.store.part_writer(&self.table, &self.contract, label)?;
                self.writer = Some((writer, Instant::now()));
            }
            let Some((writer, _)) = self.writer.as_mut() else { break };
            let room = self.size.rows.saturating_sub(writer.rows());
            let room = usize::try_from(room).unwrap_or(usize::MAX).max(1);
            let take = room.min(batch.num_rows() - at);
            writer.write(&batch.slice(at, take))?;
            at += take;
            if writer.rows() >= self.size.rows {
                self.flush()?;
            }
        }
        self.tick()
    }

    /// Makes rows durable that have waited for long enough; called now and then while none come.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn tick(&mut self) -> Result<()> {
        let age = Duration::from_secs(self.size.seconds);
        match &self.writer {
            Some((_, begun)) if begun.elapsed() >= age => self.flush(),
            _ => Ok(()),
        }
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

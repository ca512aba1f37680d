//! Computed rows become durable parts, every few thousand rows or half a minute.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use crate::base::Result;
use crate::flow::Fidelity;
use crate::plan::PartSize;
use crate::plan::contract::Contract;
use crate::table::{PartLabel, PartWriter, StagedPart, Store};

/// Rows on their way to a table.
#[derive(Debug)]
pub(super) struct Write {
    /// Its number among those of the pass.
    pub table: usize,
    pub batch: RecordBatch,
    /// How near the table's rows are to those in f32.
    pub fidelity: Option<Fidelity>,
}

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
    fidelity: Option<Fidelity>,
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
            fidelity: None,
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

    /// Notes beside the rows of later parts how near they are to those in f32.
    pub(super) fn of_fidelity(mut self, fidelity: Option<Fidelity>) -> Self {
        self.fidelity = fidelity;
        self
    }

    /// As [`Self::of_fidelity`], before the first row.
    pub(super) fn know(&mut self, fidelity: Option<Fidelity>) {
        self.fidelity = fidelity;
    }

    /// As [`Self::push`], with what is known of the rows' type by now.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub(super) fn take(&mut self, write: &Write) -> Result<()> {
        self.fidelity = self.fidelity.or(write.fidelity);
        self.push(&write.batch)
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
                let writer = writer.with_fidelity(self.fidelity);
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

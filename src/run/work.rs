//! The computing side of units: one process, unit after unit, into staged parts.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Error, Kind, Result};
use crate::embed::{ImageEncoder, TextEncoder};
use crate::flow::Fidelity;
use crate::plan::stage::EmbedCaptions;
use crate::plan::{Plan, Stage, Work};
use crate::sources::Member;
use crate::table::{StagedPart, Store};

use super::book::Book;
use super::context::{Context, Means, Options};
use super::ledger::Ledger;
use super::ledger::REJECTS;
use super::order::dependents;
use super::pass::{Listed, Pass};
use super::repeats::{Mark, Repeats};
use super::state::State;
use super::texts;
use super::unit::{Finished, Range, UNIT_FORMAT, Unit, listing};
use super::{images, overlap};

/// Computes units of one run. What units share, such as loaded weights and the state of their
/// tables, is kept from one to the next. It takes no lock: staged parts are in nobody's way.
#[derive(Debug)]
pub struct Worker<'p> {
    ctx: Context<'p>,
    ledger: Ledger,
    desk: Option<Desk<'p>>,
}

/// What the units of one stage share.
#[derive(Debug)]
enum Desk<'p> {
    Images(ImageDesk<'p>),
    Texts(TextDesk<'p>),
}

#[derive(Debug)]
struct ImageDesk<'p> {
    tables: BTreeMap<String, String>,
    pass: Pass<'p>,
    listed: Listed,
    /// All members, by archive; `listed` has those of one unit at a time.
    members: Vec<Vec<Member>>,
    encoders: Vec<Option<ImageEncoder>>,
    fidelity: Vec<Option<Fidelity>>,
}

#[derive(Debug)]
struct TextDesk<'p> {
    stage: &'p Stage,
    work: &'p EmbedCaptions,
    state: State,
    /// Numbers of the captions that need a vector, and what stands for their texts.
    wanted: Vec<u64>,
    marks: Vec<Mark>,
    encoder: Option<TextEncoder>,
    fidelity: Option<Fidelity>,
}

impl<'p> Worker<'p> {
    /// A worker for units of `plan`.
    ///
    /// # Errors
    /// When the store is not there or cannot be read: the run that hands out units made it.
    pub fn new(plan: &'p Plan, options: &'p Options, means: &'p Means) -> Result<Self> {
        let clock = std::sync::Arc::clone(&options.clock);
        let storage = std::sync::Arc::clone(&means.storage);
        let store = Store::open_on(&plan.store, clock, storage)?;
        let rejects = store.snapshot(REJECTS)?;
        let ledger = Ledger::load(rejects.as_ref(), (options.retry_rejects, &BTreeSet::new()), 0)?;
        Ok(Self { ctx: Context::new(plan, options, means, store), ledger, desk: None })
    }

    /// Computes one unit; its rows are durable when this returns.
    ///
    /// # Errors
    /// [`Kind::Busy`] when definition, weights or data are not what they were when the unit was
    /// cut; else what stops a run.
    pub fn compute(&mut self, unit: &Unit) -> Result<Finished> {
        self.agree(unit)?;
        self.ctx.unit = Some(unit.id.clone());
        match &unit.range {
            Range::Members { table, archive, from, to, listing } => {
                let mut desk = match self.desk.take() {
                    Some(Desk::Images(desk)) if desk.tables == unit.tables => desk,
                    _ => self.image_desk(unit, table)?,
                };
                let range = MemberRange { archive: *archive, from: *from, to: *to };
                let done = self.members(unit, &mut desk, &range, *listing);
                self.desk = Some(Desk::Images(desk));
                done
            }
            Range::Rows { table, version, from, to } => {
                let mut desk = match self.desk.take() {
                    Some(Desk::Texts(desk)) if desk.stage.table == *table => desk,
                    _ => self.text_desk(table, *version)?,
                };
                let done = self.rows(unit, &mut desk, *from, *to);
                self.desk = Some(Desk::Texts(desk));
                done
            }
        }
    }

    /// Whether this process sees what the one saw that cut the unit.
    fn agree(&self, unit: &Unit) -> Result<()> {
        if unit.format != UNIT_FORMAT {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "is a unit of format {}, and this clipmill knows {UNIT_FORMAT}",
                    unit.format
                ),
            )
            .at(&unit.id)
            .help("use the clipmill that made it"));
        }
        if unit.definition_digest != self.ctx.plan.definition_digest {
            return Err(changed("the definition").at(unit.definition.display()));
        }
        for (table, fingerprint) in &unit.tables {
            let stage = self.stage(table)?;
            if stage.fingerprint.digest().to_string() != *fingerprint {
                return Err(changed("what the table is made with").at(table));
            }
        }
        Ok(())
    }

    fn stage(&self, table: &str) -> Result<&'p Stage> {
        self.ctx.plan.stage(table).ok_or_else(|| {
            Error::new(Kind::Usage, format!("no stage makes a table `{table}`")).at(self
                .ctx
                .plan
                .definition
                .display())
        })
    }

    fn image_desk(&self, unit: &Unit, table: &str) -> Result<ImageDesk<'p>> {
        let stage = self.stage(table)?;
        let Work::IndexImages(work) = &stage.work else {
            return Err(Error::new(Kind::Usage, "lists no images").at(table));
        };
        let wanted: BTreeSet<&str> = unit.tables.keys().map(String::as_str).collect();
        let dependents = dependents(self.ctx.plan, table, &wanted);
        let pass = Pass::new(&self.ctx, &self.ledger, stage, work, dependents)?;
        let mut listed = images::list(&self.ctx, work)?;
        let members = std::mem::take(&mut listed.members);
        let members = members.into_iter().map(Option::unwrap_or_default).collect();
        let encoders = pass.targets.iter().map(|_| None).collect();
        Ok(ImageDesk {
            tables: unit.tables.clone(),
            pass,
            listed,
            members,
            encoders,
            fidelity: Vec::new(),
        })
    }

    fn members(
        &mut self,
        unit: &Unit,
        desk: &mut ImageDesk<'p>,
        range: &MemberRange,
        expected: crate::base::Digest,
    ) -> Result<Finished> {
        let members = desk.members.get(range.archive).and_then(|of| of.get(range.from..range.to));
        let members = members.filter(|members| listing(*members) == expected);
        let Some(members) = members else {
            return Err(changed("what the source holds").at(&unit.id));
        };
        desk.listed.members = desk
            .members
            .iter()
            .enumerate()
            .map(|(at, _)| Some(if at == range.archive { members.to_vec() } else { Vec::new() }))
            .collect();
        let mut book = Book::new(&desk.pass, &mut self.ledger, &desk.listed);
        book.encoders = std::mem::take(&mut desk.encoders);
        book.fidelity = std::mem::take(&mut desk.fidelity);
        let done = overlap::compute(&mut self.ctx, &desk.pass, &mut book, &desk.listed);
        desk.encoders = std::mem::take(&mut book.encoders);
        desk.fidelity = std::mem::take(&mut book.fidelity);
        let mut digests: Vec<_> = members.iter().map(|member| member.digest).collect();
        for (archive, number, digest) in &book.learned {
            if let Some(slot) =
                digests.get_mut(*number as usize).filter(|_| *archive == range.archive)
            {
                *slot = Some(*digest);
            }
        }
        let done = done?;
        let tables = desk.pass.tables().map(|(stage, _, _)| stage.table.clone());
        let rows = tables.zip(done.parts.iter().map(|parts| rows(parts))).collect();
        Ok(self.finished(unit, rows, digests, done.complete))
    }

    fn finished(
        &mut self,
        unit: &Unit,
        rows: BTreeMap<String, u64>,
        digests: Vec<Option<crate::base::Digest>>,
        complete: bool,
    ) -> Finished {
        let times = self.ctx.clocks.take();
        let smaller_batches = std::mem::take(&mut self.ctx.report.smaller_batches);
        Finished { unit: unit.id.clone(), rows, digests, complete, times, smaller_batches }
    }

    fn text_desk(&mut self, table: &str, version: i64) -> Result<TextDesk<'p>> {
        let stage = self.stage(table)?;
        let Work::EmbedCaptions(work) = &stage.work else {
            return Err(Error::new(Kind::Usage, "is made of no captions").at(table));
        };
        let now = self.ctx.store.snapshot(&work.captions)?.map(|captions| captions.version());
        if now != Some(version) {
            return Err(changed("the table of captions").at(&work.captions));
        }
        let (mut wanted, mut marks) = (Vec::new(), Vec::new());
        let (state, _) = texts::survey(&self.ctx, &mut self.ledger, stage, work, &mut |row, _| {
            wanted.push(row.number);
            marks.push(Mark::of(&row.text));
        })?;
        Ok(TextDesk { stage, work, state, wanted, marks, encoder: None, fidelity: None })
    }

    fn rows(
        &mut self,
        unit: &Unit,
        desk: &mut TextDesk<'p>,
        from: u64,
        to: u64,
    ) -> Result<Finished> {
        let first = desk.wanted.partition_point(|number| *number < from);
        let last = desk.wanted.partition_point(|number| *number < to);
        let wanted = desk.wanted.get(first..last).unwrap_or_default();
        let mut sink = self.ctx.sink(desk.stage);
        let mut complete = true;
        if !wanted.is_empty() {
            let encoder = match &mut desk.encoder {
                Some(encoder) => encoder,
                slot => slot.insert(texts::load(&self.ctx, desk.stage, desk.work)?),
            };
            if desk.fidelity.is_none() {
                desk.fidelity = texts::compare(&self.ctx, desk.work, encoder, wanted)?;
            }
            sink.know(desk.fidelity);
            let job = texts::Job {
                ctx: &self.ctx,
                stage: desk.stage,
                work: desk.work,
                state: &desk.state,
                encoder,
            };
            let marks = desk.marks.get(first..last).unwrap_or_default();
            let repeats = Repeats::among(marks.to_vec());
            complete = job.embed(&mut self.ledger, (wanted, repeats), &mut sink)?;
            self.ctx.report.note_smaller(&desk.stage.table, encoder.rows_at_once());
        }
        let parts = sink.finish()?;
        let rows = BTreeMap::from([(desk.stage.table.clone(), rows(&parts))]);
        Ok(self.finished(unit, rows, Vec::new(), complete))
    }
}

struct MemberRange {
    archive: usize,
    from: usize,
    to: usize,
}

fn rows(parts: &[StagedPart]) -> u64 {
    parts.iter().map(|part| part.rows).sum()
}

fn changed(what: &str) -> Error {
    Error::new(Kind::Busy, format!("{what} changed after the work was handed out"))
        .help("run again: what was finished is kept")
}

//! Cuts the work of a stage into units and has other processes compute them, before the stage
//! itself is carried out: that then finds their rows among the staged parts, computes what is
//! left, such as members that are refused, and publishes once.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::Result;
use crate::plan::Stage;
use crate::plan::model::DeviceChoice;
use crate::plan::stage::{EmbedCaptions, EmbedImages, IndexImages};
use crate::sources::Member;

use super::context::{Context, Workers};
use super::images::list;
use super::indexes;
use super::ledger::Ledger;
use super::pass::{Listed, Pass};
use super::texts::survey;
use super::unit::{Finished, Range, UNIT_FORMAT, Unit, listing};
use super::workers;

/// Units a process: several, so that none waits long for the last one.
const UNITS_EACH: usize = 4;
/// Fewer rows are sooner computed than handed out.
const LEAST_ROWS: usize = 8;

/// Has the rows of a pass over images computed by other processes, where there are some.
///
/// # Errors
/// When an input or the store fails, or a worker.
pub(super) fn images(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &IndexImages,
    dependents: &[(&Stage, &EmbedImages)],
) -> Result<()> {
    let devices: Vec<_> = dependents.iter().map(|(_, work)| work.model.device).collect();
    let Some(team) = team(ctx, &devices) else { return Ok(()) };
    let pass = Pass::new(ctx, ledger, stage, work, dependents.to_vec())?;
    for (stage, _, state) in pass.tables() {
        state.clean(&ctx.store, stage)?;
    }
    let mut listed = list(ctx, work)?;
    let learned = indexes::stream(ctx, &mut listed)?;
    let tables: BTreeMap<_, _> =
        pass.tables().map(|(stage, print, _)| (stage.table.clone(), print.plain.clone())).collect();
    let wanted = wanted(&pass, &listed);
    let rows: usize = wanted.iter().map(Vec::len).sum();
    // So that the others need not look for themselves.
    indexes::keep(&listed, &learned)?;
    if rows < LEAST_ROWS {
        return Ok(());
    }
    name_units(ctx);
    let mut units = Units::new(ctx, &stage.table, tables);
    for (number, (archive, wanted)) in listed.archives.iter().zip(&wanted).enumerate() {
        let members = listed.members.get(number).and_then(Option::as_deref).unwrap_or_default();
        // Of a stream every unit has to unpack all that is before its members.
        let most = if archive.is_seekable() {
            unit_rows(ctx, &team, rows)
        } else {
            wanted.len().div_ceil(team.count.get())
        };
        for of in wanted.chunks(most.max(1)) {
            let (Some(from), Some(last)) = (of.first().copied(), of.last().copied()) else {
                continue;
            };
            let to = last + 1;
            let listing = listing(members.get(from..to).unwrap_or_default());
            let table = stage.table.clone();
            units.push(Range::Members { table, archive: number, from, to, listing });
        }
    }
    let places: BTreeMap<String, (usize, usize)> = units
        .all
        .iter()
        .filter_map(|unit| match &unit.range {
            Range::Members { archive, from, .. } => Some((unit.id.clone(), (*archive, *from))),
            Range::Rows { .. } => None,
        })
        .collect();
    let finished = workers::compute(ctx, &team, units.all, (&stage.table, rows as u64))?;
    let mut learned = BTreeSet::new();
    for done in &finished {
        book(ctx, done);
        let Some((archive, from)) = places.get(&done.unit) else { continue };
        let Some(Some(members)) = listed.members.get_mut(*archive) else { continue };
        let members = members.iter_mut().skip(*from);
        for (member, digest) in members.zip(&done.digests) {
            if member.digest.is_none() && digest.is_some() {
                ctx.report.images += 1;
                member.digest = *digest;
                learned.insert(*archive);
            }
        }
    }
    indexes::keep(&listed, &learned)
}

/// Has the rows of a table of caption features computed by other processes.
///
/// # Errors
/// As [`images`].
pub(super) fn texts(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &EmbedCaptions,
) -> Result<()> {
    let Some(team) = team(ctx, &[work.model.device]) else { return Ok(()) };
    let Some(captions) = ctx.store.snapshot(&work.captions)? else { return Ok(()) };
    let mut wanted = Vec::new();
    let (state, _) = survey(ctx, ledger, stage, work, &mut |row, _| wanted.push(row.number))?;
    state.clean(&ctx.store, stage)?;
    if wanted.len() < LEAST_ROWS {
        return Ok(());
    }
    let print = stage.fingerprint.digest().to_string();
    let tables = BTreeMap::from([(stage.table.clone(), print)]);
    name_units(ctx);
    let mut units = Units::new(ctx, &stage.table, tables);
    for of in wanted.chunks(unit_rows(ctx, &team, wanted.len())) {
        if let (Some(from), Some(last)) = (of.first().copied(), of.last()) {
            let to = last + 1;
            let (table, version) = (stage.table.clone(), captions.version());
            units.push(Range::Rows { table, version, from, to });
        }
    }
    for done in workers::compute(ctx, &team, units.all, (&stage.table, wanted.len() as u64))? {
        book(ctx, &done);
    }
    Ok(())
}

/// Takes over what a process says of a unit beside its rows.
fn book(ctx: &mut Context<'_>, done: &Finished) {
    ctx.clocks.join(&done.times);
    for (table, rows) in &done.smaller_batches {
        ctx.report.note_smaller(table, Some(*rows));
    }
}

/// The processes that compute for models on `devices`, if others than this one do.
fn team(ctx: &Context<'_>, devices: &[DeviceChoice]) -> Option<Workers> {
    let mut team = ctx.means.workers.clone()?;
    if !DeviceChoice::leave_gpu_open(devices) {
        team.gpus.clear();
    }
    Some(team)
}

/// Rows of a unit: a part at most, and less where there is little work.
fn unit_rows(ctx: &Context<'_>, team: &Workers, rows: usize) -> usize {
    let part_rows = usize::try_from(ctx.plan.parts.rows).unwrap_or(usize::MAX);
    rows.div_ceil(UNITS_EACH * team.count.get()).clamp(1, part_rows.max(1))
}

/// Gives the units of this run names that those of no other have.
fn name_units(ctx: &mut Context<'_>) {
    let now_us = ctx.options.clock.now_us();
    ctx.handed_out.get_or_insert_with(|| format!("run-{now_us}-{}-", std::process::id()));
}

/// Units of one stage, in the making.
struct Units<'c, 'p> {
    ctx: &'c Context<'p>,
    stem: String,
    tables: BTreeMap<String, String>,
    all: Vec<Unit>,
}

impl<'c, 'p> Units<'c, 'p> {
    fn new(ctx: &'c Context<'p>, table: &str, tables: BTreeMap<String, String>) -> Self {
        let stem = format!("{}{table}", ctx.handed_out.as_deref().unwrap_or_default());
        Self { ctx, stem, tables, all: Vec::new() }
    }

    fn push(&mut self, range: Range) {
        let plan = self.ctx.plan;
        self.all.push(Unit {
            format: UNIT_FORMAT,
            id: format!("{}-{:05}", self.stem, self.all.len()),
            definition: std::path::absolute(&plan.definition)
                .unwrap_or_else(|_| plan.definition.clone()),
            sets: plan.sets.clone(),
            definition_digest: plan.definition_digest,
            retry_rejects: self.ctx.options.retry_rejects,
            tables: self.tables.clone(),
            only: self.ctx.plan.only().to_vec(),
            range,
        });
    }
}

/// By archive, the places of the members whose bytes are needed.
fn wanted(pass: &Pass<'_>, listed: &Listed) -> Vec<Vec<usize>> {
    let needed = |member: &Member| {
        !listed.doubles.contains(&member.image_id)
            && member.digest.is_none_or(|digest| pass.needs(member, &digest).bytes())
    };
    let of = |members: &[Member]| {
        let places = members.iter().enumerate().filter(|(_, member)| needed(member));
        places.map(|(place, _)| place).collect()
    };
    listed.members.iter().map(|members| of(members.as_deref().unwrap_or_default())).collect()
}

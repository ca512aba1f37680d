//! A captioner is trained, if its examples or its settings are others than those that trained it.

use std::path::Path;

use crate::base::digest::Digester;
use crate::base::progress::Silent;
use crate::base::{Cancel, Digest, Kind, Result};
use crate::caption::{Settings, generate};
use crate::plan::captioner::Train;
use crate::plan::{Stage, state_folder};
use crate::train::captioner::Learning;
use crate::train::data::Encoded;
use crate::train::examples::Examples;
use crate::train::journal;
use crate::train::trainer::{self, Data, Home, Identity, Watch};

use super::checkpoints::{self, Held};
use super::clocks::{Part, Spend};
use super::context::Context;
use super::ledger::Ledger;
use super::metrics;

/// Tokens of captions that TensorBoard shows.
const MOST_SHOWN: usize = 30;

/// Trains and publishes the checkpoints.
pub(super) fn run(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &Train,
) -> Result<()> {
    ledger.complete(&stage.table);
    let Some(rows) = ctx.store.snapshot(&work.examples)? else {
        let snapshot = ctx.store.snapshot(&stage.table)?;
        checkpoints::leave(ctx, stage, snapshot.as_ref());
        return Ok(());
    };
    let examples = Examples::read(&rows)?;
    let fingerprint = stage.fingerprint.digest();
    let held = Held::read(&ctx.store, &stage.table)?;
    let input_digest = examples.digest.to_string();
    let stands = held.stands(&fingerprint.to_string(), &input_digest);
    let run = name_of(&fingerprint, &examples.digest);
    let below = trainer::checkpoints_folder(&state_folder(ctx.store.root()), &stage.table);
    let home = Home {
        kept: below.join(&run),
        shown: ctx.store.root().join("runs").join(&stage.table).join(&run),
        keep_last: work.keep_last,
        save_every: work.save_every,
    };
    if stands {
        checkpoints::leave(ctx, stage, held.snapshot.as_ref());
        return retell(ctx, &stage.table, &run, &home);
    }
    ctx.trust(&work.examples)?;
    let reason = held.reason(stage)?;
    let trained =
        ctx.clocks.time(Part::Train, Spend::Busy, || train(ctx, stage, work, &examples, &home));
    tell_measured(ctx, &stage.table, &run, &home)?;
    let outcome = trained?;
    if !outcome.finished {
        return stopped(ctx, &stage.table, &outcome);
    }
    checkpoints::publish(ctx, stage, &outcome.checkpoints, reason)?;
    forget_others(&below, &run, ctx.report.broken.iter().any(|b| b.table == stage.table))
}

/// What was measured is told even when the training failed.
pub(super) fn tell_measured(
    ctx: &mut Context<'_>,
    table: &str,
    run: &str,
    home: &Home,
) -> Result<()> {
    let measured = journal::read(&home.kept)?;
    if measured.is_empty() { Ok(()) } else { metrics::publish(ctx, table, run, &measured) }
}

/// Tells once more what a training that stands measured, where a part of the metrics is damaged.
pub(super) fn retell(ctx: &mut Context<'_>, table: &str, run: &str, home: &Home) -> Result<()> {
    if metrics::is_damaged(&ctx.store)? { tell_measured(ctx, table, run, home) } else { Ok(()) }
}

/// Tells of a training that was asked to stop.
pub(super) fn stopped(
    ctx: &mut Context<'_>,
    table: &str,
    outcome: &trainer::Outcome,
) -> Result<()> {
    ctx.report.interrupted = true;
    ctx.report.notes.push(format!(
        "{table}: stopped after {} steps; the next run goes on from there",
        outcome.resumed_at + outcome.steps
    ));
    ctx.options.cancel.check()
}

/// A short name for what is trained: another one is another training.
pub(super) fn name_of(fingerprint: &Digest, examples: &Digest) -> String {
    let digest = Digester::new()
        .field("fingerprint", fingerprint.as_bytes())
        .field("examples", examples.as_bytes())
        .finish();
    digest.short()
}

fn train(
    ctx: &Context<'_>,
    stage: &Stage,
    work: &Train,
    examples: &Examples,
    home: &Home,
) -> Result<trainer::Outcome> {
    let mut learning = Learning::begin(work, examples.features.width)?;
    ctx.options.progress.note(&format!(
        "{}: {} captions train, {} validate; on {}",
        stage.table,
        crate::base::units::count(examples.train.texts.len() as u64),
        crate::base::units::count(examples.validation.texts.len() as u64),
        learning.device()
    ));
    let end = learning.codec().end();
    let encode = |text: &str| learning.codec().encode(text);
    let encoded = |part| Encoded::new(examples, part, encode, end, work.course.max_tokens);
    let train = encoded(&examples.train)?;
    let validation = encoded(&examples.validation)?;
    let cut = train.cut() + validation.cut();
    if cut > 0 {
        ctx.options.progress.note(&format!(
            "{}: {} captions have more than the {} tokens of `max_tokens`, and are cut",
            stage.table,
            crate::base::units::count(cut),
            work.course.max_tokens
        ));
    }
    let identity = Identity {
        stage: stage.table.clone(),
        fingerprint: stage.fingerprint.digest().to_string(),
        network: Some(work.network),
        definition: ctx.plan.text.clone(),
        end,
        beside: work.network.freeze.then(|| work.model_digest.clone()),
    };
    let watch = Watch {
        cancel: &ctx.options.cancel,
        progress: ctx.options.progress.as_ref(),
        clock: ctx.options.clock.as_ref(),
    };
    let data = Data { inputs: examples, train: &train, validation: &validation };
    let shown = validation.first_images(work.sample_captions);
    let sampler = |learning: &Learning| samples(learning, examples, &shown, work);
    let trained =
        trainer::train(&mut learning, data, &work.course, &identity, home, watch, &sampler);
    trained.map_err(|error| match error.kind() {
        Kind::BadInput | Kind::Device if error.place().is_none() => error.at(&stage.table),
        _ => error,
    })
}

/// What the captioner writes about some images now: image and caption.
fn samples(
    learning: &Learning,
    examples: &Examples,
    images: &[usize],
    work: &Train,
) -> Result<Vec<(String, String)>> {
    let features: Vec<&[f32]> = images.iter().map(|image| examples.feature(*image)).collect();
    let settings =
        Settings { max_tokens: work.course.max_tokens.min(MOST_SHOWN), ..Settings::default() };
    // A wish to stop is heard between steps: these captions are few.
    let made = generate(
        learning.captioner(),
        learning.codec(),
        &features,
        &settings,
        &Cancel::new(),
        &Silent,
    )?;
    let ids = images.iter().filter_map(|image| examples.images.get(*image));
    let texts = made.into_iter().filter_map(|captions| captions.into_iter().next());
    Ok(ids.cloned().zip(texts.map(|caption| caption.text)).collect())
}

/// Removes the checkpoints of other trainings of this stage, which no version names any more:
/// those that the table named are replaced, unfinished ones will never be gone on with.
pub(super) fn forget_others(below: &Path, run: &str, broken: bool) -> Result<()> {
    if broken || !below.is_dir() {
        return Ok(());
    }
    let io = |cause| crate::base::Error::io("cannot tidy", below.display(), cause);
    for entry in std::fs::read_dir(below).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.path().is_dir() && entry.file_name().to_string_lossy() != run {
            std::fs::remove_dir_all(entry.path()).map_err(io)?;
        }
    }
    Ok(())
}

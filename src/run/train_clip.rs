//! A CLIP: trained on images and captions, where the ones it was trained on, its settings or its
//! start are not those of today. What comes of it is a model of the store.

use std::path::Path;

use crate::base::units::count;
use crate::base::{Digest, Kind, Result};
use crate::plan::clip::TrainClip;
use crate::plan::model::ModelFiles;
use crate::plan::stage::IndexImages;
use crate::plan::trained::{Trained, models_folder};
use crate::plan::{Plan, Stage, Work, state_folder};
use crate::train::checkpoint::Checkpoint;
use crate::train::clip::{self, ClipLearning};
use crate::train::data::Encoded;
use crate::train::trainer::{self, Data, Home, Identity, Watch};

use super::checkpoints::{self, Held};
use super::clocks::{Part, Spend};
use super::context::Context;
use super::ledger::{Ledger, Prints};
use super::pictures::{Lessons, Pictures};
use super::train::{forget_others, name_of, retell, stopped, tell_measured};

/// Trains and publishes the checkpoints, and the model.
pub(super) fn run(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &TrainClip,
) -> Result<()> {
    let Some(index) = index_of(ctx.plan, work) else {
        let snapshot = ctx.store.snapshot(&stage.table)?;
        checkpoints::leave(ctx, stage, snapshot.as_ref());
        return Ok(());
    };
    let lessons = Lessons::read(ctx, work)?;
    let fingerprint = stage.fingerprint.digest();
    let held = Held::read(&ctx.store, &stage.table)?;
    let stands = stands(ctx, stage, &held, &lessons)?;
    let run = name_of(&fingerprint, &lessons.digest);
    let state = state_folder(ctx.store.root());
    let below = trainer::checkpoints_folder(&state, &stage.table);
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
    ctx.trust(&work.images)?;
    ctx.trust(&work.captions)?;
    let reason = held.reason(stage)?;
    let of = Training { stage, work, index, lessons: &lessons, home: &home };
    let trained =
        ctx.clocks.time(Part::Train, Spend::Busy, || train(ctx, ledger, &of, &fingerprint));
    tell_measured(ctx, &stage.table, &run, &home)?;
    let outcome = trained?;
    if !outcome.finished {
        return stopped(ctx, &stage.table, &outcome);
    }
    let best = checkpoints::best_step(&outcome.checkpoints);
    if let Some(best) = outcome.checkpoints.iter().find(|one| Some(one.state.step) == best) {
        model(&state, stage, work, best)?;
    }
    checkpoints::publish(ctx, stage, &outcome.checkpoints, reason)?;
    forget_others(&below, &run, ctx.report.broken.iter().any(|b| b.table == stage.table))
}

/// The stage that lists the images.
pub(super) fn index_of<'p>(plan: &'p Plan, work: &TrainClip) -> Option<&'p IndexImages> {
    match &plan.stage(&work.images)?.work {
        Work::IndexImages(index) => Some(index),
        _ => None,
    }
}

/// Whether what was trained is what would be trained, and the model is there.
///
/// # Errors
/// When what was trained cannot be looked at.
pub(super) fn stands(
    ctx: &Context<'_>,
    stage: &Stage,
    held: &Held,
    lessons: &Lessons,
) -> Result<bool> {
    let fingerprint = stage.fingerprint.digest().to_string();
    let trained = Trained::read(&state_folder(ctx.store.root()), &stage.table)?;
    Ok(held.stands(&fingerprint, &lessons.digest.to_string())
        && trained.is_some_and(|trained| {
            trained.fingerprint == fingerprint
                && held.kept.iter().any(|one| one.best && one.digest.short() == trained.folder)
        }))
}

/// Lays the model out and points at it.
fn model(state: &Path, stage: &Stage, work: &TrainClip, best: &Checkpoint) -> Result<()> {
    let ModelFiles::HuggingFace { folder: start } = &work.model.files else { return Ok(()) };
    let digest: crate::base::Digest = best.state.digest.parse()?;
    let name = digest.short();
    let models = models_folder(state, &stage.table);
    clip::publish(start, &best.model(), &models.join(&name))?;
    let fingerprint = stage.fingerprint.digest().to_string();
    Trained::write(state, &stage.table, &name, &fingerprint)?;
    // A query that began with the one before has its files open; the next finds this one.
    forget_others(&models, &name, false)
}

/// What a training is of.
struct Training<'a> {
    stage: &'a Stage,
    work: &'a TrainClip,
    index: &'a IndexImages,
    lessons: &'a Lessons,
    home: &'a Home,
}

fn train(
    ctx: &Context<'_>,
    ledger: &mut Ledger,
    of: &Training<'_>,
    fingerprint: &Digest,
) -> Result<trainer::Outcome> {
    let Training { stage, work, index, lessons, home } = *of;
    let ModelFiles::HuggingFace { folder } = &work.model.files else {
        return Err(crate::base::Error::new(
            Kind::Internal,
            "a training of CLIP that starts from no Hugging Face folder",
        ));
    };
    let facts = crate::embed::describe(&work.model)?;
    let pictures = Pictures::find(ctx, lessons, index, facts.preprocessing)?;
    let limits = [index.max_pixels, index.max_memory_bytes];
    let prints = Prints::decoding(&stage.fingerprint, limits);
    let before = ledger.before();
    let known = |digest: &Digest| {
        before.refused(&stage.table, digest, &prints).map(|entry| entry.reject.clone())
    };
    let refused = pictures.refused(&ctx.options.cancel, &known)?;
    ledger.complete(&stage.table);
    for reject in refused.values().cloned() {
        match (reject.digest, &reject.image_id) {
            (Some(digest), Some(id)) if known(&digest).is_some() => {
                ledger.carry_at(&stage.table, &prints, &digest, reject.origin, id);
            }
            _ => ledger.refuse(&stage.table, prints.of(reject.class), reject),
        }
    }
    let [train, validation] = lessons.without(&refused).map_err(|error| error.at(&stage.table))?;
    let mut learning = ClipLearning::begin(folder, work.model.device)?;
    let left_out = match refused.len() {
        0 => String::new(),
        1 => "; one image cannot be decoded, see `rejects`".to_owned(),
        many => format!("; {} images cannot be decoded, see `rejects`", count(many as u64)),
    };
    ctx.options.progress.note(&format!(
        "{}: {} captions train, {} validate; on {}{left_out}",
        stage.table,
        count(train.texts.len() as u64),
        count(validation.texts.len() as u64),
        learning.device()
    ));
    let (end, most) = (learning.end(), learning.context());
    let encode = |text: &str| learning.encode(text);
    let train = Encoded::new(&pictures, &train, encode, end, most)?.of_all_lengths();
    let validation = Encoded::new(&pictures, &validation, encode, end, most)?;
    let validation = validation.of_all_lengths();
    let identity = Identity {
        stage: stage.table.clone(),
        fingerprint: fingerprint.to_string(),
        network: None,
        definition: ctx.plan.text.clone(),
        end,
        beside: None,
    };
    let watch = Watch {
        cancel: &ctx.options.cancel,
        progress: ctx.options.progress.as_ref(),
        clock: ctx.options.clock.as_ref(),
    };
    let data = Data { inputs: &pictures, train: &train, validation: &validation };
    let nothing = |_: &ClipLearning| Ok(Vec::new());
    let trained =
        trainer::train(&mut learning, data, &work.course, &identity, home, watch, &nothing);
    trained.map_err(|error| match error.kind() {
        Kind::BadInput | Kind::Device if error.place().is_none() => error.at(&stage.table),
        _ => error,
    })
}

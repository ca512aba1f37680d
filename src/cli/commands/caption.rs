//! `clipmill caption`: captions of image files, without a table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::base::{Error, Kind, Result};
use crate::caption::{Generated, generate};
use crate::cli::captioner_args::Caption;
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::format::Format;
use crate::cli::session::Session;
use crate::definition::caption::MAX_TOKENS;
use crate::embed::ImageEncoder;
use crate::plan::captioner::Strategy;
use crate::plan::source::ImageCaps;
use crate::plan::stage::EmbedImages;
use crate::plan::{Fingerprint, Plan, Stage, Work, resolve_captioning};
use crate::run::checkpoints::Kept;
use crate::run::{caption_settings, checkpoints, training};
use crate::table::Store;
use crate::train::captioner;

use super::{definition, image_file};

/// Names of files that a folder is looked through for.
const ENDINGS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"];

/// Images whose captions grow side by side, where the definition has no batch size.
const BATCH_ROWS: usize = 32;

/// An image file with what became of it.
type Told = (PathBuf, Result<Vec<Generated>>);

/// Captions the files and prints what it wrote.
///
/// # Errors
/// When nothing was trained, a model cannot be loaded, or no file is there. A file that is no
/// image is said, and the others are captioned.
pub(crate) fn perform(args: &Caption, session: &Session) -> Result<Code> {
    let pipeline = definition::read(&args.file, &args.set, session)?;
    let named = args.stage.as_deref();
    let plan = resolve_captioning(&pipeline, &args.file, named)?;
    let (stage, work) = training(&plan, named)?;
    let embed = features_of(&plan, &work.examples)?;
    let caps = plan.image_caps(&embed.images);
    let files = files(&args.images)?;
    let store = Store::open(&plan.store, session.clock.clone())?;
    let (kept, checkpoint) = checkpoints::best(&store, &stage.table)?;
    let others = other_settings(&plan, &store, (stage, &work.examples), &kept)?;
    others.iter().for_each(|note| session.say(note));
    let _watch = session.stop_on_signals()?;
    let encoder = ImageEncoder::load(&embed.model)?;
    let ready = captioner::open(&checkpoint, &work.model, &work.model_digest)?;
    session.say(&format!("checkpoint of step {} on {}", checkpoint.state.step, ready.device));
    let (strategy, max_tokens) = asked(args, &plan, &stage.table);
    let batch_rows = embed.batch_rows.unwrap_or(BATCH_ROWS);
    let settings = caption_settings(&strategy, max_tokens, batch_rows, &checkpoint);
    let mut told: Vec<Told> = Vec::new();
    for batch in files.chunks(batch_rows.max(1)) {
        session.cancel.check()?;
        let mut features: Vec<Vec<f32>> = Vec::new();
        for file in batch {
            match feature(&encoder, embed, caps, file) {
                Ok(feature) => {
                    features.push(feature);
                    told.push((file.clone(), Ok(Vec::new())));
                }
                Err(error) => told.push((file.clone(), Err(error))),
            }
        }
        let rows: Vec<&[f32]> = features.iter().map(Vec::as_slice).collect();
        let silent = &crate::base::progress::Silent;
        let made =
            generate(&ready.captioner, &ready.codec, &rows, &settings, &session.cancel, silent)?;
        let begun = told.len() - batch.len();
        let waiting = told.iter_mut().skip(begun).filter(|(_, captions)| captions.is_ok());
        for ((_, captions), made) in waiting.zip(made) {
            *captions = Ok(made);
        }
    }
    let failed = told.iter().any(|(_, captions)| captions.is_err());
    let code = if failed { Code::Failure } else { Code::Success };
    match args.format {
        Format::Human => say(&told, session)?,
        Format::Json => {
            let object = json!({
                "command": "caption",
                "checkpoint": {
                    "path": checkpoint.path.display().to_string(),
                    "step": checkpoint.state.step,
                    "digest": checkpoint.state.digest,
                },
                "images": told.iter().map(json_of).collect::<Vec<Value>>(),
                "exit_code": code.number(),
            });
            console::print(&object.to_string())?;
        }
    }
    Ok(code)
}

fn json_of((file, captions): &Told) -> Value {
    let file = file.display().to_string();
    match captions {
        Ok(captions) => {
            let captions: Vec<Value> = captions
                .iter()
                .map(|c| json!({"text": c.text, "score": c.score, "tokens": c.tokens}))
                .collect();
            json!({"image": file, "captions": captions, "error": null})
        }
        Err(error) => json!({"image": file, "captions": [], "error": error.to_string()}),
    }
}

/// A line a caption, the file before it.
fn say(told: &[Told], session: &Session) -> Result<()> {
    for (file, captions) in told {
        match captions {
            Ok(captions) => {
                for caption in captions {
                    console::print(&format!("{}\t{}", file.display(), caption.text))?;
                }
            }
            Err(error) => {
                // It is why the command fails, so it is said with --quiet too.
                let line = format!("left out: {error}");
                session.progress.note(&line);
                if session.quiet {
                    console::complain(&line);
                }
            }
        }
    }
    Ok(())
}

/// What a user should know where the definition is another than the captioner was trained with: the
/// checkpoint captions as it is, on features as the definition has them now.
fn other_settings(
    plan: &Plan,
    store: &Store,
    (stage, examples): (&Stage, &str),
    kept: &Kept,
) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    if kept.fingerprint != stage.fingerprint.digest().to_string() {
        let named = differing(store, stage)?.unwrap_or_default();
        let other = if named.is_empty() { String::new() } else { format!(": {named}") };
        notes.push(format!(
            "`{}` was trained under other settings than the definition has now{other}; \
             `clipmill train` trains it anew",
            stage.table
        ));
    }
    let features = match plan.stage(examples).map(|stage| &stage.work) {
        Some(Work::Align(align)) => plan.stage(&align.image_features),
        _ => None,
    };
    let Some(features) = features else { return Ok(notes) };
    if let Some(named) = differing(store, features)?.filter(|named| !named.is_empty()) {
        notes.push(format!(
            "the features in `{}` were made under other settings than the definition has now: \
             {named}; the captioner may have been trained on such, and is given others",
            features.table
        ));
    }
    Ok(notes)
}

/// The facts in which the newest version of a stage's table was made otherwise; none where it does
/// not say how.
fn differing(store: &Store, stage: &Stage) -> Result<Option<String>> {
    let Some(snapshot) = store.snapshot(&stage.table)? else { return Ok(None) };
    let note = snapshot.noted_commit()?.and_then(|commit| commit.note);
    let before = note.map(|note| serde_json::from_value(note.fingerprint_parts));
    let Some(Ok(before)) = before else { return Ok(None) };
    let (before, now): (Fingerprint, _) = (before, &stage.fingerprint);
    let names: BTreeSet<&String> = before.parts().keys().chain(now.parts().keys()).collect();
    let other =
        names.into_iter().filter(|name| before.parts().get(*name) != now.parts().get(*name));
    Ok(Some(other.map(String::as_str).collect::<Vec<_>>().join(", ")))
}

/// The stage whose features the examples hold: its CLIP, as it embeds.
fn features_of<'p>(plan: &'p Plan, examples: &str) -> Result<&'p EmbedImages> {
    let align = plan.stage(examples).and_then(|stage| match &stage.work {
        Work::Align(work) => Some(work),
        _ => None,
    });
    align
        .and_then(|align| plan.stage(&align.image_features))
        .and_then(|stage| match &stage.work {
            Work::EmbedImages(work) => Some(work),
            _ => None,
        })
        .ok_or_else(|| {
            Error::new(Kind::Internal, format!("the features of `{examples}` have no stage"))
        })
}

/// What the command line says, else what the stage that captions with this captioner says.
fn asked(args: &Caption, plan: &Plan, captioner: &str) -> (Strategy, usize) {
    let stage = plan.stages.iter().find_map(|stage| match &stage.work {
        Work::Caption(work) if work.captioner == captioner => Some(work),
        _ => None,
    });
    let default = stage.map_or(MAX_TOKENS as usize, |work| work.max_tokens);
    let max_tokens = args.max_tokens.map_or(default, |most| most as usize);
    let strategy = if let Some(beams) = args.beams {
        Strategy::Beam { beams: beams as usize, length_penalty: args.length_penalty }
    } else if args.top_k.is_some() || args.top_p.is_some() {
        Strategy::Sample {
            top_k: args.top_k.map(|k| k as usize),
            top_p: args.top_p,
            temperature: args.temperature,
            samples: args.samples as usize,
            seed: args.seed,
        }
    } else {
        stage.map_or(Strategy::Greedy, |work| work.strategy)
    };
    (strategy, max_tokens)
}

/// The files named, and the images in the folders named, sorted within each.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in named {
        if path.is_dir() {
            let before = all.len();
            walk(path, &mut all)?;
            if all.len() == before {
                return Err(Error::new(Kind::MissingInput, "holds no image")
                    .at(path.display())
                    .help(format!("files that end in {} are taken", ENDINGS.join(", "))));
            }
        } else if path.exists() {
            all.push(path.clone());
        } else {
            return Err(Error::new(Kind::MissingInput, "is not there").at(path.display()));
        }
    }
    Ok(all)
}

fn walk(folder: &Path, all: &mut Vec<PathBuf>) -> Result<()> {
    let io = |cause| Error::io("cannot list", folder.display(), cause);
    let mut entries =
        std::fs::read_dir(folder).map_err(io)?.collect::<std::io::Result<Vec<_>>>().map_err(io)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        // Links are not followed: a link to a parent would never end.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, all)?;
        } else if ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
            all.push(path);
        }
    }
    Ok(())
}

/// The feature of an image file, made as those of the table are.
fn feature(
    encoder: &ImageEncoder,
    embed: &EmbedImages,
    caps: Option<ImageCaps>,
    file: &Path,
) -> Result<Vec<f32>> {
    let input = image_file::input(file, &encoder.preprocessing(), embed.apply_orientation, caps)?;
    let mut vectors = encoder.encode(&input, 1)?;
    if embed.normalize {
        vectors.normalise();
    }
    Ok(vectors.data)
}

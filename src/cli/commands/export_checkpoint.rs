//! `clipmill export-checkpoint`: a captioner as one file, for other programs.

use crate::base::{Error, Kind, Result};
use crate::cli::captioner_args::{ExportCheckpoint, Layout, Project};
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::nn::captioner::Names;
use crate::plan::captioner::MapperKind;
use crate::plan::model::{DeviceChoice, Dtype};
use crate::run::{checkpoints, training};
use crate::table::Store;
use crate::train::captioner;

use super::place;

/// Writes the best checkpoint, or the one that is named.
///
/// # Errors
/// When there is no such checkpoint, or the file cannot be written; for a project whose names are
/// not asked for.
pub(crate) fn perform(args: &ExportCheckpoint, session: &Session) -> Result<Code> {
    if args.format == Layout::Safetensors && args.project.is_some() {
        return Err(Error::new(Kind::Usage, "--project changes nothing of clipmill's own names")
            .help("add --format pytorch-names, or leave --project out"));
    }
    let named = args.stage.as_deref();
    let plan = place::captioners(&args.from, &args.set, named, session)?;
    let (stage, work) = training(&plan, named)?;
    let store = Store::open(&plan.store, session.clock.clone())?;
    let checkpoint = match &args.checkpoint {
        None => checkpoints::best(&store, &stage.table)?.1,
        Some(name) => {
            let kept = checkpoints::read(&store, &stage.table)?;
            let one = kept.iter().find(|one| one.name == *name).ok_or_else(|| {
                let names: Vec<&str> = kept.iter().map(|one| one.name.as_str()).collect();
                Error::new(Kind::Usage, format!("`{}` has no checkpoint `{name}`", stage.table))
                    .help(format!("it has: {}", names.join(", ")))
            })?;
            one.open()?
        }
    };
    let mapper = checkpoint.network()?.mapper;
    if let Some(project) = args.project {
        has_mapper(project, mapper)?;
    }
    let mut model = work.model.clone();
    (model.device, model.dtype) = (DeviceChoice::Cpu, Dtype::F32);
    let ready = captioner::open(&checkpoint, &model, &work.model_digest)?;
    let names = match (args.format, args.project) {
        (Layout::Safetensors, _) => Names::Ours,
        (Layout::PytorchNames, Some(Project::ClipPrefixCaption)) => Names::ClipPrefixCaption,
        (Layout::PytorchNames, Some(Project::ClipcapChinese)) => Names::ClipCapChinese,
        // Each project has a mapper that the other has not.
        (Layout::PytorchNames, None) => match mapper {
            MapperKind::Bert => Names::ClipCapChinese,
            MapperKind::Mlp | MapperKind::Transformer => Names::ClipPrefixCaption,
        },
    };
    ready.captioner.save(&args.output, names)?;
    session.say(&format!(
        "wrote {}: the checkpoint of step {} of `{}`",
        args.output.display(),
        checkpoint.state.step,
        stage.table
    ));
    Ok(Code::Success)
}

/// Refuses a mapper that a project has not: it could not load the file.
fn has_mapper(project: Project, mapper: MapperKind) -> Result<()> {
    let (name, has, other) = match (project, mapper) {
        (Project::ClipPrefixCaption, MapperKind::Bert) => {
            ("CLIP_prefix_caption has no mapper `bert`", "transformer", "clipcap-chinese")
        }
        (Project::ClipcapChinese, MapperKind::Transformer) => {
            ("ClipCap-Chinese has no mapper `transformer`", "bert", "clip-prefix-caption")
        }
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Usage, format!("{name}, only `mlp` and `{has}`"))
        .help(format!("take --project {other}, which has it")))
}

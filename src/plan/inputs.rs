//! Single inputs of a definition: is it there, is it the right one, what is its digest.

use std::path::{Path, PathBuf};

use crate::base::diagnostic::Finding;
use crate::base::digest::Digester;
use crate::base::units::count;
use crate::base::{Digest, Error, Kind, Result};
use crate::definition;
use crate::definition::model::{ModelLayout, NumericType};
use crate::definition::pipeline::Pipeline;
use crate::definition::span::Spanned;

use super::captioner::Gpt2Spec;
use super::digests::FileDigests;
use super::model::{Dtype, Inventory, ModelFiles, ModelSpec, Role, gpt2_inventory};
use super::source::{CaptionFormat, IdRule};
use super::trained::{Trained, UNTRAINED, models_folder};

/// A model whose files are all there.
#[derive(Debug, Clone)]
pub(super) struct Model<S> {
    pub spec: S,
    digests: Vec<(Role, Digest)>,
}

impl<S> Model<S> {
    /// The digest of all files of a role; none where the layout has none.
    pub(super) fn digest_of(&self, role: Role) -> Option<Digest> {
        let mut digester = Digester::new();
        let mut any = false;
        for (_, digest) in self.digests.iter().filter(|(of, _)| *of == role) {
            digester.field(role.name(), digest.as_bytes());
            any = true;
        }
        any.then(|| digester.finish())
    }
}

/// A model of either kind.
pub(super) enum AnyModel {
    Clip(Model<ModelSpec>),
    Gpt2(Model<Gpt2Spec>),
}

pub(super) struct FoundModel {
    pub model: Option<AnyModel>,
    pub findings: Vec<Finding>,
}

/// What a definition says of a model.
enum Spec {
    Clip(ModelSpec),
    Gpt2(Gpt2Spec),
}

impl Spec {
    fn inventory(&self, texts: bool) -> Inventory {
        match self {
            Self::Clip(spec) => spec.files.inventory(texts),
            Self::Gpt2(spec) => gpt2_inventory(&spec.folder),
        }
    }
}

/// The files that a model needs, but for those that only texts need; none of one that is trained
/// by a stage.
pub(super) fn inventory(model: &definition::model::Model, base: &Path) -> Inventory {
    if matches!(model.layout, ModelLayout::Trained(_)) {
        return Inventory::default();
    }
    spec(model, base).0.inventory(false)
}

/// What a definition says of a model, without looking for its files, and the path that names them.
fn spec<'d>(model: &'d definition::model::Model, base: &Path) -> (Spec, &'d Spanned<String>) {
    let at = |path: &Spanned<String>| base.join(&path.value);
    let (name, common) = (model.name.value.clone(), &model.common);
    let (dtype, device) = (dtype(common.dtype.value), common.device.value);
    let (files, named) = match &model.layout {
        // Where it lies is for the store to say: `super::trained` and `trained` below.
        ModelLayout::Trained(f) => {
            let files = ModelFiles::HuggingFace { folder: PathBuf::new() };
            let trained_by = Some(f.stage.value.clone());
            let spec = ModelSpec { name, files, dtype, device, trained_by, awaits_training: true };
            return (Spec::Clip(spec), &f.stage);
        }
        ModelLayout::Gpt2(f) => {
            return (Spec::Gpt2(Gpt2Spec { name, folder: at(&f.path), dtype, device }), &f.path);
        }
        ModelLayout::OpenAi(f) => (
            ModelFiles::OpenAi { weights: at(&f.path), tokenizer: f.tokenizer.as_ref().map(at) },
            &f.path,
        ),
        ModelLayout::HuggingFace(f) => (ModelFiles::HuggingFace { folder: at(&f.path) }, &f.path),
        ModelLayout::OpenClip(f) => (
            ModelFiles::OpenClip {
                weights: at(&f.path),
                config: f.config.as_ref().map(at),
                tokenizer: f.tokenizer.as_ref().map(at),
            },
            &f.path,
        ),
    };
    (
        Spec::Clip(ModelSpec {
            name,
            files,
            dtype,
            device,
            trained_by: None,
            awaits_training: false,
        }),
        named,
    )
}

/// A model as its definition has it: no file of it was looked for, and none has a digest.
pub(super) fn unseen(model: &definition::model::Model, base: &Path) -> AnyModel {
    known(spec(model, base).0, Vec::new())
}

fn known(spec: Spec, digests: Digests) -> AnyModel {
    match spec {
        Spec::Clip(spec) => AnyModel::Clip(Model { spec, digests }),
        Spec::Gpt2(spec) => AnyModel::Gpt2(Model { spec, digests }),
    }
}

/// Looks for the files of a model and takes their digests.
pub(super) fn model(
    pipeline: &Pipeline,
    model: &definition::model::Model,
    base: &Path,
    texts: bool,
    digests: &mut FileDigests,
) -> Result<FoundModel> {
    let (spec, named) = spec(model, base);
    let inventory = spec.inventory(texts);
    let (found, findings) = files(pipeline, model, named, &inventory, digests)?;
    Ok(FoundModel { model: found.map(|digests| known(spec, digests)), findings })
}

/// A model that a stage trains: the newest one of the store `state_folder` belongs to, if the stage
/// with this fingerprint trained it. Else one that stands for it until it is trained: that of
/// the start, under a digest that no file has.
pub(super) fn trained(
    pipeline: &Pipeline,
    model: &definition::model::Model,
    state_folder: &Path,
    (stage, start): (&super::Stage, &Model<ModelSpec>),
    digests: Option<&mut FileDigests>,
) -> Result<Model<ModelSpec>> {
    let (Spec::Clip(spec), named) = spec(model, Path::new("")) else { return Ok(start.clone()) };
    let newest = Trained::read(state_folder, &stage.table)?
        .filter(|newest| newest.fingerprint == stage.fingerprint.digest().to_string());
    if let (Some(newest), Some(digests)) = (newest, digests) {
        let folder = models_folder(state_folder, &stage.table).join(newest.folder);
        let spec = ModelSpec {
            files: ModelFiles::HuggingFace { folder },
            awaits_training: false,
            ..spec.clone()
        };
        let inventory = spec.files.inventory(true);
        if let (Some(digests), _) = files(pipeline, model, named, &inventory, digests)? {
            return Ok(Model { spec, digests });
        }
    }
    let mut to_be = start.clone();
    to_be.spec = ModelSpec { files: to_be.spec.files, ..spec };
    let untrained = Digest::of(UNTRAINED.as_bytes());
    for (role, digest) in &mut to_be.digests {
        if *role == Role::Weights {
            *digest = untrained;
        }
    }
    Ok(to_be)
}

type Digests = Vec<(Role, Digest)>;

/// The digests of a model's files; none where some are missing or cannot be opened, which is found.
fn files(
    pipeline: &Pipeline,
    model: &definition::model::Model,
    named: &Spanned<String>,
    inventory: &Inventory,
    digests: &mut FileDigests,
) -> Result<(Option<Digests>, Vec<Finding>)> {
    let obtain = model.common.obtain.as_deref();
    let mut findings: Vec<_> = inventory
        .absent
        .iter()
        .map(|absent| {
            unreadable(pipeline, named, &absent.path)
                .unwrap_or_else(|| missing(pipeline, named, &absent.path, &absent.what, obtain))
        })
        .collect();
    findings
        .extend(inventory.files.iter().filter_map(|(_, path)| unreadable(pipeline, named, path)));
    if !findings.is_empty() {
        return Ok((None, findings));
    }
    if let Some(expected) = &model.common.sha256
        && let Some((_, weights)) = inventory.files.iter().find(|(r, _)| *r == Role::Weights)
    {
        findings.extend(check_sha256(pipeline, expected, weights, digests)?);
    }
    let mut found = Vec::new();
    for (role, path) in &inventory.files {
        found.push((*role, digests.blake3(path)?));
    }
    Ok((Some(found), findings))
}

fn dtype(written: NumericType) -> Dtype {
    match written {
        NumericType::F32 => Dtype::F32,
        NumericType::Bf16 => Dtype::Bf16,
        NumericType::F16 => Dtype::F16,
        NumericType::Int8 => Dtype::Int8,
    }
}

/// The finding for an input that is not there: where it was looked for, where to get it.
pub(super) fn missing(
    pipeline: &Pipeline,
    named: &Spanned<String>,
    path: &Path,
    what: &str,
    obtain: Option<&str>,
) -> Finding {
    let shown = super::paths::tidy(path);
    let shown = shown.display();
    let put = format!("put it at {shown}");
    let help = then(obtain, &put);
    pipeline.finding(
        named.span,
        format!("missing input: {shown}"),
        format!("{what}: not there"),
        Some(help),
    )
}

fn then(obtain: Option<&str>, put: &str) -> String {
    match obtain {
        Some(obtain) => format!("{}; {put}", obtain.trim_end_matches(['.', ' '])),
        None => put.to_owned(),
    }
}

/// One finding for inputs of one pattern that are not there, with all their names: shards come in hundreds.
pub(super) fn many_missing(
    pipeline: &Pipeline,
    named: &Spanned<String>,
    paths: &[PathBuf],
    obtain: Option<&str>,
) -> Finding {
    let shown = paths.iter().map(|path| super::paths::tidy(path).display().to_string());
    let shown: Vec<String> = shown.collect();
    let number = count(paths.len() as u64);
    let put = "put each where it is looked for";
    let help = then(obtain, put);
    pipeline.finding(
        named.span,
        format!("{number} missing inputs: {}", shown.join(", ")),
        format!("{number} of what this names are not there"),
        Some(help),
    )
}

/// The finding for a file or folder that is there and cannot be opened. Anything else, such as a
/// pipe, is not opened: it would keep us waiting.
pub(super) fn unreadable(
    pipeline: &Pipeline,
    named: &Spanned<String>,
    path: &Path,
) -> Option<Finding> {
    let opened = std::fs::metadata(path).and_then(|found| {
        if found.is_dir() {
            std::fs::read_dir(path).map(drop)
        } else if found.is_file() {
            std::fs::File::open(path).map(drop)
        } else {
            Ok(())
        }
    });
    let cause = opened.err().filter(|cause| cause.kind() != std::io::ErrorKind::NotFound)?;
    Some(cannot_be_read(pipeline, named, &Error::io("cannot be opened", path.display(), cause)))
}

/// The finding for an input that is there and cannot be read.
pub(super) fn cannot_be_read(
    pipeline: &Pipeline,
    named: &Spanned<String>,
    error: &Error,
) -> Finding {
    let place = error.place().unwrap_or(&named.value);
    let said = error.to_string();
    let why = said.strip_prefix(&format!("{place}: ")).unwrap_or(&said);
    let help = error.help_text().map(str::to_owned);
    let shown = super::paths::tidy(Path::new(place));
    pipeline.finding(named.span, format!("unreadable input: {}", shown.display()), why, help)
}

/// The finding for a file that is not the one the definition means.
pub(super) fn check_sha256(
    pipeline: &Pipeline,
    expected: &Spanned<String>,
    path: &Path,
    digests: &mut FileDigests,
) -> Result<Option<Finding>> {
    if !path.is_file() {
        return Ok(Some(pipeline.finding(
            expected.span,
            format!("{} is no file", super::paths::tidy(path).display()),
            "a SHA-256 is a file's".to_owned(),
            Some("name a file, or leave `sha256` out".to_owned()),
        )));
    }
    let got = digests.sha256(path)?;
    if got.eq_ignore_ascii_case(&expected.value) {
        return Ok(None);
    }
    Ok(Some(pipeline.finding(
        expected.span,
        format!("{} is another file than the definition means", super::paths::tidy(path).display()),
        format!("its SHA-256 is {got}"),
        Some("get the right file, or correct `sha256` if the new one is meant".to_owned()),
    )))
}

/// The rule of an `id` setting; the definition has checked the pattern.
pub(super) fn id_rule(id: Option<&Spanned<String>>) -> Result<IdRule> {
    let Some(pattern) = id else { return Ok(IdRule::Stem) };
    let pattern = regex::Regex::new(&pattern.value).map_err(|cause| {
        Error::new(Kind::Definition, "`id` is no regular expression").caused_by(cause)
    })?;
    Ok(IdRule::Pattern(pattern))
}

pub(super) fn caption_format(format: &definition::source_captions::CaptionFormat) -> CaptionFormat {
    use definition::source_captions::CaptionFormat as Written;
    match format {
        Written::Flickr => CaptionFormat::Flickr,
        Written::Csv(csv) => CaptionFormat::Csv {
            delimiter: csv.delimiter.clone(),
            image: csv.image.clone(),
            text: csv.text.clone(),
            index: csv.index.clone(),
            split: csv.split.clone(),
            quoted: csv.quoted,
        },
        Written::Coco => CaptionFormat::Coco,
        Written::Karpathy => CaptionFormat::Karpathy,
        Written::WebDatasetText => CaptionFormat::WebDatasetText,
        Written::WebDatasetJson(json) => {
            CaptionFormat::WebDatasetJson { field: json.field.clone() }
        }
    }
}

//! A definition meets the world: paths become files, models get their digests, stages their
//! fingerprints. Everything that is missing is reported at once, before any work.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::diagnostic::Finding;
use crate::base::{Digest, Kind, Result, files};
use crate::definition;
use crate::definition::contract::{self, TableKind};
use crate::definition::pipeline::{PartSize, Pipeline};
use crate::definition::source::SourceKind;
use crate::definition::span::Spanned;
use crate::definition::stage::Operator;
use crate::flow::Split;

use super::contract::Contract;
use super::digests::FileDigests;
use super::fingerprint::Fingerprint;
use super::model::{ModelSpec, Role};
use super::paths::folder_of;
use super::scope::Scope;
use super::source::{CaptionSource, ImageCaps, ImageSource, SplitSource};
use super::stage::{Stage, Work};
use super::trained::UNTRAINED;
use super::work::{Known, model_facts};
use super::{contracts, inputs};

/// A definition whose inputs are all there.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the pipeline.
    pub name: String,
    /// File of the definition.
    pub definition: PathBuf,
    /// Digest of the definition's values.
    pub definition_digest: Digest,
    /// The definition, from which it was resolved.
    pub pipeline: Pipeline,
    /// The definition's text, which a run keeps in the store.
    pub text: String,
    /// The `--set` arguments, as given.
    pub sets: Vec<(String, String)>,
    /// Folder of the tables.
    pub store: PathBuf,
    /// When computed rows become a durable part.
    pub parts: PartSize,
    /// Each stage after those it reads.
    pub stages: Vec<Stage>,
    /// Contract of the table `rejects`.
    pub rejects: Contract,
    /// Contract of the table `metrics`.
    pub metrics: Contract,
    /// Line and column of each stage in the definition, by table; none for what came by `--set`.
    pub places: BTreeMap<String, (usize, usize)>,
    /// Of a locked run, the digest of what each table must hold; a version that holds anything
    /// else is not published.
    pub locked: Option<BTreeMap<String, Digest>>,
    /// Digests of weights that were taken for this plan, or were kept.
    pub digests: FileDigests,
    /// What the files of each model are, by its name: the facts that stages which embed with it
    /// have in their fingerprints, of either tower.
    pub models: BTreeMap<String, Fingerprint>,
    /// The part of the definition that it is a plan of; none for all of it.
    scope: Option<Scope>,
}

impl Plan {
    /// Whether a stage of the definition makes the table, also one that this plan leaves out.
    #[must_use]
    pub fn makes(&self, table: &str) -> bool {
        self.pipeline.stages.iter().any(|stage| stage.table.value == table)
    }

    /// The plan as the world is now: with the models that were trained since.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn again(&self) -> Result<Self> {
        let mut now = scoped(&self.pipeline, &self.definition, self.scope.clone())?;
        now.locked.clone_from(&self.locked);
        Ok(now)
    }

    /// The tables that it is limited to, with those they are made from; all where empty.
    #[must_use]
    pub fn only(&self) -> &[String] {
        self.scope.as_ref().map_or(&[], |scope| &scope.tables)
    }

    /// The stage that makes `table`.
    #[must_use]
    pub fn stage(&self, table: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.table == table)
    }

    /// Caps on the images of the table `images`, as the definition says them: they hold for other
    /// images too, where that table's source need not be there.
    #[must_use]
    pub fn image_caps(&self, images: &str) -> Option<ImageCaps> {
        let Operator::IndexImages(listed) = &self.pipeline.find_stage(images)?.operator else {
            return None;
        };
        let source = self.pipeline.find_source(&listed.source.value)?;
        let SourceKind::Images(files) = &source.kind else { return None };
        Some(ImageCaps {
            bytes: files.caps.max_member_bytes.0,
            pixels: listed.max_pixels,
            memory_bytes: listed.max_image_memory.0,
        })
    }
}

/// The folder of a definition's tables.
#[must_use]
pub fn store_folder(pipeline: &Pipeline, definition: &Path) -> PathBuf {
    folder_of(definition).join(&pipeline.store.value)
}

/// Where a store keeps what is not a table: indexes, digests, the definition.
#[must_use]
pub fn state_folder(store: &Path) -> PathBuf {
    store.join("_clipmill")
}

/// Resolves a definition that was read from the file `definition`. Weights are read for their
/// digest where it is not kept, and never loaded.
///
/// # Errors
/// [`Kind::MissingInput`] with every file of the definition that is missing or cannot be opened,
/// and every one whose SHA-256 is another than the definition's; [`Kind::Definition`] for a broken
/// contract file.
pub fn resolve(pipeline: &Pipeline, definition: &Path) -> Result<Plan> {
    scoped(pipeline, definition, None)
}

/// Resolves the stages of the tables `only` and of those they are made from, or all where it is
/// empty. What other stages need is not looked for.
///
/// # Errors
/// As [`resolve`], and [`Kind::Usage`] for a table that no stage makes.
pub fn resolve_only(pipeline: &Pipeline, definition: &Path, only: &[String]) -> Result<Plan> {
    scoped(pipeline, definition, Scope::of_tables(pipeline, only)?)
}

/// Resolves the stage that makes the vectors of `table`, for who encodes more of them: its model
/// has to be there, and no data. Stages that read sources are left out.
///
/// # Errors
/// As [`resolve`], of the model.
pub fn resolve_models(pipeline: &Pipeline, definition: &Path, table: &str) -> Result<Plan> {
    scoped(pipeline, definition, Some(Scope::of_models(pipeline, table)))
}

/// Resolves the stages that train captioners, or the one that makes the table `stage`, for who takes
/// a captioner out or brings one along: their models and contracts have to be there, and nothing
/// that they are trained on. A `stage` that trains none counts as not said.
///
/// # Errors
/// As [`resolve`], of models and contracts.
pub fn resolve_captioners(
    pipeline: &Pipeline,
    definition: &Path,
    stage: Option<&str>,
) -> Result<Plan> {
    scoped(pipeline, definition, Some(Scope::of_captioners(pipeline, stage)))
}

/// As [`resolve_captioners`], for who captions other images: with the models of the features that
/// the captioners read and the stages that caption with them, and no contracts.
///
/// # Errors
/// As [`resolve`], of models.
pub fn resolve_captioning(
    pipeline: &Pipeline,
    definition: &Path,
    stage: Option<&str>,
) -> Result<Plan> {
    scoped(pipeline, definition, Some(Scope::of_captioning(pipeline, stage)))
}

fn scoped(pipeline: &Pipeline, definition: &Path, scope: Option<Scope>) -> Result<Plan> {
    let base = folder_of(definition);
    let store = store_folder(pipeline, definition);
    let mut digests = FileDigests::open(&state_folder(&store));
    let mut resolver = Resolver::new(pipeline, &base, Some(&mut digests));
    resolver.scope = scope.as_ref();
    let stages = resolver.stages();
    let models = std::mem::take(&mut resolver.models);
    let mut findings = std::mem::take(&mut resolver.absent);
    findings.append(&mut resolver.findings);
    if !findings.is_empty() {
        return Err(pipeline.error(Kind::MissingInput, findings));
    }
    let stages = stages?;
    // What was learned about big files is a convenience: a store that cannot be written to
    // fails later, where it says so. Where there is none, a run keeps them once it made one.
    if state_folder(&store).is_dir() {
        let _ = digests.save();
    }
    Ok(Plan {
        name: pipeline.name.value.clone(),
        definition: definition.to_owned(),
        definition_digest: pipeline.digest(),
        pipeline: pipeline.clone(),
        text: pipeline.source.text.clone(),
        sets: pipeline
            .sets
            .iter()
            .filter_map(|set| set.text.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        store,
        parts: pipeline.parts,
        stages,
        rejects: contract::builtin(TableKind::Rejects)?,
        metrics: contract::builtin(TableKind::Metrics)?,
        places: pipeline
            .stages
            .iter()
            .filter(|stage| stage.table.span.text == 0)
            .map(|stage| {
                let place = pipeline.source.line_column(stage.table.span.start);
                (stage.table.value.clone(), place)
            })
            .collect(),
        locked: None,
        digests,
        models,
        scope,
    })
}

/// The stages of a definition whose inputs need not be there.
#[derive(Debug)]
pub struct Partial {
    /// Each after those it reads. A stage whose model is not there is left out where files are
    /// looked for; where they are not, fingerprints hold only what the definition says.
    pub stages: Vec<Stage>,
    /// What is not there.
    pub absent: Vec<Finding>,
}

/// Resolves what can be resolved: with `digests` as far as files are there, without from the
/// definition and its contracts alone.
///
/// # Errors
/// [`Kind::MissingInput`] for a contract that is not there or a file whose SHA-256 is another than
/// the definition's; [`Kind::Definition`] for a broken contract file.
pub fn resolve_partly(
    pipeline: &Pipeline,
    definition: &Path,
    digests: Option<&mut FileDigests>,
) -> Result<Partial> {
    let base = folder_of(definition);
    let mut resolver = Resolver::new(pipeline, &base, digests);
    let stages = resolver.stages();
    if !resolver.findings.is_empty() {
        return Err(pipeline.error(Kind::MissingInput, resolver.findings));
    }
    Ok(Partial { stages: stages?, absent: resolver.absent })
}

struct Resolver<'a> {
    pipeline: &'a Pipeline,
    base: &'a Path,
    /// None where sources and models are not looked for.
    digests: Option<&'a mut FileDigests>,
    /// Sources and models that are not there.
    absent: Vec<Finding>,
    /// What else is wrong.
    findings: Vec<Finding>,
    /// As [`Plan::models`].
    models: BTreeMap<String, Fingerprint>,
    scope: Option<&'a Scope>,
}

impl<'a> Resolver<'a> {
    fn new(pipeline: &'a Pipeline, base: &'a Path, digests: Option<&'a mut FileDigests>) -> Self {
        Self {
            pipeline,
            base,
            digests,
            absent: Vec::new(),
            findings: Vec::new(),
            models: BTreeMap::new(),
            scope: None,
        }
    }

    fn stages(&mut self) -> Result<Vec<Stage>> {
        let mut images = BTreeMap::new();
        let mut captions = BTreeMap::new();
        let mut splits = BTreeMap::new();
        for source in &self.pipeline.sources {
            let name = source.name.value.clone();
            if self.scope.is_some_and(|scope| !scope.needs_source(self.pipeline, &name)) {
                continue;
            }
            match &source.kind {
                SourceKind::Images(files) => {
                    images.insert(name.clone(), self.images(&name, files)?);
                }
                SourceKind::Captions(files) => {
                    captions.insert(name.clone(), self.captions(&name, files)?);
                }
                SourceKind::Splits(files) => {
                    splits.insert(name.clone(), self.splits(&name, files)?);
                }
            }
        }
        let mut models = BTreeMap::new();
        let mut writers = BTreeMap::new();
        for model in &self.pipeline.models {
            let name = &model.name.value;
            if self.scope.is_some_and(|scope| !scope.needs_model(self.pipeline, name)) {
                continue;
            }
            let texts = self.pipeline.stages.iter().filter(|stage| self.has(stage)).any(|stage| {
                matches!(&stage.operator, Operator::EmbedCaptions(s) if *s.model == *model.name)
                    || matches!(&stage.operator, Operator::TrainClip(s) if *s.model == *model.name)
            });
            // Those that a stage trains are looked for when that stage is known.
            if matches!(model.layout, definition::model::ModelLayout::Trained(_)) {
                continue;
            }
            let found = match self.digests.as_deref_mut() {
                None => Some(inputs::unseen(model, self.base)),
                Some(digests) => {
                    let found = inputs::model(self.pipeline, model, self.base, texts, digests)?;
                    if found.model.is_some() {
                        self.findings.extend(found.findings);
                    } else {
                        self.absent.extend(found.findings);
                    }
                    found.model
                }
            };
            match found {
                Some(inputs::AnyModel::Clip(model)) => {
                    models.insert(model.spec.name.clone(), model);
                }
                Some(inputs::AnyModel::Gpt2(model)) => {
                    writers.insert(model.spec.name.clone(), model);
                }
                None => {}
            }
        }
        let mut known = Known { images, captions, splits, models, writers };
        let mut stages = Vec::new();
        for stage in self.pipeline.order() {
            if !self.has(stage) {
                continue;
            }
            let contract = self.contract(stage)?;
            let Some((work, mut fingerprint)) = known.work(&stage.operator, &stages) else {
                continue;
            };
            let awaits = work.model().is_some_and(|model| model.awaits_training);
            if awaits && weights_of(&fingerprint).is_some() {
                fingerprint = fingerprint.with(Role::Weights.name(), UNTRAINED);
            }
            let made = Stage { table: stage.table.value.clone(), contract, fingerprint, work };
            if let Work::TrainClip(work) = &made.work
                && let Some(start) = known.models.get(&work.model.name).cloned()
            {
                for model in self.trained_by(&made, &start)? {
                    known.models.insert(model.spec.name.clone(), model);
                }
            }
            stages.push(made);
        }
        let facts = known.models.iter().map(|(name, model)| (name.clone(), model_facts(model)));
        self.models = facts.collect();
        Ok(stages)
    }

    /// Whether the stage is in the part that is asked for.
    fn has(&self, stage: &definition::stage::Stage) -> bool {
        self.scope.is_none_or(|scope| scope.has(stage))
    }

    /// The models that a stage trains.
    fn trained_by(
        &mut self,
        stage: &Stage,
        start: &inputs::Model<ModelSpec>,
    ) -> Result<Vec<inputs::Model<ModelSpec>>> {
        let state = state_folder(&self.base.join(&self.pipeline.store.value));
        let trained = self.pipeline.models.iter().filter(|model| {
            matches!(&model.layout, definition::model::ModelLayout::Trained(of)
                if *of.stage == stage.table)
        });
        let found = trained.map(|model| {
            let digests = self.digests.as_deref_mut();
            inputs::trained(self.pipeline, model, &state, (stage, start), digests)
        });
        found.collect()
    }

    fn contract(&mut self, stage: &definition::stage::Stage) -> Result<Contract> {
        let needed = self.scope.is_none_or(Scope::needs_contracts);
        let Some(path) = stage.contract.as_ref().filter(|_| needed) else {
            return contract::for_stage(stage, None);
        };
        let file = self.base.join(&path.value);
        if !file.is_file() {
            self.findings.push(contracts::missing(self.pipeline, path, &file));
            return contract::for_stage(stage, None);
        }
        let text = files::read_text_capped(&file, contracts::CAP_BYTES)?;
        contract::for_stage(stage, Some((&file.display().to_string(), &text)))
    }

    fn images(
        &mut self,
        name: &str,
        files: &definition::source_images::ImageFiles,
    ) -> Result<ImageSource> {
        let kind = match files.format {
            definition::source_images::ImageFormat::Tar => super::source::ImageSourceKind::Tar,
            definition::source_images::ImageFormat::Folder => {
                super::source::ImageSourceKind::Folder
            }
            definition::source_images::ImageFormat::WebDataset => {
                super::source::ImageSourceKind::WebDataset
            }
        };
        Ok(ImageSource {
            name: name.to_owned(),
            kind,
            paths: self.paths(&files.paths.0, files.obtain.as_deref(), files.sha256.as_ref())?,
            id: inputs::id_rule(files.id.as_ref())?,
            include: files.include.iter().flatten().map(|glob| glob.value.clone()).collect(),
            caps: super::source::Caps {
                member_bytes: files.caps.max_member_bytes.0,
                members: files.caps.max_members,
                name_bytes: files.caps.max_name_bytes.0,
                unpacked_bytes: files.caps.max_unpacked_bytes.0,
                ..super::source::Caps::default()
            },
        })
    }

    fn captions(
        &mut self,
        name: &str,
        files: &definition::source_captions::CaptionFiles,
    ) -> Result<CaptionSource> {
        Ok(CaptionSource {
            name: name.to_owned(),
            paths: self.paths(&files.paths.0, files.obtain.as_deref(), files.sha256.as_ref())?,
            member: files.member.as_ref().map(|glob| glob.value.clone()),
            format: inputs::caption_format(&files.format),
            id: inputs::id_rule(files.id.as_ref())?,
            caps: super::source::Caps {
                member_bytes: files.max_member_bytes.0,
                members: files.max_members,
                name_bytes: files.max_name_bytes.0,
                unpacked_bytes: files.max_unpacked_bytes.0,
                line_bytes: files.max_line_bytes.0,
            },
        })
    }

    fn splits(
        &mut self,
        name: &str,
        files: &definition::source_splits::SplitFiles,
    ) -> Result<SplitSource> {
        let digests = files.sha256.as_ref();
        let parts = [
            (Split::Train, &files.train, digests.and_then(|d| d.train.as_ref())),
            (Split::Val, &files.val, digests.and_then(|d| d.val.as_ref())),
            (Split::Test, &files.test, digests.and_then(|d| d.test.as_ref())),
        ];
        let mut found = Vec::new();
        for (split, path, sha256) in parts {
            let Some(path) = path else { continue };
            let one = std::slice::from_ref(path);
            for file in self.paths(one, files.obtain.as_deref(), sha256)? {
                found.push((split, file));
            }
        }
        Ok(SplitSource {
            name: name.to_owned(),
            files: found,
            id: inputs::id_rule(files.id.as_ref())?,
            caps: super::source::Caps {
                line_bytes: files.max_line_bytes.0,
                unpacked_bytes: files.max_unpacked_bytes.0,
                ..super::source::Caps::default()
            },
        })
    }

    fn paths(
        &mut self,
        patterns: &[Spanned<String>],
        obtain: Option<&str>,
        sha256: Option<&Spanned<String>>,
    ) -> Result<Vec<PathBuf>> {
        let Some(digests) = self.digests.as_deref_mut() else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for pattern in patterns {
            let found = match super::paths::expand(&pattern.value, self.base) {
                Err(error) if error.kind() == Kind::Io => {
                    self.absent.push(inputs::cannot_be_read(self.pipeline, pattern, &error));
                    continue;
                }
                found => found?,
            };
            let what = "an archive, a file or a folder";
            match found.missing.as_slice() {
                [_, _, _, _, ..] => {
                    let missing = &found.missing;
                    self.absent.push(inputs::many_missing(self.pipeline, pattern, missing, obtain));
                }
                few => self.absent.extend(
                    few.iter()
                        .map(|path| inputs::missing(self.pipeline, pattern, path, what, obtain)),
                ),
            }
            for path in found.paths {
                match inputs::unreadable(self.pipeline, pattern, &path) {
                    Some(finding) => self.absent.push(finding),
                    None => all.push(path),
                }
            }
        }
        let all = super::paths::distinct(all);
        if let (Some(expected), [one]) = (sha256, all.as_slice()) {
            let finding = inputs::check_sha256(self.pipeline, expected, one, digests)?;
            self.findings.extend(finding);
        }
        Ok(all)
    }
}

/// Which model made a table's vectors, as its commits keep it.
#[must_use]
pub fn weights_of(fingerprint: &Fingerprint) -> Option<&str> {
    fingerprint.part(Role::Weights.name())
}

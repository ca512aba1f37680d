//! What a definition's archives and weights are, as far as they are there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::base::{Cancel, FileStamp, Result};
use crate::definition::Variable;
use crate::definition::lock::{FileFact, Locked};
use crate::definition::pipeline::Pipeline;
use crate::definition::source::{Source, SourceKind};
use crate::definition::span::Spanned;
use crate::plan::digests::{FileDigests, FolderDigest, KnownFiles};
use crate::plan::inputs;
use crate::plan::paths::folder_of;
use crate::plan::resolve::resolve_partly;

use super::facts::facts;
use super::names::name;

/// What was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The facts; of tables, none.
    pub locked: Locked,
    /// What was not there, in words: `source photos: ../data/photos.tar`.
    pub absent: Vec<String>,
}

/// Tells what is kept of the files of a source's folder.
pub type OfFolder<'a> = &'a dyn Fn(&str, &Path) -> KnownFiles;

/// Looks at everything that a definition names and that is there. Each file is read once for its
/// digest, unless `digests` or, of a folder that is not as it was, `of_folder` knows it.
///
/// # Errors
/// When a contract is wrong, a file is another than the definition's `sha256` says, or cannot be
/// read, or `cancel` is set.
pub fn observe(
    pipeline: &Pipeline,
    definition: &Path,
    digests: &mut FileDigests,
    of_folder: OfFolder<'_>,
    cancel: &Cancel,
) -> Result<Observed> {
    let base = folder_of(definition);
    let mut observed = Observed { locked: facts(pipeline, definition)?, absent: Vec::new() };
    for stage in resolve_partly(pipeline, definition, Some(digests))?.stages {
        if let Some(known) = observed.locked.stages.get_mut(&stage.table) {
            // Weights that are not trained yet have no digest.
            if stage.work.model().is_some_and(|model| model.awaits_training) {
                continue;
            }
            known.parts = stage.fingerprint.parts().clone();
            known.fingerprint = Some(stage.fingerprint.digest());
        }
    }
    for source in &pipeline.sources {
        cancel.check()?;
        let known = (&mut *digests, of_folder, cancel);
        let files = source_files(pipeline, source, &base, known, &mut observed.absent)?;
        if let Some(known) = observed.locked.sources.get_mut(&source.name.value) {
            known.files = files;
        }
    }
    for model in &pipeline.models {
        let variables = variables(pipeline, &format!("models.{}", model.name.value));
        let inventory = inputs::inventory(model, &base);
        let named = |path: &Path| {
            let value = model.layout.paths().into_iter().map(|(_, value)| value);
            let value = value.into_iter().find(|value| path.starts_with(base.join(&value.value)));
            match value {
                Some(value) => model_file(path, &value.value, &base, &variables),
                None => path.display().to_string(),
            }
        };
        let lacking: Vec<String> = inventory.absent.iter().map(|lack| named(&lack.path)).collect();
        observed.absent.extend(lack("model", &model.name.value, &lacking));
        let mut files = BTreeMap::new();
        for (_, path) in &inventory.files {
            files.insert(named(path), digests.blake3(path)?);
        }
        if let Some(known) = observed.locked.models.get_mut(&model.name.value) {
            known.files = files;
        }
    }
    Ok(observed)
}

/// A file of a model: the path in the definition, or below it where that is a folder.
fn model_file(path: &Path, value: &str, base: &Path, variables: &[&Variable]) -> String {
    let folder = base.join(value);
    let named = name(&folder, value, base, variables);
    match path.strip_prefix(&folder) {
        Ok(below) if !below.as_os_str().is_empty() => {
            Path::new(&named).join(below).to_string_lossy().into_owned()
        }
        _ => named,
    }
}

/// What a source or model lacks, in words; shards by the thousand are one line.
fn lack(what: &str, name: &str, files: &[String]) -> Option<String> {
    let (first, rest) = files.split_first()?;
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    Some(format!("{what} {name}: {first}{more}"))
}

fn variables<'p>(pipeline: &'p Pipeline, block: &str) -> Vec<&'p Variable> {
    pipeline.variables.iter().filter(|variable| variable.block == block).collect()
}

fn source_files(
    pipeline: &Pipeline,
    source: &Source,
    base: &Path,
    (digests, of_folder, cancel): (&mut FileDigests, OfFolder<'_>, &Cancel),
    absent: &mut Vec<String>,
) -> Result<BTreeMap<String, FileFact>> {
    let variables = variables(pipeline, &format!("sources.{}", source.name.value));
    let mut files = BTreeMap::new();
    let mut lacking = Vec::new();
    for pattern in patterns(&source.kind) {
        let found = crate::plan::paths::expand(&pattern.value, base)?;
        let named = |path: &PathBuf| name(path, &pattern.value, base, &variables);
        lacking.extend(found.missing.iter().map(named));
        for path in &found.paths {
            let fact = if path.is_dir() {
                let known = || of_folder(&source.name.value, path);
                let FolderDigest { blake3, size_bytes } = digests.folder(path, &known, cancel)?;
                FileFact { blake3, size_bytes }
            } else {
                let size_bytes = FileStamp::at(path)?.size_bytes();
                FileFact { blake3: digests.blake3(path)?, size_bytes }
            };
            files.insert(named(path), fact);
        }
    }
    absent.extend(lack("source", &source.name.value, &lacking));
    Ok(files)
}

/// Every path that a source names.
fn patterns(kind: &SourceKind) -> Vec<&Spanned<String>> {
    match kind {
        SourceKind::Images(files) => files.paths.0.iter().collect(),
        SourceKind::Captions(files) => files.paths.0.iter().collect(),
        SourceKind::Splits(files) => {
            [&files.train, &files.val, &files.test].into_iter().flatten().collect()
        }
    }
}

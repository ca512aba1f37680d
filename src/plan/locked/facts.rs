//! What a definition says by itself.

use std::path::Path;

use crate::base::Result;
use crate::definition::lock::{Locked, LockedModel, LockedSource, LockedStage};
use crate::definition::meaning::Meaning;
use crate::definition::pipeline::Pipeline;
use crate::plan::resolve::resolve_partly;

/// The facts of a definition that need neither data nor weights nor store. The parts of its
/// fingerprints are those that its text decides.
///
/// # Errors
/// When a contract file is not there or is wrong.
pub fn facts(pipeline: &Pipeline, definition: &Path) -> Result<Locked> {
    let meaning = Meaning::of(pipeline);
    let mut stages = std::collections::BTreeMap::new();
    for stage in resolve_partly(pipeline, definition, None)?.stages {
        let Some(definition) = meaning.stages.get(&stage.table).copied() else { continue };
        let parts = stage.fingerprint.parts().clone();
        let contract = stage.contract.digest();
        stages.insert(stage.table, LockedStage { contract, definition, fingerprint: None, parts });
    }
    let models = meaning.models.into_iter().map(|(name, definition)| {
        (name, LockedModel { definition, files: std::collections::BTreeMap::new() })
    });
    let sources = meaning.sources.into_iter().map(|(name, definition)| {
        (name, LockedSource { definition, files: std::collections::BTreeMap::new() })
    });
    Ok(Locked {
        models: models.collect(),
        sources: sources.collect(),
        stages,
        tables: std::collections::BTreeMap::new(),
    })
}

//! What a new lock takes over from the old one.

use crate::definition::lock::Locked;
use crate::definition::pipeline::Pipeline;

use super::compare::compare;

/// Takes over what `was` knew and nobody could look at now, where nothing that it follows from has
/// changed: whoever locks without the data loses no fact about it. Files of a source or model whose
/// block is the same; fingerprints of stages that would not be made anew; and tables, if `now` has
/// none at all, unless an input is another. Returns what was taken over, in words.
pub fn keep(was: &Locked, now: &mut Locked, pipeline: &Pipeline) -> Vec<String> {
    let mut kept = Vec::new();
    let comparison = compare(was, now, pipeline);
    let mut same_inputs = true;
    for (name, source) in &mut now.sources {
        let Some(was) = was.sources.get(name) else { continue };
        if was.definition == source.definition && source.files.is_empty() {
            if !was.files.is_empty() {
                kept.push(format!("source {name}"));
                source.files.clone_from(&was.files);
            }
        } else {
            same_inputs &= was.files == source.files;
        }
    }
    for (name, model) in &mut now.models {
        let Some(was) = was.models.get(name) else { continue };
        if was.definition == model.definition && model.files.is_empty() {
            if !was.files.is_empty() {
                kept.push(format!("model {name}"));
                model.files.clone_from(&was.files);
            }
        } else {
            same_inputs &= was.files == model.files;
        }
    }
    let anew = |table: &str| comparison.rebuilds.iter().any(|rebuild| rebuild.table == table);
    for (table, stage) in &mut now.stages {
        let Some(was) = was.stages.get(table) else { continue };
        if stage.fingerprint.is_none() && was.fingerprint.is_some() && !anew(table) {
            stage.fingerprint = was.fingerprint;
            stage.parts.clone_from(&was.parts);
        }
    }
    if now.tables.is_empty() && same_inputs {
        // Rejects follow from all stages together.
        let settled = comparison.rebuilds.is_empty();
        for (table, fact) in &was.tables {
            let is_stage = now.stages.contains_key(table);
            if if is_stage { !anew(table) } else { settled } {
                kept.push(format!("table {table}"));
                now.tables.insert(table.clone(), *fact);
            }
        }
    }
    kept
}

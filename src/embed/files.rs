//! The files of a model that are opened: those that its plan took digests of.

use std::path::{Path, PathBuf};

use crate::base::{Error, Kind, Result};
use crate::plan::model::{ModelSpec, Role};

/// Small files are read whole; none that was published comes near this.
pub(super) const TEXT_CAP_BYTES: u64 = 64 << 20;

/// The files of the weights, shards in the order of their names.
///
/// # Errors
/// [`Kind::MissingInput`] naming every file of the model that is not there, but for a tokenizer,
/// which only texts need.
pub(super) fn weight_paths(model: &ModelSpec) -> Result<Vec<PathBuf>> {
    let inventory = model.files.inventory(false);
    if !inventory.absent.is_empty() {
        let list: Vec<String> = inventory
            .absent
            .iter()
            .map(|file| format!("{}: {}", file.path.display(), file.what))
            .collect();
        return Err(Error::new(
            Kind::MissingInput,
            format!("model `{}` lacks {} of its files", model.name, list.len()),
        )
        .help(list.join("\n")));
    }
    // an index of shards decides numbers, and holds none
    let holds = |(role, path): &(Role, PathBuf)| {
        *role == Role::Weights && !path.to_string_lossy().ends_with(".index.json")
    };
    Ok(inventory.files.into_iter().filter(holds).map(|(_, path)| path).collect())
}

/// `tokenizer.json`, else `vocab.json` and `merges.txt`, else nothing.
pub(super) fn hugging_face_tokenizer(folder: &Path) -> Vec<PathBuf> {
    let whole = folder.join("tokenizer.json");
    if whole.is_file() {
        return vec![whole];
    }
    let parts = vec![folder.join("vocab.json"), folder.join("merges.txt")];
    if parts.iter().all(|path| path.is_file()) { parts } else { Vec::new() }
}

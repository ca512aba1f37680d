//! The captioners of a definition, named by it or by the store that it makes.

use std::path::Path;

use crate::base::{Error, Kind, Result};
use crate::cli::session::Session;
use crate::plan::{Plan, resolve_captioners, store_folder};

use super::store::remembered;

/// The plan of the stages that train captioners, or of `stage` alone, of a definition or of the
/// definition that a store remembers. The plan's store is the one that is named, also where it was
/// moved or copied since.
///
/// # Errors
/// When there is neither, or a model of these stages is missing.
pub(super) fn captioners(
    place: &Path,
    sets: &[String],
    stage: Option<&str>,
    session: &Session,
) -> Result<Plan> {
    if !place.is_dir() {
        let pipeline = super::definition::read(place, sets, session)?;
        return resolve_captioners(&pipeline, place, stage);
    }
    let (mut pipeline, file) = remembered(place, sets, session)?.ok_or_else(|| {
        Error::new(Kind::MissingInput, "does not say which definition made it")
            .at(place.display())
            .help("name the definition in place of the store's folder")
    })?;
    let folder =
        std::path::absolute(place).map_err(|c| Error::io("cannot name", place.display(), c))?;
    if !same(&folder, &store_folder(&pipeline, &file)) {
        pipeline.store.value = folder.to_string_lossy().into_owned();
    }
    resolve_captioners(&pipeline, &file, stage)
}

/// Whether two names are of one folder.
fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

//! The captioners of a definition, named by it or by the store that it makes.

use std::path::Path;

use crate::base::{Error, Kind, Result};
use crate::cli::session::Session;
use crate::plan::{Plan, resolve_captioners};

use super::store::remembered;

/// The plan of the stages that train captioners, or of `stage` alone, of a definition or of the
/// definition that a store remembers.
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
    let (pipeline, file) = remembered(place, sets, session)?.ok_or_else(|| {
        Error::new(Kind::MissingInput, "does not say which definition made it")
            .at(place.display())
            .help("name the definition in place of the store's folder")
    })?;
    resolve_captioners(&pipeline, &file, stage)
}

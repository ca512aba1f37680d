//! A plan, by its definition or by the store that it makes.

use std::path::Path;

use crate::base::{Error, Kind, Result};
use crate::cli::session::Session;
use crate::plan::{Plan, resolve};

use super::store::remembered;

/// The plan of a definition, or of the definition that a store remembers.
///
/// # Errors
/// When there is neither, or an input of the definition is missing.
pub(super) fn plan(place: &Path, sets: &[String], session: &Session) -> Result<Plan> {
    if !place.is_dir() {
        let pipeline = super::definition::read(place, sets, session)?;
        return resolve(&pipeline, place);
    }
    let (pipeline, file) = remembered(place, sets, session)?.ok_or_else(|| {
        Error::new(Kind::MissingInput, "does not say which definition made it")
            .at(place.display())
            .help("name the definition in place of the store's folder")
    })?;
    resolve(&pipeline, &file)
}

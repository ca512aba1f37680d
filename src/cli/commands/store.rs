//! A store opened for queries, by its folder or by the definition that makes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::base::{Error, Kind, Result};
use crate::cli::session::Session;
use crate::definition::{self, Pipeline};
use crate::flow::Preprocessing;
use crate::plan::source::ImageCaps;
use crate::plan::{resolve_models, state_folder, store_folder};
use crate::query::{self, Catalog, Encoders, ImageInput, QueryVector, VectorSource};
use crate::run::remember;
use crate::table::Store;

use super::image_file;

/// A store, and the definition that makes it, where that is known.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) store: Store,
    /// With the definition's file.
    pub(crate) made_by: Option<(Pipeline, PathBuf)>,
}

/// Finds the store of `place`.
///
/// # Errors
/// When there is no store, or the definition is wrong; for `sets` over a store that remembers none.
pub(crate) fn find(place: &Path, sets: &[String], session: &Session) -> Result<Found> {
    if place.is_dir() {
        let store = Store::open(place, session.clock.clone())?;
        return Ok(Found { store, made_by: remembered(place, sets, session)? });
    }
    let pipeline = super::definition::read(place, sets, session)?;
    let store = Store::open(&store_folder(&pipeline, place), session.clock.clone())?;
    Ok(Found { store, made_by: Some((pipeline, place.to_owned())) })
}

impl Found {
    /// The table of that name, or all.
    ///
    /// # Errors
    /// When the store has no such table.
    pub(crate) fn tables(&self, wanted: Option<&str>) -> Result<Vec<String>> {
        let names = self.store.tables()?;
        let Some(wanted) = wanted else { return Ok(names) };
        if names.iter().any(|name| name == wanted) {
            return Ok(vec![wanted.to_owned()]);
        }
        Err(Error::new(Kind::Usage, format!("there is no table `{wanted}`"))
            .at(self.store.root().display())
            .help(format!("its tables are {}", names.join(", "))))
    }

    /// A session over the tables, each at the version that `at` names, or at its newest.
    ///
    /// # Errors
    /// When a table cannot be opened, or not at that version.
    pub(crate) fn session(self, at: &BTreeMap<String, i64>) -> Result<query::Session> {
        let catalog = Catalog::of_store(&self.store, at)?;
        let vectors =
            Lazy { catalog: catalog.clone(), made_by: self.made_by, encoders: Mutex::default() };
        Ok(query::Session::over(catalog, Arc::new(vectors)))
    }
}

/// Opens the newest tables of `place`.
///
/// # Errors
/// When there is no store, or the definition is wrong.
pub(crate) fn open(place: &Path, sets: &[String], session: &Session) -> Result<query::Session> {
    find(place, sets, session)?.session(&BTreeMap::new())
}

/// The definition that the store was last made by, as it was then but for `sets`.
///
/// # Errors
/// When what is kept cannot be read or `sets` do not fit it; [`Kind::Usage`] for `sets` where
/// nothing is kept, since they would change nothing.
pub(super) fn remembered(
    store: &Path,
    sets: &[String],
    session: &Session,
) -> Result<Option<(Pipeline, PathBuf)>> {
    let more = super::definition::replacements(sets)?;
    let Some(kept) = remember::read(&state_folder(store))? else {
        if more.is_empty() {
            return Ok(None);
        }
        return Err(Error::new(
            Kind::Usage,
            "--set has no definition to change: the store does not say which made it",
        )
        .at(store.display())
        .help("name the definition in place of the store's folder, or leave --set out"));
    };
    let name = kept.definition.display().to_string();
    // A key that comes again is replaced again.
    let sets = [kept.sets, more].concat();
    let pipeline = definition::parse(&name, &kept.text, &session.environment, &sets)?;
    Ok(Some((pipeline, kept.definition)))
}

/// Encoders that are looked for when a statement first needs a vector of a table: plain SQL works
/// where neither archives nor weights are at hand, and vectors where that table's model is.
#[derive(Debug)]
struct Lazy {
    catalog: Catalog,
    made_by: Option<(Pipeline, PathBuf)>,
    encoders: Mutex<BTreeMap<String, Arc<Encoders>>>,
}

impl Lazy {
    /// Those of a table.
    fn encoders(&self, table: &str) -> Result<Arc<Encoders>> {
        let failed = |_| Error::new(Kind::Internal, "an encoder failed before");
        let mut known = self.encoders.lock().map_err(failed)?;
        if let Some(encoders) = known.get(table) {
            return Ok(Arc::clone(encoders));
        }
        let (pipeline, file) = self.made_by.as_ref().ok_or_else(|| {
            Error::new(Kind::Query, "the store does not say which definition made it")
                .help("name the definition in place of the store's folder")
        })?;
        let plan = resolve_models(pipeline, file, table)?;
        let encoders = Arc::new(Encoders::new(&self.catalog, &plan, Box::new(Images)));
        known.insert(table.to_owned(), Arc::clone(&encoders));
        Ok(encoders)
    }
}

impl VectorSource for Lazy {
    fn text(&self, table: &str, text: &str) -> Result<QueryVector> {
        self.encoders(table)?.text(table, text)
    }

    fn image(&self, table: &str, path: &str) -> Result<QueryVector> {
        self.encoders(table)?.image(table, path)
    }
}

/// Images of queries, decoded as those of a run are.
#[derive(Debug)]
struct Images;

impl ImageInput for Images {
    fn input(
        &self,
        path: &Path,
        preprocessing: &Preprocessing,
        apply_orientation: bool,
        caps: Option<ImageCaps>,
    ) -> Result<Vec<f32>> {
        image_file::input(path, preprocessing, apply_orientation, caps)
    }
}

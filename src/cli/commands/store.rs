//! A store opened for queries, by its folder or by the definition that makes it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::base::files::read_capped;
use crate::base::{Error, Kind, Result};
use crate::cli::session::Session;
use crate::decode::{self, Limits, Orientation};
use crate::definition::{self, Pipeline};
use crate::flow::Preprocessing;
use crate::plan::{resolve, state_folder, store_folder};
use crate::query::{
    self, Catalog, ColumnEntry, Encoders, ImageInput, QueryVector, TableEntry, VectorSource,
};
use crate::run::remember;
use crate::table::Store;

/// Opens the tables of `place`.
///
/// # Errors
/// When there is no store, or the definition is wrong.
pub(crate) fn open(place: &Path, sets: &[String], session: &Session) -> Result<query::Session> {
    let (store, made_by) = if place.is_dir() {
        let store = Store::open(place, session.clock.clone())?;
        let made_by = remembered(place, session)?;
        (store, made_by)
    } else {
        let pipeline = super::definition::read(place, sets, session)?;
        let store = Store::open(&store_folder(&pipeline, place), session.clock.clone())?;
        (store, Some((pipeline, place.to_owned())))
    };
    let catalog = catalog(&store)?;
    let vectors = Lazy { store, made_by, encoders: OnceLock::new() };
    Ok(query::Session::over(catalog, Arc::new(vectors)))
}

/// The definition that the store was last made by, as it was then.
fn remembered(store: &Path, session: &Session) -> Result<Option<(Pipeline, PathBuf)>> {
    let Some(kept) = remember::read(&state_folder(store))? else { return Ok(None) };
    let name = kept.definition.display().to_string();
    let pipeline = definition::parse(&name, &kept.text, &session.environment, &kept.sets)?;
    Ok(Some((pipeline, kept.definition)))
}

fn catalog(store: &Store) -> Result<Catalog> {
    let mut tables = Vec::new();
    for name in store.tables()? {
        let Some(snapshot) = store.snapshot(&name)? else { continue };
        tables.push(TableEntry {
            version: snapshot.version(),
            rows: snapshot.rows(),
            parts: snapshot.part_paths(),
            columns: ColumnEntry::of_schema(&snapshot.schema()),
            model: snapshot.note()?.and_then(|note| note.model),
            name,
        });
    }
    Ok(Catalog::new(tables))
}

/// Encoders that are looked for when a statement first needs a vector: plain SQL works where
/// neither archives nor weights are at hand.
#[derive(Debug)]
struct Lazy {
    store: Store,
    made_by: Option<(Pipeline, PathBuf)>,
    encoders: OnceLock<Encoders>,
}

impl Lazy {
    fn encoders(&self) -> Result<&Encoders> {
        if let Some(encoders) = self.encoders.get() {
            return Ok(encoders);
        }
        let (pipeline, file) = self.made_by.as_ref().ok_or_else(|| {
            Error::new(Kind::Query, "the store does not say which definition made it")
                .help("name the definition in place of the store's folder")
        })?;
        let plan = resolve(pipeline, file)?;
        Ok(self.encoders.get_or_init(|| Encoders::new(&self.store, &plan, Box::new(Images))))
    }
}

impl VectorSource for Lazy {
    fn text(&self, table: &str, text: &str) -> Result<QueryVector> {
        self.encoders()?.text(table, text)
    }

    fn image(&self, table: &str, path: &str) -> Result<QueryVector> {
        self.encoders()?.image(table, path)
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
    ) -> Result<Vec<f32>> {
        let limits = Limits::default();
        let bytes = read_capped(path, limits.bytes)?;
        let orientation = if apply_orientation { Orientation::Apply } else { Orientation::Ignore };
        let pixels = decode::decode(&bytes, &limits, orientation).map_err(|fault| {
            Error::new(Kind::BadInput, format!("{}: {}", fault.class, fault.message))
                .at(path.display())
        })?;
        decode::preprocess(&pixels, preprocessing)
    }
}

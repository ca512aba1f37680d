//! Query vectors: a text or an image through the very model that made a table.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use crate::base::{Error, Kind, Result};
use crate::embed::{ImageEncoder, TextEncoder};
use crate::flow::{Preprocessing, Vectors};
use crate::plan::model::ModelSpec;
use crate::plan::source::ImageCaps;
use crate::plan::{Plan, Stage, Work, resolve};

use super::catalog::Catalog;
use super::vectors::{QueryVector, VectorSource};

/// Reads and prepares the image of a `clip_image('path')`: decoding is another room's.
pub trait ImageInput: std::fmt::Debug + Send + Sync {
    /// The model's input (`3 × size × size`, channels first) of the image in the file `path`. Without
    /// `caps`, what it may cost is up to who decodes it.
    ///
    /// # Errors
    /// When the file cannot be read or decoded, or is above a cap.
    fn input(
        &self,
        path: &Path,
        preprocessing: &Preprocessing,
        apply_orientation: bool,
        caps: Option<ImageCaps>,
    ) -> Result<Vec<f32>>;
}

/// Encodes what a query compares with; models are loaded when they are first needed.
#[derive(Debug)]
pub struct Encoders {
    catalog: Catalog,
    plan: Plan,
    input: Box<dyn ImageInput>,
    texts: Mutex<BTreeMap<String, TextEncoder>>,
    images: Mutex<BTreeMap<String, ImageEncoder>>,
}

/// How a table's vectors were made, as far as queries must do the same.
struct Made<'p> {
    model: &'p ModelSpec,
    normalize: bool,
    apply_orientation: bool,
    /// Of the images whose features they are; none of captions.
    caps: Option<ImageCaps>,
}

impl Encoders {
    /// Encoders for the tables of a catalog, by the models of the definition that made them.
    #[must_use]
    pub fn new(catalog: &Catalog, plan: &Plan, input: Box<dyn ImageInput>) -> Self {
        Self {
            catalog: catalog.clone(),
            plan: plan.clone(),
            input,
            texts: Mutex::default(),
            images: Mutex::default(),
        }
    }

    fn stage(&self, table: &str) -> Result<&Stage> {
        self.plan.stage(table).ok_or_else(|| {
            Error::new(Kind::Query, format!("no stage of the definition makes `{table}`"))
                .at(self.plan.definition.display())
                .help("query the store by the definition that made it")
        })
    }

    fn made(&self, table: &str) -> Result<Made<'_>> {
        let mut stage = self.stage(table)?;
        // Examples carry the vectors of their features.
        if let Work::Align(work) = &stage.work {
            stage = self.stage(&work.image_features)?;
        }
        let made = match &stage.work {
            Work::EmbedImages(work) => Made {
                model: &work.model,
                normalize: work.normalize,
                apply_orientation: work.apply_orientation,
                caps: self.plan.image_caps(&work.images),
            },
            Work::EmbedCaptions(work) => Made {
                model: &work.model,
                normalize: work.normalize,
                apply_orientation: false,
                caps: None,
            },
            _ => {
                return Err(Error::new(Kind::Query, format!("`{table}` holds no embeddings")));
            }
        };
        self.check_weights(table, stage)?;
        Ok(made)
    }

    /// The weights at hand must be those that made the version of the table that is queried.
    fn check_weights(&self, table: &str, stage: &Stage) -> Result<()> {
        let of = |table: &str| self.catalog.table(table)?.model.as_deref();
        let Some(then) = of(table).or_else(|| of(&stage.table)) else { return Ok(()) };
        let here = resolve::weights_of(&stage.fingerprint).unwrap_or_default();
        if then == here {
            return Ok(());
        }
        let short = |digest: &str| digest.chars().take(12).collect::<String>();
        Err(Error::new(
            Kind::Query,
            format!(
                "`{table}` was made by weights {}, and those at hand are {}",
                short(then),
                short(here)
            ),
        )
        .help("their vectors cannot be compared: run the pipeline to make the table anew"))
    }
}

fn poisoned<T>(_: T) -> Error {
    Error::new(Kind::Internal, "an encoder failed before")
}

fn vector(mut vectors: Vectors, normalize: bool) -> QueryVector {
    if normalize {
        vectors.normalise();
    }
    QueryVector { values: vectors.data }
}

impl VectorSource for Encoders {
    fn text(&self, table: &str, text: &str) -> Result<QueryVector> {
        let made = self.made(table)?;
        let mut texts = self.texts.lock().map_err(poisoned)?;
        if !texts.contains_key(&made.model.name) {
            texts.insert(made.model.name.clone(), TextEncoder::load(made.model)?);
        }
        let encoder = texts
            .get(&made.model.name)
            .ok_or_else(|| Error::new(Kind::Internal, "the encoder was not kept"))?;
        Ok(vector(encoder.encode(&[text])?, made.normalize))
    }

    fn image(&self, table: &str, path: &str) -> Result<QueryVector> {
        let made = self.made(table)?;
        let mut images = self.images.lock().map_err(poisoned)?;
        if !images.contains_key(&made.model.name) {
            images.insert(made.model.name.clone(), ImageEncoder::load(made.model)?);
        }
        let encoder = images
            .get(&made.model.name)
            .ok_or_else(|| Error::new(Kind::Internal, "the encoder was not kept"))?;
        let preprocessing = encoder.preprocessing();
        let turned = made.apply_orientation;
        let input = self.input.input(Path::new(path), &preprocessing, turned, made.caps)?;
        Ok(vector(encoder.encode(&input, 1)?, made.normalize))
    }
}

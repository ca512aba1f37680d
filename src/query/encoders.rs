//! Query vectors: a text or an image through the very model that made a table.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use crate::base::{Error, Kind, Result};
use crate::embed::{ImageEncoder, TextEncoder};
use crate::flow::{Preprocessing, Vectors};
use crate::plan::fingerprint::{LAYOUT, NORMALIZE, ORIENTATION};
use crate::plan::model::{ModelSpec, Role};
use crate::plan::source::ImageCaps;
use crate::plan::trained::UNTRAINED;
use crate::plan::{Plan, Stage, Work, resolve};

use super::catalog::{Catalog, TableEntry};
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

/// The half of a model that a query vector comes from.
#[derive(Debug, Clone, Copy)]
enum Tower {
    Text,
    Image,
}

impl Tower {
    /// The fact that says how its input is read.
    fn reads_by(self) -> &'static str {
        match self {
            Self::Text => Role::Tokenizer.name(),
            Self::Image => Role::Preprocessing.name(),
        }
    }

    /// Whether the tables of an operator come from it.
    fn made(self, operator: &str) -> bool {
        match self {
            Self::Text => operator == "embed_captions",
            Self::Image => operator == "embed_images",
        }
    }
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

    fn made(&self, table: &str, tower: Tower) -> Result<Made<'_>> {
        let mut stage = self.stage(table)?;
        // Examples carry the vectors of their features.
        if let Work::Align(work) = &stage.work {
            stage = self.stage(&work.image_features)?;
        }
        let of = |table: &str| self.catalog.table(table).filter(|entry| entry.model.is_some());
        let entry = of(table).or_else(|| of(&stage.table));
        // As the column was made, whatever the definition says by now.
        let then = |fact: &str| entry?.made_under.as_ref()?.part(fact);
        let set = |fact: &str, now: bool| then(fact).map_or(now, |then| then == true.to_string());
        let made = match &stage.work {
            Work::EmbedImages(work) => Made {
                model: &work.model,
                normalize: set(NORMALIZE, work.normalize),
                apply_orientation: set(ORIENTATION, work.apply_orientation),
                caps: self.plan.image_caps(&work.images),
            },
            Work::EmbedCaptions(work) => Made {
                model: &work.model,
                normalize: set(NORMALIZE, work.normalize),
                apply_orientation: false,
                caps: None,
            },
            _ => {
                return Err(Error::new(Kind::Query, format!("`{table}` holds no embeddings")));
            }
        };
        if let Some(entry) = entry {
            self.check(table, (entry, stage), &made.model.name, tower)?;
        }
        Ok(made)
    }

    /// What is at hand must be what made the version of the table that is queried, as far as it
    /// decides the vector: weights, their layout and config, and what `tower` reads its input by. Not
    /// the numeric type: a reduced one gives the same vectors, only less exactly.
    fn check(
        &self,
        table: &str,
        (entry, stage): (&TableEntry, &Stage),
        model: &str,
        tower: Tower,
    ) -> Result<()> {
        let weights = Role::Weights.name();
        let here = resolve::weights_of(&stage.fingerprint);
        same(table, weights, entry.model.as_deref(), here)?;
        let (Some(then), Some(here)) = (&entry.made_under, self.plan.models.get(model)) else {
            return Ok(());
        };
        let of_model = [LAYOUT, Role::Config.name()];
        for fact in of_model {
            same(table, fact, then.part(fact), here.part(fact))?;
        }
        let fact = tower.reads_by();
        if tower.made(stage.work.name()) {
            return same(table, fact, then.part(fact), here.part(fact));
        }
        // The table is of the other tower, and does not know. Those of this one that were made by
        // the very same model do.
        let others = self.plan.pipeline.stages.iter().filter(|other| {
            tower.made(other.operator.name())
                && other.operator.model().is_some_and(|of| of.value == model)
        });
        for other in others {
            let other = self.catalog.table(&other.table.value);
            let Some((other, facts)) = other.and_then(|o| Some((o, o.made_under.as_ref()?))) else {
                continue;
            };
            let alike = |fact: &&str| facts.part(fact) == then.part(fact);
            if [weights].iter().chain(&of_model).all(alike) {
                same(&other.name, fact, facts.part(fact), here.part(fact))?;
            }
        }
        Ok(())
    }
}

/// That a table was made by what is at hand; `fact` is its name in a fingerprint.
fn same(table: &str, fact: &str, then: Option<&str>, here: Option<&str>) -> Result<()> {
    if then == here {
        return Ok(());
    }
    let short = |told: &str| match told {
        UNTRAINED => told.to_owned(),
        digest => digest.chars().take(12).collect(),
    };
    let by = then.map_or_else(|| format!("no {fact}"), |then| format!("{fact} {}", short(then)));
    let here = here.map_or_else(|| "none".to_owned(), short);
    let are = if fact == Role::Weights.name() { "those at hand are" } else { "that at hand is" };
    Err(Error::new(Kind::Query, format!("`{table}` was made by {by}, and {are} {here}")).help(
        format!(
            "their vectors cannot be compared: run the pipeline to make the table anew, or bring \
             back the {fact} that made it"
        ),
    ))
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
        let made = self.made(table, Tower::Text)?;
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
        let made = self.made(table, Tower::Image)?;
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

//! What the loop trains.

use std::path::Path;

use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};

use super::fault::candle;
use crate::base::Result;
use crate::flow::Vectors;
use crate::nn::weights::Weights;
use crate::plan::captioner::Course;

/// Captions that go through the model together, each beside what is known of its image.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The number of each caption's image.
    pub images: Vec<usize>,
    /// For each caption a feature of its image, or the image itself.
    pub features: Vectors,
    /// The tokens of each caption, of differing length.
    pub tokens: Vec<Vec<u32>>,
}

impl Batch {
    /// Tokens of all captions, which is what a loss is the mean over.
    #[must_use]
    pub fn token_count(&self) -> usize {
        self.tokens.iter().map(Vec::len).sum()
    }
}

/// Where the random numbers of a batch come from, other than the order of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    /// The training's seed.
    pub seed: u64,
    /// Another stream for each batch of each step.
    pub stream: u64,
}

/// A model that the loop can train. Calls come from one thread, and block.
pub trait Learner {
    /// The weights that train, f32, in an order that never changes.
    fn weights(&self) -> Vec<(String, Var)>;

    /// What the mean over several batches weighs a batch by: its tokens, if its loss is a mean over
    /// these.
    fn weight(&self, batch: &Batch) -> usize {
        batch.token_count()
    }

    /// The mean loss of the batch, a scalar with its graph. `draw` is there while
    /// training and seeds dropout; the same draw gives the same numbers.
    ///
    /// # Errors
    /// When the device fails or the batch does not fit the model.
    fn loss(&self, batch: &Batch, draw: Option<Draw>) -> Result<Tensor>;

    /// What the definition may say so that a step needs less of the device's memory, as help for
    /// people.
    fn saves_memory(&self, course: &Course) -> String;

    /// The gradients of a loss by every weight that trains, added to those from `earlier`, so that
    /// several batches need the room of one.
    ///
    /// # Errors
    /// When the device fails.
    fn gradients(&self, loss: &Tensor, earlier: Option<GradStore>) -> Result<GradStore>;

    /// Takes back gradients that a step was made with: their room serves the next.
    fn recycle(&self, gradients: GradStore);

    /// Everything that has to be kept of the model, by name.
    ///
    /// # Errors
    /// When the device fails.
    fn state(&self) -> Result<Vec<(String, Tensor)>>;

    /// Takes over what [`state`](Self::state) gave.
    ///
    /// # Errors
    /// When the file is damaged, or of another model.
    fn restore(&mut self, model: &Path) -> Result<()> {
        let weights = Weights::open(model)?;
        for (name, var) in self.weights() {
            let tensor = weights
                .tensor(&name, DType::F32, var.device())
                .map_err(|error| error.at(model.display()))?;
            var.set(&tensor).map_err(candle("taking over a checkpoint"))?;
        }
        Ok(())
    }
}

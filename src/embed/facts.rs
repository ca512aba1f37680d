//! What a model's headers say, without its weights.

use super::load;
use crate::base::Result;
use crate::flow::Preprocessing;
use crate::nn::clip::Architecture;
use crate::plan::model::ModelSpec;

/// What plans and people need to know of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelFacts {
    /// How its images are prepared.
    pub preprocessing: Preprocessing,
    /// Floats of a feature.
    pub width: usize,
    /// Most tokens of a text, start and end included.
    pub context_length: usize,
    /// Both towers.
    pub architecture: Architecture,
}

/// Reads configuration and headers only: every tensor's name and shape is checked, no number is
/// read.
///
/// # Errors
/// When files are missing, damaged, or do not belong together.
pub fn describe(model: &ModelSpec) -> Result<ModelFacts> {
    let opened = load::open(model)?;
    Ok(ModelFacts {
        preprocessing: opened.preprocessing,
        width: opened.architecture.width,
        context_length: opened.architecture.text.context,
        architecture: opened.architecture,
    })
}

//! A CLIP with gradients: both towers, and the loss that draws images and their captions together.
//!
//! The numbers are those of [`super::clip`]; its towers are made for features alone and keep
//! nothing that a backward pass needs. Weights carry transformers' names, so that what was trained
//! is a Hugging Face folder like any other.

mod loss;
mod model;
mod tokens;
mod tower;

pub use model::{Pair, TrainableClip};

//! What a training is given of images, beside their captions.

use crate::base::{Digest, Result};

/// Images by number. It may be asked for any of them, in any order and again and again; calls come
/// from one thread, and block.
pub trait Inputs: std::fmt::Debug {
    /// Identifies all of it, captions and splits too.
    fn digest(&self) -> Digest;

    /// Numbers an image.
    fn width(&self) -> usize;

    /// The key of an image; empty where there is none of this number.
    fn image(&self, image: usize) -> &str;

    /// The numbers of these images, one after the other.
    ///
    /// # Errors
    /// When one can no longer be read.
    fn of_images(&self, images: &[usize]) -> Result<Vec<f32>>;
}

//! Examples as tokens, ready for batches.

use super::batches;
use super::examples::Part;
use super::inputs::Inputs;
use super::learner::Batch;
use crate::base::{Error, Kind, Result};
use crate::flow::Vectors;

/// The captions of one part of the data as tokens.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoded {
    /// The number of each caption's image.
    images: Vec<usize>,
    tokens: Vec<Vec<u32>>,
    lengths: Vec<usize>,
    cut: u64,
}

impl Encoded {
    /// Encodes captions: `encode` gives the tokens, of which `most` are kept, the end token `end`
    /// last where it is not there already.
    ///
    /// # Errors
    /// [`Kind::BadInput`] naming the image whose caption has no token.
    pub fn new(
        inputs: &dyn Inputs,
        part: &Part,
        encode: impl Fn(&str) -> Result<Vec<u32>>,
        end: u32,
        most: usize,
    ) -> Result<Self> {
        let mut encoded = Self::default();
        for (image, text) in part.images.iter().zip(&part.texts) {
            let mut tokens = encode(text)?;
            if tokens.is_empty() {
                let id = inputs.image(*image);
                return Err(Error::new(
                    Kind::BadInput,
                    format!("the caption {text:?} of image `{id}` has no tokens"),
                ));
            }
            if tokens.last() != Some(&end) {
                tokens.push(end);
            }
            encoded.cut += u64::from(tokens.len() > most.max(1));
            tokens.truncate(most.max(1));
            encoded.images.push(*image);
            encoded.lengths.push(tokens.len());
            encoded.tokens.push(tokens);
        }
        Ok(encoded)
    }

    /// The same, in batches that are drawn whatever lengths their captions have: where a caption is
    /// learned against the others of its batch, these should not be of one kind.
    #[must_use]
    pub fn of_all_lengths(mut self) -> Self {
        self.lengths.fill(0);
        self
    }

    /// Captions that had more tokens than are kept.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// Whether there is no caption.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Batches an epoch.
    #[must_use]
    pub fn batch_count(&self, batch_rows: usize) -> usize {
        self.tokens.len().div_ceil(batch_rows.max(1))
    }

    /// The batches of an epoch.
    #[must_use]
    pub fn order(&self, batch_rows: usize, seed: u64, epoch: u32) -> Vec<Vec<usize>> {
        batches::of_epoch(&self.lengths, batch_rows, seed, epoch)
    }

    /// All captions once, in a steady order.
    #[must_use]
    pub fn in_order(&self, batch_rows: usize) -> Vec<Vec<usize>> {
        batches::in_order(&self.lengths, batch_rows)
    }

    /// The captions of these numbers.
    ///
    /// # Errors
    /// When an image can no longer be read.
    pub fn batch(&self, inputs: &dyn Inputs, numbers: &[usize]) -> Result<Batch> {
        let mut tokens = Vec::with_capacity(numbers.len());
        let mut images = Vec::with_capacity(numbers.len());
        for number in numbers {
            let (Some(image), Some(ids)) = (self.images.get(*number), self.tokens.get(*number))
            else {
                continue;
            };
            images.push(*image);
            tokens.push(ids.clone());
        }
        let data = inputs.of_images(&images)?;
        Ok(Batch { images, features: Vectors { width: inputs.width(), data }, tokens })
    }

    /// Keys of the images of these captions, each once, for messages.
    #[must_use]
    pub fn image_ids<'e>(&self, inputs: &'e dyn Inputs, numbers: &[usize]) -> Vec<&'e str> {
        let mut ids: Vec<&str> = numbers
            .iter()
            .filter_map(|number| self.images.get(*number))
            .map(|image| inputs.image(*image))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Numbers of the first `most` images.
    #[must_use]
    pub fn first_images(&self, most: usize) -> Vec<usize> {
        let mut images = self.images.clone();
        images.dedup();
        images.truncate(most);
        images
    }
}

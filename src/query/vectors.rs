//! Where query vectors come from: the seam to the encoders.

use crate::base::Result;

/// A text or an image as a vector of the space that a table's embeddings live in.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryVector {
    /// The values; as many as the table's embeddings have, normalised if those are.
    pub values: Vec<f32>,
}

/// Makes query vectors.
///
/// Each call may block for as long as loading a model takes; a session asks once for each
/// distinct table and text (or path) of a statement, from one thread. The implementer picks the
/// model that made `table` and refuses, with an error, when that model's weights are not those
/// at hand.
pub trait VectorSource: Send + Sync {
    /// The vector of a text.
    ///
    /// # Errors
    /// When the model that made `table` is not at hand or the text cannot be encoded.
    fn text(&self, table: &str, text: &str) -> Result<QueryVector>;

    /// The vector of the image in the file `path`.
    ///
    /// # Errors
    /// As for [`VectorSource::text`], and when the image cannot be read or decoded.
    fn image(&self, table: &str, path: &str) -> Result<QueryVector>;
}

//! `[stages.<table>.embed_images]`: features of images.

use schemars::JsonSchema;
use serde::Serialize;

use super::span::Spanned;

/// Settings of `embed_images`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct EmbedImages {
    /// Table of images, made by `index_images`.
    pub images: Spanned<String>,
    /// Name of a model.
    pub model: Spanned<String>,
    /// Whether each feature is scaled to an L2 norm of one.
    #[schemars(default = "normalize")]
    pub normalize: bool,
    /// `ignore` reads images as they are stored, as the CLIP reference does; `apply` turns them
    /// as their EXIF orientation says.
    #[schemars(default)]
    pub orientation: Orientation,
    /// Images a batch; never changes a number.
    #[schemars(default = "batch_size", range(min = 1, max = 65536))]
    pub batch_size: u32,
}

/// What is done about EXIF orientation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Orientation {
    /// Images are read as they are stored.
    #[default]
    Ignore,
    /// Images are turned as their EXIF orientation says.
    Apply,
}

/// The default of `normalize`, here and for captions.
pub(super) fn normalize() -> bool {
    true
}

fn batch_size() -> u32 {
    32
}

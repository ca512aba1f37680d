//! `[stages.<table>.index_images]`: lists the images of a source.

use schemars::JsonSchema;
use serde::Serialize;

use super::size::ByteSize;
use super::span::Spanned;

/// Settings of `index_images`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct IndexImages {
    /// Name of a source of images.
    pub source: Spanned<String>,
    /// Most pixels an image may have; the default is where Pillow raises `DecompressionBombError`.
    #[schemars(default = "max_pixels", range(min = 1))]
    pub max_pixels: u64,
    /// Most memory that decoding one image may take, in bytes.
    #[schemars(default = "max_image_memory")]
    pub max_image_memory: ByteSize,
}

/// Twice `PIL.Image.MAX_IMAGE_PIXELS`, above which Pillow refuses an image.
fn max_pixels() -> u64 {
    178_956_970
}

fn max_image_memory() -> ByteSize {
    ByteSize(512 << 20)
}

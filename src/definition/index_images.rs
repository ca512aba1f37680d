//! `[stages.<table>.index_images]`: lists the images of a source.

use schemars::JsonSchema;
use serde::Serialize;

use super::reader::TableReader;
use super::size::ByteSize;
use super::span::Spanned;

/// Settings of `index_images`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct IndexImages {
    /// Name of a source of images.
    pub source: Spanned<String>,
    /// Most pixels an image may have; the default is where Pillow raises `DecompressionBombError`.
    /// Under a lower limit stored images leave that have more.
    #[schemars(default = "max_pixels", range(min = 1))]
    pub max_pixels: u64,
    /// Most memory that decoding one image may take, in bytes. A lower limit holds for images that
    /// are decoded from then on: what is stored does not tell what it took.
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

impl IndexImages {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Option<Self> {
        let source = table.required("source");
        let max_pixels = table.number_or("max_pixels", max_pixels(), 1, u64::MAX);
        let max_image_memory = table.or("max_image_memory", max_image_memory());
        Some(Self { source: source?, max_pixels, max_image_memory })
    }
}

//! `[stages.<table>.embed_images]`: features of images.

use schemars::JsonSchema;
use serde::Serialize;

use super::findings::Findings;
use super::reader::{Setting, TableReader, read_name};
use super::span::Spanned;
use super::tree::Node;

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

/// Most rows a batch.
pub(super) const MAX_BATCH: u64 = 65_536;

impl EmbedImages {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Option<Self> {
        let images = table.required("images");
        let model = table.required("model");
        let normalize = table.or("normalize", normalize());
        let orientation = table.or("orientation", Orientation::default());
        let batch_size = read_batch_size(table, batch_size());
        Some(Self { images: images?, model: model?, normalize, orientation, batch_size })
    }
}

/// `batch_size`, here and for captions.
pub(super) fn read_batch_size(table: &mut TableReader<'_, '_>, default: u32) -> u32 {
    let rows = table.number_or("batch_size", default.into(), 1, MAX_BATCH);
    u32::try_from(rows).unwrap_or(default)
}

impl Setting for Orientation {
    const EXPECTED: &'static str = "`\"ignore\"` or `\"apply\"`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let names = [("ignore", Self::Ignore), ("apply", Self::Apply)];
        read_name(node, "orientation", &names, findings)
    }
}

//! `[stages.<table>.embed_images]`: features of images.

use schemars::JsonSchema;
use serde::Serialize;

use super::findings::Findings;
use super::numbers::optional_whole;
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
    /// Images a batch; without it, as many as the memory of machine and device does for. Never
    /// changes a number.
    #[schemars(range(min = 1, max = 65536))]
    pub batch_size: Option<u32>,
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

/// Most rows a batch.
pub(super) const MAX_BATCH: u32 = 65_536;

impl EmbedImages {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Option<Self> {
        let images = table.required("images");
        let model = table.required("model");
        let normalize = table.or("normalize", normalize());
        let orientation = table.or("orientation", Orientation::default());
        let batch_size = optional_whole(table, "batch_size", 1, MAX_BATCH);
        Some(Self { images: images?, model: model?, normalize, orientation, batch_size })
    }
}

impl Setting for Orientation {
    const EXPECTED: &'static str = "`\"ignore\"` or `\"apply\"`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let names = [("ignore", Self::Ignore), ("apply", Self::Apply)];
        read_name(node, "orientation", &names, findings)
    }
}

//! `[stages.<table>.embed_captions]`: features of captions.

use schemars::JsonSchema;
use serde::Serialize;

use super::embed_images;
use super::numbers::optional_whole;
use super::reader::TableReader;
use super::span::Spanned;

/// Settings of `embed_captions`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct EmbedCaptions {
    /// Table of captions, made by `read_captions`.
    pub captions: Spanned<String>,
    /// Name of a model.
    pub model: Spanned<String>,
    /// Column of the captions that is embedded: `text`, or `clean_text`. Without it,
    /// `clean_text` where the captions are cleaned, else `text`; a parsed definition always
    /// names it.
    #[schemars(with = "Option<String>")]
    pub column: Spanned<String>,
    /// Whether each feature is scaled to an L2 norm of one.
    #[schemars(default = "super::embed_images::normalize")]
    pub normalize: bool,
    /// Captions a batch; without it, as many as the memory of machine and device does for. Never
    /// changes a number.
    #[schemars(range(min = 1, max = 65536))]
    pub batch_size: Option<u32>,
}

impl EmbedCaptions {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Option<Self> {
        let captions = table.required("captions");
        let model = table.required("model");
        // The graph puts in what the captions have, where it is left out.
        let column = table.optional("column").unwrap_or_default();
        let normalize = table.or("normalize", embed_images::normalize());
        let batch_size = optional_whole(table, "batch_size", 1, embed_images::MAX_BATCH);
        Some(Self { captions: captions?, model: model?, column, normalize, batch_size })
    }
}

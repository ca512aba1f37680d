//! `[stages.<table>.embed_captions]`: features of captions.

use schemars::JsonSchema;
use serde::Serialize;

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
    /// Captions a batch; never changes a number.
    #[schemars(default = "batch_size", range(min = 1, max = 65536))]
    pub batch_size: u32,
}

fn batch_size() -> u32 {
    64
}

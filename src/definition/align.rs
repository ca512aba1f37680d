//! `[stages.<table>.align]`: captions beside the features of their image, for training.

use schemars::JsonSchema;
use serde::Serialize;

use super::span::Spanned;

/// Settings of `align`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Align {
    /// Table of captions, made by `read_captions`.
    pub captions: Spanned<String>,
    /// Table of features, made by `embed_images`.
    pub image_features: Spanned<String>,
    /// Column of the captions that becomes `text`: `text`, or `clean_text`. Without it,
    /// `clean_text` where the captions are cleaned, else `text`; a parsed definition always
    /// names it.
    #[schemars(with = "Option<String>")]
    pub column: Spanned<String>,
}

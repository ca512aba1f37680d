//! `[sources.<name>.flickr]`, `.csv`, `.coco`, `.karpathy`, `.webdataset_text` and
//! `.webdataset_json`: files that hold captions.

use schemars::JsonSchema;
use serde::Serialize;

use super::paths::Paths;
use super::size::ByteSize;
use super::span::Spanned;

/// A source of captions.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CaptionFiles {
    /// How the text is laid out: the kind in the block's header and its own settings.
    #[schemars(skip)]
    pub format: CaptionFormat,
    /// Files, relative to the definition: the text itself, or a tar, compressed tar or zip that
    /// holds it. One string or a list; globs and brace ranges name many.
    pub paths: Paths,
    /// Glob of the members to read where a path is an archive; without it, the format's usual
    /// names.
    pub member: Option<Spanned<String>>,
    /// Regular expression with one capture group that takes the image id out of the image's file
    /// name; without it, the id is the file's stem.
    pub id: Option<Spanned<String>>,
    /// Where to get the files; printed when one is missing.
    pub obtain: Option<String>,
    /// SHA-256 of the one file, 64 hexadecimal digits; checked before any work.
    #[schemars(regex(pattern = super::source::SHA256))]
    pub sha256: Option<Spanned<String>>,
    /// Longest line of the text, in bytes.
    #[schemars(default = "super::caps::line_bytes")]
    pub max_line_bytes: ByteSize,
    /// Largest member of an archive, and largest JSON file, in bytes.
    #[schemars(default = "super::caps::text_member_bytes")]
    pub max_member_bytes: ByteSize,
    /// Most members an archive may have.
    #[schemars(default = "super::caps::members", range(min = 1))]
    pub max_members: u64,
    /// Longest name of a member, in bytes.
    #[schemars(default = "super::caps::name_bytes")]
    pub max_name_bytes: ByteSize,
    /// Most bytes that a compressed archive may unpack to.
    #[schemars(default = "super::caps::unpacked_bytes")]
    pub max_unpacked_bytes: ByteSize,
}

/// How a caption file is laid out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptionFormat {
    /// `name.jpg#0<TAB>text`, `name<TAB>text`, and flickr8kcn's `name.jpg#zhb#0 text`.
    Flickr,
    /// CSV or TSV with named columns.
    Csv(CsvColumns),
    /// COCO's `captions_*.json`.
    Coco,
    /// Karpathy's `dataset_*.json`: captions and splits.
    Karpathy,
    /// `.txt` members beside the images of WebDataset shards.
    WebDatasetText,
    /// A field of the `.json` members beside the images of WebDataset shards.
    WebDatasetJson(JsonField),
}

/// Settings of `csv`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CsvColumns {
    /// What stands between fields: one byte or more; Kaggle's Flickr30k has `"| "`.
    #[schemars(default = "comma")]
    pub delimiter: String,
    /// Column with the image's file name.
    pub image: String,
    /// Column with the caption.
    pub text: String,
    /// Column with the caption's number; without it, the order of appearance.
    pub index: Option<String>,
    /// Column with the split: train, val or test.
    pub split: Option<String>,
    /// Whether `"` quotes fields, as in RFC 4180; Kaggle's Flickr30k does not quote.
    #[schemars(default = "yes")]
    pub quoted: bool,
}

/// Settings of `webdataset_json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JsonField {
    /// Field of the `.json` that holds the caption, or a list of captions.
    #[schemars(default = "caption")]
    pub field: String,
}

fn comma() -> String {
    ",".into()
}

fn yes() -> bool {
    true
}

fn caption() -> String {
    "caption".into()
}

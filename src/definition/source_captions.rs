//! `[sources.<name>.flickr]`, `.csv`, `.coco`, `.karpathy`, `.webdataset_text` and
//! `.webdataset_json`: files that hold captions.

use schemars::JsonSchema;
use serde::Serialize;

use super::caps;
use super::digest;
use super::findings::Findings;
use super::paths::Paths;
use super::pattern;
use super::reader::{Setting, TableReader, wrong_type};
use super::size::ByteSize;
use super::span::Spanned;
use super::tree::{Node, Value};

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
    #[schemars(regex(pattern = super::digest::PATTERN))]
    pub sha256: Option<Spanned<String>>,
    /// Longest line of the text, in bytes.
    #[schemars(default = "super::caps::line_bytes")]
    pub max_line_bytes: ByteSize,
    /// Largest text, in bytes: a file that is no archive, unpacked, or a member of one. What lies
    /// behind is not read, and is a reject.
    #[schemars(default = "super::caps::text_member_bytes")]
    pub max_member_bytes: ByteSize,
    /// Most members an archive may have.
    #[schemars(default = "super::caps::members", range(min = 1))]
    pub max_members: u64,
    /// Longest name of a member, in bytes.
    #[schemars(default = "super::caps::name_bytes")]
    pub max_name_bytes: ByteSize,
    /// Most bytes that a compressed file, or all members of an archive together, may unpack to.
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
    /// Column with the split: train, val or test. Rows of one image agree: one that names another
    /// split than the first that names any is rejected, and an empty field is that of the image.
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

impl CaptionFiles {
    pub(super) fn read(
        table: &mut TableReader<'_, '_>,
        format: impl FnOnce(&mut TableReader<'_, '_>) -> Option<CaptionFormat>,
    ) -> Option<Self> {
        let paths: Option<Paths> = table.required("paths");
        let format = format(table);
        let member: Option<Spanned<String>> = table.optional("member");
        let id = pattern::id(table);
        let obtain = table.optional("obtain");
        let sha256 = digest::of_files(table, paths.as_ref());
        if let Some(glob) = &member {
            pattern::check_glob(glob, table.findings);
        }
        Some(Self {
            max_line_bytes: table.or("max_line_bytes", caps::line_bytes()),
            max_member_bytes: table.or("max_member_bytes", caps::text_member_bytes()),
            max_members: table.number_or("max_members", caps::members(), 1, u64::MAX),
            max_name_bytes: table.or("max_name_bytes", caps::name_bytes()),
            max_unpacked_bytes: table.or("max_unpacked_bytes", caps::unpacked_bytes()),
            format: format?,
            paths: paths?,
            member,
            id,
            obtain,
            sha256,
        })
    }
}

impl CsvColumns {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Option<Self> {
        let delimiter = table.or("delimiter", Delimiter(comma())).0;
        let image: Option<String> = table.required("image");
        let text: Option<Spanned<String>> = table.required("text");
        let index = table.optional("index");
        let split = table.optional("split");
        let quoted = table.or("quoted", yes());
        if let (Some(image), Some(text)) = (&image, &text)
            && *image == text.value
        {
            table
                .findings
                .add(text.span, "one column for image and text")
                .label(format!("`{image}` is the image's name already"));
        }
        Some(Self { delimiter, image: image?, text: text?.value, index, split, quoted })
    }
}

impl JsonField {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Self {
        Self { field: table.or("field", caption()) }
    }
}

/// A string that may be white space alone.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Delimiter(String);

impl Setting for Delimiter {
    const EXPECTED: &'static str = "a string such as `\",\"` or `\"\\t\"`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Text(text) if !text.is_empty() && !text.contains(['"', '\n', '\r']) => {
                Some(Self(text.clone()))
            }
            Value::Text(_) => {
                findings
                    .add(node.span, "no delimiter")
                    .label("expected at least one character, no quote and no line break");
                None
            }
            _ => {
                wrong_type(node, Self::EXPECTED, findings);
                None
            }
        }
    }
}

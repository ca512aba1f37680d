//! Sources, resolved: every file is there and has a name.

use std::path::PathBuf;

/// What a source of images holds.
#[derive(Debug, Clone)]
pub struct ImageSource {
    /// Name in the definition.
    pub name: String,
    /// How its files are read.
    pub kind: ImageSourceKind,
    /// Archives, or folders, in the order of the definition, globs and braces resolved.
    pub paths: Vec<PathBuf>,
    /// Takes the image id out of a member's name.
    pub id: IdRule,
    /// Globs over member names; empty means every file with the extension of an image.
    pub include: Vec<String>,
    /// Limits against hostile archives.
    pub caps: Caps,
}

/// How the files of a source of images are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageSourceKind {
    /// Tar, plain or compressed (sniffed, not taken from the name).
    Tar,
    /// A folder, walked in byte order of its paths.
    Folder,
    /// Tar shards whose members share a stem: `000.jpg`, `000.txt`, `000.json`.
    WebDataset,
}

/// How a member's name becomes an image id.
#[derive(Debug, Clone, Default)]
pub enum IdRule {
    /// The file's stem: `a/1000092795.jpg` gives `1000092795`.
    #[default]
    Stem,
    /// The first capture group of a pattern over the member's whole name.
    Pattern(regex::Regex),
}

/// Limits on what a source may hold; each is a setting of its block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// Largest member, or caption file that is no archive, in bytes.
    pub member_bytes: u64,
    /// Most members an archive.
    pub members: u64,
    /// Longest name of a member, in bytes.
    pub name_bytes: u64,
    /// Most bytes that a file may unpack to.
    pub unpacked_bytes: u64,
    /// Longest line of a caption file, in bytes.
    pub line_bytes: u64,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            member_bytes: 64 << 20,
            members: 20_000_000,
            name_bytes: 4096,
            unpacked_bytes: 1 << 42,
            line_bytes: 1 << 20,
        }
    }
}

/// Caps on one image: those of its source, and of the stage that lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageCaps {
    /// Largest encoded image, in bytes.
    pub bytes: u64,
    /// Most pixels.
    pub pixels: u64,
    /// Most memory that decoding it may take, in bytes.
    pub memory_bytes: u64,
}

/// What a source of captions holds.
#[derive(Debug, Clone)]
pub struct CaptionSource {
    /// Name in the definition.
    pub name: String,
    /// Files, in the order of the definition.
    pub paths: Vec<PathBuf>,
    /// Glob of the members to read where a path is an archive (tar, compressed tar, zip);
    /// none means the format's usual name.
    pub member: Option<String>,
    /// How the text is laid out.
    pub format: CaptionFormat,
    /// Takes the image id out of the file's name of the image.
    pub id: IdRule,
    /// Limits.
    pub caps: Caps,
}

/// How a caption file is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaptionFormat {
    /// `name.jpg#0<TAB>text`, `name<TAB>text`, and flickr8kcn's `name.jpg#zhb#0 text`.
    Flickr,
    /// CSV or TSV with named columns.
    Csv {
        /// One byte or more between fields; Kaggle's Flickr30k has `| `.
        delimiter: String,
        /// Column with the image's name.
        image: String,
        /// Column with the caption.
        text: String,
        /// Column with the caption's number, if there is one.
        index: Option<String>,
        /// Column with the split, if there is one.
        split: Option<String>,
        /// Whether `"` quotes fields (RFC 4180). Kaggle's file does not quote.
        quoted: bool,
    },
    /// COCO's `captions_*.json`.
    Coco,
    /// Karpathy's `dataset_*.json`: captions and splits.
    Karpathy,
    /// `.txt` members beside the images of WebDataset shards.
    WebDatasetText,
    /// A field of the `.json` members beside the images of WebDataset shards.
    WebDatasetJson {
        /// Name of the field; its value is a string or a list of strings.
        field: String,
    },
}

/// Files that list the image ids of each part, one id a line.
#[derive(Debug, Clone)]
pub struct SplitSource {
    /// Name in the definition.
    pub name: String,
    /// Which part each file lists.
    pub files: Vec<(crate::flow::Split, PathBuf)>,
    /// Takes the image id out of a line.
    pub id: IdRule,
    /// Limits.
    pub caps: Caps,
}

/// One step of cleaning a caption, as the definition names it.
pub use crate::definition::read_captions::Cleaning;

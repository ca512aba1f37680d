//! Captions, and which part of the data an image belongs to.

use std::fmt;
use std::str::FromStr;

use super::sample::Origin;

/// One caption of one image, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// Key of the image.
    pub image_id: String,
    /// Number of the caption within its image, from 0: as the file says where it does, else
    /// the order of appearance.
    pub caption_index: i32,
    /// The original text, uncleaned.
    pub text: String,
    /// Where it was read.
    pub origin: Origin,
    /// The part the file itself names, where it does (Karpathy, COCO, a column).
    pub split: Option<Split>,
}

/// Which part of the data an image, with all its captions, belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Split {
    /// Seen in training.
    Train,
    /// Looked at while training, to stop in time.
    Val,
    /// Never looked at before the end.
    Test,
}

impl Split {
    /// `train`, `val` or `test`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            // `restval` is Karpathy's name for validation images that are trained on.
            "train" | "restval" => Ok(Self::Train),
            "val" | "valid" | "validation" | "dev" => Ok(Self::Val),
            "test" => Ok(Self::Test),
            other => Err(format!("expected train, val or test, got `{other}`")),
        }
    }
}

//! Bad rows, as values.

use std::fmt;
use std::str::FromStr;

use super::sample::Origin;

/// A line, member or image that could not become a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Where it was read.
    pub origin: Origin,
    /// Key of the image, if it was known.
    pub image_id: Option<String>,
    /// What kind of fault.
    pub class: RejectClass,
    /// What exactly, for people.
    pub message: String,
    /// Digest of the bytes that were refused, where they could be read: the same bytes under
    /// the same operator are refused again without being tried.
    pub digest: Option<crate::base::Digest>,
}

macro_rules! classes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Every kind of fault a row can have: a closed list, so that contracts can bound each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RejectClass { $($(#[$doc])* $variant,)* }

        impl RejectClass {
            /// All classes, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in the table `rejects`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl FromStr for RejectClass {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$variant),)*
                    other => Err(format!("`{other}` is no class of rejects")),
                }
            }
        }
    };
}

classes! {
    /// An archive ends in the middle of this member, its header is broken, or a shard lacks what
    /// others hold.
    BrokenMember = "broken_member",
    /// A link, device, FIFO or other member that holds no bytes of its own.
    NotAFile = "not_a_file",
    /// A member's name is unusable: empty, no UTF-8 where an id is needed, no match of `id`.
    BadName = "bad_name",
    /// Two members of one source have the same image id; each reject names the other.
    DuplicateId = "duplicate_id",
    /// A size, count or length above its cap.
    OverCap = "over_cap",
    /// The file cannot be opened or read.
    Unreadable = "unreadable",
    /// The bytes are of no image format that is read.
    UnknownFormat = "unknown_format",
    /// A known format, of a kind that is not supported.
    UnsupportedImage = "unsupported_image",
    /// The image's data end too early.
    TruncatedImage = "truncated_image",
    /// The image's data are damaged.
    CorruptImage = "corrupt_image",
    /// More pixels or memory than the limits allow.
    ImageTooLarge = "image_too_large",
    /// A line of a caption file that does not have its parts, or says otherwise than one before it.
    BadLine = "bad_line",
    /// Text that is no UTF-8.
    BadText = "bad_text",
    /// An empty caption.
    EmptyCaption = "empty_caption",
    /// Two captions with the same image id and number.
    DuplicateCaption = "duplicate_caption",
    /// The model gave NaN or infinity for this row.
    NotFinite = "not_finite",
}

impl fmt::Display for RejectClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}: {}: {}", self.origin.source, self.origin.member, self.class, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_reads_back() {
        for class in RejectClass::ALL {
            assert_eq!(class.name().parse::<RejectClass>(), Ok(*class));
        }
    }
}

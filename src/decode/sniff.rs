//! Formats, told by their first bytes.

/// A format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ITU-T T.81
    Jpeg,
    /// W3C PNG
    Png,
    /// RIFF `WEBP`
    WebP,
    /// GIF 87a and 89a
    Gif,
    /// Windows bitmap
    Bmp,
    /// TIFF 6.0 and BigTIFF
    Tiff,
}

impl Format {
    /// Pillow's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WEBP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
        }
    }
}

/// The format of `bytes`, if it is one that is read.
#[must_use]
pub fn sniff(bytes: &[u8]) -> Option<Format> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some(Format::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Format::Png),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::WebP),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
        [b'B', b'M', ..] => Some(Format::Bmp),
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Format::Tiff),
        _ => None,
    }
}

/// What foreign bytes most likely are, for the message of a reject.
pub(super) fn describe_unknown(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "an empty file",
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', b'f' | b's', ..] => {
            "an AVIF image, which is not read"
        }
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "an ISO media file (HEIC, MP4), not read",
        [b'<', ..] => "text (HTML or SVG), no image",
        [0xff, 0xd8] => "a JPEG that ends after its first marker",
        _ => "no JPEG, PNG, WebP, GIF, BMP or TIFF",
    }
}

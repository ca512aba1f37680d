//! What an image may cost, and how one is refused.

use std::fmt;

use crate::base::units::Bytes;
use crate::flow::{ImageHeader, RejectClass};

/// Caps on one image; all are checked from its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest encoded image, in bytes.
    pub bytes: u64,
    /// Most pixels, width times height.
    pub pixels: u64,
    /// Most memory that decoding may take, the RGB result included, in bytes.
    pub memory_bytes: u64,
}

impl Default for Limits {
    /// 256 MiB encoded, Pillow's limit of decompression bombs (178,956,970 px), 512 MiB.
    fn default() -> Self {
        Self { bytes: 256 << 20, pixels: 2 * 89_478_485, memory_bytes: 512 << 20 }
    }
}

/// Whether EXIF orientation is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Orientation {
    /// As the CLIP reference: pixels as they are stored.
    #[default]
    Ignore,
    /// As Pillow's `ImageOps.exif_transpose`.
    Apply,
}

/// Why an image was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The class, for the table `rejects`.
    pub class: RejectClass,
    /// What exactly, for people.
    pub message: String,
}

impl Fault {
    pub(super) fn new(class: RejectClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    pub(super) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(RejectClass::CorruptImage, message)
    }

    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(RejectClass::UnsupportedImage, message)
    }

    pub(super) fn truncated(message: impl Into<String>) -> Self {
        Self::new(RejectClass::TruncatedImage, message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

impl std::error::Error for Fault {}

impl Limits {
    pub(super) fn check_bytes(&self, len: usize) -> Result<(), Fault> {
        if len as u64 > self.bytes {
            return Err(Fault::new(
                RejectClass::OverCap,
                format!("{} encoded, at most {}", Bytes(len as u64), Bytes(self.bytes)),
            ));
        }
        Ok(())
    }

    /// Refuses sides of zero and more pixels than allowed.
    ///
    /// # Errors
    /// What is refused, and why.
    pub fn check_pixels(&self, header: &ImageHeader) -> Result<(), Fault> {
        let pixels = u64::from(header.width_px) * u64::from(header.height_px);
        if pixels == 0 {
            return Err(Fault::corrupt(format!("{} × {} px", header.width_px, header.height_px)));
        }
        if pixels > self.pixels {
            return Err(Fault::new(
                RejectClass::ImageTooLarge,
                format!(
                    "{} × {} px is more than {} px",
                    header.width_px, header.height_px, self.pixels
                ),
            ));
        }
        Ok(())
    }

    /// Refuses `bytes_per_pixel` times the pixels where that is more than the memory.
    pub(super) fn check_memory(
        &self,
        header: &ImageHeader,
        bytes_per_pixel: u64,
    ) -> Result<(), Fault> {
        let pixels = u64::from(header.width_px) * u64::from(header.height_px);
        self.check_total(pixels.saturating_mul(bytes_per_pixel))
    }

    pub(super) fn check_total(&self, needed: u64) -> Result<(), Fault> {
        if needed > self.memory_bytes {
            return Err(Fault::new(
                RejectClass::ImageTooLarge,
                format!("needs {}, at most {}", Bytes(needed), Bytes(self.memory_bytes)),
            ));
        }
        Ok(())
    }
}

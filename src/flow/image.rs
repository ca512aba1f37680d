//! Decoded images.

/// What an image file says of itself before it is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageHeader {
    /// Width in pixels, as stored (EXIF orientation not applied).
    pub width_px: u32,
    /// Height in pixels, as stored.
    pub height_px: u32,
    /// Pillow's name of the format: `JPEG`, `PNG`, `WEBP`, `GIF`, `BMP`, `TIFF`.
    pub format: &'static str,
    /// Pillow's name of the mode: `RGB`, `L`, `P`, `CMYK`, `I;16`, …
    pub mode: &'static str,
}

/// An RGB image, 8 bits a channel, rows top to bottom, `R G B` interleaved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// `width_px * height_px * 3` bytes.
    pub data: Vec<u8>,
}

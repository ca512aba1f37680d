//! PNG.

use std::io::Cursor;

use image::codecs::png::PngDecoder;

use super::limits::{Fault, Limits};
use super::raster;
use crate::flow::{ImageHeader, Pixels};

/// Reads IHDR.
pub(super) fn header(bytes: &[u8]) -> Result<ImageHeader, Fault> {
    let ihdr = bytes.get(8..33).ok_or_else(|| Fault::truncated("ends within its IHDR"))?;
    if ihdr.get(4..8) != Some(b"IHDR".as_slice()) {
        return Err(Fault::corrupt("its first chunk is no IHDR"));
    }
    let side = |at: usize| u32::from_be_bytes([ihdr[at], ihdr[at + 1], ihdr[at + 2], ihdr[at + 3]]);
    let mode = match (ihdr[17], ihdr[16]) {
        (0, 1) => "1",
        (0, 16) => "I;16",
        (0, _) => "L",
        (2, _) => "RGB",
        (3, _) => "P",
        (4, _) => "LA",
        (6, _) => "RGBA",
        (other, _) => return Err(Fault::corrupt(format!("color type {other}"))),
    };
    Ok(ImageHeader { width_px: side(8), height_px: side(12), format: "PNG", mode })
}

pub(super) fn decode(
    bytes: &[u8],
    header: &ImageHeader,
    limits: &Limits,
) -> Result<Pixels, Fault> {
    limits.check_memory(header, 3)?;
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(limits.memory_bytes);
    let decoder = PngDecoder::with_limits(Cursor::new(bytes), allowed)
        .map_err(|error| raster::fault(&error))?;
    raster::rgb(decoder, header, limits)
}

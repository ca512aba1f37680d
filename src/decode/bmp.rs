//! Windows bitmaps: 1 to 32 bits, run-length coded, bit fields.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;

use super::limits::{Fault, Limits};
use super::raster;
use crate::flow::{ImageHeader, Pixels};

/// Reads the file and information headers (sizes are signed; a negative height is top-down).
pub(super) fn header(bytes: &[u8]) -> Result<ImageHeader, Fault> {
    let short = || Fault::truncated("ends within its header");
    let u16_at = |at: usize| -> Result<u16, Fault> {
        let b = bytes.get(at..at + 2).ok_or_else(short)?;
        Ok(u16::from_le_bytes([b[0], b[1]]))
    };
    let u32_at = |at: usize| -> Result<u32, Fault> {
        let b = bytes.get(at..at + 4).ok_or_else(short)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    };
    let info = u32_at(14)?;
    let (width_px, height_px, bits) = if info == 12 {
        (u32::from(u16_at(18)?), u32::from(u16_at(20)?), u16_at(24)?)
    } else {
        let height = u32_at(22)?.cast_signed().unsigned_abs();
        (u32_at(18)?.cast_signed().unsigned_abs(), height, u16_at(28)?)
    };
    let mode = match bits {
        1 => "1",
        2 | 4 | 8 => "P",
        32 if info >= 56 => "RGBA",
        _ => "RGB",
    };
    Ok(ImageHeader { width_px, height_px, format: "BMP", mode })
}

pub(super) fn decode(
    bytes: &[u8],
    header: &ImageHeader,
    limits: &Limits,
) -> Result<Pixels, Fault> {
    limits.check_memory(header, 3)?;
    let decoder =
        BmpDecoder::new(Cursor::new(bytes)).map_err(|error| raster::fault(&error))?;
    raster::rgb(decoder, header, limits)
}

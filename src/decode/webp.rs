//! WebP: lossy, lossless, extended; the first frame of an animation.

use std::io::Cursor;

use image::ImageDecoder;
use image::codecs::webp::WebPDecoder;

use super::limits::{Fault, Limits};
use super::raster;
use crate::flow::{ImageHeader, Pixels};

fn open(bytes: &[u8]) -> Result<WebPDecoder<Cursor<&[u8]>>, Fault> {
    WebPDecoder::new(Cursor::new(bytes)).map_err(|error| raster::fault(&error))
}

pub(super) fn header(bytes: &[u8]) -> Result<ImageHeader, Fault> {
    let decoder = open(bytes)?;
    let (width_px, height_px) = decoder.dimensions();
    let mode = if decoder.color_type().has_alpha() { "RGBA" } else { "RGB" };
    Ok(ImageHeader { width_px, height_px, format: "WEBP", mode })
}

pub(super) fn decode(
    bytes: &[u8],
    header: &ImageHeader,
    limits: &Limits,
) -> Result<Pixels, Fault> {
    raster::rgb(open(bytes)?, header, limits)
}

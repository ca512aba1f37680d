//! Probing and decoding any of the formats.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::limits::{Fault, Limits, Orientation};
use super::sniff::{Format, describe_unknown, sniff};
use super::window::Window;
use super::{bmp, exif, gif, jpeg, orient, png, tiff, webp};
use crate::flow::{ImageHeader, Pixels, Preprocessing, RejectClass};

/// What the header of an image says; nothing is decoded.
///
/// # Errors
/// A [`Fault`] when the format is unknown, the header broken, or a limit would be passed.
pub fn probe(bytes: &[u8], limits: &Limits) -> Result<ImageHeader, Fault> {
    isolated(|| header(bytes, limits).map(|(_, header)| header))
}

/// An image as 8-bit RGB, as Pillow's `convert("RGB")` makes it.
///
/// # Errors
/// A [`Fault`] with its class; truncated files are refused, as Pillow refuses them.
pub fn decode(bytes: &[u8], limits: &Limits, orientation: Orientation) -> Result<Pixels, Fault> {
    decode_for(bytes, limits, orientation, &[])
}

/// As [`decode`], for these preprocessings only: where a format allows it, pixels that none of
/// them reads are left black. A file is refused exactly where [`decode`] refuses it. Without any
/// preprocessing the whole image is decoded.
///
/// # Errors
/// As [`decode`].
pub fn decode_for(
    bytes: &[u8],
    limits: &Limits,
    orientation: Orientation,
    targets: &[Preprocessing],
) -> Result<Pixels, Fault> {
    isolated(|| {
        let (format, header) = header(bytes, limits)?;
        let turned = match orientation {
            Orientation::Ignore => None,
            Orientation::Apply => exif::orientation(bytes, format).filter(|value| *value != 1),
        };
        // a turned image is cropped elsewhere
        let targets = if turned.is_some() { &[] } else { targets };
        let window = Window::of(header.width_px, header.height_px, targets);
        let pixels = match format {
            Format::Jpeg => jpeg::decode(bytes, &header, limits, &window),
            Format::Png => png::decode(bytes, &header, limits),
            Format::WebP => webp::decode(bytes, &header, limits),
            Format::Gif => gif::decode(bytes, &header, limits),
            Format::Bmp => bmp::decode(bytes, &header, limits),
            Format::Tiff => tiff::decode(bytes, &header, limits),
        }?;
        match turned {
            None => Ok(pixels),
            Some(value) => {
                // the turned copy lives beside the original for a moment
                limits.check_memory(&header, 6)?;
                Ok(orient::turn(&pixels, value))
            }
        }
    })
}

fn header(bytes: &[u8], limits: &Limits) -> Result<(Format, ImageHeader), Fault> {
    limits.check_bytes(bytes.len())?;
    let format = sniff(bytes)
        .ok_or_else(|| Fault::new(RejectClass::UnknownFormat, describe_unknown(bytes)))?;
    let header = match format {
        Format::Jpeg => jpeg::header(bytes),
        Format::Png => png::header(bytes),
        Format::WebP => webp::header(bytes),
        Format::Gif => gif::header(bytes),
        Format::Bmp => bmp::header(bytes),
        Format::Tiff => tiff::header(bytes),
    }?;
    limits.check_pixels(&header)?;
    Ok((format, header))
}

/// Hostile bytes may find a panic in a decoder of another crate; that costs one row, not the
/// run. The decoders share no state, so nothing half-changed is seen afterwards.
fn isolated<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason given");
        Err(Fault::corrupt(format!("the decoder gave up: {reason}")))
    })
}

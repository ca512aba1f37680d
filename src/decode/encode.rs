//! Writing images: only what the demo needs.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use crate::base::{Error, Kind, Result};
use crate::flow::Pixels;

/// A baseline JPEG of `pixels`; `quality` is 1 to 100. The same pixels give the same bytes.
///
/// # Errors
/// [`Kind::Internal`] when a side is zero, above 65,535 px, or `data` has another length.
pub fn encode_jpeg(pixels: &Pixels, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let expected = pixels.width_px as usize * pixels.height_px as usize * 3;
    if expected == 0 || expected != pixels.data.len() {
        return Err(Error::new(
            Kind::Internal,
            format!(
                "encode {} × {} px: expected {expected} bytes, got {}",
                pixels.width_px,
                pixels.height_px,
                pixels.data.len()
            ),
        ));
    }
    JpegEncoder::new_with_quality(&mut bytes, quality.clamp(1, 100))
        .encode(&pixels.data, pixels.width_px, pixels.height_px, ExtendedColorType::Rgb8)
        .map_err(|cause| Error::new(Kind::Internal, "encode a JPEG").caused_by(cause))?;
    Ok(bytes)
}

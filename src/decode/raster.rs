//! From the decoders of the crate `image` to RGB.

use image::{ColorType, ImageDecoder, ImageError, error::LimitErrorKind};

use super::limits::{Fault, Limits};
use super::pillow::{clip, high};
use crate::flow::{ImageHeader, Pixels, RejectClass};

/// Decodes and converts; alpha is dropped, as `convert("RGB")` drops it.
pub(super) fn rgb(
    decoder: impl ImageDecoder,
    header: &ImageHeader,
    limits: &Limits,
) -> Result<Pixels, Fault> {
    if decoder.dimensions() != (header.width_px, header.height_px) {
        return Err(Fault::corrupt("two places of the file disagree about its size"));
    }
    let color = decoder.color_type();
    // what the decoder works with, its output, and the RGB made of it
    let per_pixel = u64::from(color.bytes_per_pixel()).saturating_mul(2).saturating_add(3);
    limits.check_memory(header, per_pixel)?;
    let len = usize::try_from(decoder.total_bytes())
        .map_err(|_cause: std::num::TryFromIntError| Fault::corrupt("impossible size"))?;
    let mut raw = vec![0; len];
    decoder.read_image(&mut raw).map_err(|error| fault(&error))?;
    let data = match color {
        ColorType::Rgb8 => raw,
        ColorType::Rgba8 => raw.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
        ColorType::L8 => raw.iter().flat_map(|l| [*l; 3]).collect(),
        ColorType::La8 => raw.chunks_exact(2).flat_map(|p| [p[0]; 3]).collect(),
        ColorType::L16 => words(&raw).flat_map(|l| [clip(i32::from(l)); 3]).collect(),
        ColorType::La16 => words(&raw).step_by(2).flat_map(|l| [high(l); 3]).collect(),
        ColorType::Rgb16 => words(&raw).map(high).collect(),
        ColorType::Rgba16 => {
            words(&raw).enumerate().filter(|(i, _)| i % 4 != 3).map(|(_, v)| high(v)).collect()
        }
        other => return Err(Fault::unsupported(format!("pixels of type {other:?}"))),
    };
    Ok(Pixels { width_px: header.width_px, height_px: header.height_px, data })
}

fn words(raw: &[u8]) -> impl Iterator<Item = u16> + '_ {
    raw.chunks_exact(2).map(|p| u16::from_ne_bytes([p[0], p[1]]))
}

/// The class of an error of the crate `image`.
pub(super) fn fault(error: &ImageError) -> Fault {
    let message = error.to_string();
    match error {
        ImageError::Unsupported(_) => Fault::unsupported(message),
        ImageError::Limits(limit) if limit.kind() != LimitErrorKind::DimensionError => {
            Fault::new(RejectClass::ImageTooLarge, message)
        }
        ImageError::IoError(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
            Fault::truncated(message)
        }
        _ => of_text(message),
    }
}

/// Decoders that tell the end of data only in words.
pub(super) fn of_text(message: String) -> Fault {
    let lower = message.to_lowercase();
    let ended = ["unexpected end", "unexpectedeof", "unexpected eof", "failed to fill", "truncat"];
    if ended.iter().any(|words| lower.contains(words)) {
        Fault::truncated(message)
    } else {
        Fault::corrupt(message)
    }
}

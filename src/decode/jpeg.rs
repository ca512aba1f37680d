//! JPEG: baseline, extended and progressive Huffman; grey, YCbCr, RGB, CMYK, YCCK.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::limits::{Fault, Limits};
use super::{pillow, raster};
use crate::flow::{ImageHeader, Pixels};

/// One marker segment, without its length.
pub(super) struct Segment<'a> {
    /// Second byte of the marker.
    pub(super) marker: u8,
    /// What follows the length; empty for markers without one.
    pub(super) body: &'a [u8],
}

/// The segments up to and with the first start of scan (ITU-T T.81, B.1.1).
pub(super) fn segments(bytes: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let mut rest = bytes.get(2..).unwrap_or_default();
    let mut over = false;
    std::iter::from_fn(move || {
        if over {
            return None;
        }
        let (segment, after) = next_segment(rest)?;
        over = segment.marker == 0xda;
        rest = after;
        Some(segment)
    })
}

/// The next marker, past fill bytes and rubbish, as libjpeg's `next_marker`.
fn next_segment(bytes: &[u8]) -> Option<(Segment<'_>, &[u8])> {
    let mut at = 0;
    let marker = loop {
        at += bytes.get(at..)?.iter().position(|b| *b == 0xff)?;
        match bytes.get(at + 1)? {
            0 => at += 2,
            0xff => at += 1,
            marker => break *marker,
        }
    };
    let rest = bytes.get(at + 2..)?;
    if matches!(marker, 0x01 | 0xd0..=0xd9) {
        return Some((Segment { marker, body: &[] }, rest));
    }
    let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
    let body = rest.get(2..length)?;
    Some((Segment { marker, body }, rest.get(length..)?))
}

/// Whether an end-of-image marker follows the scans.
fn has_end(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let Some((segment, after)) = next_segment(rest) {
        if segment.marker == 0xd9 {
            return true;
        }
        rest = after;
    }
    false
}

/// What the start of frame says.
struct Frame {
    marker: u8,
    bits: u8,
    width_px: u32,
    height_px: u32,
    components: u8,
    /// Transform of the Adobe segment, if there is one.
    adobe: Option<u8>,
    scan: bool,
}

fn frame(bytes: &[u8]) -> Result<Frame, Fault> {
    let mut found: Option<Frame> = None;
    let mut adobe = None;
    let mut scan = false;
    for Segment { marker, body } in segments(bytes) {
        match marker {
            0xee if body.starts_with(b"Adobe") && body.len() >= 12 => adobe = Some(body[11]),
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let [bits, h1, h0, w1, w0, components, ..] = *body else {
                    return Err(Fault::corrupt("its frame header is too short"));
                };
                let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
                found = Some(Frame {
                    marker,
                    bits,
                    width_px: side(w1, w0),
                    height_px: side(h1, h0),
                    components,
                    adobe: None,
                    scan: false,
                });
            }
            0xda => scan = true,
            _ => {}
        }
    }
    match found {
        Some(frame) => Ok(Frame { adobe, scan, ..frame }),
        None if has_end(bytes) => Err(Fault::corrupt("holds no frame header")),
        None => Err(Fault::truncated("ends before its frame header")),
    }
}

pub(super) fn header(bytes: &[u8]) -> Result<ImageHeader, Fault> {
    let frame = frame(bytes)?;
    let mode = match frame.components {
        1 => "L",
        3 => "RGB",
        4 => "CMYK",
        other => return Err(Fault::unsupported(format!("a JPEG of {other} components"))),
    };
    let (width_px, height_px) = (frame.width_px, frame.height_px);
    Ok(ImageHeader { width_px, height_px, format: "JPEG", mode })
}

pub(super) fn decode(
    bytes: &[u8],
    header: &ImageHeader,
    limits: &Limits,
) -> Result<Pixels, Fault> {
    let frame = frame(bytes)?;
    if frame.bits != 8 {
        return Err(Fault::unsupported(format!("a JPEG of {} bits", frame.bits)));
    }
    match frame.marker {
        0xc0..=0xc2 => {}
        0xc3 => return Err(Fault::unsupported("a lossless JPEG")),
        0xc9..=0xcb => return Err(Fault::unsupported("an arithmetic-coded JPEG")),
        other => return Err(Fault::unsupported(format!("a JPEG of process {other:#04x}"))),
    }
    if !frame.scan {
        return Err(Fault::truncated("ends before its first scan"));
    }
    if !has_end(bytes) {
        return Err(Fault::truncated("ends without an end-of-image marker"));
    }
    // 16-bit coefficients or rows of all components, the output, and for inks the RGB
    let components = u64::from(frame.components);
    limits.check_memory(header, components * 3 + if components == 4 { 3 } else { 0 })?;

    let options = DecoderOptions::default()
        .set_strict_mode(false)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(fault)?;
    let out = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => ColorSpace::Luma,
        Some(ColorSpace::CMYK) if frame.components == 4 => ColorSpace::CMYK,
        _ => ColorSpace::RGB,
    };
    decoder.set_options(options.jpeg_set_out_colorspace(out));
    let raw = decoder.decode().map_err(fault)?;
    let data: Vec<u8> = match out {
        ColorSpace::Luma => raw.iter().flat_map(|l| [*l; 3]).collect(),
        // Adobe's programs store ink inverted, and Pillow goes by their marker alone
        ColorSpace::CMYK if frame.adobe.is_some() => raw
            .chunks_exact(4)
            .flat_map(|p| pillow::cmyk([255 - p[0], 255 - p[1], 255 - p[2], 255 - p[3]]))
            .collect(),
        ColorSpace::CMYK => {
            raw.chunks_exact(4).flat_map(|p| pillow::cmyk([p[0], p[1], p[2], p[3]])).collect()
        }
        _ => raw,
    };
    let expected = header.width_px as usize * header.height_px as usize * 3;
    if data.len() != expected {
        return Err(Fault::corrupt(format!("expected {expected} bytes, got {}", data.len())));
    }
    Ok(Pixels { width_px: header.width_px, height_px: header.height_px, data })
}

fn fault(error: DecodeErrors) -> Fault {
    let message = format!("{error:?}");
    match error {
        DecodeErrors::Unsupported(_) => Fault::unsupported(message),
        DecodeErrors::ExhaustedData | DecodeErrors::IoErrors(_) => Fault::truncated(message),
        _ => raster::of_text(message),
    }
}

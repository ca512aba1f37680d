//! GIF: the first frame, on the logical screen, as Pillow shows it.

use ::gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};

use super::limits::{Fault, Limits};
use super::raster;
use crate::flow::{ImageHeader, Pixels};

/// Reads the logical screen descriptor.
pub(super) fn header(bytes: &[u8]) -> Result<ImageHeader, Fault> {
    let screen = bytes.get(6..13).ok_or_else(|| Fault::truncated("ends within its header"))?;
    let side = |at: usize| u32::from(u16::from_le_bytes([screen[at], screen[at + 1]]));
    let global = if screen[4] & 0x80 == 0 { 0 } else { 2_usize << (screen[4] & 7) };
    let palette = bytes.get(13..13 + 3 * global).unwrap_or_default();
    // Pillow calls it `L` when entry i is the grey i
    let grey = palette.chunks_exact(3).zip(0_u8..).all(|(rgb, i)| rgb == [i; 3]);
    let mode = if grey { "L" } else { "P" };
    Ok(ImageHeader { width_px: side(0), height_px: side(2), format: "GIF", mode })
}

pub(super) fn decode(
    bytes: &[u8],
    header: &ImageHeader,
    limits: &Limits,
) -> Result<Pixels, Fault> {
    // indices of the frame, and RGB of the screen
    limits.check_memory(header, 5)?;
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.check_frame_consistency(true);
    if let Some(memory) = std::num::NonZeroU64::new(limits.memory_bytes) {
        options.set_memory_limit(MemoryLimit::Bytes(memory));
    }
    let mut decoder = options.read_info(bytes).map_err(|error| fault(&error))?;
    let global = decoder.global_palette().map(<[u8]>::to_vec);
    let frame = decoder
        .read_next_frame()
        .map_err(|error| fault(&error))?
        .ok_or_else(|| Fault::truncated("holds no frame"))?;
    let palette = frame.palette.as_ref().or(global.as_ref());
    let color = |index: u8| -> [u8; 3] {
        let at = usize::from(index) * 3;
        match palette.and_then(|colors| colors.get(at..at + 3)) {
            Some(rgb) => [rgb[0], rgb[1], rgb[2]],
            // Pillow's palettes begin as a ramp of greys
            None => [index; 3],
        }
    };
    let width = header.width_px as usize;
    let height = header.height_px as usize;
    // outside the frame the screen holds the transparent index, else 0
    let ground = color(frame.transparent.unwrap_or(0));
    let mut data: Vec<u8> = ground.repeat(width * height);
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let columns = usize::from(frame.width);
    if columns == 0 {
        return Err(Fault::corrupt("its first frame has no width"));
    }
    for (row, indices) in frame.buffer.chunks_exact(columns).enumerate() {
        let start = ((top + row) * width + left) * 3;
        let Some(line) = data.get_mut(start..start + columns * 3) else {
            return Err(Fault::corrupt("its first frame reaches out of the screen"));
        };
        for (pixel, index) in line.chunks_exact_mut(3).zip(indices) {
            pixel.copy_from_slice(&color(*index));
        }
    }
    Ok(Pixels { width_px: header.width_px, height_px: header.height_px, data })
}

fn fault(error: &DecodingError) -> Fault {
    match error {
        DecodingError::Io(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
            Fault::truncated(error.to_string())
        }
        other => raster::of_text(other.to_string()),
    }
}

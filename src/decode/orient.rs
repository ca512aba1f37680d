//! Turning pixels as EXIF orientation says.

use crate::flow::Pixels;

/// The upright image, as Pillow's `ImageOps.exif_transpose`; `value` is 1 to 8.
pub(super) fn turn(pixels: &Pixels, value: u8) -> Pixels {
    let (w, h) = (pixels.width_px as usize, pixels.height_px as usize);
    let swapped = value >= 5;
    let (width_px, height_px) = if swapped {
        (pixels.height_px, pixels.width_px)
    } else {
        (pixels.width_px, pixels.height_px)
    };
    let mut data = Vec::with_capacity(pixels.data.len());
    for y in 0..height_px as usize {
        for x in 0..width_px as usize {
            let (from_x, from_y) = match value {
                2 => (w - 1 - x, y),
                3 => (w - 1 - x, h - 1 - y),
                4 => (x, h - 1 - y),
                5 => (y, x),
                6 => (y, h - 1 - x),
                7 => (w - 1 - y, h - 1 - x),
                8 => (w - 1 - y, x),
                _ => (x, y),
            };
            let at = (from_y * w + from_x) * 3;
            data.extend_from_slice(&pixels.data[at..at + 3]);
        }
    }
    Pixels { width_px, height_px, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_as_pillow_turns_it() {
        // 2 × 3: the letters a to f, row by row; expected rows by Pillow 13
        let pixels = Pixels {
            width_px: 2,
            height_px: 3,
            data: b"abcdef".iter().flat_map(|c| [*c; 3]).collect(),
        };
        for (value, width, expected) in [
            (1, 2, b"abcdef"),
            (2, 2, b"badcfe"),
            (3, 2, b"fedcba"),
            (4, 2, b"efcdab"),
            (5, 3, b"acebdf"),
            (6, 3, b"ecafdb"),
            (7, 3, b"fdbeca"),
            (8, 3, b"bdface"),
        ] {
            let turned = turn(&pixels, value);
            let letters: Vec<u8> = turned.data.iter().copied().step_by(3).collect();
            assert_eq!((turned.width_px, letters.as_slice()), (width, expected.as_slice()), "{value}");
        }
    }
}

//! Pillow's conversions to 8-bit RGB (`src/libImaging/Convert.c`, `ConvertYCbCr.c`).

/// `a * b / 255`, rounded, as Pillow's `MULDIV255`.
fn mul_div_255(a: u8, b: u8) -> u8 {
    let t = u32::from(a) * u32::from(b) + 128;
    u8::try_from(((t >> 8) + t) >> 8).unwrap_or(u8::MAX)
}

/// `cmyk2rgb`: ink, not inverted.
pub(super) fn cmyk([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    let white = 255 - k;
    [c, m, y].map(|ink| white.saturating_sub(mul_div_255(ink, white)))
}

/// Full-range YCbCr of JFIF, in Pillow's 6-bit fixed point.
pub(super) fn ycbcr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let table = |factor: f64, v: u8| -> i32 {
        #[expect(clippy::cast_possible_truncation, reason = "at most 1.772 * 128 * 64")]
        let scaled = (factor * f64::from(i32::from(v) - 128) * 64.0).round() as i32;
        scaled
    };
    let y = i32::from(y);
    [
        clip(y + (table(1.402, cr) >> 6)),
        clip(y + ((table(-0.344_14, cb) + table(-0.714_14, cr)) >> 6)),
        clip(y + (table(1.772, cb) >> 6)),
    ]
}

/// 16- and 32-bit grey is clipped, not scaled: `I;16` and `I` to `L`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
pub(super) fn clip(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}

/// `F` to `L`: clipped, the fraction dropped.
pub(super) fn clip_float(value: f32) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, NaN becomes 0")]
    let whole = value as i32;
    clip(whole)
}

/// The high byte: how Pillow reads 16-bit RGB and LA.
pub(super) fn high(value: u16) -> u8 {
    value.to_be_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    // values printed by Pillow 13
    #[test]
    fn inks_convert_as_pillows() {
        assert_eq!(cmyk([0, 0, 0, 0]), [255, 255, 255]);
        assert_eq!(cmyk([255, 0, 0, 0]), [0, 255, 255]);
        assert_eq!(cmyk([100, 50, 20, 30]), [137, 181, 207]);
        assert_eq!(cmyk([10, 20, 200, 128]), [122, 117, 27]);
        assert_eq!(cmyk([1, 2, 3, 4]), [250, 249, 248]);
    }

    #[test]
    fn ycbcr_converts_as_pillows() {
        assert_eq!(ycbcr([100, 50, 200]), [200, 75, 0]);
        assert_eq!(ycbcr([128, 128, 128]), [128, 128, 128]);
        assert_eq!(ycbcr([3, 250, 9]), [0, 46, 219]);
    }

    #[test]
    fn wide_greys_are_clipped() {
        assert_eq!([-5, 1, 255, 256, 65_535].map(clip), [0, 1, 255, 255, 255]);
        assert_eq!([-5.2, 0.5, 254.7, 4660.0].map(clip_float), [0, 0, 254, 255]);
    }
}

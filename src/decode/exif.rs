//! The orientation tag of EXIF (0x0112), wherever a format keeps it.

use super::jpeg::segments;
use super::sniff::Format;

/// 1 to 8, if the file says one.
pub(super) fn orientation(bytes: &[u8], format: Format) -> Option<u8> {
    match format {
        Format::Jpeg => segments(bytes)
            .filter(|segment| segment.marker == 0xe1)
            .find_map(|segment| in_tiff(segment.body.strip_prefix(b"Exif\0\0")?)),
        Format::Png => chunks(bytes.get(8..)?, Numbers::Big, 12)
            .find_map(|(name, body)| (name == *b"eXIf").then(|| in_tiff(body)).flatten()),
        Format::WebP => chunks(bytes.get(12..)?, Numbers::Little, 8).find_map(|(name, body)| {
            let body = body.strip_prefix(b"Exif\0\0").unwrap_or(body);
            (name == *b"EXIF").then(|| in_tiff(body)).flatten()
        }),
        Format::Tiff => in_tiff(bytes),
        Format::Gif | Format::Bmp => None,
    }
}

#[derive(Clone, Copy)]
enum Numbers {
    Little,
    Big,
}

impl Numbers {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let b: [u8; 2] = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(b),
            Self::Big => u16::from_be_bytes(b),
        })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let b: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(b),
            Self::Big => u32::from_be_bytes(b),
        })
    }
}

/// Chunks of PNG (length, name, body, sum) or RIFF (name, length, body, padding).
fn chunks(
    bytes: &[u8],
    numbers: Numbers,
    overhead: usize,
) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let png = overhead == 12;
        let length = numbers.u32(rest, if png { 0 } else { 4 })? as usize;
        let name: [u8; 4] = rest.get(if png { 4..8 } else { 0..4 })?.try_into().ok()?;
        let body = rest.get(8..8_usize.checked_add(length)?)?;
        let whole = overhead + length + if png { 0 } else { length % 2 };
        rest = rest.get(whole..).unwrap_or_default();
        Some((name, body))
    })
}

/// The tag in the first directory of a classic TIFF structure.
fn in_tiff(bytes: &[u8]) -> Option<u8> {
    let numbers = match bytes.get(..2)? {
        b"II" => Numbers::Little,
        b"MM" => Numbers::Big,
        _ => return None,
    };
    if numbers.u16(bytes, 2)? != 42 {
        return None;
    }
    let directory = numbers.u32(bytes, 4)? as usize;
    let entries = numbers.u16(bytes, directory)?;
    (0..usize::from(entries)).find_map(|i| {
        let at = directory.checked_add(2 + 12 * i)?;
        let is_short = numbers.u16(bytes, at)? == 0x0112 && numbers.u16(bytes, at + 2)? == 3;
        let value = is_short.then(|| numbers.u16(bytes, at + 8)).flatten()?;
        u8::try_from(value).ok().filter(|v| (1..=8).contains(v))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_byte_orders_are_read_and_nonsense_is_not() {
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0";
        assert_eq!(in_tiff(little), Some(6));
        assert_eq!(in_tiff(big), Some(8));
        assert_eq!(in_tiff(&little[..18]), None);
        let mut nine = *little;
        nine[18] = 9;
        assert_eq!(in_tiff(&nine), None);
    }
}

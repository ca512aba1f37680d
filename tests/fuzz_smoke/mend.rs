//! Checksums made right again after damage.

/// Checksums of tar headers: the sum of the block's bytes, its own eight counted as spaces.
pub fn tar_checksums(bytes: &mut [u8]) {
    for block in bytes.chunks_exact_mut(512) {
        if !block[257..].starts_with(b"ustar") {
            continue;
        }
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

/// Checksums of PNG's chunks: length, kind, content, CRC of kind and content.
pub fn png_checksums(bytes: &mut [u8]) {
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return;
    }
    let mut at = 8;
    while let Some(length) = bytes.get(at..at + 4) {
        let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
        let end = at + 8 + length;
        let Some(sum) = bytes.get(at + 4..end).map(crc) else { return };
        let Some(place) = bytes.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&sum.to_be_bytes());
        at = end + 4;
    }
}

/// Checksums of a zip's stored members, in their local headers; readers that compare the two
/// places see the difference.
pub fn zip_checksums(bytes: &mut [u8]) {
    let two = |bytes: &[u8], at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let mut at = 0;
    while bytes.get(at..at + 30).is_some_and(|header| header.starts_with(b"PK\x03\x04")) {
        let size = u32::from_le_bytes(bytes[at + 18..at + 22].try_into().unwrap()) as usize;
        let begin = at + 30 + two(bytes, at + 26) + two(bytes, at + 28);
        let Some(sum) = bytes.get(begin..begin + size).map(crc) else { return };
        bytes[at + 14..at + 18].copy_from_slice(&sum.to_le_bytes());
        at = begin + size;
    }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

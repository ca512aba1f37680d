//! GPT-2's printable stand-ins for bytes (`bytes_to_unicode` in OpenAI's `encoder.py`).

/// The character that stands for each byte, and the order in which CLIP's vocabulary lists them.
pub(super) fn byte_characters() -> Vec<(u8, char)> {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut all: Vec<(u8, char)> =
        (0..=u8::MAX).filter(printable).map(|byte| (byte, char::from(byte))).collect();
    let others = (0..=u8::MAX).filter(|byte| !printable(byte));
    all.extend(others.zip('\u{100}'..));
    all
}

/// The character of each byte, by byte.
pub(super) fn byte_table() -> [char; 256] {
    let mut table = ['\0'; 256];
    for (byte, character) in byte_characters() {
        if let Some(slot) = table.get_mut(usize::from(byte)) {
            *slot = character;
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_has_its_own_character() {
        let all = byte_characters();
        assert_eq!(all.len(), 256);
        let unique: std::collections::BTreeSet<char> = all.iter().map(|(_, c)| *c).collect();
        assert_eq!(unique.len(), 256);
        assert_eq!(byte_table()[usize::from(b' ')], 'Ġ');
        assert_eq!(byte_table()[0xad], 'Ń');
    }
}

//! PAX extended headers: `length key=value\n` records, in the order they were written; those
//! that change what is read.

/// Records of one extended header; a key may appear more than once.
pub(super) type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads the records of one extended header.
pub(super) fn parse(mut bytes: &[u8]) -> Result<Records, String> {
    let mut records = Records::new();
    while bytes.first().is_some_and(|byte| *byte != 0) {
        let broken = || format!("its extended header is broken after {} records", records.len());
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or_else(broken)?;
        let (digits, _) = bytes.split_at(space);
        let length = decimal(digits).and_then(|n| usize::try_from(n).ok()).ok_or_else(broken)?;
        let record = bytes.get(space + 1..length).ok_or_else(broken)?;
        let record = record.strip_suffix(b"\n").ok_or_else(broken)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(broken)?;
        let (key, value) = record.split_at(equals);
        // the other keys (times, owners, attributes) change nothing here and may be many
        if key == b"path" || key == b"size" || key.starts_with(b"GNU.sparse.") {
            records.push((key.to_vec(), value.get(1..).unwrap_or_default().to_vec()));
        }
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(records)
}

/// A number as extended headers write it.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_order_and_any_byte() {
        let records = parse(b"12 path=a=b\n11 path=\xff\n\n\0\0").unwrap();
        assert_eq!(records[0], (b"path".to_vec(), b"a=b".to_vec()));
        assert_eq!(records[1].1, b"\xff\n");
    }

    #[test]
    fn broken_records_say_so() {
        for broken in [&b"99 path=x\n"[..], b"8 path=x", b"x path=x\n", b"3 \n", b"0 path=x\n"] {
            assert!(parse(broken).is_err(), "{broken:?}");
        }
    }
}

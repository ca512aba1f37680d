//! Sizes as people write them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes; shown and read as `512 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) =
            UNITS.into_iter().find(|(_, factor)| self.0 >= *factor).unwrap_or(("B", 1));
        if self.0.is_multiple_of(factor) {
            write!(f, "{} {unit}", self.0 / factor)
        } else {
            write!(f, "{:.1} {unit}", self.0 as f64 / factor as f64)
        }
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let expected = || format!("expected a size such as `512 MiB`, got `{text}`");
        let Ok(number) = number.parse::<u64>() else { return Err(expected()) };
        let factor = match unit.trim() {
            "" | "B" => 1,
            "kB" | "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            other => UNITS
                .into_iter()
                .find(|(name, _)| *name == other)
                .map(|(_, factor)| factor)
                .ok_or_else(expected)?,
        };
        number.checked_mul(factor).map(Self).ok_or_else(expected)
    }
}

/// `31,783`: a count with its thousands apart.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_they_are_shown() {
        for bytes in [0, 1, 1023, 1024, 64 << 20, 3 << 30] {
            let shown = Bytes(bytes).to_string();
            assert_eq!(shown.parse::<Bytes>(), Ok(Bytes(bytes)), "{shown}");
        }
        assert_eq!("2MB".parse::<Bytes>(), Ok(Bytes(2_000_000)));
        assert!("two".parse::<Bytes>().is_err());
        assert!("99999999999 TiB".parse::<Bytes>().is_err());
    }

    #[test]
    fn counts_have_commas() {
        assert_eq!(count(7), "7");
        assert_eq!(count(31_783), "31,783");
        assert_eq!(count(158_915_000), "158,915,000");
    }
}

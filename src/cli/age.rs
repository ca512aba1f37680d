//! Ages on the command line: `30m`, `12h`, `7d`.

use std::time::Duration;

const UNITS: [(char, u64); 5] =
    [('s', 1), ('m', 60), ('h', 3600), ('d', 24 * 3600), ('w', 7 * 24 * 3600)];

/// Reads a whole number and its unit.
///
/// # Errors
/// What was expected, in words.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a number and s, m, h, d or w, such as `7d`; got `{text}`");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let number = text.trim_end_matches(unit).parse::<u64>();
    let number = number.ok().filter(|_| text.matches(unit).count() == 1).ok_or_else(wrong)?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_units() {
        assert_eq!(parse("7d"), Ok(Duration::from_secs(604_800)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
        assert_eq!(parse("2w"), parse("14d"));
        for wrong in ["", "7", "d", "7dd", "-1d", "1.5h", "7 d", "99999999999999999w", "7日"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

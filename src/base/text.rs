//! Text of others, for people.

/// The text with control characters written out: it is one line, and a terminal takes none of it for a
/// command.
#[must_use]
pub fn visible(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(visible("hübsch 漢"), "hübsch 漢");
        assert_eq!(visible("a\u{1b}[2J\n::error ::b"), "a\\u{1b}[2J\\n::error ::b");
    }
}

//! Records of delimited text, RFC 4180 and unquoted, fed line by line so that a quote that is
//! never closed costs one row and not the rest of the file.

/// Splits records.
#[derive(Debug)]
pub(super) struct Records {
    delimiter: Vec<u8>,
    quoted: bool,
    fields: Vec<Vec<u8>>,
    field: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the start of a field.
    Start,
    Plain,
    Quoted,
    /// Behind a quote inside a quoted field: an end, or the first of two.
    Quote,
}

impl Records {
    pub(super) fn new(delimiter: &str, quoted: bool) -> Self {
        Self {
            delimiter: delimiter.as_bytes().to_vec(),
            quoted,
            fields: Vec::new(),
            field: Vec::new(),
            state: State::Start,
        }
    }

    /// Adds a line without its end. Gives the record's fields, or `None` while a quote is
    /// open: the record goes on in the next line.
    pub(super) fn feed(&mut self, line: &[u8]) -> Option<Vec<Vec<u8>>> {
        if !self.quoted {
            return Some(split(line, &self.delimiter));
        }
        if self.state == State::Quoted {
            self.field.push(b'\n');
        }
        let mut rest = line;
        while let Some((byte, after)) = rest.split_first() {
            let open = self.state == State::Quoted;
            if !open && let Some(after) = rest.strip_prefix(self.delimiter.as_slice()) {
                self.end_field();
                rest = after;
                continue;
            }
            self.state = match (self.state, byte) {
                (State::Start, b'"') => State::Quoted,
                (State::Quoted, b'"') => State::Quote,
                (State::Quote, b'"') => {
                    self.field.push(b'"');
                    State::Quoted
                }
                (state, byte) => {
                    self.field.push(*byte);
                    if state == State::Quoted { State::Quoted } else { State::Plain }
                }
            };
            rest = after;
        }
        if self.state == State::Quoted {
            return None;
        }
        self.end_field();
        Some(std::mem::take(&mut self.fields))
    }

    fn end_field(&mut self) {
        self.fields.push(std::mem::take(&mut self.field));
        self.state = State::Start;
    }

    /// Forgets a record that never ended.
    pub(super) fn reset(&mut self) {
        self.fields.clear();
        self.field.clear();
        self.state = State::Start;
    }
}

/// Fields between delimiters, where nothing is quoted.
fn split(line: &[u8], delimiter: &[u8]) -> Vec<Vec<u8>> {
    let Some(first) = delimiter.first() else { return vec![line.to_vec()] };
    let mut fields = Vec::with_capacity(4);
    let (mut from, mut at) = (0, 0);
    while let Some(next) = line.get(at..).and_then(|l| l.iter().position(|byte| byte == first)) {
        at += next;
        if line.get(at..).is_some_and(|rest| rest.starts_with(delimiter)) {
            fields.push(line.get(from..at).unwrap_or_default().to_vec());
            at += delimiter.len();
            from = at;
        } else {
            at += 1;
        }
    }
    fields.push(line.get(from..).unwrap_or_default().to_vec());
    fields
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(fields: Vec<Vec<u8>>) -> Vec<String> {
        fields.into_iter().map(|field| String::from_utf8(field).unwrap()).collect()
    }

    #[test]
    fn quotes_may_be_doubled_and_span_lines() {
        let mut records = Records::new(",", true);
        assert_eq!(texts(records.feed(b"a,\"b,\"\"c\"\"\",d").unwrap()), ["a", "b,\"c\"", "d"]);
        assert!(records.feed(b"a,\"b").is_none());
        assert_eq!(texts(records.feed(b"c\",d").unwrap()), ["a", "b\nc", "d"]);
        assert_eq!(texts(records.feed(b"5\" pipe,").unwrap()), ["5\" pipe", ""]);
    }

    #[test]
    fn unquoted_fields_keep_their_quotes() {
        let mut records = Records::new("| ", false);
        assert_eq!(
            texts(records.feed(b"1.jpg| 0| \"a\" | b").unwrap()),
            ["1.jpg", "0", "\"a\" ", "b"]
        );
    }

    proptest! {
        #[test]
        fn what_a_csv_writer_writes_is_read_back(
            rows in proptest::collection::vec(
                proptest::collection::vec("[ab,\"\n é]{0,6}", 2..5), 1..6),
        ) {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let bytes = writer.into_inner().unwrap();
            let mut records = Records::new(",", true);
            let mut read = Vec::new();
            for line in bytes.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n') {
                read.extend(records.feed(line).map(texts));
            }
            prop_assert_eq!(read, rows);
        }
    }
}

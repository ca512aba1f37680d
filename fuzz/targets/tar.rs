//! Any bytes as a tar: no panic, no memory beyond the caps, and file and stream agree.

use std::io::Read;

use clipmill::plan::source::Caps;
use clipmill::sources::tarball::{Entries, Input, StreamInput};

/// Bytes that can be read anywhere, as a plain file can.
struct Anywhere<'a>(&'a [u8]);

impl Input for Anywhere<'_> {
    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        let from = usize::try_from(at).unwrap_or(usize::MAX).min(self.0.len());
        let (_, mut rest) = self.0.split_at(from);
        rest.read(buf)
    }

    fn len_bytes(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

fn contents(input: impl Input, caps: &Caps) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Entries::new(input, caps);
    let mut all = Vec::new();
    while let Ok(Some(entry)) = entries.next_entry() {
        if entry.fault.is_some() || entry.size_bytes > caps.member_bytes {
            continue;
        }
        let mut bytes = Vec::new();
        let limit = caps.member_bytes + 1;
        if entries.content(&entry).take(limit).read_to_end(&mut bytes).is_err() {
            break;
        }
        assert_eq!(bytes.len() as u64, entry.size_bytes);
        all.push((entry.name, bytes));
    }
    all
}

/// One run of the fuzzer.
pub fn run(data: &[u8]) {
    let caps = Caps { member_bytes: 1 << 16, name_bytes: 512, line_bytes: 4096, ..Caps::default() };
    let of_file = contents(Anywhere(data), &caps);
    let of_stream = contents(StreamInput::new(data), &caps);
    // a stream may stop earlier, in a body that the file's length told of beforehand
    assert!(of_file.starts_with(&of_stream) || of_stream.starts_with(&of_file));
}

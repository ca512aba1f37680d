//! Reads tables.
#[derive(Debug)]
pub(super) struct TableReader<'a>(&'a str);

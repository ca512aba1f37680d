//! Collects findings.
#[derive(Debug)]
pub(super) struct Findings;

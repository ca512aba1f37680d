//! Contracts of tables: columns, key and checks, read from `schemas/*.toml` or a file of the user's.
//!
//! A version of a table is published only if its contract holds. The types here are plain; the
//! table room computes the checks.

mod builtin;
mod check;
mod column;
mod covers;
mod of_stage;
mod parse;
mod table;

pub use builtin::{TableKind, builtin};
pub use check::{Check, CheckKind, REJECT_CLASSES};
pub use column::{Column, ColumnType};
pub use covers::custom;
pub use of_stage::for_stage;
pub use parse::parse;
pub(super) use parse::{ColumnBlock, TableBlock};
pub use table::Contract;

//! Definitions and stored state become a typed plan: resolved inputs, fingerprints, reasons.

pub mod source;
pub mod model;

/// Contracts of tables, as the definition room reads them.
pub use crate::definition::contract;

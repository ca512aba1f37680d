//! Definitions and stored state become a typed plan: resolved inputs, fingerprints, reasons.

pub mod digests;
pub mod fingerprint;
pub mod model;
pub mod paths;
pub mod reason;
pub mod source;

/// Contracts of tables, as the definition room reads them.
pub use crate::definition::contract;
pub use fingerprint::Fingerprint;
pub use reason::{Counts, Reason};

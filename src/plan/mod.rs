//! Definitions and stored state become a typed plan: resolved inputs, fingerprints, reasons.

pub mod model;
pub mod source;

/// Contracts of tables, as the definition room reads them.
pub use crate::definition::contract;
pub use fingerprint::Fingerprint;
pub use reason::{Counts, Reason};
pub use resolve::{Plan, resolve, state_folder, store_folder};
pub use stage::{Stage, Work};

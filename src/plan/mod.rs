//! Definitions and stored state become a typed plan: resolved inputs, fingerprints, reasons.

pub mod captioner;
pub mod clip;
pub mod digests;
pub mod fingerprint;
pub mod inputs;
pub mod locked;
pub mod model;
pub mod paths;
pub mod reason;
pub mod resolve;
pub mod source;
pub mod stage;
pub mod trained;
pub mod versions;

mod contracts;
mod scope;
mod work;

/// Contracts of tables, as the definition room reads them.
pub use crate::definition::contract;
/// When computed rows become a durable part, as `[pipeline]` says.
pub use crate::definition::pipeline::PartSize;
pub use contracts::check_contracts;
pub use fingerprint::Fingerprint;
pub use reason::{Counts, Reason};
pub use resolve::{
    Partial, Plan, resolve, resolve_captioners, resolve_captioning, resolve_models, resolve_only,
    resolve_partly, state_folder, store_folder,
};
pub use stage::{Stage, Work};

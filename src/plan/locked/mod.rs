//! Definitions and locks: what a definition is, what its inputs are, and how both differ from what
//! `clipmill.lock` says.
//!
//! [`facts`] needs the definition and its contracts alone, [`observe()`] looks at archives and
//! weights, [`compare()`] tells what an edit rebuilds, and [`refusals`] what a locked run may not
//! do.

mod compare;
mod facts;
mod keep;
mod names;
mod observe;
mod refusals;

pub use crate::definition::lock::{
    FileFact, LockFile, Locked, LockedModel, LockedSource, LockedStage, LockedTable,
};
pub use compare::{Change, Comparison, Difference, Rebuild, Rows, What, compare};
pub use facts::facts;
pub use keep::keep;
pub use observe::{Observed, OfFolder, observe};
pub use refusals::refusals;

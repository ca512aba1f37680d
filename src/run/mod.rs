//! Carries a plan out: overlap, back-pressure, resume, rejects. It computes nothing itself
//! (invariant 8).

pub mod clocks;
pub mod context;
pub mod engine;
pub mod locked;
pub mod remember;
pub mod report;

mod align;
mod book;
mod captions;
mod encode;
mod images;
mod ledger;
mod overlap;
mod pass;
mod publish;
mod recipe;
mod rows;
mod sink;
mod state;
mod texts;

pub use context::Options;
pub use engine::{REJECTS, run};
pub use report::{Broken, RunReport, TableReport};

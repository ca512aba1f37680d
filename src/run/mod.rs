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
mod caption_row;
mod captions;
mod encode;
mod foresight;
mod images;
mod key;
mod ledger;
mod lookout;
mod order;
mod overlap;
mod pass;
mod publish;
mod recipe;
mod rows;
mod sink;
mod state;
mod stored;
mod survey;
mod survey_images;
mod texts;
mod upstream;

pub use context::{Means, Options};
pub use engine::{REJECTS, run, run_with};
pub use lookout::Sight;
pub use report::{Broken, Foreseen, Refused, RunReport, Survey, TableReport};
pub use survey::survey;

//! Carries a plan out: overlap, back-pressure, resume, rejects. It computes nothing itself
//! (invariant 8).

pub mod clocks;
pub mod context;
pub mod engine;
pub mod locked;
pub mod remember;
pub mod report;
pub mod unit;
pub mod work;

mod align;
mod book;
mod caption_row;
mod captions;
mod encode;
mod explain;
mod foresight;
mod handout;
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
mod settled;
mod sink;
mod stamps;
mod state;
mod stored;
mod survey;
mod survey_images;
mod texts;
mod workers;
mod upstream;

pub use context::{Means, Options, Workers};
pub use engine::{REJECTS, run, run_with};
pub use explain::explain;
pub use lookout::Sight;
pub use report::{Broken, Foreseen, RunReport, Survey, TableReport};
pub use survey::survey;
pub use unit::{Finished, Order, Reply, Unit};
pub use work::Worker;

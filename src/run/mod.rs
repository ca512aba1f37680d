//! Carries a plan out: overlap, back-pressure, resume, rejects. It computes nothing itself
//! (invariant 8).

pub mod checkpoints;
pub mod clocks;
pub mod context;
pub mod engine;
pub mod remember;
pub mod report;

mod align;
mod book;
mod caption;
mod caption_row;
mod captions;
mod encode;
mod evaluate;
mod foresight;
mod images;
mod import;
mod key;
mod ledger;
mod lookout;
mod metrics;
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
mod survey_captioner;
mod survey_images;
mod texts;
mod train;
mod upstream;

pub use context::{Means, Options};
pub use caption::settings as caption_settings;
pub use engine::{REJECTS, run, run_with};
pub use import::{Imported, import, training};
pub use lookout::Sight;
pub use metrics::METRICS;
pub use report::{Broken, Foreseen, RunReport, Survey, TableReport};
pub use survey::survey;

//! Carries a plan out: overlap, back-pressure, resume, rejects. It computes nothing itself
//! (invariant 8).

pub mod checkpoints;
pub mod clocks;
mod compare;
pub mod context;
pub mod engine;
pub mod locked;
pub mod queues;
pub mod remember;
pub mod report;
pub mod unit;
pub mod work;

mod align;
mod book;
mod caption;
mod caption_judge;
mod caption_reading;
mod caption_row;
mod caption_sorter;
mod captions;
mod encode;
mod evaluate;
mod explain;
mod foresight;
mod handout;
mod images;
mod import;
mod indexes;
mod key;
mod ledger;
mod lookout;
mod metrics;
mod order;
mod outlived;
mod overlap;
mod oversized;
mod pass;
mod phases;
mod pictures;
mod publish;
mod recipe;
mod refusal;
mod repeats;
mod rows;
mod settled;
mod sink;
mod stamps;
mod state;
mod stored;
mod survey;
mod survey_captioner;
mod survey_images;
mod tally;
mod texts;
mod train;
mod train_clip;
mod upstream;
mod workers;

pub use caption::settings as caption_settings;
pub use context::{Means, Options, Workers};
pub use explain::explain;
pub use import::{Imported, import, training};
pub use ledger::REJECTS;
pub use lookout::Sight;
pub use metrics::METRICS;
pub use outlived::{Outlived, outlived, tables_of_checkpoints};
pub use phases::{run, run_with};
pub use report::{
    Broken, Foreseen, NewReject, NewRejects, Refused, RunReport, StageTime, Survey, TableReport,
};
pub use survey::survey;
pub use unit::{Finished, Order, Reply, Unit};
pub use work::Worker;

//! The commands, one a file.

mod caption;
mod check;
mod completions;
mod definition;
mod demo;
mod demo_truth;
mod diff;
mod dispatch;
mod drawing;
mod evaluate;
mod explain;
mod export_checkpoint;
mod history;
mod image_file;
mod import_checkpoint;
mod junit;
mod lock;
mod lock_file;
mod locked;
mod place;
mod plan;
mod prompt;
mod query;
mod restore;
mod run;
mod schema;
mod store;
mod summary;
mod train;
mod vacuum;
mod verify;
mod versions;
mod work;

pub(crate) use dispatch::perform;

//! The commands, one a file.

mod check;
mod completions;
mod definition;
mod demo;
mod diff;
mod dispatch;
mod drawing;
mod explain;
mod history;
mod plan;
mod junit;
mod lock;
mod lock_file;
mod locked;
mod prompt;
mod query;
mod restore;
mod run;
mod schema;
mod store;
mod summary;
mod vacuum;
mod verify;
mod versions;
mod work;

pub(crate) use dispatch::perform;

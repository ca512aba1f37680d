//! The commands, one a file.

mod check;
mod completions;
mod definition;
mod demo;
mod diff;
mod dispatch;
mod drawing;
mod history;
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

pub(crate) use dispatch::perform;

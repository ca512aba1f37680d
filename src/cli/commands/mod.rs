//! The commands, one a file.

mod check;
mod completions;
mod definition;
mod demo;
mod dispatch;
mod drawing;
mod junit;
mod lock;
mod lock_file;
mod locked;
mod prompt;
mod query;
mod run;
mod schema;
mod store;
mod summary;

pub(crate) use dispatch::perform;

//! The commands, one a file.

mod check;
mod completions;
mod definition;
mod demo;
mod dispatch;
mod drawing;
mod prompt;
mod store;
mod query;
mod run;
mod schema;
mod summary;

pub(crate) use dispatch::perform;

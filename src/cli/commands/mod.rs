//! The commands, one a file.

mod check;
mod completions;
mod definition;
mod demo;
mod diff;
mod dispatch;
mod drawing;
mod history;
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

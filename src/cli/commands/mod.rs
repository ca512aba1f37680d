//! The commands, one a file.
mod completions;
mod dispatch;
pub(crate) use dispatch::perform;

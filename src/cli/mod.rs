//! The terminal: arguments, rendering, progress, exit codes, and the demo's data.
//!
//! [`main`] is the whole binary. Every command is one file of `commands`; it returns an
//! [`exit::Code`] or an error, and only [`main`] writes errors and ends the process.

mod age;
pub mod args;
pub mod captioner_args;
mod commands;
mod console;
pub mod demo;
pub mod exit;
pub mod format;
mod grammar;
mod interrupt;
mod logging;
pub mod progress;
pub mod render;
mod session;
mod shell;
mod start;

pub use grammar::grammar;
pub use start::main;

//! Runs that die, storage that fails, writers that meet: afterwards the tables are what an
//! undisturbed run would have made.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test fails by panicking"
)]

mod house;

#[path = "crash/binary.rs"]
mod binary;
#[path = "crash/faults.rs"]
mod faults;
#[path = "crash/faulty.rs"]
mod faulty;
#[path = "crash/full.rs"]
mod full;
#[path = "crash/jobs.rs"]
mod jobs;
#[path = "crash/killed.rs"]
mod killed;
#[path = "crash/resumed.rs"]
mod resumed;
#[path = "crash/shapes.rs"]
mod shapes;
#[path = "crash/tables.rs"]
mod tables;
#[path = "crash/together.rs"]
mod together;

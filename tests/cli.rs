//! The binary, as a user and a script meet it: what it prints, what it exits with, what it leaves.
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

mod readers;
#[path = "house/signal.rs"]
mod signal;

#[path = "cli/check.rs"]
mod check;
#[path = "cli/contract.rs"]
mod contract;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/disturbed.rs"]
mod disturbed;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/lock.rs"]
mod lock;
#[path = "cli/log.rs"]
mod log;
#[path = "cli/missing.rs"]
mod missing;
#[path = "cli/plan.rs"]
mod plan;
#[path = "cli/query.rs"]
mod query;
#[path = "cli/reduced.rs"]
mod reduced;
#[path = "cli/shop.rs"]
mod shop;
#[path = "cli/versions.rs"]
mod versions;

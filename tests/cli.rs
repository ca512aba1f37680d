//! The binary, as a user and a script meet it: what it prints, what it exits with, what it leaves.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test that fails should say where"
)]

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
#[path = "cli/missing.rs"]
mod missing;
#[path = "cli/query.rs"]
mod query;
#[path = "cli/shop.rs"]
mod shop;

//! Rows are computed for a reason: each kind of change against the rows it costs, and a plan
//! against what the run then does.

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

#[path = "incremental/damaged.rs"]
mod damaged;
#[path = "incremental/explain.rs"]
mod explain;
#[path = "incremental/foreign.rs"]
mod foreign;
#[path = "incremental/kinds.rs"]
mod kinds;
#[path = "incremental/many.rs"]
mod many;
#[path = "incremental/property.rs"]
mod property;
#[path = "incremental/rejects.rs"]
mod rejects;
#[path = "incremental/settled.rs"]
mod settled;
#[path = "incremental/step.rs"]
mod step;
#[path = "incremental/trained.rs"]
mod trained;
#[path = "incremental/unseen.rs"]
mod unseen;

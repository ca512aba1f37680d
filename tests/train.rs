//! Training: the optimiser beside PyTorch's, the loop stopped and gone on with, what TensorBoard
//! reads, and whole pipelines with a captioner.

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

#[path = "train/adamw.rs"]
mod adamw;
#[path = "train/contrastive.rs"]
mod contrastive;
#[path = "train/lesson.rs"]
mod lesson;
#[path = "train/commands.rs"]
mod commands;
#[path = "train/killed.rs"]
mod killed;
#[path = "train/loop_stops.rs"]
mod loop_stops;
#[path = "train/pipeline.rs"]
mod pipeline;
#[path = "train/studio.rs"]
mod studio;
#[path = "train/tensorboard.rs"]
mod tensorboard;
#[path = "train/trained_clip.rs"]
mod trained_clip;

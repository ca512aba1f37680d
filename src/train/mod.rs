//! Training a captioner: examples, batches, optimiser, schedule, checkpoints, and one loop.
//!
//! [`trainer::train`] reads downward. It trains whatever is a [`learner::Learner`]; a captioner is
//! one ([`captioner::Learning`]). A training that stops, for whatever reason, goes on from its
//! newest checkpoint with the very numbers it would have had.
//!
//! Deliberately absent: callbacks, several devices, mixed precision by scaled losses.

pub mod adamw;
pub mod batches;
pub mod brought;
pub mod captioner;
pub mod checkpoint;
pub mod clip;
pub mod data;
pub mod examples;
pub mod inputs;
pub mod journal;
pub mod learner;
pub mod schedule;
pub mod step;
pub mod tensorboard;
pub mod trainer;

mod fault;

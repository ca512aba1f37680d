//! Carries a plan out: overlap, back-pressure, resume, rejects. It computes nothing itself
//! (invariant 8).

mod rows;
mod state;
mod sink;
mod clocks;

pub mod report;

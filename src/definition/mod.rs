//! (room definition)
pub mod contract;

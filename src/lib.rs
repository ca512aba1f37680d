#![doc = include_str!("ARCHITECTURE.md")]

pub mod base;
pub mod flow;
pub mod definition;
pub mod plan;
pub mod sources;
pub mod decode;
pub mod nn;
pub mod embed;
pub mod table;
pub mod train;
pub mod caption;
pub mod run;
pub mod query;
pub mod cli;

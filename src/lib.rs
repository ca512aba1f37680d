#![doc = include_str!("ARCHITECTURE.md")]

pub mod base;
pub mod cli;
pub mod decode;
pub mod definition;
pub mod embed;
pub mod flow;
pub mod nn;
pub mod plan;
pub mod query;
pub mod run;
pub mod sources;
pub mod table;

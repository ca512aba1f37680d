//! SQL over the tables of a store.

mod answer;
mod binding;
mod catalog;
mod cell;
mod complete;
mod distance;
mod encoders;
mod fault;
mod functions;
mod guard;
mod lineage;
mod order;
mod parts;
mod refusal;
mod rewrite;
mod scan;
mod session;
mod statement;
mod vectors;
mod write;

pub use answer::{Answer, AnswerColumn, Preview, TableStyle};
pub use catalog::{Catalog, ColumnEntry, TableEntry};
pub use complete::complete;
pub use distance::Measure;
pub use encoders::{Encoders, ImageInput};
pub use guard::THREAD;
pub use session::Session;
pub use statement::{Split, split_statements};
pub use vectors::{QueryVector, VectorSource};
pub use write::Format;

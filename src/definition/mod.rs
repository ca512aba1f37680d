//! Pure text to spanned, typed definitions and contracts. Nothing here touches the world.
//!
//! [`parse`] reads a pipeline definition and [`contract::parse`] a table's contract. Both report
//! everything that is wrong with a text at once, each finding with its span, what was expected and
//! the nearest right name. What needs the world (do the files exist?) is found later, by the
//! planner, with the spans kept here.
//!
//! One block a file; each knows its keys, its defaults and its part of the JSON schema.

pub mod align;
pub mod braces;
pub mod caps;
pub mod caption;
pub mod contract;
pub mod embed_captions;
pub mod embed_images;
pub mod evaluate;
pub mod index_images;
pub mod lock;
pub mod meaning;
pub mod model;
pub mod paths;
pub mod pipeline;
pub mod read_captions;
pub mod size;
pub mod source;
pub mod source_captions;
pub mod source_images;
pub mod source_splits;
pub mod span;
pub mod stage;
pub mod train;
pub mod train_clip;
pub mod warm_up;

mod digest;
mod findings;
mod graph;
mod names;
mod numbers;
mod overrides;
mod parse;
mod pattern;
mod reader;
mod schema;
mod tree;
mod variables;

pub use parse::parse;
pub use pipeline::Pipeline;
pub use schema::{contract_json_schema, json_schema};
pub use size::ByteSize;
pub use source::{Source, SourceKind};
pub use span::{Span, Spanned};
pub use stage::{Operator, Stage};
pub use variables::Variable;

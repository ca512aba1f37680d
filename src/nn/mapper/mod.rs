//! Mapping networks: from an image's feature to the first tokens of its caption.
//!
//! - `mlp`: both projects' `MLP`, two layers with tanh between them
//! - `transformer`: `TransformerMapper` of rmokady/CLIP_prefix_caption (`train.py`)
//! - `bert`: `BertMapper` of yangjianxin1/ClipCap-Chinese (`models/model.py`)
//!
//! The last two put tokens made of the feature before learnt constant tokens, let a transformer
//! mix them, and take what became of the constants.

mod bert;
mod config;
mod kind;
mod mlp;
mod transformer;

pub use config::{MapperConfig, MapperKind};
pub use kind::Mapper;

//! GPT-2 (Radford et al., 2019) with gradients, of any size, from the files of transformers'
//! `GPT2LMHeadModel` (`modeling_gpt2.py`).

mod block;
mod cache;
mod config;
#[cfg(feature = "cuda")]
mod fused;
mod load;
mod model;
mod random;

pub use cache::Cache;
pub use config::Gpt2Config;
pub use model::Gpt2;
pub use random::write_random;

pub(in crate::nn) use load::canonical;

//! Residual blocks with gradients, as GPT-2 and CLIP have them: `x + attention(norm(x))`, then
//! `x + mlp(norm(x))`.

mod block;
mod plain;
mod qkv;

pub(in crate::nn) use block::Block;
pub(in crate::nn) use plain::{Places, is_plain, run_plain};
pub(in crate::nn) use qkv::Qkv;

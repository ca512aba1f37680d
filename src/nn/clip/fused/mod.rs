//! Both towers on a GPU, by the kernels of this house around cuBLAS's products.

mod blocks;
mod text;
mod vision;

pub use text::FusedText;
pub use vision::FusedVision;

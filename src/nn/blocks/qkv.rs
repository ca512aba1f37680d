//! The map into queries, keys and values.

use candle_core::{Result, Tensor};

use crate::nn::layers::{Factors, Joined, Linear};

/// Maps into queries, keys and values, which lie side by side.
#[derive(Debug)]
pub(in crate::nn) enum Qkv {
    /// By one matrix, as GPT-2's.
    One(Linear),
    /// By a matrix each, as CLIP's.
    Three(Box<[Linear; 3]>),
}

impl Qkv {
    /// # Shapes
    /// `x`: (…, width); the result: (…, 3 · width).
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::One(linear) => linear.forward(x),
            Self::Three(linear) => {
                let [queries, keys, values] = &**linear;
                let parts = [queries.forward(x)?, keys.forward(x)?, values.forward(x)?];
                Tensor::cat(&parts, candle_core::D::Minus1)
            }
        }
    }

    pub(super) fn linear(&self) -> &[Linear] {
        match self {
            Self::One(linear) => std::slice::from_ref(linear),
            Self::Three(linear) => linear.as_slice(),
        }
    }

    /// Whether any of its matrices trains.
    pub(super) fn trains(&self) -> bool {
        self.linear().iter().any(Linear::trains)
    }

    /// As [`forward`](Self::forward), of plain numbers.
    pub(in crate::nn) fn run(&self, x: &[f32], out: &mut [f32], how: Factors) -> Result<()> {
        match self {
            Self::One(linear) => linear.run(x, out, false, how),
            Self::Three(linear) => {
                Joined::of(linear.as_slice())?.run(x, out);
                Ok(())
            }
        }
    }

    /// Adds to the gradients of what trains, and writes that of `x`.
    pub(super) fn run_back(
        &self,
        x: &[f32],
        of_out: &[f32],
        of_x: &mut [f32],
        how: Factors,
    ) -> Result<()> {
        match self {
            Self::One(linear) => linear.run_back(x, of_out, Some(of_x), how),
            Self::Three(linear) => {
                // Joined anew: kept from the forward pass, all weights would be there twice.
                Joined::of(linear.as_slice())?.run_back(x, of_out, of_x);
                Ok(())
            }
        }
    }
}

//! A block, out of layers.

use candle_core::{Result, Tensor};

use super::qkv::Qkv;
use crate::nn::layers::{Curve, Dropout, Linear, Norm, curve};

#[derive(Debug)]
pub(in crate::nn) struct Block {
    pub(in crate::nn) norm_1: Norm,
    pub(in crate::nn) qkv: Qkv,
    pub(in crate::nn) out: Linear,
    pub(in crate::nn) norm_2: Norm,
    pub(in crate::nn) up: Linear,
    pub(in crate::nn) down: Linear,
    pub(in crate::nn) heads: usize,
    pub(in crate::nn) curve: Curve,
}

impl Block {
    /// `attend` mixes values by queries and keys, (rows, tokens, 3 · width), to (rows, tokens, width).
    ///
    /// # Shapes
    /// `x`: (rows, tokens, width), and so is the result.
    pub(in crate::nn) fn forward(
        &self,
        x: &Tensor,
        mut dropout: Option<&mut Dropout>,
        attend: impl FnOnce(&Tensor, Option<&mut Dropout>) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let qkv = self.qkv.forward(&self.norm_1.forward(x)?)?;
        let mixed = attend(&qkv, dropout.as_deref_mut())?;
        let mut drop = |x: Tensor| match dropout.as_deref_mut() {
            Some(dropout) => dropout.forward(&x),
            None => Ok(x),
        };
        let x = (x + drop(self.out.forward(&mixed)?)?)?;
        let hidden = curve(&self.up.forward(&self.norm_2.forward(&x)?)?, self.curve)?;
        &x + drop(self.down.forward(&hidden)?)?
    }
}

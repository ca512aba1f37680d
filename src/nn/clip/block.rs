//! Residual blocks: `x + attention(norm(x))`, then `x + mlp(norm(x))`.

use candle_core::{Result, Tensor};

use super::architecture::Transformer;
use super::names::{Affine, BlockWeights, Reader, TowerNames};
use crate::nn::kernels;

/// A stack of blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    blocks: Vec<BlockWeights>,
    of: Transformer,
    causal: bool,
}

impl Blocks {
    pub(super) fn read(
        reader: &Reader<'_>,
        names: &TowerNames,
        of: Transformer,
        causal: bool,
    ) -> crate::base::Result<Self> {
        let blocks = (0..of.layers)
            .map(|layer| reader.block(names, layer))
            .collect::<std::result::Result<_, _>>()?;
        Ok(Self { blocks, of, causal })
    }

    /// # Shapes
    /// `x`: (rows, tokens, width), and so is the result.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for block in &self.blocks {
            let [norm_1, norm_2] = &block.norms;
            x = (&x + self.attention(block, &norm(&x, norm_1, self.of.epsilon)?)?)?;
            let [up, down] = &block.mlp;
            let hidden = linear(&norm(&x, norm_2, self.of.epsilon)?, up)?;
            let hidden = kernels::activate(&hidden, self.of.activation)?;
            x = (&x + linear(&hidden, down)?)?;
        }
        Ok(x)
    }

    fn attention(&self, block: &BlockWeights, x: &Tensor) -> Result<Tensor> {
        linear(&attend(&linear(x, &block.qkv)?, self.of.heads, self.causal)?, &block.out)
    }
}

/// # Shapes
/// `qkv`: (rows, tokens, 3 · width); the result: (rows, tokens, width).
pub(super) fn attend(qkv: &Tensor, heads: usize, causal: bool) -> Result<Tensor> {
    let (rows, tokens, three) = qkv.dims3()?;
    let each = three / 3 / heads;
    // (rows, tokens, 3, heads, each) → three times (rows, heads, tokens, each)
    let qkv = qkv.reshape((rows, tokens, 3, heads, each))?;
    let part = |i| qkv.narrow(2, i, 1)?.squeeze(2)?.transpose(1, 2);
    #[expect(clippy::cast_precision_loss, reason = "a head has few floats")]
    let scale = (each as f64).powf(-0.5);
    let q = (part(0)?.contiguous()? * scale)?;
    let k = part(1)?.transpose(2, 3)?.contiguous()?;
    let v = part(2)?.contiguous()?;
    let weights = kernels::softmax(&q.matmul(&k)?, causal)?;
    weights.matmul(&v)?.transpose(1, 2)?.reshape((rows, tokens, heads * each))
}

/// A layer norm with its scale and shift.
pub(super) fn norm(x: &Tensor, (scale, shift): &Affine, epsilon: f64) -> Result<Tensor> {
    kernels::layer_norm(x, scale, shift, epsilon)
}

/// # Shapes
/// `x`: (…, inputs); the weight: (inputs, outputs); the result: (…, outputs).
pub(super) fn linear(x: &Tensor, (weight, bias): &Affine) -> Result<Tensor> {
    project(x, weight)?.broadcast_add(bias)
}

/// A linear map without bias.
///
/// A single row goes through the processor's matrix product twice: its product of a vector adds
/// in another order than that of a matrix, and a row's numbers would depend on its company.
pub(super) fn project(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    let (inputs, outputs) = weight.dims2()?;
    if let Some(last) = shape.last_mut() {
        *last = outputs;
    }
    let x = x.reshape(((), inputs))?;
    let product = if x.dim(0)? == 1 && x.device().is_cpu() {
        Tensor::cat(&[&x, &x], 0)?.matmul(weight)?.narrow(0, 0, 1)?
    } else {
        x.matmul(weight)?
    };
    product.reshape(shape)
}

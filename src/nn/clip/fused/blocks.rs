//! Residual blocks on a GPU.

use candle_core::{DType, Device, Result, Tensor};

use super::super::architecture::Transformer;
use super::super::block::attend;
use super::super::names::{Affine, BlockWeights, Reader, TowerNames};
use crate::nn::fault::candle;
use crate::nn::kernels::{ClipKernels, ClipSizes};
use crate::nn::weights::Weights;

/// A stack of blocks with the norm behind it. What adds to the stream also makes the next norm of
/// it: the stream is read and written once for both.
#[derive(Debug)]
pub(super) struct FusedBlocks {
    pub(super) kernels: ClipKernels,
    of: Transformer,
    causal: bool,
    blocks: Vec<BlockWeights>,
    post: Affine,
    projection: Tensor,
}

/// Weights in the type that they are multiplied in, what is added in f32.
pub(super) fn reader<'a>(weights: &'a Weights, device: &'a Device, dtype: DType) -> Reader<'a> {
    Reader { weights, device, dtype, added: DType::F32 }
}

impl FusedBlocks {
    /// None where the GPU or the kernels do not have what the tower needs.
    pub(super) fn read(
        reader: &Reader<'_>,
        names: &TowerNames,
        of: Transformer,
        causal: bool,
    ) -> crate::base::Result<Option<Self>> {
        let sizes = ClipSizes {
            width: of.width,
            heads: of.heads,
            hidden: of.hidden,
            activation: of.activation,
            causal,
            epsilon: of.epsilon,
            dtype: reader.dtype,
        };
        let kernels = ClipKernels::compile(sizes, reader.device)
            .map_err(candle("cannot make the kernels of the GPU"))?;
        let Some(kernels) = kernels else { return Ok(None) };
        let blocks = (0..of.layers).map(|layer| reader.block(names, layer));
        Ok(Some(Self {
            kernels,
            of,
            causal,
            blocks: blocks.collect::<crate::base::Result<_>>()?,
            post: reader.norm(&names.post_norm)?,
            projection: reader.projection(names)?,
        }))
    }

    /// The norm that the first block begins with.
    pub(super) fn first(&self) -> &Affine {
        self.blocks.first().map_or(&self.post, |block| &block.norms[0])
    }

    /// Features of the rows that `pooled` takes out of the normed stream.
    ///
    /// # Shapes
    /// `x` and `normed`: (rows · tokens, width), the second under [`first`](Self::first); the
    /// result: (rows, width of a feature), f32.
    pub(super) fn forward(
        &self,
        (mut x, mut normed): (Tensor, Tensor),
        tokens: usize,
        pooled: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let kernels = &self.kernels;
        for (number, block) in self.blocks.iter().enumerate() {
            let qkv = normed.matmul(&block.qkv.0)?;
            let mixed = self.attention(&qkv, &block.qkv.1, tokens)?;
            let out = mixed.matmul(&block.out.0)?;
            (x, normed) = kernels.add_norm(&x, &out, &block.out.1, &block.norms[1])?;
            let [up, down] = &block.mlp;
            let hidden = kernels.activate(&normed.matmul(&up.0)?, &up.1)?;
            let out = hidden.matmul(&down.0)?;
            let next = self.blocks.get(number + 1).map_or(&self.post, |block| &block.norms[0]);
            (x, normed) = kernels.add_norm(&x, &out, &down.1, next)?;
        }
        pooled(&normed)?.matmul(&self.projection)?.to_dtype(DType::F32)
    }

    fn attention(&self, qkv: &Tensor, bias: &Tensor, tokens: usize) -> Result<Tensor> {
        if let Some(mixed) = self.kernels.attend(qkv, bias, tokens)? {
            return Ok(mixed);
        }
        let qkv = qkv.broadcast_add(&bias.to_dtype(qkv.dtype())?)?;
        let qkv = qkv.reshape(((), tokens, 3 * self.of.width))?;
        attend(&qkv, self.of.heads, self.causal)?.reshape(((), self.of.width))
    }
}

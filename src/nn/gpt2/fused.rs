//! All blocks and the last norm on a GPU, as one node of candle's graph.
//!
//! Candle's backward pass adds the gradient of every node to zeros of its own, and its operators
//! are many small kernels: at a GPU's speed that is most of a step.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Result, Tensor};

use crate::nn::blocks::{Block, Qkv};
use crate::nn::gradient::follow;
use crate::nn::kernels::{NormOf, TrainKernels};
use crate::nn::layers::{Curve, Linear, Norm};

/// A linear map's matrix (inputs, outputs) in the type that is computed in, and its bias in f32.
type Map = (Tensor, Tensor);

/// What the backward pass of a block needs.
struct Kept {
    maps: [Map; 4],
    norms: [NormOf; 2],
    before: Tensor,
    normed_1: Tensor,
    /// (3, rows · heads, tokens, floats a head)
    parts: Tensor,
    weights: Tensor,
    mixed: Tensor,
    middle: Tensor,
    normed_2: Tensor,
    up: Tensor,
    hidden: Tensor,
}

impl Block {
    /// Whether it can be computed here.
    pub(super) fn is_fused(&self) -> bool {
        self.curve == Curve::GeluNew && self.one_qkv().is_ok()
    }

    fn one_qkv(&self) -> Result<&Linear> {
        match &self.qkv {
            Qkv::One(linear) => Ok(linear),
            Qkv::Three(_) => candle_core::bail!("queries, keys and values have a matrix each"),
        }
    }

    /// Floats of an attention's scores are divided by the root of a head's.
    fn scale(&self, width: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a head has few floats")]
        let each = (width / self.heads.max(1)) as f64;
        each.sqrt().recip()
    }

    /// The stream behind the block and its norm, of the stream before it and its norm.
    fn fused(
        &self,
        kernels: &TrainKernels,
        (x, normed): (Tensor, Tensor),
        (rows, tokens): (usize, usize),
        (own, next): ([NormOf; 2], &NormOf),
    ) -> Result<((Tensor, Tensor), Kept)> {
        let dtype = kernels.dtype();
        let map = |of: &Linear| of.constants(dtype);
        let maps = [map(self.one_qkv()?)?, map(&self.out)?, map(&self.up)?, map(&self.down)?];
        let [of_qkv, of_out, of_up, of_down] = &maps;
        let (_, width) = x.dims2()?;
        let qkv = normed.matmul(&of_qkv.0)?;
        let parts = kernels.split(&qkv, &of_qkv.1, (rows, tokens, self.heads))?;
        let [q, k, v] = three(&parts)?;
        let weights = kernels.weights(&q.matmul(&k.t()?)?, self.scale(width))?;
        let mixed = kernels.merge(&weights.matmul(&v)?, self.heads)?;
        let added = mixed.matmul(&of_out.0)?;
        let (middle, normed_2) = kernels.add_norm(&x, &added, &of_out.1, &own[1])?;
        let up = normed_2.matmul(&of_up.0)?;
        let hidden = kernels.activate(&up, &of_up.1)?;
        let added = hidden.matmul(&of_down.0)?;
        let after = kernels.add_norm(&middle, &added, &of_down.1, next)?;
        let kept = Kept {
            maps,
            norms: own,
            before: x,
            normed_1: normed,
            parts,
            weights,
            mixed,
            middle,
            normed_2,
            up,
            hidden,
        };
        Ok((after, kept))
    }

    /// The gradient of the stream before the block of that behind it. Adds to those of weights.
    fn fused_back(&self, kernels: &TrainKernels, kept: &Kept, gradient: &Tensor) -> Result<Tensor> {
        let [of_qkv, of_out, of_up, of_down] = &kept.maps;
        let (_, width) = gradient.dims2()?;
        let (_, _, tokens, _) = kept.parts.dims4()?;
        self.down.add_gradients(|| matrix(&kept.hidden, gradient), || kernels.columns(gradient))?;
        let of_hidden = gradient.matmul(&of_down.0.t()?)?;
        let of_up_out = kernels.activate_back(&kept.up, &of_hidden, &of_up.1)?;
        self.up
            .add_gradients(|| matrix(&kept.normed_2, &of_up_out), || kernels.columns(&of_up_out))?;
        let of_normed = of_up_out.matmul(&of_up.0.t()?)?;
        let (gradient, sums) =
            kernels.norm_back(&kept.middle, &of_normed, gradient, &kept.norms[1])?;
        self.norm_2.add_gradients(&sums)?;
        self.out.add_gradients(|| matrix(&kept.mixed, &gradient), || kernels.columns(&gradient))?;
        let of_mixed = gradient.matmul(&of_out.0.t()?)?;
        let of_mixed = kernels.part(&of_mixed, tokens, self.heads)?;
        let [q, k, v] = three(&kept.parts)?;
        let of_weights = of_mixed.matmul(&v.t()?)?;
        let of_v = kept.weights.t()?.matmul(&of_mixed)?;
        let of_scores = kernels.weights_back(&kept.weights, &of_weights, self.scale(width))?;
        let of_q = of_scores.matmul(&k)?;
        let of_k = of_scores.t()?.matmul(&q)?;
        let of_qkv_out = kernels.join([&of_q, &of_k, &of_v], self.heads)?;
        self.one_qkv()?.add_gradients(
            || matrix(&kept.normed_1, &of_qkv_out),
            || kernels.columns(&of_qkv_out),
        )?;
        let of_normed = of_qkv_out.matmul(&of_qkv.0.t()?)?;
        let (gradient, sums) =
            kernels.norm_back(&kept.before, &of_normed, &gradient, &kept.norms[0])?;
        self.norm_1.add_gradients(&sums)?;
        Ok(gradient)
    }
}

/// The gradient of a matrix, of what it was multiplied with and that of the product.
fn matrix(x: &Tensor, of_out: &Tensor) -> Result<Tensor> {
    x.t()?.matmul(of_out)
}

fn three(parts: &Tensor) -> Result<[Tensor; 3]> {
    let part = |i| parts.narrow(0, i, 1)?.squeeze(0);
    Ok([part(0)?, part(1)?, part(2)?])
}

/// Hidden states behind the last norm.
///
/// # Shapes
/// `x`: (rows, tokens, width), and so is the result.
pub(super) fn hidden(
    kernels: &Arc<TrainKernels>,
    blocks: &Arc<Vec<Block>>,
    last: &Norm,
    x: &Tensor,
) -> Result<Tensor> {
    let (rows, tokens, width) = x.dims3()?;
    let norms: Vec<[NormOf; 2]> = blocks
        .iter()
        .map(|block| Ok([block.norm_1.constants()?, block.norm_2.constants()?]))
        .collect::<Result<_>>()?;
    let of_last = last.constants()?;
    let first = norms.first().map_or(&of_last, |[first, _]| first);
    let begun = x.detach().to_dtype(kernels.dtype())?.contiguous()?;
    let begun = begun.reshape((rows * tokens, width))?;
    let normed = kernels.norm(&begun, first)?;
    let mut stream = (begun, normed);
    let mut all = Vec::with_capacity(blocks.len());
    for (number, (block, own)) in blocks.iter().zip(&norms).enumerate() {
        let next = norms.get(number + 1).map_or(&of_last, |[next, _]| next);
        let (after, kept) = block.fused(kernels, stream, (rows, tokens), (own.clone(), next))?;
        stream = after;
        if x.track_op() {
            all.push(kept);
        }
    }
    let (end, hidden) = stream;
    let hidden = hidden.reshape((rows, tokens, width))?;
    if !x.track_op() {
        if last.trains() {
            candle_core::bail!("a GPT-2 trains, and its embeddings are in no graph");
        }
        return Ok(hidden);
    }
    let (kernels, blocks, last) = (Arc::clone(kernels), Arc::clone(blocks), last.clone());
    let kept = Mutex::new(Some((all, end, of_last)));
    follow("gpt2 blocks", x, &hidden, move |of_hidden| {
        let kept = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((mut all, end, of_last)) = kept else {
            candle_core::bail!("the graph of gpt2 blocks was gone through before");
        };
        let shape = of_hidden.shape().clone();
        let of_hidden = of_hidden.contiguous()?.reshape((rows * tokens, width))?;
        let (mut gradient, sums) =
            kernels.norm_back(&end, &of_hidden, &of_hidden.zeros_like()?, &of_last)?;
        last.add_gradients(&sums)?;
        drop(end);
        for block in blocks.iter().rev() {
            let Some(kept) = all.pop() else { break };
            gradient = block.fused_back(&kernels, &kept, &gradient)?;
        }
        gradient.reshape(shape)
    })
}

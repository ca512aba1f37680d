//! Attention (Vaswani et al., 2017) over queries, keys and values that lie side by side.

use candle_core::{D, DType, Result, Tensor};
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSlice, ParallelSliceMut};

use super::dropout::Dropout;
use super::head::{Sizes, softmax};
use super::lanes::{add, dot};
use super::seen::Seen;
use crate::nn::gradient::{is_native, node, numbers};
use crate::nn::kernels::widest;

/// Mixes values by softmax of `query · key / √(floats a head)`.
///
/// # Shapes
/// `qkv`: (rows, tokens, 3 · width), queries, keys and values side by side, the heads of each one
/// after the other; the result: (rows, tokens, width).
pub(in crate::nn) fn attention(
    qkv: &Tensor,
    heads: usize,
    seen: &Seen,
    dropout: Option<&mut Dropout>,
) -> Result<Tensor> {
    let (rows, tokens, three) = qkv.dims3()?;
    let width = three / 3;
    if !is_native(qkv) {
        let part = |i| qkv.narrow(2, i * width, width);
        return composed([part(0)?, part(1)?, part(2)?], heads, seen, dropout);
    }
    let qkv = qkv.contiguous()?;
    let sizes = [rows, tokens, width];
    let mut out = vec![0.0; rows * tokens * width];
    let mixing = attend(&numbers(&qkv)?, sizes, heads, seen, dropout, &mut out);
    let kept = qkv.detach();
    node("attention", &qkv, &[], out, (rows, tokens, width), move |of_out, _| {
        let mut of_qkv = vec![0.0; kept.elem_count()];
        mixing.back(&numbers(&kept)?, of_out, &mut of_qkv);
        Ok(Some(of_qkv))
    })
}

/// What the backward pass of an attention needs beside its argument.
#[derive(Debug)]
pub(in crate::nn) struct Mixing {
    of: Sizes,
    weights: Vec<f32>,
    factors: Option<Vec<f32>>,
}

/// As [`attention`], of plain numbers. `sizes`: rows, tokens, width.
pub(in crate::nn) fn attend(
    qkv: &[f32],
    [rows, tokens, width]: [usize; 3],
    heads: usize,
    seen: &Seen,
    dropout: Option<&mut Dropout>,
    out: &mut [f32],
) -> Mixing {
    let (each, causal) = (width / heads.max(1), seen.causal);
    let of = Sizes { tokens, heads, each, scale: scale(width, heads), causal };
    let factors = dropout.map(|dropout| dropout.factors(rows * heads * tokens * tokens));
    let mut weights = vec![0.0; rows * heads * tokens * tokens];
    out.par_chunks_mut(tokens * width)
        .zip(weights.par_chunks_mut(heads * tokens * tokens))
        .zip(qkv.par_chunks(tokens * 3 * width))
        .enumerate()
        .for_each_init(
            || of.scratch(false),
            |scratch, (row, ((out, weights), qkv))| {
                let factors = of.of_row(factors.as_deref(), row);
                widest(
                    #[inline(always)]
                    || of.forward((qkv, row, seen), factors, (out, weights), scratch),
                );
            },
        );
    Mixing { of, weights, factors }
}

impl Mixing {
    /// Writes the gradient of queries, keys and values into `of_qkv`.
    pub(in crate::nn) fn back(&self, qkv: &[f32], of_out: &[f32], of_qkv: &mut [f32]) {
        let of = self.of;
        let one = of.tokens * of.heads * of.each;
        of_qkv
            .par_chunks_mut(3 * one)
            .zip(qkv.par_chunks(3 * one))
            .zip(self.weights.par_chunks(of.heads * of.tokens * of.tokens))
            .zip(of_out.par_chunks(one))
            .enumerate()
            .for_each_init(
                || of.scratch(true),
                |scratch, (row, (((of_qkv, qkv), weights), of_out))| {
                    let factors = of.of_row(self.factors.as_deref(), row);
                    widest(
                        #[inline(always)]
                        || of.backward((qkv, weights), factors, of_out, of_qkv, scratch),
                    );
                },
            );
    }
}

/// As [`attention`], of queries that follow on keys and values kept from before; no gradients.
///
/// # Shapes
/// `queries`: (rows, tokens, width); `keys`, `values`: (rows, heads, capacity, floats a head), of
/// which the first `filled` of the third dimension count, the queries' own among them.
pub(in crate::nn) fn attention_onto(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    filled: usize,
    seen: &Seen,
) -> Result<Tensor> {
    let (rows, tokens, width) = queries.dims3()?;
    let (_, heads, capacity, _) = keys.dims4()?;
    if !is_native(queries) {
        let flat = |kept: &Tensor| {
            kept.narrow(2, 0, filled)?.transpose(1, 2)?.reshape((rows, filled, width))
        };
        return composed([queries.clone(), flat(keys)?, flat(values)?], heads, seen, None);
    }
    let queries = queries.contiguous()?;
    let mut out = vec![0.0; rows * tokens * width];
    attend_onto(
        (&*numbers(&queries)?, width),
        (&*numbers(keys)?, &*numbers(values)?),
        Onto { sizes: [rows, tokens, width], heads, capacity, filled },
        seen,
        &mut out,
    );
    Tensor::from_vec(out, (rows, tokens, width), queries.device())
}

/// Sizes of an attention onto keys and values kept from before.
#[derive(Debug, Clone, Copy)]
pub(in crate::nn) struct Onto {
    /// Rows, new tokens, width.
    pub(in crate::nn) sizes: [usize; 3],
    pub(in crate::nn) heads: usize,
    /// Tokens that there is room for.
    pub(in crate::nn) capacity: usize,
    /// Tokens that are there, the new ones among them.
    pub(in crate::nn) filled: usize,
}

/// As [`attention_onto`], of plain numbers. Queries lie `step` numbers apart; `out` are zeros.
pub(in crate::nn) fn attend_onto(
    (queries, step): (&[f32], usize),
    (keys, values): (&[f32], &[f32]),
    of: Onto,
    seen: &Seen,
    out: &mut [f32],
) {
    let [_, tokens, width] = of.sizes;
    let kept = of.capacity * width;
    out.par_chunks_mut(tokens * width)
        .zip(queries.par_chunks(tokens * step))
        .zip(keys.par_chunks(kept).zip(values.par_chunks(kept)))
        .enumerate()
        .for_each(|(row, ((out, queries), kept))| {
            widest(
                #[inline(always)]
                || of.row((row, queries, step), kept, seen, out),
            );
        });
}

impl Onto {
    #[inline(always)]
    fn row(
        self,
        (row, queries, step): (usize, &[f32], usize),
        (keys, values): (&[f32], &[f32]),
        seen: &Seen,
        out: &mut [f32],
    ) {
        let Self { sizes: [_, tokens, width], heads, capacity, filled } = self;
        let (each, scale) = (width / heads.max(1), scale(width, heads));
        let mut weights = vec![0.0; filled];
        for head in 0..heads {
            let kept = head * capacity * each..(head * capacity + filled) * each;
            let keys = keys.get(kept.clone()).unwrap_or_default();
            let values = values.get(kept).unwrap_or_default();
            for query in 0..tokens {
                let at = |step: usize| query * step + head * each..query * step + (head + 1) * each;
                let (Some(q), Some(out)) = (queries.get(at(step)), out.get_mut(at(width))) else {
                    continue;
                };
                for ((key, weight), k) in
                    weights.iter_mut().enumerate().zip(keys.chunks_exact(each))
                {
                    *weight = if seen.sees(filled, tokens, row, query, key) {
                        dot(q, k) * scale
                    } else {
                        f32::NEG_INFINITY
                    };
                }
                softmax(&mut weights);
                for (weight, v) in weights.iter().zip(values.chunks_exact(each)) {
                    add(out, v, *weight);
                }
            }
        }
    }
}

fn scale(width: usize, heads: usize) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "a head has few floats")]
    let each = (width / heads.max(1)) as f32;
    each.sqrt().recip()
}

/// By candle's operators; scores and softmax in f32.
fn composed(
    qkv: [Tensor; 3],
    heads: usize,
    seen: &Seen,
    dropout: Option<&mut Dropout>,
) -> Result<Tensor> {
    let [q, k, v] = qkv;
    let (rows, queries, width) = q.dims3()?;
    let keys = k.dim(1)?;
    let each = width / heads.max(1);
    let split =
        |x: &Tensor, tokens| x.reshape((rows, tokens, heads, each))?.transpose(1, 2)?.contiguous();
    let (q, k, v) = (split(&q, queries)?, split(&k, keys)?, split(&v, keys)?);
    let scores = (q.matmul(&k.t()?)?.to_dtype(DType::F32)? * f64::from(scale(width, heads)))?;
    let scores = if seen.causal || seen.real.is_some() {
        scores.broadcast_add(&seen.bias([rows, queries, keys], q.device())?)?
    } else {
        scores
    };
    let weights = candle_nn::ops::softmax(&scores, D::Minus1)?;
    let weights = match dropout {
        Some(dropout) => dropout.forward(&weights)?,
        None => weights,
    };
    let mixed = weights.to_dtype(v.dtype())?.matmul(&v)?;
    mixed.transpose(1, 2)?.reshape((rows, queries, width))
}

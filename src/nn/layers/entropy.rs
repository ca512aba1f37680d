//! Cross entropy over a vocabulary, with the head's product in it.

use candle_core::{D, DType, Result, Tensor};
use rayon::prelude::{
    IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator, ParallelSliceMut,
};

use super::lanes::{self, most};
use super::linear::Factors;
use crate::nn::gradient::{Weight, follow, follow_both, is_native, node, numbers};
use crate::nn::kernels::{Constant, Matrix, Number, exp, product, widest};

/// Rows whose logits are computed at once.
const ROWS: usize = 256;

/// Probabilities that are kept for the backward pass, at most, in numbers (512 MiB); those of
/// further rows are computed again.
const KEPT: usize = 1 << 27;

/// The mean over rows of `-log softmax(hidden · headᵀ)[target]`.
///
/// Logits become probabilities and those become gradients where they lie: there is never a second
/// array of (rows, vocabulary). With [`Factors::Packed`] the logits' product reads the head packed; the
/// gradient's, which reads it the other way, does not: it would gain little for as much room again.
///
/// # Shapes
/// `hidden`: (rows, width); `head`: (vocabulary, width); `targets`: a token a row, at least one;
/// the result: a single f32.
pub(in crate::nn) fn entropy(
    hidden: &Tensor,
    head: &Weight,
    targets: &[u32],
    how: Factors,
) -> Result<Tensor> {
    let (rows, width) = hidden.dims2()?;
    let (vocabulary, _) = head.tensor().dims2()?;
    if rows != targets.len() || rows == 0 {
        candle_core::bail!("expected a target for each of {rows} rows, got {}", targets.len());
    }
    if let Some(id) =
        targets.iter().find(|id| usize::try_from(**id).is_ok_and(|id| id >= vocabulary))
    {
        candle_core::bail!("target {id} is not below {vocabulary}, the size of the vocabulary");
    }
    if !is_native(hidden) || !is_native(head.tensor()) {
        return composed(hidden, head, &Tensor::new(targets, hidden.device())?);
    }
    let hidden = hidden.contiguous()?;
    let keeps = hidden.track_op() || head.trains();
    let number = head.number();
    let packed = match how {
        Factors::Packed => Some(head.packed(width, true)?),
        Factors::AsTheyLie => None,
    };
    let mut chunks = Vec::new();
    let mut loss = 0.0_f64;
    {
        let (hidden, head) = (numbers(&hidden)?, numbers(head.tensor())?);
        let head = Head { numbers: &head, width, number, packed: packed.as_deref() };
        let mut kept = 0;
        for (hidden, targets) in hidden.chunks(ROWS * width).zip(targets.chunks(ROWS)) {
            let (probabilities, part) = head.probabilities(hidden, targets);
            loss += part;
            kept += probabilities.len();
            chunks.push((keeps && kept <= KEPT).then_some(probabilities));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "rows of a batch")]
    #[expect(clippy::cast_possible_truncation, reason = "a loss is an f32")]
    let (loss, share) = ((loss / rows as f64) as f32, 1.0 / rows as f32);
    let (kept, weight, targets) = (hidden.detach(), head.clone(), targets.to_vec());
    node("cross entropy", &hidden, &[head], vec![loss], (), move |of_loss, wants| {
        let scale = of_loss.first().copied().unwrap_or(0.0) * share;
        let (hidden, head) = (numbers(&kept)?, numbers(weight.tensor())?);
        let by = Head { numbers: &head, width, number, packed: packed.as_deref() };
        let mut of_hidden = vec![0.0; if wants { hidden.len() } else { 0 }];
        let mut of_chunks = of_hidden.chunks_mut(ROWS * width);
        let rows = hidden.chunks(ROWS * width).zip(targets.chunks(ROWS));
        for (chunk, (hidden, targets)) in chunks.into_iter().zip(rows) {
            let mut of_logits = chunk.unwrap_or_else(|| by.probabilities(hidden, targets).0);
            to_gradient(&mut of_logits, targets, scale);
            let of_logits = Matrix::new(&of_logits, vocabulary);
            if let Some(of_hidden) = of_chunks.next() {
                product(number, of_hidden, of_logits, Matrix::new(&head, width), false);
            }
            if weight.trains() {
                weight.write_gradient(|sum, fresh| {
                    let hidden = Matrix::new(hidden, width);
                    product(number, sum, of_logits.transposed(), hidden, !fresh);
                });
            }
        }
        Ok(wants.then_some(of_hidden))
    })
}

/// By candle's operators, [`ROWS`] rows at a time. Gradients are made in the forward pass, where
/// the probabilities are, so that these are not kept (as Liger-Kernel's fused cross entropy does).
fn composed(hidden: &Tensor, head: &Weight, targets: &Tensor) -> Result<Tensor> {
    let (rows, _) = hidden.dims2()?;
    let (of_hidden, of_head) = (hidden.track_op(), head.trains());
    let (x, weight) = (hidden.detach(), head.tensor().detach().to_dtype(hidden.dtype())?);
    #[expect(clippy::cast_precision_loss, reason = "rows of a batch")]
    let share = 1.0 / rows as f64;
    let mut losses = Vec::new();
    let mut by_hidden = Vec::new();
    let mut by_head: Option<Tensor> = None;
    for first in (0..rows).step_by(ROWS) {
        let count = ROWS.min(rows - first);
        let (x, targets) = (x.narrow(0, first, count)?, targets.narrow(0, first, count)?);
        let targets = targets.unsqueeze(1)?;
        let logits = x.matmul(&weight.t()?)?.to_dtype(DType::F32)?;
        let logits = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?;
        let of_target = logits.gather(&targets, 1)?;
        let exps = logits.exp()?;
        drop(logits);
        let sums = exps.sum_keepdim(D::Minus1)?;
        losses.push((sums.log()? - of_target)?.sum_all()?);
        if !of_hidden && !of_head {
            continue;
        }
        let probabilities = exps.broadcast_div(&sums)?;
        drop(exps);
        let minus = (Tensor::ones((count, 1), DType::F32, hidden.device())? * -1.0)?;
        let of_logits = (probabilities.scatter_add(&targets, &minus, 1)? * share)?;
        let of_logits = of_logits.to_dtype(hidden.dtype())?;
        if of_hidden {
            by_hidden.push(of_logits.matmul(&weight)?);
        }
        if of_head {
            let part = of_logits.t()?.matmul(&x)?.to_dtype(DType::F32)?;
            by_head = Some(match by_head {
                Some(sum) => (sum + part)?,
                None => part,
            });
        }
    }
    let loss = (Tensor::stack(&losses, 0)?.sum_all()? * share)?;
    let by_hidden = if of_hidden { Some(Tensor::cat(&by_hidden, 0)?) } else { None };
    let scaled = |of: &Option<Tensor>, by: &Tensor| {
        of.as_ref().map(|of| of.broadcast_mul(&by.to_dtype(of.dtype())?)).transpose()
    };
    if of_head {
        let arguments = (hidden, head.tensor());
        return follow_both("cross entropy", arguments, &loss, move |of_loss| {
            Ok([scaled(&by_hidden, of_loss)?, scaled(&by_head, of_loss)?])
        });
    }
    match by_hidden {
        None => Ok(loss),
        Some(of) => follow("cross entropy", hidden, &loss, move |of_loss| {
            of.broadcast_mul(&of_loss.to_dtype(of.dtype())?)
        }),
    }
}

/// The head, (vocabulary, width).
struct Head<'a> {
    numbers: &'a [f32],
    width: usize,
    number: Number,
    /// Its transpose, where products read it packed.
    packed: Option<&'a Constant>,
}

impl Head<'_> {
    /// Softmax of the logits of some rows, and the sum of the losses.
    fn probabilities(&self, hidden: &[f32], targets: &[u32]) -> (Vec<f32>, f64) {
        let vocabulary = self.numbers.len() / self.width.max(1);
        let mut logits = vec![0.0; targets.len() * vocabulary];
        if let Some(packed) = self.packed {
            packed.multiply(hidden, &[], &mut logits, false);
        } else {
            let head = Matrix::new(self.numbers, self.width).transposed();
            product(self.number, &mut logits, Matrix::new(hidden, self.width), head, false);
        }
        let losses: Vec<f64> = logits
            .par_chunks_mut(vocabulary)
            .zip(targets.par_iter())
            .map(|(row, target)| {
                let mut loss = 0.0;
                widest(
                    #[inline(always)]
                    || loss = to_probabilities(row, *target),
                );
                loss
            })
            .collect();
        (logits, losses.iter().sum())
    }
}

/// Makes a row of logits their softmax; the loss.
#[inline(always)]
fn to_probabilities(row: &mut [f32], target: u32) -> f64 {
    let of_target = usize::try_from(target).ok().and_then(|target| row.get(target));
    let of_target = of_target.copied().unwrap_or(f32::NAN);
    let most = most(row);
    let mut sum = 0.0_f64;
    for part in row.chunks_mut(512) {
        part.iter_mut().for_each(|x| *x = exp(*x - most));
        sum += f64::from(lanes::sum(part, |x| x));
    }
    #[expect(clippy::cast_possible_truncation, reason = "a factor of f32")]
    let factor = sum.recip() as f32;
    row.iter_mut().for_each(|x| *x *= factor);
    sum.ln() + f64::from(most) - f64::from(of_target)
}

/// `scale * (probability - [is target])`, in place.
fn to_gradient(probabilities: &mut [f32], targets: &[u32], scale: f32) {
    let vocabulary = probabilities.len() / targets.len().max(1);
    probabilities.par_chunks_mut(vocabulary.max(1)).zip(targets.par_iter()).for_each(
        |(row, target)| {
            row.iter_mut().for_each(|p| *p *= scale);
            if let Some(p) = usize::try_from(*target).ok().and_then(|target| row.get_mut(target)) {
                *p -= scale;
            }
        },
    );
}

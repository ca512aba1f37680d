//! Cross entropy over a vocabulary on a GPU, with the head's product in it.

use candle_core::{Result, Tensor};

use crate::nn::gradient::{Weight, follow, follow_both};
use crate::nn::kernels::TrainKernels;

/// Logits that are computed at once, in numbers: 128 MiB in bf16, and as much for their gradients.
const AT_ONCE: usize = 1 << 26;

/// As [`entropy`](super::entropy()). The gradient of the logits is made with the loss, in one
/// kernel, and the head is filled up to a length that tensor cores take.
///
/// # Shapes
/// `hidden`: (rows, width); `head`: (vocabulary, width); `targets`: a token a row, at least one;
/// the result: a single f32.
pub(in crate::nn) fn fused_entropy(
    kernels: &TrainKernels,
    hidden: &Tensor,
    head: &Weight,
    targets: &[u32],
) -> Result<Tensor> {
    let (rows, _) = hidden.dims2()?;
    let (vocabulary, _) = head.tensor().dims2()?;
    if rows != targets.len() || rows == 0 {
        candle_core::bail!("expected a target for each of {rows} rows, got {}", targets.len());
    }
    let (of_hidden, of_head) = (hidden.track_op(), head.trains());
    let x = hidden.detach().to_dtype(kernels.dtype())?.contiguous()?;
    let pitch = vocabulary.next_multiple_of(64);
    let weight = head.tensor().detach().to_dtype(kernels.dtype())?;
    let weight = weight.pad_with_zeros(0, 0, pitch - vocabulary)?.contiguous()?;
    #[expect(clippy::cast_precision_loss, reason = "rows of a batch")]
    let share = 1.0 / rows as f64;
    let (mut losses, mut by_hidden, mut by_head) = (Vec::new(), Vec::new(), None);
    let at_once = (AT_ONCE / pitch).max(1);
    for (first, targets) in (0..rows).step_by(at_once).zip(targets.chunks(at_once)) {
        let x = x.narrow(0, first, targets.len())?;
        let logits = x.matmul(&weight.t()?)?;
        let (part, of_logits) = kernels.entropy(&logits, targets, vocabulary, share)?;
        losses.push(part);
        if of_hidden {
            by_hidden.push(of_logits.matmul(&weight)?);
        }
        if of_head {
            let part = of_logits.t()?.matmul(&x)?.narrow(0, 0, vocabulary)?;
            let part = part.to_dtype(candle_core::DType::F32)?;
            by_head = Some(match by_head {
                Some(sum) => (sum + part)?,
                None => part,
            });
        }
    }
    let loss = (Tensor::cat(&losses, 0)?.sum_all()? * share)?;
    let by_hidden = if of_hidden { Some(Tensor::cat(&by_hidden, 0)?) } else { None };
    let scaled = |of: &Option<Tensor>, by: &Tensor| {
        of.as_ref().map(|of| of.broadcast_mul(&by.to_dtype(of.dtype())?)).transpose()
    };
    match (by_hidden, by_head) {
        (None, None) => Ok(loss),
        (Some(of), None) => follow("cross entropy", hidden, &loss, move |of_loss| {
            of.broadcast_mul(&of_loss.to_dtype(of.dtype())?)
        }),
        (by_hidden, by_head) => {
            follow_both("cross entropy", (hidden, head.tensor()), &loss, move |of_loss| {
                Ok([scaled(&by_hidden, of_loss)?, scaled(&by_head, of_loss)?])
            })
        }
    }
}

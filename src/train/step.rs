//! One step of the optimiser: losses and gradients of one or more batches, clipped and applied.

use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::adamw::AdamW;
use super::fault::candle;
use super::learner::{Batch, Draw, Learner};
use crate::base::{Error, Kind, Result};
use crate::nn::fault::is_of_memory;
use crate::plan::captioner::Course;

/// What a step measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Mean cross entropy per token before the step.
    pub loss: f64,
    /// L2 norm of all gradients, before clipping.
    pub norm: f64,
    /// Tokens that the loss is the mean over.
    pub tokens: usize,
}

/// Makes one step from `batches` at the rate `learning_rate`. The gradients of several batches are
/// weighed by their tokens, so that the step is that of one batch with all their captions.
///
/// A loss or a norm that is no number is given back, and no step is made then.
///
/// # Errors
/// When the device fails; [`Kind::Device`] naming the batch size when its memory is too small.
pub fn make<L: Learner>(
    learner: &L,
    optimizer: &mut AdamW,
    batches: &[Batch],
    course: &Course,
    learning_rate: f64,
    draw: Draw,
) -> Result<Measured> {
    gradients(learner, batches, draw)
        .and_then(|(gradients, loss, tokens)| {
            let norm = if loss.is_finite() { optimizer.norm(&gradients)? } else { f64::NAN };
            if norm.is_finite() {
                optimizer.step(&gradients, learning_rate, norm, course.clip_norm)?;
            }
            learner.recycle(gradients);
            Ok(Measured { loss, norm, tokens })
        })
        .map_err(|error| explain_memory(error, learner, course, batches))
}

/// The gradients, the loss and the tokens of all batches together.
fn gradients<L: Learner>(
    learner: &L,
    batches: &[Batch],
    draw: Draw,
) -> Result<(GradStore, f64, usize)> {
    let fault = || candle("adding up gradients");
    let tokens: usize = batches.iter().map(Batch::token_count).sum();
    let whole: usize = batches.iter().map(|batch| learner.weight(batch)).sum();
    let mut sum: Option<GradStore> = None;
    let mut total = 0.0;
    for (number, batch) in batches.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "tokens of a step are few")]
        let share = learner.weight(batch) as f64 / whole.max(1) as f64;
        // Every batch of a step draws on its own.
        let draw = Draw { stream: draw.stream.wrapping_add(number as u64), ..draw };
        let loss = learner.loss(batch, Some(draw))?;
        total += f64::from(scalar(&loss)?) * share;
        if !total.is_finite() {
            break;
        }
        let weighed = if batches.len() == 1 { loss } else { (loss * share).map_err(fault())? };
        sum = Some(learner.gradients(&weighed, sum.take())?);
    }
    match sum {
        Some(sum) => Ok((sum, total, tokens)),
        None if total.is_finite() => Err(Error::new(Kind::Internal, "a step without a batch")),
        None => {
            // A loss that is no number ends the training; its gradients are not asked for.
            let nothing = Tensor::zeros((), candle_core::DType::F32, &candle_core::Device::Cpu)
                .and_then(|zero| zero.backward())
                .map_err(fault())?;
            Ok((nothing, total, tokens))
        }
    }
}

/// The number in a scalar.
pub(super) fn scalar(tensor: &Tensor) -> Result<f32> {
    tensor
        .to_dtype(candle_core::DType::F32)
        .and_then(|t| t.to_scalar::<f32>())
        .map_err(candle("reading the loss"))
}

/// A device whose memory is too small, told in the words of the definition.
pub(super) fn explain_memory<L: Learner>(
    error: Error,
    learner: &L,
    course: &Course,
    batches: &[Batch],
) -> Error {
    if !is_of_memory(&error.to_string()) {
        return error;
    }
    let longest = batches.iter().flat_map(|b| &b.tokens).map(Vec::len).max().unwrap_or(0);
    Error::new(
        Kind::Device,
        format!(
            "the device's memory is too small for a batch_size of {} with captions of {longest} \
             tokens",
            course.batch_rows
        ),
    )
    .help(learner.saves_memory(course))
    .caused_by(error)
}

//! From a loss to gradients.

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};

use super::weight::Weight;

/// The gradients of `loss` by every one of `weights` that trains and has a part in it, under its
/// variable ([`Weight::var`]). Use this, not [`Tensor::backward`], which knows only half of them.
///
/// A graph can be gone through once: its nodes give up what they kept as it is done.
///
/// # Errors
/// When an operator has no gradient, the graph was gone through before, or memory runs out.
pub fn backward<'a>(
    loss: &Tensor,
    weights: impl IntoIterator<Item = &'a Weight>,
) -> Result<GradStore> {
    backward_onto(loss, weights, None)
}

/// As [`backward()`], added to gradients of the same weights from `earlier`, where these lie.
///
/// # Errors
/// As [`backward()`].
pub fn backward_onto<'a>(
    loss: &Tensor,
    weights: impl IntoIterator<Item = &'a Weight>,
    mut earlier: Option<GradStore>,
) -> Result<GradStore> {
    let weights: Vec<&Weight> = weights.into_iter().filter(|weight| weight.trains()).collect();
    let mut apart = Vec::with_capacity(weights.len());
    for weight in &weights {
        // What a backward pass that failed half-way left behind is nobody's gradient.
        weight.forget_gradient();
        let before = earlier.as_mut().and_then(|earlier| earlier.remove(weight.tensor()));
        apart.push(before.and_then(|before| weight.return_gradient(before, true)));
    }
    let mut store = loss.backward()?;
    for (weight, before) in weights.into_iter().zip(apart) {
        let parts = [before, store.remove(weight.tensor()), weight.take_gradient()?];
        let mut sum: Option<Tensor> = None;
        for part in parts.into_iter().flatten() {
            sum = Some(match sum {
                Some(sum) => (sum + part)?.detach(),
                None => part,
            });
        }
        if let Some(sum) = sum {
            store.insert(weight.tensor(), sum);
        }
    }
    Ok(store)
}

/// Gives the weights the room of gradients that are of no more use, for those of the next pass.
/// Nobody else may hold them.
pub fn recycle<'a>(mut gradients: GradStore, weights: impl IntoIterator<Item = &'a Weight>) {
    for weight in weights {
        if let Some(gradient) = gradients.remove(weight.tensor()) {
            weight.return_gradient(gradient, false);
        }
    }
}

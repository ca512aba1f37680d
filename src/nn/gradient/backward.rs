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
    let weights: Vec<&Weight> = weights.into_iter().filter(|weight| weight.trains()).collect();
    // What a backward pass that failed half-way left behind is nobody's gradient.
    for weight in &weights {
        weight.take_gradient()?;
    }
    let mut store = loss.backward()?;
    for weight in weights {
        let Some(gradient) = weight.take_gradient()? else { continue };
        let gradient = match store.remove(weight.tensor()) {
            Some(other) => (other + gradient)?,
            None => gradient,
        };
        store.insert(weight.tensor(), gradient);
    }
    Ok(store)
}

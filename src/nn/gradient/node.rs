//! A node of candle's graph whose value was computed outside of it.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::weight::Weight;

/// What computes the gradient of the argument from the gradient of the value, and adds to the
/// gradients of weights as it goes. The second argument says whether the argument's is wanted.
type Backward = Box<dyn FnOnce(&[f32], bool) -> Result<Option<Vec<f32>>> + Send>;

struct Node {
    name: &'static str,
    value: Mutex<Option<Vec<f32>>>,
    shape: Shape,
    backward: Mutex<Option<Backward>>,
    wants: bool,
}

/// Puts `value`, computed from `x` and `weights` on the processor, into candle's graph.
///
/// `backward` gets the value's gradient, row-major, and returns that of `x`. If neither `x` nor any
/// of the weights trains, it is dropped at once, and with it all that it keeps.
pub(in crate::nn) fn node(
    name: &'static str,
    x: &Tensor,
    weights: &[&Weight],
    value: Vec<f32>,
    shape: impl Into<Shape>,
    backward: impl FnOnce(&[f32], bool) -> Result<Option<Vec<f32>>> + Send + 'static,
) -> Result<Tensor> {
    let shape = shape.into();
    let wants = x.track_op();
    let trains = weights.iter().find(|weight| weight.trains());
    // Candle follows a node only if its argument is tracked: where `x` is data, the node hangs
    // at a weight, whose gradient it never returns.
    let anchor = match (wants, trains) {
        (true, _) => x,
        (false, Some(weight)) => weight.tensor(),
        (false, None) => return Tensor::from_vec(value, shape, x.device()),
    };
    anchor.apply_op1(Node {
        name,
        value: Mutex::new(Some(value)),
        shape,
        backward: Mutex::new(Some(Box::new(backward))),
        wants,
    })
}

impl CustomOp1 for Node {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner).take();
        match value {
            Some(value) => Ok((CpuStorage::F32(value), self.shape.clone())),
            None => candle_core::bail!("the value of {} was taken before", self.name),
        }
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let backward = self.backward.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(backward) = backward else {
            candle_core::bail!("the graph of {} was gone through before", self.name);
        };
        let gradient = gradient.contiguous()?;
        let gradient = super::numbers::numbers(&gradient)?;
        let of_x = backward(&gradient, self.wants)?.filter(|_| self.wants);
        of_x.map(|numbers| Tensor::from_vec(numbers, x.shape(), x.device())).transpose()
    }
}

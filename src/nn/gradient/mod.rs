//! Weights that train or do not, and the nodes by which this house's operators stand in candle's
//! graph.
//!
//! Candle's own backward pass computes and keeps a gradient for every argument of an operator,
//! also for weights that do not train, and for each one allocates zeros to add it to. The
//! operators of [`super::layers`] are nodes of which candle sees the activations only. The gradient
//! of a [`Weight`] is added up in place beside the graph, and [`backward()`] puts it into candle's
//! [`GradStore`](candle_core::backprop::GradStore), where an optimiser expects it.

mod backward;
mod follow;
mod node;
mod numbers;
mod weight;

pub use backward::{backward, backward_onto, recycle};
pub use weight::Weight;

pub(in crate::nn) use follow::{follow, follow_both};
pub(in crate::nn) use node::node;
pub(in crate::nn) use numbers::{is_native, numbers};

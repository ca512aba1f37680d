//! Non-linearities.

use candle_core::{Result, Tensor};
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSlice, ParallelSliceMut};

use crate::nn::gradient::{is_native, node, numbers};
use crate::nn::kernels::{tanh, widest};

/// A non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// `x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))`: transformers' `gelu_new`.
    GeluNew,
    /// `x · Φ(x)`: transformers' `gelu`.
    Gelu,
    /// `x · sigmoid(1.702 x)`: OpenAI's CLIP.
    QuickGelu,
    /// `max(x, 0)`.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// Numbers that a thread takes at once.
const BAND: usize = 8192;

/// Applies `curve` to every number of `x`.
pub(in crate::nn) fn curve(x: &Tensor, curve: Curve) -> Result<Tensor> {
    match curve {
        Curve::GeluNew if is_native(x) => gelu_new(x),
        // candle's own backward pass of this one has constants of six digits.
        Curve::GeluNew => {
            let inner = ((x + (x.powf(3.0)? * 0.044_715)?)? * ROOT)?;
            ((x * 0.5)? * (inner.tanh()? + 1.0)?)?.to_dtype(x.dtype())
        }
        Curve::Gelu => (x * ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)?)? * 0.5,
        Curve::QuickGelu => x * ((x * -1.702)?.exp()? + 1.0)?.recip()?,
        Curve::Relu => x.relu(),
        Curve::Tanh => x.tanh(),
    }
}

/// `√(2/π)`
const ROOT: f64 = 0.797_884_560_802_865_4;
const ROOT_F32: f32 = 0.797_884_6;

fn gelu_new(x: &Tensor) -> Result<Tensor> {
    let x = x.contiguous()?;
    let mut out = vec![0.0; x.elem_count()];
    gelu_new_run(&numbers(&x)?, &mut out);
    let (kept, shape) = (x.detach(), x.shape().clone());
    node("gelu", &x, &[], out, shape, move |of_out, _| {
        let mut of_x = of_out.to_vec();
        gelu_new_back(&numbers(&kept)?, &mut of_x);
        Ok(Some(of_x))
    })
}

/// [`Curve::GeluNew`] of plain numbers.
pub(in crate::nn) fn gelu_new_run(x: &[f32], out: &mut [f32]) {
    out.par_chunks_mut(BAND).zip(x.par_chunks(BAND)).for_each(|(out, x)| {
        widest(
            #[inline(always)]
            || {
                for (out, x) in out.iter_mut().zip(x) {
                    *out = 0.5 * x * (1.0 + tanh(ROOT_F32 * (x + 0.044_715 * x * x * x)));
                }
            },
        );
    });
}

/// Makes the gradient of its value that of `x`.
pub(in crate::nn) fn gelu_new_back(x: &[f32], gradient: &mut [f32]) {
    gradient.par_chunks_mut(BAND).zip(x.par_chunks(BAND)).for_each(|(gradient, x)| {
        widest(
            #[inline(always)]
            || {
                for (g, x) in gradient.iter_mut().zip(x) {
                    let t = tanh(ROOT_F32 * (x + 0.044_715 * x * x * x));
                    let inner = ROOT_F32 * (1.0 + 3.0 * 0.044_715 * x * x);
                    *g *= 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner;
                }
            },
        );
    });
}

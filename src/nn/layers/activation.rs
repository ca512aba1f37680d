//! Non-linearities.

use candle_core::{Result, Tensor};
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSlice, ParallelSliceMut};

use crate::nn::gradient::{is_native, node, numbers};
use crate::nn::kernels::{erf, exp, tanh, widest};

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
    if is_native(x) {
        let x = x.contiguous()?;
        let mut out = vec![0.0; x.elem_count()];
        curve_run(curve, &numbers(&x)?, &mut out);
        let (kept, shape) = (x.detach(), x.shape().clone());
        return node("activation", &x, &[], out, shape, move |of_out, _| {
            let mut of_x = of_out.to_vec();
            curve_back(curve, &numbers(&kept)?, &mut of_x);
            Ok(Some(of_x))
        });
    }
    match curve {
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
/// `1/√(2π)`
const DENSITY: f32 = 0.398_942_3;

/// `curve` of plain numbers.
pub(in crate::nn) fn curve_run(curve: Curve, x: &[f32], out: &mut [f32]) {
    match curve {
        Curve::Gelu => map(
            x,
            out,
            #[inline(always)]
            |x, _| x * normal(x),
        ),
        Curve::QuickGelu => map(
            x,
            out,
            #[inline(always)]
            |x, _| x * sigmoid(1.702 * x),
        ),
        Curve::Relu => map(
            x,
            out,
            #[inline(always)]
            |x, _| if x <= 0.0 { 0.0 } else { x },
        ),
        Curve::Tanh => map(
            x,
            out,
            #[inline(always)]
            |x, _| tanh(x),
        ),
        Curve::GeluNew => map(
            x,
            out,
            #[inline(always)]
            |x, _| 0.5 * x * (1.0 + tanh(ROOT_F32 * (x + 0.044_715 * x * x * x))),
        ),
    }
}

/// Makes the gradient of the value of [`curve_run`] that of `x`.
pub(in crate::nn) fn curve_back(curve: Curve, x: &[f32], gradient: &mut [f32]) {
    match curve {
        Curve::Gelu => map(
            x,
            gradient,
            #[inline(always)]
            |x, g| g * (normal(x) + x * DENSITY * exp(-0.5 * x * x)),
        ),
        Curve::QuickGelu => map(
            x,
            gradient,
            #[inline(always)]
            |x, g| {
                let s = sigmoid(1.702 * x);
                g * (s + 1.702 * x * s * (1.0 - s))
            },
        ),
        Curve::Relu => map(
            x,
            gradient,
            #[inline(always)]
            |x, g| if x > 0.0 { g } else { 0.0 },
        ),
        Curve::Tanh => map(
            x,
            gradient,
            #[inline(always)]
            |x, g| {
                let t = tanh(x);
                g * (1.0 - t * t)
            },
        ),
        Curve::GeluNew => map(
            x,
            gradient,
            #[inline(always)]
            |x, g| {
                let t = tanh(ROOT_F32 * (x + 0.044_715 * x * x * x));
                let inner = ROOT_F32 * (1.0 + 3.0 * 0.044_715 * x * x);
                g * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner)
            },
        ),
    }
}

/// `Φ(x)`
#[inline(always)]
fn normal(x: f32) -> f32 {
    0.5 + 0.5 * erf::<false>(x * std::f32::consts::FRAC_1_SQRT_2)
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Replaces every number of `to` by what `of` makes of that of `x`, and of it.
fn map(x: &[f32], to: &mut [f32], of: impl Fn(f32, f32) -> f32 + Copy + Sync) {
    to.par_chunks_mut(BAND).zip(x.par_chunks(BAND)).for_each(|(to, x)| {
        widest(
            #[inline(always)]
            || {
                for (to, x) in to.iter_mut().zip(x) {
                    *to = of(*x, *to);
                }
            },
        );
    });
}

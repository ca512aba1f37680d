//! The non-linearities of CLIP's MLPs, each in one pass.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::rows::{is_native, map_rows};
use crate::nn::clip::Activation;

/// Applies `activation` to every number.
///
/// # Shapes
/// Any, and the same.
pub(in crate::nn) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::QuickGelu if is_native(x) => x.contiguous()?.apply_op1_no_bwd(&QuickGelu),
        Activation::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
        Activation::Gelu => x.gelu_erf(),
        Activation::GeluTanh => x.gelu(),
    }
}

struct QuickGelu;

impl CustomOp1 for QuickGelu {
    fn name(&self) -> &'static str {
        "clipmill-quick-gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        map_rows(storage, layout, 1024, |_, row| {
            row.iter_mut().for_each(|x| *x /= 1.0 + (-1.702 * *x).exp());
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn both_forms_of_quick_gelu_agree_also_far_out() {
        let x = Tensor::new(&[-300.0_f32, -3.0, -0.5, 0.0, 0.5, 3.0, 300.0], &Device::Cpu).unwrap();
        let ours = activate(&x, Activation::QuickGelu).unwrap().to_vec1::<f32>().unwrap();
        let wide = x.to_dtype(DType::F64).unwrap();
        let other = activate(&wide, Activation::QuickGelu).unwrap().to_vec1::<f64>().unwrap();
        for (a, b) in ours.iter().zip(other) {
            assert!((f64::from(*a) - b).abs() < 1e-6, "{a} {b}");
        }
    }
}

//! AdamW on a GPU.

use candle_core::cuda_backend::cudarc::driver::CudaFunction;
use candle_core::{DType, Device, Result, Tensor};

use super::launch::{Grid, Program, float, long};

/// Blocks that share a sum of squares.
const BLOCKS: usize = 128;

/// AdamW's kernels.
#[derive(Debug)]
pub(crate) struct AdamKernels {
    program: Program,
    step: CudaFunction,
    squares: CudaFunction,
}

/// What a step multiplies with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamRates {
    /// The gradient.
    pub(crate) scale: f64,
    /// The weight: 1 without decay.
    pub(crate) keep: f64,
    pub(crate) step_size: f64,
    pub(crate) second_bias_root: f64,
    pub(crate) beta1: f64,
    pub(crate) beta2: f64,
    pub(crate) epsilon: f64,
}

impl AdamKernels {
    /// Compiles them. None where `device` is no GPU that they run on.
    pub(crate) fn compile(device: &Device) -> Result<Option<Self>> {
        let Some(program) = Program::compile(include_str!("optimizer.cu"), &[], device)? else {
            return Ok(None);
        };
        let (step, squares) = (program.function("adamw")?, program.function("squares")?);
        Ok(Some(Self { program, step, squares }))
    }

    /// Sums whose sum is that of the squares of a tensor in f32.
    pub(crate) fn squares(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.to_dtype(DType::F32)?.contiguous()?;
        let grid = Grid::new((u32::try_from(BLOCKS).unwrap_or(1), 1, 1), 256);
        // SAFETY: a block writes its sum; all numbers of `x` are gone through, and no others.
        let [sums] = unsafe {
            let out = [(BLOCKS.into(), DType::F32)];
            self.program.call(&self.squares, grid, &[&x], out, &[long(x.elem_count())])?
        };
        Ok(sums)
    }

    /// Changes a weight and its moments in place.
    ///
    /// # Shapes
    /// All the same, and f32.
    pub(crate) fn step(
        &self,
        [weight, first, second]: [&Tensor; 3],
        gradient: &Tensor,
        rates: AdamRates,
    ) -> Result<()> {
        let gradient = gradient.to_dtype(DType::F32)?.contiguous()?;
        for x in [weight, first, second, &gradient] {
            if x.shape() != weight.shape() || x.dtype() != DType::F32 || !x.is_contiguous() {
                candle_core::bail!("adamw wants weights and moments of one shape in f32");
            }
        }
        let numbers = [
            long(weight.elem_count()),
            float(rates.scale),
            float(rates.keep),
            float(rates.step_size),
            float(rates.second_bias_root),
            float(1.0 - rates.beta1),
            float(rates.beta2),
            float(1.0 - rates.beta2),
            float(rates.epsilon),
        ];
        let inputs = [weight, first, second, &gradient];
        // SAFETY: shapes were checked. Weight and moments are changed in place, which is what a
        // step is: who else holds them sees them change, as with candle's own `Var::set`.
        let [] = unsafe {
            let grid = Grid::turns(weight.elem_count());
            self.program.call(&self.step, grid, &inputs, [], &numbers)?
        };
        Ok(())
    }
}

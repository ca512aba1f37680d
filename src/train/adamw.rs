//! AdamW.
//!
//! Loshchilov and Hutter, "Decoupled Weight Decay Regularization", with the formula and the order
//! of operations of `torch.optim.AdamW`. Every weight decays, biases too, as there.

use std::sync::{Mutex, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, InplaceOp1, InplaceOp2, Layout, Storage, Tensor, Var};
use rayon::prelude::*;

use super::fault::candle;
use crate::base::{Error, Kind, Result};
use crate::nn::KeepsRoom;
#[cfg(feature = "cuda")]
use crate::nn::{AdamKernels, AdamRates};

/// Numbers that one thread works on at a time. Sums are made block by block in this size, so that
/// they do not depend on the number of threads.
const BLOCK: usize = 1 << 15;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// PyTorch's `clip_grad_norm_` adds this to the norm.
const CLIP_EPSILON: f64 = 1e-6;

/// The optimiser, with both moments of every weight in f32. While there is one, the process keeps
/// room that a step frees for the next.
#[derive(Debug)]
pub struct AdamW {
    weight_decay: f64,
    steps: u64,
    slots: Vec<Slot>,
    /// Where all weights are on one GPU that they run on.
    #[cfg(feature = "cuda")]
    kernels: Option<AdamKernels>,
    /// As long as there is one, steps are made. Last, so that what it frees is given back.
    _room: KeepsRoom,
}

/// A weight, with the running means of its gradient and of its square. On the processor all three
/// are updated in place and in one pass, on a GPU by a kernel that does so too, or by candle's
/// operators where it has none.
#[derive(Debug)]
struct Slot {
    name: String,
    var: Var,
    first: Tensor,
    second: Tensor,
}

/// One step's numbers.
#[derive(Debug, Clone, Copy)]
struct Rates {
    /// What the gradients are multiplied by.
    scale: f32,
    /// `1 - lr·decay`
    keep: f32,
    /// `lr / (1 - β₁ᵗ)`
    step_size: f32,
    /// `√(1 - β₂ᵗ)`
    second_bias_root: f32,
}

impl AdamW {
    /// An optimiser of f32 weights that has made no step.
    ///
    /// # Errors
    /// When a weight is not f32, its device has no memory for the moments, or a GPU's kernels do not
    /// compile.
    pub fn new(
        weights: impl IntoIterator<Item = (String, Var)>,
        weight_decay: f64,
    ) -> Result<Self> {
        Self::with(weights, weight_decay, 0, |_, var| {
            zeros_like(var).map_err(candle("making the optimiser's state"))
        })
    }

    /// The optimiser that has made `steps` steps, with what [`state`](Self::state) gave then; `get`
    /// finds a tensor.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when a tensor is missing or of another shape.
    pub fn restored(
        weights: impl IntoIterator<Item = (String, Var)>,
        weight_decay: f64,
        steps: u64,
        mut get: impl FnMut(&str) -> Result<Tensor>,
    ) -> Result<Self> {
        Self::with(weights, weight_decay, steps, |name, var| {
            let tensor = get(name)?;
            if tensor.shape() != var.shape() {
                let what = format!("`{name}` is {:?}, expected {:?}", tensor.dims(), var.dims());
                return Err(Error::new(Kind::Store, what).apart_from_rows());
            }
            // A copy: it will be changed in place.
            tensor
                .to_device(var.device())
                .and_then(|t| t.to_dtype(DType::F32)?.copy())
                .map_err(candle("restoring the optimiser"))
        })
    }

    /// `moment` gives each moment, by its name and its weight.
    fn with(
        weights: impl IntoIterator<Item = (String, Var)>,
        weight_decay: f64,
        steps: u64,
        mut moment: impl FnMut(&str, &Var) -> Result<Tensor>,
    ) -> Result<Self> {
        let slots = weights.into_iter().map(|(name, var)| {
            if var.dtype() != DType::F32 {
                return Err(Error::new(Kind::Internal, format!("the weight `{name}` is not f32")));
            }
            let first = moment(&format!("{name}.first"), &var)?;
            let second = moment(&format!("{name}.second"), &var)?;
            Ok(Slot { name, var, first, second })
        });
        let slots = slots.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            weight_decay,
            steps,
            #[cfg(feature = "cuda")]
            kernels: kernels(&slots)?,
            slots,
            _room: KeepsRoom::new(),
        })
    }

    /// Steps made so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The L2 norm of all gradients together.
    ///
    /// # Errors
    /// When a device fails.
    pub fn norm(&self, gradients: &GradStore) -> Result<f64> {
        #[cfg(feature = "cuda")]
        if let Some(kernels) = &self.kernels {
            return self.norm_by(kernels, gradients);
        }
        let mut sum = 0.0;
        for slot in &self.slots {
            if let Some(gradient) = gradients.get(&slot.var) {
                sum += square_sum(gradient)?;
            }
        }
        Ok(sum.sqrt())
    }

    /// One step at the rate `learning_rate`, with gradients whose norm is `norm` and is clipped to
    /// `clip_norm`. A weight without a gradient stays as it is.
    ///
    /// # Errors
    /// When a device fails, or a gradient has another shape than its weight.
    pub fn step(
        &mut self,
        gradients: &GradStore,
        learning_rate: f64,
        norm: f64,
        clip_norm: Option<f64>,
    ) -> Result<()> {
        self.steps += 1;
        #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
        let t = self.steps as f64;
        let scale = clip_norm.map_or(1.0, |most| (most / (norm + CLIP_EPSILON)).min(1.0));
        let rates = Rates {
            scale: single(scale),
            keep: single(1.0 - learning_rate * self.weight_decay),
            step_size: single(learning_rate / (1.0 - BETA1.powf(t))),
            second_bias_root: single((1.0 - BETA2.powf(t)).sqrt()),
        };
        for slot in &mut self.slots {
            let Some(gradient) = gradients.get(&slot.var) else { continue };
            slot.check(gradient).map_err(candle("a step of the optimiser"))?;
            #[cfg(feature = "cuda")]
            if let Some(kernels) = &self.kernels {
                let numbers = [slot.var.as_tensor(), &slot.first, &slot.second];
                let step = kernels.step(numbers, gradient, rates.of_kernels());
                step.map_err(candle("a step of the optimiser"))?;
                continue;
            }
            slot.update(gradient, rates).map_err(candle("a step of the optimiser"))?;
        }
        Ok(())
    }

    /// All sums of squares are fetched at once: the GPU is waited for one time.
    #[cfg(feature = "cuda")]
    fn norm_by(&self, kernels: &AdamKernels, gradients: &GradStore) -> Result<f64> {
        let all = self.slots.iter().filter_map(|slot| gradients.get(&slot.var));
        let sums = all.map(|gradient| kernels.squares(gradient)).collect::<Result<Vec<_>, _>>();
        let sums = sums.and_then(|sums| match sums.is_empty() {
            true => Ok(Vec::new()),
            false => Tensor::cat(&sums, 0)?.to_vec1::<f32>(),
        });
        let sums = sums.map_err(candle("the norm of the gradients"))?;
        Ok(sums.into_iter().map(f64::from).sum::<f64>().sqrt())
    }

    /// The moments by name, `<weight>.first` and `<weight>.second`: what a checkpoint keeps. They
    /// are no copies, and change with the next step.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Tensor)> {
        let moments = |slot: &Slot| {
            [
                (format!("{}.first", slot.name), slot.first.clone()),
                (format!("{}.second", slot.name), slot.second.clone()),
            ]
        };
        self.slots.iter().flat_map(moments).collect()
    }
}

#[cfg(feature = "cuda")]
impl Rates {
    fn of_kernels(self) -> AdamRates {
        AdamRates {
            scale: f64::from(self.scale),
            keep: f64::from(self.keep),
            step_size: f64::from(self.step_size),
            second_bias_root: f64::from(self.second_bias_root),
            beta1: BETA1,
            beta2: BETA2,
            epsilon: EPSILON,
        }
    }
}

/// The kernels of the GPU that all weights are on.
#[cfg(feature = "cuda")]
fn kernels(slots: &[Slot]) -> Result<Option<AdamKernels>> {
    let Some(first) = slots.first().map(|slot| slot.var.device()) else { return Ok(None) };
    if !slots.iter().all(|slot| slot.var.device().same_device(first)) {
        return Ok(None);
    }
    AdamKernels::compile(first).map_err(candle("cannot make the optimiser's kernels"))
}

impl Slot {
    fn check(&self, gradient: &Tensor) -> candle_core::Result<()> {
        if gradient.shape() != self.var.shape() {
            candle_core::bail!(
                "the gradient of `{}` is {:?}, expected {:?}",
                self.name,
                gradient.dims(),
                self.var.dims()
            );
        }
        Ok(())
    }

    fn update(&mut self, gradient: &Tensor, rates: Rates) -> candle_core::Result<()> {
        if self.var.device().is_cpu() {
            let gradient = gradient.contiguous()?;
            return self.first.inplace_op1(&InPlace::by(|first: &mut [f32]| {
                self.second.inplace_op1(&InPlace::by(|second: &mut [f32]| {
                    // Each closure is called once; the lock only hands the slices on.
                    let moments = Mutex::new((&mut *first, second));
                    self.var.inplace_op2(&gradient, &OnePass { rates, moments })
                }))
            }));
        }
        let gradient = (gradient.to_dtype(DType::F32)? * f64::from(rates.scale))?;
        let change = ((&gradient - &self.first)? * (1.0 - BETA1))?;
        self.first = (&self.first + change)?.detach();
        let square = (gradient.sqr()? * (1.0 - BETA2))?;
        self.second = ((&self.second * BETA2)? + square)?.detach();
        let root = (self.second.sqrt()? / f64::from(rates.second_bias_root))?;
        let denominator = (root + EPSILON)?;
        let kept = (self.var.as_detached_tensor() * f64::from(rates.keep))?;
        let change = ((&self.first / denominator)? * f64::from(rates.step_size))?;
        self.var.set(&(kept - change)?.detach())
    }
}

/// Hands the numbers of a tensor on the processor to a function that changes them.
struct InPlace<F>(Mutex<F>);

impl<F: FnMut(&mut [f32]) -> candle_core::Result<()>> InPlace<F> {
    fn by(change: F) -> Self {
        Self(Mutex::new(change))
    }
}

impl<F: FnMut(&mut [f32]) -> candle_core::Result<()>> InplaceOp1 for InPlace<F> {
    fn name(&self) -> &'static str {
        "adamw-moment"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let CpuStorage::F32(numbers) = storage else {
            candle_core::bail!("adamw computes in f32");
        };
        let numbers = layout.contiguous_offsets().and_then(|(from, to)| numbers.get_mut(from..to));
        match numbers {
            Some(numbers) => {
                let mut change = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                (*change)(numbers)
            }
            None => candle_core::bail!("adamw wants contiguous moments"),
        }
    }
}

/// Weight and moments, read and written once each.
struct OnePass<'a> {
    rates: Rates,
    moments: Mutex<(&'a mut [f32], &'a mut [f32])>,
}

impl InplaceOp2 for OnePass<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        weight: &mut CpuStorage,
        weight_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (CpuStorage::F32(weight), CpuStorage::F32(gradient)) = (weight, gradient) else {
            candle_core::bail!("adamw computes in f32");
        };
        let (Some((from, to)), Some((first, last))) =
            (weight_layout.contiguous_offsets(), gradient_layout.contiguous_offsets())
        else {
            candle_core::bail!("adamw wants contiguous weights");
        };
        let (Some(weight), Some(gradient)) = (weight.get_mut(from..to), gradient.get(first..last))
        else {
            candle_core::bail!("a weight reaches past its storage");
        };
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let (means, squares) = &mut *moments;
        weight
            .par_chunks_mut(BLOCK)
            .zip(gradient.par_chunks(BLOCK))
            .zip(means.par_chunks_mut(BLOCK))
            .zip(squares.par_chunks_mut(BLOCK))
            .for_each(|(((w, g), m), v)| block(self.rates, w, g, m, v));
        Ok(())
    }
}

fn block(rates: Rates, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
    let (to_mean, beta2, to_square) = (single(1.0 - BETA1), single(BETA2), single(1.0 - BETA2));
    let epsilon = single(EPSILON);
    for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
        let g = g * rates.scale;
        *w *= rates.keep;
        *m += (g - *m) * to_mean;
        *v = *v * beta2 + g * g * to_square;
        *w -= rates.step_size * *m / (v.sqrt() / rates.second_bias_root + epsilon);
    }
}

/// Zeros of a weight's shape, written where they lie. Room that the system promised and that is read
/// first is a page of zeros which all share; each then is copied at its first write, and all cores
/// are told: for GPT-2 small that took some four seconds of the first step.
fn zeros_like(var: &Var) -> candle_core::Result<Tensor> {
    if !var.device().is_cpu() {
        return var.zeros_like();
    }
    let mut zeros = vec![0.0_f32; var.elem_count()];
    zeros.par_chunks_mut(BLOCK).for_each(|block| std::hint::black_box(block).fill(0.0));
    Tensor::from_vec(zeros, var.shape(), var.device())
}

/// The sum of squares, in f64.
fn square_sum(tensor: &Tensor) -> Result<f64> {
    let fault = || candle("the norm of the gradients");
    if !tensor.device().is_cpu() || tensor.dtype() != DType::F32 {
        let sum = tensor.to_dtype(DType::F32).and_then(|t| t.sqr()?.sum_all()?.to_scalar::<f32>());
        return sum.map(f64::from).map_err(fault());
    }
    let tensor = tensor.contiguous().map_err(fault())?;
    let (storage, layout) = tensor.storage_and_layout();
    let numbers = match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(all)), Some((from, to))) => all.get(from..to),
        _ => None,
    };
    let blocks: Vec<f64> = numbers.unwrap_or_default().par_chunks(BLOCK).map(squares).collect();
    Ok(blocks.iter().sum())
}

/// As one sum, of which sixteen parts are made side by side: vector instructions.
fn squares(block: &[f32]) -> f64 {
    let mut lanes = [0.0_f64; 16];
    let parts = block.chunks_exact(16);
    let rest: f64 = parts.remainder().iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
    for part in parts {
        lanes.iter_mut().zip(part).for_each(|(lane, x)| *lane += f64::from(*x) * f64::from(*x));
    }
    lanes.iter().sum::<f64>() + rest
}

#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
fn single(x: f64) -> f32 {
    x as f32
}

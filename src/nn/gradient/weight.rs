//! A weight, its gradient beside it.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Shape, Tensor, Var};

use super::numbers::{is_native, numbers};
use crate::nn::device::held;
use crate::nn::kernels::{Constant, Matrix, Number};

/// A weight of a network. Clones share numbers and gradient.
#[derive(Debug, Clone)]
pub struct Weight {
    var: Var,
    /// The variable itself, or, if it does not train, its numbers outside of any graph.
    tensor: Tensor,
    number: Number,
    gradient: Arc<Mutex<Gradient>>,
    packed: Arc<Mutex<Packed>>,
}

/// A matrix as products read it, made when first asked for: as it lies, and transposed.
type Packed = [Option<Arc<Constant>>; 2];

impl Weight {
    /// Takes over numbers. What trains is kept in f32, whatever `dtype` it computes in, and so is
    /// what computes in bf16 on the processor.
    ///
    /// # Errors
    /// When the numbers do not fill the shape, or the device fails.
    pub fn new(
        numbers: Vec<f32>,
        shape: impl Into<Shape>,
        dtype: DType,
        device: &Device,
        trains: bool,
    ) -> Result<Self> {
        let shape = shape.into();
        let (dtype, number) = held(dtype, device).map_err(candle_core::Error::wrap)?;
        let var = if trains || dtype == DType::F32 {
            Var::from_vec(numbers, shape, device)?
        } else {
            let tensor = Tensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(dtype)?;
            Var::from_tensor(&tensor.to_device(device)?)?
        };
        let tensor = if trains { var.as_tensor().clone() } else { var.as_detached_tensor() };
        Ok(Self { var, tensor, number, gradient: Arc::default(), packed: Arc::default() })
    }

    /// Its numbers: a variable of candle's if it trains, a constant otherwise.
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Whether it trains.
    #[must_use]
    pub fn trains(&self) -> bool {
        self.tensor.is_variable()
    }

    /// What it is rounded to in products of this house's own.
    pub(in crate::nn) fn number(&self) -> Number {
        self.number
    }

    /// The variable, if it trains.
    #[must_use]
    pub fn var(&self) -> Option<&Var> {
        self.trains().then_some(&self.var)
    }

    /// Replaces its numbers, also of a weight that does not train.
    ///
    /// # Errors
    /// When shapes differ or the device fails.
    pub fn set(&self, tensor: &Tensor) -> Result<()> {
        let tensor = tensor.to_dtype(self.var.dtype())?.to_device(self.var.device())?;
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        *packed = Packed::default();
        self.var.set(&tensor.contiguous()?)
    }

    /// The matrix of rows of `columns` numbers, or its transpose, as the right factor of many
    /// products. It is kept, in as much room again.
    ///
    /// # Errors
    /// When it trains, and so would be another matrix at every step, or is not one that this
    /// house's own passes compute.
    pub(in crate::nn) fn packed(&self, columns: usize, transposed: bool) -> Result<Arc<Constant>> {
        if self.trains() {
            candle_core::bail!("a weight that trains is not packed");
        }
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        let [as_it_lies, turned] = &mut *packed;
        let place = if transposed { turned } else { as_it_lies };
        if let Some(packed) = place {
            return Ok(Arc::clone(packed));
        }
        let numbers = numbers(&self.tensor)?;
        let matrix = Matrix::new(&numbers, columns);
        let matrix = if transposed { matrix.transposed() } else { matrix };
        Ok(Arc::clone(place.insert(Arc::new(matrix.pack(self.number)))))
    }

    /// Hands the gradient so far, zeros if there was none, to `add`, which adds to it.
    pub(in crate::nn) fn add_gradient(&self, add: impl FnOnce(&mut [f32])) {
        self.write_gradient(|numbers, fresh| {
            if fresh {
                numbers.fill(0.0);
            }
            add(numbers);
        });
    }

    /// Adds `numbers` to the gradient so far, if it trains.
    pub(in crate::nn) fn add_numbers(&self, numbers: &[f32]) {
        if self.trains() {
            self.write_gradient(|sum, fresh| {
                if fresh {
                    sum.copy_from_slice(numbers);
                } else {
                    sum.iter_mut().zip(numbers).for_each(|(sum, x)| *sum += x);
                }
            });
        }
    }

    /// As [`add_gradient`](Self::add_gradient), for what can write as well as add: where there was
    /// none yet (`true`), the numbers mean nothing and are overwritten.
    pub(in crate::nn) fn write_gradient(&self, write: impl FnOnce(&mut [f32], bool)) {
        let mut gradient = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = !gradient.counts;
        gradient.numbers.resize(self.tensor.elem_count(), 0.0);
        gradient.counts = true;
        write(&mut gradient.numbers, fresh);
    }

    /// As [`add_gradient`](Self::add_gradient), of a gradient on another device than the processor,
    /// of any type.
    #[cfg(feature = "cuda")]
    pub(in crate::nn) fn add_elsewhere(&self, gradient: &Tensor) -> Result<()> {
        let new = gradient.detach().to_dtype(DType::F32)?;
        let mut kept = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        kept.elsewhere = Some(match kept.elsewhere.take() {
            Some(sum) => (sum + new)?,
            None => new,
        });
        Ok(())
    }

    /// The gradient that operators added up, of the weight's shape; afterwards there is none.
    pub(super) fn take_gradient(&self) -> Result<Option<Tensor>> {
        let mut gradient = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(elsewhere) = gradient.elsewhere.take() {
            if gradient.counts {
                candle_core::bail!("a weight has gradients on two devices");
            }
            return elsewhere.reshape(self.tensor.shape()).map(Some);
        }
        if !std::mem::take(&mut gradient.counts) {
            return Ok(None);
        }
        let numbers = std::mem::take(&mut gradient.numbers);
        Tensor::from_vec(numbers, self.tensor.shape(), self.tensor.device()).map(Some)
    }

    /// Forgets the gradient so far; its room stays.
    pub(super) fn forget_gradient(&self) {
        let mut gradient = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        gradient.counts = false;
        gradient.elsewhere = None;
    }

    /// Takes back a gradient that [`take_gradient`](Self::take_gradient) gave and nobody else
    /// holds: to add to it if it `counts`, for its room otherwise. Gives back what is not so.
    pub(super) fn return_gradient(&self, gradient: Tensor, counts: bool) -> Option<Tensor> {
        if !is_native(&gradient)
            || !gradient.is_contiguous()
            || gradient.shape() != self.tensor.shape()
        {
            return Some(gradient);
        }
        let emptied = Emptied(Mutex::default());
        if gradient.inplace_op1(&emptied).is_err() {
            return Some(gradient);
        }
        let numbers = emptied.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut kept = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Gradient { numbers, counts, elsewhere: None };
        None
    }
}

/// Room for a gradient, kept from step to step.
#[derive(Debug, Default)]
struct Gradient {
    numbers: Vec<f32>,
    /// Whether there is one; else the numbers are of an earlier step.
    counts: bool,
    /// One on another device, if there is one.
    elsewhere: Option<Tensor>,
}

/// Takes the numbers out of a tensor, which is left without.
struct Emptied(Mutex<Vec<f32>>);

impl InplaceOp1 for Emptied {
    fn name(&self) -> &'static str {
        "emptied"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match storage {
            CpuStorage::F32(numbers) if numbers.len() == layout.shape().elem_count() => {
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = std::mem::take(numbers);
                Ok(())
            }
            _ => candle_core::bail!("expected all numbers of a storage"),
        }
    }
}

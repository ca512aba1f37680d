//! A weight, its gradient beside it.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, Var};

/// A weight of a network. Clones share numbers and gradient.
#[derive(Debug, Clone)]
pub struct Weight {
    var: Var,
    /// The variable itself, or, if it does not train, its numbers outside of any graph.
    tensor: Tensor,
    gradient: Arc<Mutex<Option<Vec<f32>>>>,
}

impl Weight {
    /// Takes over numbers. What trains is kept in f32, whatever `dtype` it computes in.
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
        let var = if trains || dtype == DType::F32 {
            Var::from_vec(numbers, shape, device)?
        } else {
            let tensor = Tensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(dtype)?;
            Var::from_tensor(&tensor.to_device(device)?)?
        };
        let tensor = if trains { var.as_tensor().clone() } else { var.as_detached_tensor() };
        Ok(Self { var, tensor, gradient: Arc::default() })
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
        self.var.set(&tensor.contiguous()?)
    }

    /// Hands the gradient so far to `add`, which adds to it or, where there was none yet (`true`:
    /// all zeros), may overwrite it.
    pub(in crate::nn) fn add_gradient(&self, add: impl FnOnce(&mut [f32], bool)) {
        let mut gradient = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = gradient.is_none();
        let numbers = gradient.get_or_insert_with(|| vec![0.0; self.tensor.elem_count()]);
        add(numbers, fresh);
    }

    /// The gradient that operators added up, of the weight's shape; afterwards there is none.
    pub(super) fn take_gradient(&self) -> Result<Option<Tensor>> {
        let taken = self.gradient.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken
            .map(|numbers| Tensor::from_vec(numbers, self.tensor.shape(), self.tensor.device()))
            .transpose()
    }
}

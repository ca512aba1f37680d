//! Nodes of candle's graph for any device and type, whose values candle computed outside of it.

use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Storage, Tensor,
};

type Back<const N: usize> = Box<dyn Fn(&Tensor) -> Result<[Option<Tensor>; N]> + Send + Sync>;

struct Followed<const N: usize> {
    name: &'static str,
    /// Taken in the forward pass: the graph keeps what comes of it.
    value: Mutex<Option<Tensor>>,
    backward: Back<N>,
}

/// Puts `value`, computed from `x` outside of the graph, into candle's graph. `backward` makes the
/// gradient of `x` of that of the value: no other has one, as constants have with candle's operators.
pub(in crate::nn) fn follow(
    name: &'static str,
    x: &Tensor,
    value: &Tensor,
    backward: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    let backward: Back<1> = Box::new(move |gradient| Ok([Some(backward(gradient)?)]));
    x.apply_op1(Followed { name, value: whole(value)?, backward })
}

/// As [`follow`], of two arguments.
pub(in crate::nn) fn follow_both(
    name: &'static str,
    (x, y): (&Tensor, &Tensor),
    value: &Tensor,
    backward: impl Fn(&Tensor) -> Result<[Option<Tensor>; 2]> + Send + Sync + 'static,
) -> Result<Tensor> {
    let op = Followed { name, value: whole(value)?, backward: Box::new(backward) };
    x.apply_op2(y, op)
}

impl<const N: usize> Followed<N> {
    fn taken(&self) -> Result<Tensor> {
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner).take();
        match value {
            Some(value) => Ok(value),
            None => candle_core::bail!("the value of {} was taken before", self.name),
        }
    }

    fn on_processor(&self) -> Result<(CpuStorage, Shape)> {
        let value = self.taken()?;
        match &*value.storage_and_layout().0 {
            Storage::Cpu(storage) => Ok((storage.clone(), value.shape().clone())),
            _ => candle_core::bail!("the value of {} is on another device", self.name),
        }
    }

    fn on_cuda(&self) -> Result<(CudaStorage, Shape)> {
        let value = self.taken()?;
        let (storage, layout) = value.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, value.shape().clone())),
            _ => candle_core::bail!("the value of {} is on another device", self.name),
        }
    }
}

/// A tensor whose numbers begin where its storage does. Candle's `copy` is no way to one: it copies
/// all of the storage.
fn whole(value: &Tensor) -> Result<Mutex<Option<Tensor>>> {
    let value = value.contiguous()?;
    let begins = value.layout().start_offset() == 0;
    Ok(Mutex::new(Some(if begins { value } else { value.force_contiguous()? })))
}

impl CustomOp1 for Followed<1> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.on_processor()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let [of_x] = (self.backward)(gradient)?;
        Ok(of_x)
    }
}

impl CustomOp2 for Followed<2> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.on_processor()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [of_x, of_y] = (self.backward)(gradient)?;
        Ok((of_x, of_y))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn a_value_may_be_a_part_of_something_larger() {
        let x = Var::new(&[1.0_f32, 2.0], &Device::Cpu).unwrap();
        let all = Tensor::new(&[[1.0_f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        for row in 0..2 {
            let value = all.narrow(0, row, 1).unwrap().squeeze(0).unwrap();
            let out = follow("part", x.as_tensor(), &value, |g| Ok(g.clone())).unwrap();
            assert_eq!(out.to_vec1::<f32>().unwrap(), value.to_vec1::<f32>().unwrap());
        }
    }
}

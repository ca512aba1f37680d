//! Numbers of a tensor as a slice.

use std::ops::Deref;

use candle_core::{CpuStorage, DType, Result, Storage, StorageRef, Tensor};

/// Whether the kernels of this house compute on `x`: f32 on the processor.
pub(in crate::nn) fn is_native(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// Borrowed numbers of a contiguous f32 tensor on the processor.
pub(in crate::nn) struct Numbers<'a> {
    storage: StorageRef<'a>,
    start: usize,
    end: usize,
}

/// Borrows the numbers of `tensor`.
pub(in crate::nn) fn numbers(tensor: &Tensor) -> Result<Numbers<'_>> {
    let (storage, layout) = tensor.storage_and_layout();
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("expected contiguous numbers");
    };
    match &*storage {
        Storage::Cpu(CpuStorage::F32(all)) if all.len() >= end => {}
        _ => candle_core::bail!("expected f32 on the processor"),
    }
    Ok(Numbers { storage, start, end })
}

impl Deref for Numbers<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(all)) => all.get(self.start..self.end).unwrap_or_default(),
            _ => &[],
        }
    }
}

//! Sharing out rows of f32 on the processor.

use candle_core::{CpuStorage, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSliceMut};

/// Whether `x` is what the kernels of this room compute on.
pub(super) fn is_native(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// Copies contiguous f32 storage and hands each row of `width` numbers, with its number, to
/// `each`.
pub(super) fn map_rows(
    storage: &CpuStorage,
    layout: &Layout,
    width: usize,
    each: impl Fn(usize, &mut [f32]) + Sync,
) -> Result<(CpuStorage, Shape)> {
    let CpuStorage::F32(numbers) = storage else {
        candle_core::bail!("expected f32");
    };
    let Some(numbers) = layout.contiguous_offsets().and_then(|(a, b)| numbers.get(a..b)) else {
        candle_core::bail!("expected contiguous numbers");
    };
    let mut out = numbers.to_vec();
    let width = width.max(1);
    // Some thousand numbers a task: fewer are not worth handing over.
    let rows_a_task = (16_384 / width).max(1);
    out.par_chunks_mut(width * rows_a_task).enumerate().for_each(|(task, rows)| {
        for (i, row) in rows.chunks_mut(width).enumerate() {
            each(task * rows_a_task + i, row);
        }
    });
    Ok((CpuStorage::F32(out), layout.shape().clone()))
}

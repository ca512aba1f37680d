//! Bringing bytes to a GPU through page-locked memory, which it fetches by itself.

use std::sync::{Mutex, PoisonError};

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::PinnedHostSlice;
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, Result, Storage, Tensor};
use rayon::prelude::{IndexedParallelIterator, ParallelIterator, ParallelSlice, ParallelSliceMut};

/// Bytes that a thread copies at once.
const BAND: usize = 1 << 20;

/// Page-locked memory, as much as the largest upload so far.
#[derive(Debug, Default)]
pub(super) struct Upload(Mutex<Option<PinnedHostSlice<u8>>>);

impl Upload {
    /// `bytes` as a tensor of one dimension. The GPU has them before what is asked of it next.
    pub(super) fn bring(&self, bytes: &[u8], device: &CudaDevice) -> Result<Tensor> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_none_or(|kept| kept.len() < bytes.len()) {
            *kept = None;
            // SAFETY: it is written before it is read, below.
            *kept = Some(unsafe { device.cuda_stream().context().alloc_pinned(bytes.len()) }.w()?);
        }
        let Some(locked) = kept.as_mut() else { candle_core::bail!("no memory was locked") };
        // This waits for the upload before.
        let room = locked.as_mut_slice().w()?;
        room.par_chunks_mut(BAND)
            .zip(bytes.par_chunks(BAND))
            .for_each(|(to, from)| to.iter_mut().zip(from).for_each(|(to, from)| *to = *from));
        // SAFETY: every byte of it is written by the copy that follows.
        let mut out = unsafe { device.alloc::<u8>(locked.len())? };
        device.memcpy_htod(locked, &mut out)?;
        let storage = CudaStorage::wrap_cuda_slice(out, device.clone());
        let all = locked.len();
        let out = Tensor::from_storage(Storage::Cuda(storage), all, BackpropOp::none(), false);
        out.narrow(0, 0, bytes.len())
    }
}

//! Compiling kernels, and calling them on candle's tensors.

use std::sync::Arc;

use candle_core::backend::BackendDevice;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaModule, CudaStream, DevicePtr, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileError, CompileOptions, Ptx};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Device, Result, Shape, Storage, Tensor};
use half::{bf16, f16};

/// A program that was compiled for a GPU.
#[derive(Debug)]
pub(super) struct Program {
    device: CudaDevice,
    module: Arc<CudaModule>,
}

impl Program {
    /// Compiles `source` with `macros`, each `NAME=VALUE`. None where `device` is no GPU, or one
    /// without the instructions that the kernels of this room use.
    pub(super) fn compile(
        source: &str,
        macros: &[String],
        device: &Device,
    ) -> Result<Option<Self>> {
        let Device::Cuda(device) = device else { return Ok(None) };
        let stream = device.cuda_stream();
        let (major, _) = stream.context().compute_capability().w()?;
        if major < 8 {
            return Ok(None);
        }
        let options = CompileOptions {
            arch: Some("compute_80"),
            options: macros.iter().map(|of| format!("-D{of}")).collect(),
            ..CompileOptions::default()
        };
        let program = compiled(source, options)?;
        let module = stream.context().load_module(program).w()?;
        Ok(Some(Self { device: device.clone(), module }))
    }

    pub(super) fn function(&self, name: &str) -> Result<CudaFunction> {
        self.module.load_function(name).w()
    }

    pub(super) fn device(&self) -> &CudaDevice {
        &self.device
    }

    /// Calls `function` with the addresses of `inputs`, then those of new tensors of the shapes
    /// `outs`, then `numbers`. The new tensors hold what the kernel wrote.
    ///
    /// # Safety
    /// The kernel must take these arguments, read no further than the inputs reach, and write
    /// every number of the new tensors and nothing else; or numbers of inputs that nobody else
    /// holds.
    pub(super) unsafe fn call<const N: usize>(
        &self,
        function: &CudaFunction,
        grid: Grid,
        inputs: &[&Tensor],
        outs: [(Shape, DType); N],
        numbers: &[Number],
    ) -> Result<[Tensor; N]> {
        let stream = self.device.cuda_stream();
        let mut addresses = Vec::with_capacity(inputs.len() + N);
        for input in inputs {
            addresses.push(address_of(input, &stream)?);
        }
        let mut made = Vec::with_capacity(N);
        for (shape, dtype) in outs {
            // SAFETY: the kernel writes every number, says the caller.
            let out = unsafe { self.device.alloc_uninit(&shape, dtype)? };
            addresses.push(address(&out, 0, &stream)?);
            made.push((out, shape));
        }
        let mut call = stream.launch_builder(function);
        addresses.iter().for_each(|address| {
            call.arg(address);
        });
        for number in numbers {
            match number {
                Number::Int(x) => call.arg(x),
                Number::Long(x) => call.arg(x),
                Number::Float(x) => call.arg(x),
            };
        }
        let config = LaunchConfig {
            grid_dim: grid.blocks,
            block_dim: (grid.threads, 1, 1),
            shared_mem_bytes: grid.shared_bytes,
        };
        // SAFETY: the arguments are what the kernel takes, says the caller. The stream is that of
        // this thread: its work is done in the order of the calls, freeing too. A tensor of
        // another thread's was fetched from, or filled from the host, before it came here.
        unsafe { call.launch(config) }.w()?;
        let tensor = |(out, shape)| {
            Tensor::from_storage(Storage::Cuda(out), shape, BackpropOp::none(), false)
        };
        let made: Vec<Tensor> = made.into_iter().map(tensor).collect();
        match made.try_into() {
            Ok(made) => Ok(made),
            Err(_) => candle_core::bail!("a kernel makes {N} tensors"),
        }
    }
}

/// Numbers of a row that a warp takes at once: eight a thread.
pub(super) const CHUNK: usize = 256;

/// # Errors
/// When `x` has not so many numbers, or not in f32.
pub(super) fn of_f32(x: &Tensor, count: usize) -> Result<()> {
    if x.elem_count() != count || x.dtype() != DType::F32 {
        candle_core::bail!("expected {count} numbers in f32, got {:?} {:?}", x.shape(), x.dtype());
    }
    Ok(())
}

/// The two of (2, …).
pub(super) fn halves(both: &Tensor) -> Result<(Tensor, Tensor)> {
    let half = |i| both.narrow(0, i, 1)?.squeeze(0);
    Ok((half(0)?, half(1)?))
}

/// Blocks of threads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) blocks: (u32, u32, u32),
    pub(super) threads: u32,
    pub(super) shared_bytes: u32,
}

impl Grid {
    pub(super) fn new(blocks: (u32, u32, u32), threads: u32) -> Self {
        Self { blocks, threads, shared_bytes: 0 }
    }

    /// A warp for each of so many rows.
    pub(super) fn warps(rows: usize) -> Self {
        Self::new((rows.div_ceil(4).try_into().unwrap_or(u32::MAX), 1, 1), 128)
    }

    /// A thread for each piece of so much work.
    pub(super) fn threads(work: usize) -> Self {
        Self::new((work.div_ceil(256).try_into().unwrap_or(u32::MAX), 1, 1), 256)
    }

    /// As [`threads`](Self::threads), for a kernel that takes further turns beyond some thousand
    /// blocks.
    pub(super) fn turns(work: usize) -> Self {
        let Self { blocks: (blocks, _, _), threads, .. } = Self::threads(work);
        Self::new((blocks.clamp(1, 1 << 14), 1, 1), threads)
    }
}

/// A number that a kernel is called with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Int(i32),
    Long(i64),
    Float(f32),
}

/// A count as the kernels take it.
pub(super) fn long(count: usize) -> Number {
    Number::Long(i64::try_from(count).unwrap_or(i64::MAX))
}

/// A number as the kernels take it.
#[expect(clippy::cast_possible_truncation, reason = "the kernels compute in f32")]
pub(super) fn float(number: f64) -> Number {
    Number::Float(number as f32)
}

/// How the kernels call a type of candle's.
pub(super) fn type_name(dtype: DType) -> Option<&'static str> {
    match dtype {
        DType::BF16 => Some("bf16"),
        DType::F16 => Some("f16"),
        DType::F32 => Some("float"),
        _ => None,
    }
}

/// A size as the kernels take it.
pub(super) fn int(size: usize) -> Result<Number> {
    match i32::try_from(size) {
        Ok(size) => Ok(Number::Int(size)),
        Err(_) => candle_core::bail!("{size} is more than a kernel counts"),
    }
}

fn compiled(source: &str, options: CompileOptions) -> Result<Ptx> {
    use candle_core::cuda_backend::cudarc::nvrtc::compile_ptx_with_opts;
    compile_ptx_with_opts(source, options).map_err(|error| {
        let said = match &error {
            CompileError::CompileError { log, .. } => log.to_string_lossy().into_owned(),
            other => format!("{other:?}"),
        };
        candle_core::Error::Msg(format!(
            "NVRTC, of the CUDA toolkit, does not compile the kernels of the GPU: {said}"
        ))
    })
}

fn address_of(tensor: &Tensor, stream: &CudaStream) -> Result<u64> {
    let (storage, layout) = tensor.storage_and_layout();
    let Some((start, _)) = layout.contiguous_offsets() else {
        candle_core::bail!("expected numbers that lie one after the other");
    };
    match &*storage {
        Storage::Cuda(storage) => address(storage, start, stream),
        _ => candle_core::bail!("expected a tensor on the GPU"),
    }
}

/// Where the numbers of a storage lie, from the one numbered `start` on.
fn address(storage: &CudaStorage, start: usize, stream: &CudaStream) -> Result<u64> {
    use candle_core::backend::BackendStorage;
    macro_rules! of {
        ($number:ty) => {
            storage.as_cuda_slice::<$number>()?.slice(start..).device_ptr(stream).0
        };
    }
    Ok(match storage.dtype() {
        DType::U8 => of!(u8),
        DType::U32 => of!(u32),
        DType::F32 => of!(f32),
        DType::F16 => of!(f16),
        DType::BF16 => of!(bf16),
        other => candle_core::bail!("no kernel takes {other:?}"),
    })
}

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

    /// Calls `function` with the addresses of `inputs`, then that of a new tensor of `shape`, then
    /// `numbers`. The new tensor holds what the kernel wrote.
    ///
    /// # Safety
    /// The kernel must take these arguments, read no further than the inputs reach, and write
    /// every number of the new tensor and nothing else.
    pub(super) unsafe fn call(
        &self,
        function: &CudaFunction,
        grid: Grid,
        inputs: &[&Tensor],
        (shape, dtype): (Shape, DType),
        numbers: &[Number],
    ) -> Result<Tensor> {
        let stream = self.device.cuda_stream();
        // SAFETY: the kernel writes every number, says the caller.
        let out = unsafe { self.device.alloc_uninit(&shape, dtype)? };
        let mut addresses = Vec::with_capacity(inputs.len() + 1);
        for input in inputs {
            addresses.push(address_of(input, &stream)?);
        }
        addresses.push(address(&out, 0, &stream)?);
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
            shared_mem_bytes: 0,
        };
        // SAFETY: the arguments are what the kernel takes, says the caller. All of them were made
        // on this stream or are older than it, and none is freed but on this stream, so later.
        unsafe { call.launch(config) }.w()?;
        Ok(Tensor::from_storage(Storage::Cuda(out), shape, BackpropOp::none(), false))
    }
}

/// Blocks of threads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    pub(super) blocks: (u32, u32, u32),
    pub(super) threads: u32,
}

/// A number that a kernel is called with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Int(i32),
    Long(i64),
    Float(f32),
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
        candle_core::Error::Msg(format!("NVRTC does not compile the kernels: {said}"))
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

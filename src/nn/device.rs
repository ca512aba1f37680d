//! Devices: what was asked for, or an error; never a quiet fall-back.

use candle_core::{DType, Device};

use super::kernels::{Level, Number};
use crate::base::{Error, Kind, Result};
use crate::plan::model::{DeviceChoice, Dtype};

/// A device that is there.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Candle's handle.
    pub device: Device,
    /// What to tell the user: `cpu`, `cuda:0`, or for `auto` also why it was taken.
    pub name: String,
}

impl Opened {
    /// Bytes of its memory that are free, for a GPU whose driver says so; none for the processor.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        #[cfg(feature = "cuda")]
        if let Device::Cuda(device) = &self.device {
            let (free, _) = device.cuda_stream().context().mem_get_info().ok()?;
            return free.try_into().ok();
        }
        None
    }
}

/// Opens what was asked for.
///
/// # Errors
/// [`Kind::Device`] when this build or this machine does not have it.
pub fn open(choice: DeviceChoice) -> Result<Opened> {
    match choice {
        DeviceChoice::Cpu => Ok(Opened { device: Device::Cpu, name: "cpu".into() }),
        DeviceChoice::Cuda(index) => {
            let index = index.unwrap_or(0);
            cuda(index).map(|device| Opened { device, name: format!("cuda:{index}") })
        }
        DeviceChoice::Auto => Ok(match cuda(0) {
            Ok(device) => Opened { device, name: "cuda:0 (auto)".into() },
            Err(why) => Opened { device: Device::Cpu, name: format!("cpu (auto: {})", why.what()) },
        }),
    }
}

/// GPUs that this build can use; none where the driver says that there are none.
#[must_use]
pub fn gpus() -> usize {
    #[cfg(feature = "cuda")]
    {
        use candle_core::cuda_backend::cudarc::driver::CudaContext;
        CudaContext::device_count().ok().and_then(|count| count.try_into().ok()).unwrap_or(0)
    }
    #[cfg(not(feature = "cuda"))]
    0
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device> {
    Device::new_cuda(index).map_err(|cause| {
        let what = format!("CUDA device {index} cannot be opened");
        let help = if super::fault::is_of_memory(&cause.to_string()) {
            "its memory is taken: see `nvidia-smi` for who has it, or take another device"
        } else {
            "see `nvidia-smi` for the devices that are there, or take `device = \"cpu\"`"
        };
        Error::new(Kind::Device, what).help(help).caused_by(cause)
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda(_index: usize) -> Result<Device> {
    Err(Error::new(Kind::Device, "this build of clipmill has no CUDA").help(
        "build it with `cargo install --path . --features cuda` on a machine with the CUDA \
         toolkit, or take `device = \"cpu\"`",
    ))
}

/// Candle's type for `dtype`, if candle computes in it on `device`.
///
/// # Errors
/// [`Kind::Device`] for bfloat16 on the processor, whose matrices candle does not multiply, and
/// for int8.
pub fn dtype(dtype: Dtype, device: &Device) -> Result<DType> {
    let error = |what: &str, help: &str| Err(Error::new(Kind::Device, what).help(help));
    match dtype {
        Dtype::F32 => Ok(DType::F32),
        Dtype::F16 => Ok(DType::F16),
        Dtype::Bf16 if device.is_cpu() => error(
            "the processor does not compute a language model in bf16",
            "take `dtype = \"f32\"` or `\"f16\"`, or a CUDA device; what a training computes in is the \
             `compute` of its stage",
        ),
        Dtype::Bf16 => Ok(DType::BF16),
        Dtype::Int8 => error(
            "int8 is for CLIPs on the processor only",
            "take `dtype = \"f32\"` or `\"f16\"`, or `\"bf16\"` on a CUDA device",
        ),
    }
}

/// Candle's type for a training that computes in `training`, its weights in f32.
///
/// # Errors
/// [`Kind::Device`] for bfloat16 on a processor without instructions for it, and as of [`dtype()`].
pub fn training_dtype(training: Dtype, device: &Device) -> Result<DType> {
    match training {
        Dtype::Bf16 if device.is_cpu() => computation(training, device).map(|_| DType::BF16),
        _ => dtype(training, device),
    }
}

/// What tensors of a network that computes in `dtype` are made of, and what this house's own
/// products round them to: on the processor candle multiplies no bfloat16, so they are f32 there.
///
/// # Errors
/// [`Kind::Device`] for bfloat16 on a processor without instructions for it.
pub(in crate::nn) fn held(dtype: DType, device: &Device) -> Result<(DType, Number)> {
    match dtype {
        DType::BF16 if device.is_cpu() => {
            computation(Dtype::Bf16, device).map(|_| (DType::F32, Number::Bf16))
        }
        _ => Ok((dtype, Number::F32)),
    }
}

/// Whether a CLIP computes in `dtype` on `device`.
///
/// # Errors
/// [`Kind::Device`] where it does not: bfloat16 on a processor without instructions for it, int8
/// on a GPU.
pub fn check_clip(dtype: Dtype, device: &Device) -> Result<()> {
    computation(dtype, device).map(|_| ())
}

/// How a device computes in a numeric type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::nn) enum Computation {
    /// By the kernels of this room, on the processor.
    Packed(Number),
    /// By candle, in its type.
    Candle(DType),
}

/// How `device` computes in `dtype`.
///
/// # Errors
/// [`Kind::Device`] where it does not: bfloat16 on a processor without instructions for it, int8
/// on a GPU.
pub(in crate::nn) fn computation(dtype: Dtype, device: &Device) -> Result<Computation> {
    let of = match device.is_cpu() {
        true if Level::has_bf16() => Processor::CpuWithBf16,
        true => Processor::Cpu,
        false => Processor::Gpu,
    };
    computation_on(dtype, of)
}

/// What of a device decides how it computes.
#[derive(Debug, Clone, Copy)]
enum Processor {
    Cpu,
    /// With instructions for products of bfloat16.
    CpuWithBf16,
    Gpu,
}

/// Whether every device computes a CLIP in `dtype`, whichever `auto` takes.
#[must_use]
pub fn computes_everywhere(dtype: Dtype) -> bool {
    let all = [Processor::Cpu, Processor::CpuWithBf16, Processor::Gpu];
    all.iter().all(|of| computation_on(dtype, *of).is_ok())
}

fn computation_on(dtype: Dtype, of: Processor) -> Result<Computation> {
    use Processor::{Cpu, CpuWithBf16, Gpu};
    let error = |what: &str, help: &str| Err(Error::new(Kind::Device, what).help(help));
    match (dtype, of) {
        (Dtype::F32, Cpu | CpuWithBf16) => Ok(Computation::Packed(Number::F32)),
        (Dtype::F32, Gpu) => Ok(Computation::Candle(DType::F32)),
        (Dtype::F16, _) => Ok(Computation::Candle(DType::F16)),
        (Dtype::Bf16, Gpu) => Ok(Computation::Candle(DType::BF16)),
        (Dtype::Bf16, CpuWithBf16) => Ok(Computation::Packed(Number::Bf16)),
        (Dtype::Bf16, Cpu) => error(
            "this processor does not compute in bf16: it lacks AVX-512 BF16",
            "take `dtype = \"f32\"` or `\"int8\"`, or a CUDA device",
        ),
        (Dtype::Int8, Cpu | CpuWithBf16) => Ok(Computation::Packed(Number::Int8)),
        (Dtype::Int8, Gpu) => error(
            "int8 is computed on the processor only",
            "take `device = \"cpu\"`, or `dtype = \"bf16\"` or `\"f16\"` on the GPU",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        assert_eq!(open(DeviceChoice::Cpu).unwrap().name, "cpu");
        assert_eq!(dtype(Dtype::F16, &Device::Cpu).unwrap(), DType::F16);
        let f16 = computation(Dtype::F16, &Device::Cpu).unwrap();
        assert_eq!(f16, Computation::Candle(DType::F16));
    }

    #[test]
    fn candle_multiplies_no_bf16_on_the_processor() {
        for reduced in [Dtype::Bf16, Dtype::Int8] {
            let error = dtype(reduced, &Device::Cpu).unwrap_err();
            assert_eq!(error.kind(), Kind::Device);
            assert!(error.help_text().unwrap().contains("f16"));
        }
    }

    #[test]
    fn training_in_bf16_needs_what_a_clip_in_bf16_does() {
        let found = training_dtype(Dtype::Bf16, &Device::Cpu);
        let kept = held(DType::BF16, &Device::Cpu);
        if Level::has_bf16() {
            assert_eq!(found.unwrap(), DType::BF16);
            assert_eq!(kept.unwrap(), (DType::F32, Number::Bf16));
        } else {
            for error in [found.unwrap_err(), kept.unwrap_err()] {
                assert_eq!(error.kind(), Kind::Device);
                assert!(error.what().contains("AVX-512 BF16"), "{error}");
            }
        }
        assert_eq!(held(DType::F16, &Device::Cpu).unwrap(), (DType::F16, Number::F32));
    }

    #[test]
    fn whatever_auto_takes_computes_in_f32_and_f16_alone() {
        for dtype in [Dtype::F32, Dtype::F16] {
            assert!(computes_everywhere(dtype), "{dtype:?}");
        }
        let on = |dtype, of| computation_on(dtype, of).map_err(|error| error.kind());
        assert!(!computes_everywhere(Dtype::Bf16) && !computes_everywhere(Dtype::Int8));
        assert_eq!(on(Dtype::Bf16, Processor::Cpu), Err(Kind::Device));
        assert_eq!(on(Dtype::Bf16, Processor::Gpu), Ok(Computation::Candle(DType::BF16)));
        assert_eq!(on(Dtype::Int8, Processor::Gpu), Err(Kind::Device));
        assert_eq!(on(Dtype::Int8, Processor::Cpu), Ok(Computation::Packed(Number::Int8)));
    }

    #[test]
    fn bf16_without_its_instructions_is_an_error_that_says_what_to_take() {
        match computation(Dtype::Bf16, &Device::Cpu) {
            Ok(found) => {
                assert!(Level::has_bf16());
                assert_eq!(found, Computation::Packed(Number::Bf16));
            }
            Err(error) => {
                assert!(!Level::has_bf16());
                assert_eq!(error.kind(), Kind::Device);
                assert!(error.help_text().unwrap().contains("int8"));
            }
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_without_the_feature_says_how_to_build() {
        let error = open(DeviceChoice::Cuda(Some(1))).unwrap_err();
        assert_eq!(error.kind(), Kind::Device);
        assert!(error.help_text().unwrap().contains("--features cuda"));
        let auto = open(DeviceChoice::Auto).unwrap();
        assert!(auto.name.starts_with("cpu (auto: "), "{}", auto.name);
    }
}

//! Devices: what was asked for, or an error; never a quiet fall-back.

use candle_core::{DType, Device};

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

/// Opens what was asked for.
///
/// # Errors
/// [`Kind::Device`] when this build or this machine does not have it.
pub fn open(choice: DeviceChoice) -> Result<Opened> {
    match choice {
        DeviceChoice::Cpu => Ok(Opened { device: Device::Cpu, name: "cpu".into() }),
        DeviceChoice::Cuda(index) => {
            cuda(index).map(|device| Opened { device, name: format!("cuda:{index}") })
        }
        DeviceChoice::Auto => Ok(match cuda(0) {
            Ok(device) => Opened { device, name: "cuda:0 (auto)".into() },
            Err(why) => Opened { device: Device::Cpu, name: format!("cpu (auto: {})", why.what()) },
        }),
    }
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device> {
    Device::new_cuda(index).map_err(|cause| {
        Error::new(Kind::Device, format!("CUDA device {index} cannot be opened"))
            .help("see `nvidia-smi` for the devices that are there, or take `device = \"cpu\"`")
            .caused_by(cause)
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda(_index: usize) -> Result<Device> {
    Err(Error::new(Kind::Device, "this build of clipmill has no CUDA").help(
        "build it with `cargo install --path . --features cuda` on a machine with the CUDA \
         toolkit, or take `device = \"cpu\"`",
    ))
}

/// Candle's type for `dtype`, if `device` computes in it.
///
/// # Errors
/// [`Kind::Device`] for bfloat16 on the processor: candle multiplies no bfloat16 matrices there.
pub fn dtype(dtype: Dtype, device: &Device) -> Result<DType> {
    match dtype {
        Dtype::F32 => Ok(DType::F32),
        Dtype::F16 => Ok(DType::F16),
        Dtype::Bf16 if device.is_cpu() => {
            Err(Error::new(Kind::Device, "the processor does not compute in bf16")
                .help("take `dtype = \"f32\"` or `\"f16\"`, or a CUDA device"))
        }
        Dtype::Bf16 => Ok(DType::BF16),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there() {
        assert_eq!(open(DeviceChoice::Cpu).unwrap().name, "cpu");
        assert_eq!(dtype(Dtype::F16, &Device::Cpu).unwrap(), DType::F16);
    }

    #[test]
    fn bf16_on_the_processor_is_an_error_that_says_what_to_do() {
        let error = dtype(Dtype::Bf16, &Device::Cpu).unwrap_err();
        assert_eq!(error.kind(), Kind::Device);
        assert!(error.help_text().unwrap().contains("f16"));
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_without_the_feature_says_how_to_build() {
        let error = open(DeviceChoice::Cuda(1)).unwrap_err();
        assert_eq!(error.kind(), Kind::Device);
        assert!(error.help_text().unwrap().contains("--features cuda"));
        let auto = open(DeviceChoice::Auto).unwrap();
        assert!(auto.name.starts_with("cpu (auto: "), "{}", auto.name);
    }
}

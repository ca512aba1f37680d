//! Named tensors of one or more weight files.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::map::FileBytes;
use super::store::Stored;
use crate::base::{Error, Kind, Result};

/// The tensors of a model, by name.
#[derive(Debug, Default)]
pub struct Weights {
    pub(super) tensors: BTreeMap<String, Stored>,
}

impl Weights {
    /// Opens one file: safetensors or PyTorch's, as its first bytes say.
    ///
    /// # Errors
    /// When it cannot be read, is of neither kind, or is damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(&Arc::new(FileBytes::open(path)?)).map_err(|error| match error.place() {
            Some(_) => error,
            None => error.at(path.display()),
        })
    }

    /// As [`open`](Self::open), of bytes in memory.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::read(&Arc::new(FileBytes::Memory(bytes.to_vec())))
    }

    fn read(file: &Arc<FileBytes>) -> Result<Self> {
        let bytes = file.as_slice();
        let tensors = if bytes.starts_with(b"PK\x03\x04") {
            super::torch::read_zip(file)?
        } else if super::torch::is_legacy(bytes) {
            super::torch::read_legacy(file)?
        } else if super::safetensors::is_safetensors(bytes) {
            super::safetensors::read(file)?
        } else {
            return Err(Error::new(Kind::BadInput, "is neither safetensors nor a file of PyTorch")
                .help("the file may have been cut short on its way: fetch it again"));
        };
        Ok(Self { tensors })
    }

    /// Opens several shards as one model.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when two shards hold the same name.
    pub fn open_shards(paths: &[std::path::PathBuf]) -> Result<Self> {
        let mut all = Self::default();
        for path in paths {
            for (name, tensor) in Self::open(path)?.tensors {
                if all.tensors.insert(name.clone(), tensor).is_some() {
                    return Err(Error::new(
                        Kind::BadInput,
                        format!("tensor `{name}` is in an earlier shard too"),
                    )
                    .at(path.display()));
                }
            }
        }
        Ok(all)
    }

    /// Names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// One tensor.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Stored> {
        self.tensors.get(name)
    }

    /// Its shape, if it is there.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.get(name).map(Stored::shape)
    }

    /// The tensors whose names begin with `prefix`, without it. No number is copied.
    #[must_use]
    pub fn below(&self, prefix: &str) -> Self {
        let below = |(name, tensor): (&String, &Stored)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        };
        Self { tensors: self.tensors.iter().filter_map(below).collect() }
    }

    /// Renames every tensor; `None` drops it.
    pub fn rename(&mut self, mut name: impl FnMut(&str) -> Option<String>) {
        self.tensors = std::mem::take(&mut self.tensors)
            .into_iter()
            .filter_map(|(old, tensor)| Some((name(&old)?, tensor)))
            .collect();
    }

    /// A tensor on `device`, converted to `dtype`.
    ///
    /// # Errors
    /// When it is not there or its storage is too short.
    pub fn tensor(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let stored = self
            .get(name)
            .ok_or_else(|| Error::new(Kind::BadInput, format!("tensor `{name}` is missing")))?;
        Tensor::from_vec(stored.to_f32()?, stored.shape.as_slice(), &Device::Cpu)
            .and_then(|t| t.to_dtype(dtype))
            .and_then(|t| t.to_device(device))
            .map_err(|cause| {
                Error::new(Kind::Internal, format!("cannot place tensor `{name}` on its device"))
                    .caused_by(cause)
            })
    }
}

//! Writing safetensors, a tensor at a time.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::{Map, Value, json};

use crate::base::files::{write_atomic, write_named};
use crate::base::{Error, Kind, Result};
use crate::nn::fault::candle;

/// Writes tensors under their names, sorted, as f32, durably or not at all.
///
/// # Errors
/// When two have one name, a tensor cannot be fetched from its device, or the file cannot be
/// written.
pub fn write_safetensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let laid_out = LaidOut::new(tensors)?;
    write_atomic(path, |writer| laid_out.write(writer, path))
}

/// As [`write_safetensors`], to what a user named: a pipe is written into.
///
/// # Errors
/// As [`write_safetensors`].
pub fn write_named_safetensors(path: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let laid_out = LaidOut::new(tensors)?;
    write_named(path, |writer| laid_out.write(writer, path))
}

/// Tensors in the order of the file, and the header that says where they are.
struct LaidOut<'t> {
    header: Vec<u8>,
    sorted: Vec<&'t (String, Tensor)>,
}

impl<'t> LaidOut<'t> {
    fn new(tensors: &'t [(String, Tensor)]) -> Result<Self> {
        let mut sorted: Vec<&(String, Tensor)> = tensors.iter().collect();
        sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut header = Map::new();
        header.insert("__metadata__".into(), json!({"format": "pt"}));
        let mut start = 0_usize;
        for (name, tensor) in &sorted {
            let end = start + tensor.elem_count() * 4;
            let entry: Value =
                json!({"dtype": "F32", "shape": tensor.dims(), "data_offsets": [start, end]});
            if header.insert(name.clone(), entry).is_some() {
                return Err(Error::new(Kind::Internal, format!("two tensors are called `{name}`")));
            }
            start = end;
        }
        let mut header = Value::Object(header).to_string().into_bytes();
        // The numbers begin at a multiple of eight bytes.
        header.resize(header.len().next_multiple_of(8), b' ');
        Ok(Self { header, sorted })
    }

    fn write(&self, writer: &mut BufWriter<&File>, path: &Path) -> Result<()> {
        let failed = |cause| Error::io("cannot write", path.display(), cause);
        let length = u64::try_from(self.header.len()).unwrap_or(u64::MAX);
        writer.write_all(&length.to_le_bytes()).map_err(failed)?;
        writer.write_all(&self.header).map_err(failed)?;
        for (_, tensor) in &self.sorted {
            let numbers = tensor
                .to_device(&Device::Cpu)
                .and_then(|tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>())
                .map_err(candle("cannot fetch a tensor"))?;
            for part in numbers.chunks(1 << 16) {
                let bytes: Vec<u8> = part.iter().flat_map(|x| x.to_le_bytes()).collect();
                writer.write_all(&bytes).map_err(failed)?;
            }
        }
        Ok(())
    }
}

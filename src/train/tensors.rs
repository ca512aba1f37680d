//! Tensors to a safetensors file, written as they stream: no second copy of a model lives.

use std::io::Write;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::{Map, json};

use super::fault::candle;
use crate::base::digest::Digester;
use crate::base::{Digest, Error, Result, files};

/// Writes tensors as f32 in the order of their names, durably, and gives the digest of the file's
/// bytes.
///
/// # Errors
/// When a device fails or the file cannot be written.
pub fn write(path: &Path, mut tensors: Vec<(String, Tensor)>) -> Result<Digest> {
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut header = Map::new();
    let mut at = 0_usize;
    for (name, tensor) in &tensors {
        let end = at + tensor.elem_count() * 4;
        let info = json!({"dtype": "F32", "shape": tensor.dims(), "data_offsets": [at, end]});
        header.insert(name.clone(), info);
        at = end;
    }
    let mut header = serde_json::Value::Object(header).to_string().into_bytes();
    // The format wants the numbers aligned.
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut digester = Digester::new();
    files::write_atomic(path, |file| {
        let mut put = |bytes: &[u8]| {
            digester.bytes(bytes);
            file.write_all(bytes).map_err(|cause| Error::io("cannot write", path.display(), cause))
        };
        put(&(header.len() as u64).to_le_bytes())?;
        put(&header)?;
        for (_, tensor) in &tensors {
            let numbers = tensor
                .to_device(&Device::Cpu)
                .and_then(|t| t.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>())
                .map_err(candle("reading a weight"))?;
            for chunk in numbers.chunks(1 << 16) {
                let bytes: Vec<u8> = chunk.iter().flat_map(|x| x.to_le_bytes()).collect();
                put(&bytes)?;
            }
        }
        Ok(())
    })?;
    Ok(digester.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::weights::Weights;

    #[test]
    fn what_is_written_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        let b =
            Tensor::new(&[[1.0_f32, f32::MIN_POSITIVE / 2.0], [3.0, -4.0]], &Device::Cpu).unwrap();
        let a = Tensor::new(&[7.0_f32], &Device::Cpu).unwrap();
        let digest = write(&path, vec![("b".into(), b.clone()), ("a".into(), a)]).unwrap();
        let bytes = files::read_capped(&path, 1 << 20).unwrap();
        assert_eq!(digest, Digest::of(&bytes));
        let weights = Weights::open(&path).unwrap();
        assert_eq!(weights.names().collect::<Vec<_>>(), ["a", "b"]);
        let back = weights.tensor("b", DType::F32, &Device::Cpu).unwrap();
        assert_eq!(back.to_vec2::<f32>().unwrap(), b.to_vec2::<f32>().unwrap());
    }
}

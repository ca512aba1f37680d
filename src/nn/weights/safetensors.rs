//! The safetensors format: a JSON header with names, types, shapes and ranges, then the numbers.

use std::collections::BTreeMap;
use std::sync::Arc;

use safetensors::{Dtype, SafeTensors};

use super::element::Element;
use super::map::FileBytes;
use super::store::{Storage, Stored, contiguous};
use crate::base::{Error, Kind, Result};

/// Whether `bytes` begin like the format: a header's length, then `{`.
pub(super) fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{')
        && bytes.first_chunk().is_some_and(|n| u64::from_le_bytes(*n) <= 100_000_000)
}

/// The tensors of a mapped file. Types without numbers that a model could use are left out.
pub(super) fn read(file: &Arc<FileBytes>) -> Result<BTreeMap<String, Stored>> {
    let bytes = file.as_slice();
    let damaged = |cause: safetensors::SafeTensorError| {
        Error::new(Kind::BadInput, "is no whole safetensors file")
            .help("it may have been cut short on its way: fetch it again")
            .caused_by(cause)
    };
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let data = header + 8;
    let mut tensors = BTreeMap::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let Some(element) = element(info.dtype) else { continue };
        let (start, end) = info.data_offsets;
        let tensor = Stored {
            element,
            strides: contiguous(&info.shape),
            shape: info.shape.clone(),
            first: 0,
            storage: Storage::Mapped {
                file: Arc::clone(file),
                start: data + start,
                end: data + end,
            },
        };
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F64 => Element::F64,
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::I64 => Element::I64,
        Dtype::I32 => Element::I32,
        Dtype::I16 => Element::I16,
        Dtype::I8 => Element::I8,
        Dtype::U8 => Element::U8,
        Dtype::BOOL => Element::Bool,
        _ => return None,
    })
}

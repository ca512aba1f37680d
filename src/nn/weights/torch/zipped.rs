//! Files of `torch.save` since 1.6, and TorchScript archives: `NAME/data.pkl`, and each storage
//! as `NAME/data/KEY`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::flatten::flatten;
use crate::base::{Error, Kind, Result};
use crate::nn::weights::map::FileBytes;
use crate::nn::weights::pickle::{self, Arena};
use crate::nn::weights::store::{Storage, Stored};
use crate::nn::weights::zip::Zip;

const PICKLE_CAP_BYTES: usize = 256 << 20;
/// What compressed storages may unpack to in any file. PyTorch compresses none; weights that somebody
/// packed again hardly shrink, but for those that are all zeros.
const UNPACKED_BYTES: usize = 1 << 30;
/// What they may unpack to for each byte of a larger file.
const UNPACKED_A_BYTE: usize = 4;

pub(in crate::nn::weights) fn read(file: &Arc<FileBytes>) -> Result<BTreeMap<String, Stored>> {
    let of_file = file.as_slice().len().saturating_mul(UNPACKED_A_BYTE);
    read_within(file, of_file.max(UNPACKED_BYTES))
}

/// As [`read`], with so many bytes for all compressed storages together.
fn read_within(file: &Arc<FileBytes>, mut left_bytes: usize) -> Result<BTreeMap<String, Stored>> {
    let zip = Zip::open(file)?;
    let data = zip
        .names()
        .filter(|name| *name == "data.pkl" || name.ends_with("/data.pkl"))
        .min_by_key(|name| name.len())
        .ok_or_else(|| {
            Error::new(Kind::BadInput, "is a zip without `data.pkl`: not a file of PyTorch")
        })?;
    let folder = data.trim_end_matches("data.pkl").to_owned();
    if let Some(order) = zip.names().find(|name| *name == format!("{folder}byteorder")) {
        let order = zip.member(order, 16)?;
        if order.bytes() != b"little" {
            return Err(Error::new(Kind::BadInput, "was written on a big-endian machine"));
        }
    }
    let bytes = zip.member(data, PICKLE_CAP_BYTES)?;
    let mut arena = Arena::default();
    let (root, _) = pickle::read(bytes.bytes(), &mut arena)?;
    let mut opened = BTreeMap::new();
    flatten(&arena, root, |id| {
        if let Some(storage) = opened.get(&id.key) {
            return Ok(Clone::clone(storage));
        }
        let cap = id.count.saturating_mul(id.element.size_bytes());
        let storage = zip.member(&format!("{folder}data/{}", id.key), cap.min(left_bytes))?;
        if let Storage::Owned(bytes) = &storage {
            left_bytes -= bytes.len();
        }
        opened.insert(id.key.clone(), storage.clone());
        Ok(storage)
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::SimpleFileOptions;

    use super::*;

    /// Two tensors of `count` zeros, each with a storage of its own.
    fn file(count: u16, method: zip::CompressionMethod) -> Arc<FileBytes> {
        let text = |text: &str| {
            let length = u32::try_from(text.len()).unwrap().to_le_bytes();
            [b"X", &length[..], text.as_bytes()].concat()
        };
        let size = [&[b'M'][..], &count.to_le_bytes()].concat();
        let tensor = |name: &str, key: &str| {
            let mut bytes = text(name);
            bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
            bytes.extend([text("storage"), b"ctorch\nFloatStorage\n".to_vec()].concat());
            bytes.extend([text(key), text("cpu"), size.clone(), b"tQK\0".to_vec()].concat());
            bytes.extend([size.clone(), b"\x85K\x01\x85".to_vec()].concat());
            bytes.extend(b"\x89ccollections\nOrderedDict\n)RtRs");
            bytes
        };
        let pickle = [b"\x80\x02}".to_vec(), tensor("a", "0"), tensor("b", "1"), b".".to_vec()];
        let zeros = vec![0; 4 * usize::from(count)];
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(method);
        for (name, content) in
            [("w/data.pkl", &pickle.concat()), ("w/data/0", &zeros), ("w/data/1", &zeros)]
        {
            zip.start_file(name, options).unwrap();
            zip.write_all(content).unwrap();
        }
        Arc::new(FileBytes::Memory(zip.finish().unwrap().into_inner()))
    }

    #[test]
    fn compressed_storages_are_bounded_together() {
        let deflated = file(1000, zip::CompressionMethod::Deflated);
        let read = read_within(&deflated, 8000).unwrap();
        assert_eq!(read["b"].to_f32().unwrap(), vec![0.0; 1000]);
        // each alone would do
        let error = read_within(&deflated, 7999).unwrap_err().to_string();
        assert!(error.contains("unpacks to more than it should"), "{error}");
        // a directory that says less than there is
        let mut lying = deflated.as_slice().to_vec();
        let last = lying.windows(4).rposition(|at| at == b"PK\x01\x02").unwrap();
        lying[last + 24..last + 28].copy_from_slice(&100_u32.to_le_bytes());
        let error = read_within(&Arc::new(FileBytes::Memory(lying)), 8000).unwrap_err().to_string();
        assert!(error.contains("broken member"), "{error}");
        // what is not compressed takes no memory
        let stored = file(1000, zip::CompressionMethod::Stored);
        assert_eq!(read_within(&stored, 0).unwrap()["a"].to_f32().unwrap(), vec![0.0; 1000]);
    }
}

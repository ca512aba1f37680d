//! Files of `torch.save` since 1.6, and TorchScript archives: `NAME/data.pkl`, and each storage
//! as `NAME/data/KEY`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::flatten::flatten;
use crate::base::{Error, Kind, Result};
use crate::nn::weights::map::FileBytes;
use crate::nn::weights::pickle::{self, Arena};
use crate::nn::weights::store::Stored;
use crate::nn::weights::zip::Zip;

const PICKLE_CAP_BYTES: usize = 256 << 20;

pub(in crate::nn::weights) fn read(file: &Arc<FileBytes>) -> Result<BTreeMap<String, Stored>> {
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
        let storage = zip.member(&format!("{folder}data/{}", id.key), cap)?;
        opened.insert(id.key.clone(), storage.clone());
        Ok(storage)
    })
}

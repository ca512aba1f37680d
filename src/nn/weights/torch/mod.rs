//! PyTorch's files: `torch.save` since 1.6 (a zip), before it (pickles in a row, then the
//! storages), and TorchScript archives (a zip whose `data.pkl` builds `__torch__` classes).
//!
//! Reference: `torch/serialization.py`.

mod flatten;
mod legacy;
mod zipped;

pub(super) use legacy::{is_legacy, read as read_legacy};
pub(super) use zipped::read as read_zip;

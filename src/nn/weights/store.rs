//! A tensor in a weight file.

use std::sync::Arc;

use super::element::Element;
use super::map::FileBytes;
use crate::base::{Error, Kind, Result};

/// A tensor in a file: nothing of it is read before it is asked for.
#[derive(Debug, Clone)]
pub struct Stored {
    pub(super) element: Element,
    pub(super) shape: Vec<usize>,
    /// Numbers (not bytes) between neighbours of each dimension.
    pub(super) strides: Vec<usize>,
    /// Number (not byte) of the storage that the first element is.
    pub(super) first: usize,
    pub(super) storage: Storage,
}

/// Bytes that one or more tensors look into.
#[derive(Debug, Clone)]
pub(super) enum Storage {
    /// A range of a mapped file.
    Mapped { file: Arc<FileBytes>, start: usize, end: usize },
    /// Unpacked bytes, where the file holds them compressed.
    Owned(Arc<Vec<u8>>),
}

impl Storage {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped { file, start, end } => {
                file.as_slice().get(*start..*end).unwrap_or_default()
            }
            Self::Owned(bytes) => bytes,
        }
    }

    /// Gives back the memory of bytes that were read, where it is that of a file.
    fn release(&self, range: std::ops::Range<usize>) {
        if let Self::Mapped { file, start, .. } = self {
            file.release(start + range.start..start + range.end);
        }
    }
}

/// Numbers that a tensor with a stride of zero may repeat.
const MOST_REPEATED: usize = 1 << 24;

impl Stored {
    /// Size of each dimension.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Type of its numbers.
    #[must_use]
    pub fn element(&self) -> Element {
        self.element
    }

    /// The number of numbers; `None` past the address space.
    fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |n, side| n.checked_mul(*side))
    }

    /// Whether every element lies within the storage, and the tensor is not much larger than it:
    /// a stride of zero could otherwise make terabytes of one number.
    pub(super) fn fits(&self) -> bool {
        let Some(count) = self.count() else { return false };
        if count == 0 {
            return true;
        }
        let available = self.storage.bytes().len() / self.element.size_bytes();
        let last =
            self.shape.iter().zip(&self.strides).try_fold(self.first, |at, (side, stride)| {
                at.checked_add(side.saturating_sub(1).checked_mul(*stride)?)
            });
        self.shape.len() == self.strides.len()
            && count <= available.max(MOST_REPEATED)
            && last.is_some_and(|last| last < available)
    }

    /// What is at `index` of the first dimension, if it is there: no number is copied.
    #[must_use]
    pub fn at(&self, index: usize) -> Option<Self> {
        let ((side, shape), (stride, strides)) =
            (self.shape.split_first()?, self.strides.split_first()?);
        let first = self.first.checked_add(index.checked_mul(*stride)?)?;
        let (shape, strides) = (shape.to_vec(), strides.to_vec());
        (index < *side).then(|| Self { shape, strides, first, ..self.clone() })
    }

    /// All numbers in row-major order, as f32 (exact for f32, f16, bf16 and small integers).
    ///
    /// # Errors
    /// When the storage is too short.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        if !self.fits() {
            return Err(Error::new(Kind::BadInput, "a tensor reaches past its storage"));
        }
        let count = self.count().unwrap_or(0);
        let bytes = self.storage.bytes();
        let size = self.element.size_bytes();
        let mut out = Vec::with_capacity(count);
        if self.strides == contiguous(&self.shape) {
            let wanted = bytes.get(self.first * size..).unwrap_or_default();
            out.extend(wanted.chunks_exact(size).take(count).filter_map(|n| self.element.read(n)));
        } else {
            let mut index = vec![0_usize; self.shape.len()];
            for _ in 0..count {
                let at: usize = index.iter().zip(&self.strides).map(|(i, s)| i * s).sum();
                let number = bytes.get((self.first + at) * size..).unwrap_or_default();
                out.extend(self.element.read(number));
                for (i, side) in index.iter_mut().zip(&self.shape).rev() {
                    *i += 1;
                    if *i < *side {
                        break;
                    }
                    *i = 0;
                }
            }
        }
        if out.len() != count {
            return Err(Error::new(Kind::BadInput, "a tensor reaches past its storage"));
        }
        self.storage.release(self.first * size..(self.first + count) * size);
        Ok(out)
    }
}

/// Strides of a row-major tensor.
pub(super) fn contiguous(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1_usize; shape.len()];
    let mut step = 1_usize;
    for (stride, side) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.saturating_mul(*side);
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_alone() {
        let bytes: Vec<u8> = (0..12_u8).flat_map(|n| f32::from(n).to_le_bytes()).collect();
        let storage = Storage::Owned(Arc::new(bytes));
        let stored = |shape: &[usize], strides: &[usize], first| Stored {
            element: Element::F32,
            shape: shape.to_vec(),
            strides: strides.to_vec(),
            first,
            storage: storage.clone(),
        };
        let row = |of: &Stored, index| of.at(index).map(|row| row.to_f32().unwrap());
        let whole = stored(&[3, 4], &[4, 1], 0);
        assert_eq!(row(&whole, 2), Some(vec![8.0, 9.0, 10.0, 11.0]));
        assert_eq!(row(&whole, 3), None);
        let transposed = stored(&[4, 3], &[1, 4], 0);
        assert_eq!(row(&transposed, 3), Some(vec![3.0, 7.0, 11.0]));
        assert_eq!(row(&stored(&[2, 2], &[2, 1], 5), 1), Some(vec![7.0, 8.0]));
        assert_eq!(row(&stored(&[12], &[1], 0), 11), Some(vec![11.0]));
        assert_eq!(row(&stored(&[], &[], 0), 0), None);
        assert!(stored(&[4, 4], &[4, 1], 0).at(3).unwrap().to_f32().is_err());
    }
}

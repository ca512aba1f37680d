//! Prepared images, as an image tower takes them.

use crate::flow::preprocessing::Scale;

/// Square images, one after the other.
#[derive(Debug, Clone, Copy)]
pub enum Images<'a> {
    /// 3 × side × side numbers each, channels first, as the model wants them.
    Numbers(&'a [f32]),
    /// side × side × 3 levels each, interleaved RGB, and what they are to the model: a quarter of
    /// the memory.
    Levels(&'a [u8], &'a Scale),
}

impl Images<'_> {
    /// Numbers or levels in all.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Levels(levels, _) => levels.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of them, of `each` numbers or levels.
    #[must_use]
    pub fn part(&self, images: std::ops::Range<usize>, each: usize) -> Self {
        let range = images.start * each..images.end * each;
        match *self {
            Self::Numbers(numbers) => Self::Numbers(numbers.get(range).unwrap_or_default()),
            Self::Levels(levels, scale) => {
                Self::Levels(levels.get(range).unwrap_or_default(), scale)
            }
        }
    }

    /// Numbers of one channel of a row, from column `x` on, for images of `side` pixels.
    pub(super) fn line(
        &self,
        side: usize,
        (image, channel): (usize, usize),
        (y, x): (usize, usize),
        to: &mut [f32],
    ) {
        match self {
            Self::Numbers(numbers) => {
                let at = ((image * 3 + channel) * side + y) * side + x;
                let from = numbers.get(at..at + to.len()).unwrap_or_default();
                to.iter_mut().zip(from).for_each(|(to, x)| *to = *x);
            }
            Self::Levels(levels, scale) => {
                let Some(numbers) = scale.numbers.get(channel) else { return };
                let at = ((image * side + y) * side + x) * 3 + channel;
                let from = levels.get(at..).unwrap_or_default().iter().step_by(3);
                to.iter_mut().zip(from).for_each(|(to, x)| *to = numbers[usize::from(*x)]);
            }
        }
    }
}

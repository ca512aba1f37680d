//! The three measures on vectors, over slices.
//!
//! Products of two f32 are exact in f64 and all sums run in f64, in eight lanes that are added
//! at the end: the result does not depend on the number of threads or on how rows are cut into
//! batches, and its error is far below that of the f32 values that went in.

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// The cosine of the angle, `a·b / (|a| |b|)`; NULL when a vector has no length.
    Cosine,
    /// The dot product, `a·b`.
    Dot,
    /// The Euclidean distance, `|a - b|`.
    L2,
}

impl Measure {
    /// All measures.
    pub const ALL: [Self; 3] = [Self::Cosine, Self::Dot, Self::L2];

    /// Its name in SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Dot => "dot",
            Self::L2 => "l2",
        }
    }

    /// The measure of that SQL name, in any case.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|measure| measure.name().eq_ignore_ascii_case(name))
    }

    /// Measures two vectors of the same width; `None` where the measure has no value.
    ///
    /// # Shapes
    /// `a` and `b`: `[width]`. Of slices that differ, the surplus is not looked at: callers
    /// compare the widths first.
    #[must_use]
    pub fn of(self, a: &[f32], b: &[f32]) -> Option<f64> {
        match self {
            Self::Dot => Some(sum(a, b, |x, y| x * y)),
            Self::L2 => Some(sum(a, b, |x, y| (x - y) * (x - y)).sqrt()),
            Self::Cosine => {
                let norms = (sum(a, a, |x, y| x * y) * sum(b, b, |x, y| x * y)).sqrt();
                // A NaN passes: it must be seen, not become NULL.
                if norms == 0.0 {
                    None
                } else {
                    Some((sum(a, b, |x, y| x * y) / norms).clamp(-1.0, 1.0))
                }
            }
        }
    }
}

const LANES: usize = 8;

/// The sum of `f` over pairs; lanes let the compiler use vector registers without reordering
/// what one lane adds.
#[inline]
fn sum(a: &[f32], b: &[f32], f: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0_f64; LANES];
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += f(f64::from(*x), f64::from(*y));
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| f(f64::from(*x), f64::from(*y))).sum();
    lanes.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_on_small_vectors() {
        let (a, b) = ([3.0, 4.0], [4.0, 3.0]);
        assert_eq!(Measure::Dot.of(&a, &b), Some(24.0));
        assert_eq!(Measure::Cosine.of(&a, &b), Some(0.96));
        assert_eq!(Measure::L2.of(&a, &b), Some(2.0_f64.sqrt()));
    }

    #[test]
    fn a_vector_without_length_has_no_angle() {
        assert_eq!(Measure::Cosine.of(&[0.0, 0.0], &[1.0, 0.0]), None);
        assert!(Measure::Cosine.of(&[f32::NAN, 0.0], &[1.0, 0.0]).unwrap().is_nan());
    }

    #[test]
    fn sums_run_in_double_precision() {
        // In f32, 2^24 + 1 is 2^24: a thousand ones would be lost.
        let mut a = vec![1.0_f32; 1001];
        a[0] = 16_777_216.0;
        assert_eq!(Measure::Dot.of(&a, &vec![1.0; 1001]), Some(16_778_216.0));
    }

    #[test]
    fn widths_off_the_lanes_count_every_value() {
        for width in 0..40 {
            let a = vec![1.0_f32; width];
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let expected = width as f64;
            assert_eq!(Measure::Dot.of(&a, &a), Some(expected));
        }
    }
}

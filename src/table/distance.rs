//! How far a vector moved from one version to the next.

/// Between two vectors of one length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Cosine of the angle between them; `None` where one of them is zero or not finite.
    pub cosine: Option<f64>,
    /// Largest difference of two numbers at the same place.
    pub max_difference: f64,
}

/// The furthest that vectors of one column moved.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Furthest {
    /// Changed vectors that could be compared.
    pub rows: u64,
    /// The smallest cosine; `None` where none is defined.
    pub min_cosine: Option<f64>,
    /// The largest difference of two numbers at the same place.
    pub max_difference: f64,
}

impl Distance {
    /// `None` where either is no vector or their lengths differ.
    pub(super) fn of(before: Option<Vec<f32>>, after: Option<Vec<f32>>) -> Option<Self> {
        let (before, after) = (before?, after?);
        if before.len() != after.len() {
            return None;
        }
        let (mut dot, mut one, mut other, mut most) = (0.0, 0.0, 0.0, 0.0_f64);
        for (a, b) in before.iter().zip(&after) {
            let (a, b) = (f64::from(*a), f64::from(*b));
            dot += a * b;
            one += a * a;
            other += b * b;
            // a number that became none is as far as can be
            let apart = (a - b).abs();
            most = if apart.is_nan() { f64::INFINITY } else { most.max(apart) };
        }
        let cosine = dot / (one.sqrt() * other.sqrt());
        Some(Self { cosine: cosine.is_finite().then_some(cosine), max_difference: most })
    }
}

impl Furthest {
    pub(super) fn see(&mut self, distance: Distance) {
        self.rows += 1;
        self.max_difference = self.max_difference.max(distance.max_difference);
        if let Some(cosine) = distance.cosine {
            self.min_cosine = Some(self.min_cosine.map_or(cosine, |least| least.min(cosine)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_compared_by_angle_and_by_number() {
        let of = |a: &[f32], b: &[f32]| Distance::of(Some(a.to_vec()), Some(b.to_vec()));
        let right = of(&[1.0, 0.0], &[0.0, 2.0]).unwrap();
        assert_eq!((right.cosine, right.max_difference), (Some(0.0), 2.0));
        let zero = of(&[0.0, 0.0], &[0.0, 0.5]).unwrap();
        assert_eq!((zero.cosine, zero.max_difference), (None, 0.5));
        let lost = of(&[1.0], &[f32::NAN]).unwrap();
        assert_eq!((lost.cosine, lost.max_difference), (None, f64::INFINITY));
        assert_eq!(of(&[1.0], &[1.0, 2.0]), None);
        let mut furthest = Furthest::default();
        [right, zero].into_iter().for_each(|distance| furthest.see(distance));
        assert_eq!((furthest.rows, furthest.min_cosine), (2, Some(0.0)));
    }
}
